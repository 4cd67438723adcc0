"""Told what follows, the ensemble sees what no forecast can; the means with Brainµ are means of the same epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pytest

from sharpwave.benchmarks.forecast import ahead, brainmu
from sharpwave.benchmarks.forecast.ahead import ENSEMBLE, TOLD, score_told, tell
from sharpwave.benchmarks.forecast.brainmu import score_cohort
from sharpwave.forecasting import boosting
from sharpwave.forecasting.boosting import EnsembleSize, SignalEnsemble
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast
from sharpwave.forecasting.protocols import compute_targets


def make_night(subject: str, seed: int, n_epochs: int = 120) -> EpochTable:
    """A measure that rises in the first epoch of each new stage, and one of noise."""
    rng = np.random.default_rng(seed)
    stages = (np.cumsum(rng.random(n_epochs) < 0.2) % 5).astype(np.int8)
    new = np.r_[False, np.diff(stages) != 0]
    measures = np.stack([4.0 * new + rng.normal(size=n_epochs), rng.normal(size=n_epochs)], axis=1)
    return EpochTable(subject, "made up", stages, measures, ("sign", "noise"))


def test_who_is_told_the_next_epoch_sees_what_no_forecast_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "SignalEnsemble", lambda: SignalEnsemble(EnsembleSize(rounds=30, members=1)))
    monkeypatch.setattr(boosting, "DESTINATION_ROUNDS", 2)
    nights = [make_night(f"p{index}", index) for index in range(4)]
    rows = {(row.method, row.metric): row for row in score_told({"made up": nights, "none": [nights[0]]})}
    assert {method for method, _ in rows} == set(TOLD)
    blind, told = rows[ENSEMBLE, "auprc_change"], rows["told 30 s", "auprc_change"]
    assert blind.value < 1.6 * rows[ENSEMBLE, "prevalence_change"].value
    assert told.value > blind.value + 0.3
    gain = rows["told 30 s", f"auprc_change_gain_over_{ENSEMBLE}"]
    assert gain.value == pytest.approx(told.value - blind.value)
    assert gain.low > 0


def test_later_measures_stand_beside_those_of_now_and_end_with_the_night() -> None:
    night = make_night("p", 0, n_epochs=10)
    told = tell(night, 6)
    assert told.names == ("sign", "noise", "sign later", "noise later")
    np.testing.assert_array_equal(told.features[:, :2], night.features)
    np.testing.assert_array_equal(told.features[:4, 2:], night.features[6:])
    np.testing.assert_array_equal(told.features[4:, 2:], night.features[[9] * 6])
    assert tell(night, 0) is night


class Says:
    """A forecaster that says the same of every epoch."""

    def __init__(self, change: float) -> None:
        self.change = change

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        return self

    def predict(self, night: EpochTable) -> Forecast:
        return Forecast(np.full(len(night), self.change), np.full((len(night), 5), 0.2))


@pytest.mark.parametrize("scored_by_several", [True, False])
def test_the_means_are_of_brainmu_and_of_trees_on_all_cohorts_or_on_votes(
    scored_by_several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = {"lightgbm": Says(0.2)} | ({"lightgbm-votes": Says(0.9)} if scored_by_several else {})
    chosen = {method: lambda said=said: said for method, said in references.items()}
    monkeypatch.setattr(brainmu, "_choose_references", lambda protocol, night: chosen)
    nights = [make_night(f"p{index}", index) for index in range(4)]
    folds = [(nights[2:], nights[:2]), (nights[:2], nights[2:])]
    truth = [(compute_targets(night.stages, 1) != night.stages).astype(float) for night in nights]
    seer = [
        Forecast(0.8 * soon + 0.1, Says(0.0).predict(night).destination)
        for soon, night in zip(truth, nights, strict=True)
    ]
    forecasts = {("observed", 30.0): {f"made up/{n.subject}": said for n, said in zip(nights, seer, strict=True)}}
    pooled = {30.0: {id(night): (Says(0.3).predict(night), 0.5) for night in nights}}
    rows = {(row.method, row.metric): row for row in score_cohort("made up", nights, folds, forecasts, pooled)}
    means = {"brainmu+lightgbm": 0.3} | ({"brainmu+lightgbm-votes": 0.9} if scored_by_several else {})
    assert {method for method, _ in rows} == {"brainmu-lite", *references, *means}
    soon = np.concatenate([one[:-1] for one in truth])
    for method, other in means.items():
        change = (0.8 * soon + 0.1 + other) / 2
        assert rows[method, "brier"].value == pytest.approx(np.mean((change - soon) ** 2))
        gain = rows[method, "auprc_change_gain_over_lightgbm"]
        assert gain.value == pytest.approx(1.0 - rows["lightgbm", "auprc_change"].value)
        assert gain.low > 0.5
