"""A cohort held out whole: what is planted is found, chance is chance, and Brainµ stands beside LightGBM by person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks.staging import left_out
from sharpwave.benchmarks.staging.baselines import StagedFeatures
from sharpwave.errors import SharpwaveError


def draw(subject: str, seed: int, *, gain: float = 1.0) -> StagedFeatures:
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.integers(1, 5, 30), 10)
    values = gain * (np.stack([stages, -stages], axis=1) + rng.normal(0, 0.5, (300, 2)))
    values[::50] = np.nan
    return left_out.make_night(subject, values, np.where(np.arange(300) % 7 == 0, -1, stages), ["a", "b"])


def test_what_is_planted_is_found_in_a_cohort_of_another_unit_and_gains_are_paired(rng: np.random.Generator) -> None:
    learned, tested = [draw("x", seed) for seed in range(4)], [draw(str(s), 9 + s, gain=50.0) for s in range(3)]
    question = left_out.Question("made up", "planted", [(learned, tested)], 5, steps=1)
    rows = {(row.method, row.metric): row for row in left_out.answer(question, seeds=1, rng=rng)}
    assert rows["majority", "kappa"].value == 0
    assert min(rows[name, "kappa"].value for name in ("lightgbm", "lightgbm-past", "gaussian-hmm")) > 0.4
    ours, theirs = rows["brainmu-small", "kappa"], rows["lightgbm", "kappa"]
    gain = rows["brainmu-small", "kappa_gain_over_lightgbm"]
    np.testing.assert_allclose(np.array(ours.values) - np.array(theirs.values), gain.values)
    assert gain.n == 3


def test_three_stages_sum_nrem_before_they_choose() -> None:
    night = draw("x", 0)
    stages = np.where(night.stages > 2, 4, np.where(night.stages > 0, 2, -1))
    split = np.full((len(stages), 5), 0.0)
    split[:, 1:4], split[:, 4] = 0.2, 0.4
    sure = np.where((stages == 4)[:, None], np.eye(5)[4], split)
    merged = StagedFeatures("x", night.table, 2, stages)
    assert left_out.score_kappa(merged, sure, n_stages=3) == 1
    assert left_out.score_kappa(merged, split, n_stages=3) == 0


def test_epochs_without_measures_are_left_out_and_the_unit_does_not_matter() -> None:
    night, loud = draw("x", 0), draw("x", 0, gain=50.0)
    assert len(night.stages) == len(night.table) == 294
    np.testing.assert_allclose(night.table, loud.table)
    past = left_out._look_back(night).table.to_numpy()
    short = StagedFeatures("x", night.table[:100], 2, night.stages[:100])
    np.testing.assert_allclose(left_out._look_back(short).table.to_numpy(), past[:100])


def test_without_any_of_the_data_sets_it_says_which(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="hmc-bands and sleep-edf-bands, or slpdb-beats"):
        left_out.run(tmp_path, seeds=1)


def test_nobody_is_learned_from_and_tested(data_root: Path) -> None:
    question = left_out.ask_beats(data_root)
    assert question is not None
    assert len({night.subject for _, testing in question.folds for night in testing}) == 11
    for training, testing in question.folds:
        assert not {night.subject for night in training} & {night.subject for night in testing}
