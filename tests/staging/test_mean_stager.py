"""Two stagers averaged: what each says, where one says nothing, and whose epochs count."""

from __future__ import annotations

import numpy as np

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.staging.mean_stager import average_hypnograms


def make(rows: list[list[float]], *, start: float = 0.0, epoch: float = 30.0) -> Hypnogram:
    probabilities = np.array(rows)
    known = np.isfinite(probabilities).all(axis=1)
    stages = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1).astype(np.int8)
    return Hypnogram(stages, epoch, 2, start, probabilities, scorer="one")


NOTHING = [np.nan, np.nan]


def test_the_surer_one_decides() -> None:
    mean = average_hypnograms(make([[0.6, 0.4], [0.6, 0.4]]), make([[0.1, 0.9], [0.5, 0.5]]))
    assert mean.stages.tolist() == [1, 0]
    np.testing.assert_allclose(np.asarray(mean.probabilities), [[0.35, 0.65], [0.55, 0.45]])


def test_where_the_second_says_nothing_the_first_stands_alone_and_where_the_first_does_nobody_scores() -> None:
    mean = average_hypnograms(make([[0.6, 0.4], NOTHING, [0.2, 0.8]]), make([NOTHING, [0.1, 0.9]]))
    assert mean.stages.tolist() == [0, -1, 1]
    np.testing.assert_allclose(np.asarray(mean.probabilities)[[0, 2]], [[0.6, 0.4], [0.2, 0.8]])


def test_epochs_meet_in_time_not_by_number() -> None:
    first = make([[0.6, 0.4]] * 4, start=60.0)
    second = make([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    mean = average_hypnograms(first, second)
    assert mean.start == 60.0
    assert mean.stages.tolist() == [1, 0, 1, 1]


def test_a_scorer_without_probabilities_is_sure() -> None:
    hard = Hypnogram(np.array([1, -1], dtype=np.int8), 30.0, 2)
    mean = average_hypnograms(hard, make([[0.9, 0.1], [0.9, 0.1]]))
    np.testing.assert_allclose(np.asarray(mean.probabilities)[0], [0.45, 0.55])
    assert mean.stages.tolist() == [1, -1]
