"""Scores of staged nights against hand computation."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.staging.scores import Scored, score_night, summarise
from sharpwave.recordings.hypnogram import Hypnogram


def night(truth: list[int], found: list[int], subject: str = "a") -> Scored:
    return Scored(subject, Hypnogram(np.array(truth)), Hypnogram(np.array(found)))


def test_scores_by_hand() -> None:
    scores = score_night(night([0, 0, 2, 2, 2, 4], [0, 2, 2, 2, 2, 2]), n_stages=5)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert scores["f1_N2"] == pytest.approx(6 / 8)
    assert scores["kappa"] == pytest.approx((4 / 6 - (2 * 1 + 3 * 5) / 36) / (1 - (2 * 1 + 3 * 5) / 36))
    assert np.isnan(scores["f1_N3"])


def test_merging_forgives_confusion_within_nrem() -> None:
    assert score_night(night([0, 1, 2, 3, 4], [0, 2, 3, 1, 4]), n_stages=3)["kappa"] == pytest.approx(1)


def test_unscored_epochs_on_either_side_do_not_count() -> None:
    assert score_night(night([0, -1, 2], [0, 2, -1]), n_stages=5)["accuracy"] == 1


def test_probabilities_are_scored_by_log_loss_and_calibration() -> None:
    truth = np.array([0, 0, 0, 2])
    found = Hypnogram(np.zeros(4, dtype=int), probabilities=np.tile([0.75, 0, 0.25, 0, 0], (4, 1)))
    scores = score_night(Scored("a", Hypnogram(truth), found), n_stages=5)
    assert scores["log_loss"] == pytest.approx(-(3 * np.log(0.75) + np.log(0.25)) / 4)
    assert scores["ece"] == pytest.approx(0, abs=1e-9)


def test_seeds_are_averaged_within_a_subject_before_subjects_are_counted() -> None:
    perfect, wrong = night([0, 2], [0, 2]), night([0, 2], [2, 0])
    rows = summarise(
        [perfect, wrong, night([0, 2], [0, 2], "b")],
        n_stages=5,
        data="d",
        setting="s",
        method="m",
        rng=np.random.default_rng(0),
    )
    accuracy = next(row for row in rows if row.metric == "accuracy")
    assert accuracy.n == 2
    assert accuracy.value == pytest.approx(0.75)
    assert 0.5 <= accuracy.low <= accuracy.high <= 1


def test_no_nights_give_no_rows() -> None:
    assert summarise([], n_stages=5, data="d", setting="s", method="m", rng=np.random.default_rng(0)) == []
