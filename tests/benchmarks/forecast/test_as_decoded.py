"""Forecasts as `decode` makes them, at the time: later samples change nothing before them, and the rows add up."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from sharpwave.benchmarks.forecast import as_decoded
from sharpwave.benchmarks.forecast.as_decoded import (
    DECODE,
    ENSEMBLE,
    KINDS,
    LIGHTGBM,
    TOGETHER,
    filter_forward,
    find_stages,
    forecast_every_way,
    look_back,
    score_cohort,
)
from sharpwave.forecasting.boosting import Boosting, SignalEnsemble
from sharpwave.forecasting.cohorts import EpochTable, standardise_so_far
from sharpwave.forecasting.contract import Forecast
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.signals.stage_smoothing import load_transitions, smooth_probabilities
from sharpwave.staging.boosted import compute_prior, fit_booster

N_EPOCHS, CUT = 70, 45


def make_seen(cohort: str, subject: str, seed: int) -> tuple[EpochTable, np.ndarray]:
    """A night whose two measures tell its stage, and rise in the epoch before each change."""
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.permutation(np.arange(25) % 5), 3)[:N_EPOCHS].astype(np.int8)
    soon = np.r_[np.diff(stages) != 0, False]
    measures = np.stack([stages + 0.3 * rng.normal(size=N_EPOCHS), 4.0 * soon + rng.normal(size=N_EPOCHS)], axis=1)
    features = np.stack([standardise_so_far(column) for column in measures.T], axis=1)
    return EpochTable(subject, cohort, stages, features, ("level", "sign")), measures


@lru_cache(maxsize=1)
def see_four() -> list[tuple[EpochTable, np.ndarray]]:
    return [make_seen("pd-lfp", f"p{index}", index) for index in range(4)]


@pytest.mark.parametrize("cohort", ["walch", "pd-lfp"])
def test_what_comes_later_changes_no_stage_found_and_no_forecast_made(cohort: str) -> None:
    _, add, recipe = KINDS[cohort]
    seen = see_four()
    rng = np.random.default_rng(0)
    stages = [np.asarray(night.stages, dtype=int) for night, _ in seen]
    booster = fit_booster([add(measures) for _, measures in seen], stages, recipe=recipe, rng=rng)
    prior = compute_prior(stages, balance=recipe.balance)
    nights = [night for night, _ in seen]
    trees = Boosting().fit(nights, horizon=30.0, rng=rng)
    ensemble = SignalEnsemble().fit(nights, horizon=30.0, rng=rng)
    night, measures = seen[0]
    other = measures.copy()
    other[CUT:] = 50 * rng.normal(size=other[CUT:].shape)
    features = np.stack([standardise_so_far(column) for column in other.T], axis=1)
    changed = EpochTable(night.subject, cohort, night.stages, features, night.names)
    told = [find_stages(look_back(m, add), booster.predict, recipe=recipe, prior=prior) for m in (measures, other)]
    assert len(np.unique(np.asarray(told[0].stages))) > 1
    np.testing.assert_array_equal(told[0].probabilities[:CUT], told[1].probabilities[:CUT])
    assert not np.array_equal(told[0].probabilities[CUT:], told[1].probabilities[CUT:])
    said = [forecast_every_way(*pair, trees, ensemble) for pair in zip((night, changed), told, strict=True)]
    for method in (DECODE, LIGHTGBM, ENSEMBLE, TOGETHER):
        np.testing.assert_allclose(said[0][method].change[:CUT], said[1][method].change[:CUT], atol=1e-5)
        assert not np.allclose(said[0][method].change[CUT:], said[1][method].change[CUT:], atol=1e-5)
    np.testing.assert_allclose(said[0][TOGETHER].change, (said[0][DECODE].change + said[0][ENSEMBLE].change) / 2)


def test_the_filter_is_what_smoothing_says_of_the_last_epoch_of_all_that_is_known(rng: np.random.Generator) -> None:
    probabilities = rng.dirichlet(np.ones(5), size=30)
    probabilities[7] = np.nan
    prior = np.array([0.1, 0.1, 0.4, 0.2, 0.2])
    transitions = np.asarray(load_transitions()["transitions"])
    filtered = filter_forward(probabilities, prior=prior, weight=0.4)
    for end in (1, 8, 30):
        known = smooth_probabilities(probabilities[:end], transitions=transitions, prior=prior, weight=0.4)
        np.testing.assert_allclose(filtered[end - 1], known[-1])


def test_the_rows_hold_the_base_rate_and_paired_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stages say nothing of a change and a signal does, the ensemble is ahead."""
    seen = see_four()
    monkeypatch.setattr(as_decoded, "forecast_by_brainmu", _say_nothing)
    rows = score_cohort("pd-lfp", seen, [night for night, _ in seen], seeds=1)
    found = {(row.method, row.metric): row.value for row in rows}
    stages = [night.stages for night, _ in seen]
    rate = np.mean(np.concatenate([np.diff(one) != 0 for one in stages]))
    assert found["persistence", "auprc_change"] == pytest.approx(rate)
    assert {row.n for row in rows} == {4}
    for method in (ENSEMBLE, TOGETHER, LIGHTGBM):
        gain = found[method, "auprc_change"] - found[DECODE, "auprc_change"]
        assert found[method, f"auprc_change_gain_over_{DECODE}"] == pytest.approx(gain)
    assert found[ENSEMBLE, "auprc_change"] > found["persistence", "auprc_change"] + 0.15


def _say_nothing(found: Hypnogram, *, otherwise: Forecast) -> Forecast:
    n = len(found)
    return Forecast(np.full(n, 0.25), np.full((n, 5), 0.2))
