"""EEG alone: nothing later moves what is found live, people are kept apart, the second world's EEG tells its stages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sharpwave.benchmarks.forecast import eeg
from sharpwave.benchmarks.forecast.eeg import (
    ENSEMBLE,
    LIVE,
    SETTING,
    TREES,
    draw_second_world,
    find_by_yasa,
    fit_methods,
    is_kept,
    measure_eeg,
    score_found_by_bands,
    score_methods,
)
from sharpwave.forecasting.boosting import SignalEnsemble
from sharpwave.forecasting.cohorts import SLEEP_EDF, EpochTable, standardise_so_far


def make_night(subject: str, seed: int, n_epochs: int = 200) -> EpochTable:
    """Five measures, one of which rises in the epoch before each change, and one that tells the stage."""
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.permutation(np.arange(100) % 5), 4)[:n_epochs].astype(np.int8)
    measures = rng.normal(size=(n_epochs, 5))
    measures[:, 0] += 3.0 * np.r_[np.diff(stages) != 0, False]
    measures[:, 1] += 4.0 * stages
    features = np.stack([standardise_so_far(column) for column in measures.T], axis=1)
    return EpochTable(subject, SLEEP_EDF, stages, features, ("a", "b", "c", "d", "e"))


def test_a_sign_in_the_signal_is_found_in_other_people_and_rows_are_paired() -> None:
    people = [make_night(f"SC4{index:02d}", index) for index in range(12)]
    training, tested = ([one for one in people if is_kept(one.subject) == kept] for kept in (False, True))
    assert len(training) >= 4
    assert len(tested) >= 3
    models = [fit_methods(training, seed=0)]
    rows = {(row.method, row.metric): row for row in score_methods("made up", tested, models, 0.2)}
    assert {row.setting for row in rows.values()} == {SETTING}
    best, chance = rows[ENSEMBLE, "auprc_change"], rows["persistence", "auprc_change"]
    assert best.low > 2 * chance.value
    assert np.isclose(rows[ENSEMBLE, "auprc_gain_over_prevalence"].value, best.value - chance.value)
    gain = rows[ENSEMBLE, "auprc_change_gain_over_lightgbm"].value
    assert np.isclose(gain, best.value - rows[TREES, "auprc_change"].value)
    ensemble = models[0][ENSEMBLE]
    assert isinstance(ensemble, SignalEnsemble)
    beside = score_found_by_bands(people, ensemble)
    assert {row.setting for row in beside} == {LIVE}
    assert {row.n for row in beside} == {len(tested)}


def test_stages_found_live_do_not_move_when_what_follows_is_noise(monkeypatch) -> None:
    monkeypatch.setattr(eeg, "HOURS", 0.25)
    night = next(draw_second_world(1, rng=np.random.default_rng(0)))
    signal = night["EEG"]
    cut, rng = 20, np.random.default_rng(1)
    samples = np.array(signal.samples)
    samples[cut * 3000 :] = 1e-4 * rng.normal(size=len(samples) - cut * 3000)
    other = replace(night, signals={"EEG": replace(signal, samples=samples)})
    first, second = (find_by_yasa(one, 30) for one in (night, other))
    # the classifier's filter reaches a little beyond an epoch's end, so the last epoch before the noise may move
    np.testing.assert_allclose(first.probabilities[: cut - 1], second.probabilities[: cut - 1], atol=1e-9)
    assert not np.allclose(first.probabilities[cut:], second.probabilities[cut:])
    before, after = measure_eeg(night).features, measure_eeg(other).features
    np.testing.assert_array_equal(before[:cut], after[:cut])


def test_eeg_of_the_second_world_follows_its_stages() -> None:
    night = next(draw_second_world(1, rng=np.random.default_rng(3)))
    table = measure_eeg(night)
    delta = table.features[:, table.names.index("delta")]
    alpha = table.features[:, table.names.index("alpha")]
    assert delta[table.stages == 3].mean() > delta[table.stages == 2].mean() > delta[table.stages == 0].mean()
    assert alpha[table.stages == 0].mean() > alpha[table.stages == 3].mean()
