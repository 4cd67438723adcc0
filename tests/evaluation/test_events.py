"""Matching of events: by hand, against brute force, and what must not count twice."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.events import match_events, score_events


def table(*spans: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame({"onset": [a for a, _ in spans], "duration": [b - a for a, b in spans]}, dtype=float)


def test_counts_by_hand() -> None:
    truth = table((0, 1), (10, 11), (20, 21))
    found = table((0.1, 1.1), (10.9, 12), (30, 31), (40, 41))
    scores = score_events(truth, found, iou=0.2, duration=120)
    assert (scores.n_truth, scores.n_found, scores.n_matched) == (3, 4, 1)
    assert (scores.precision, scores.recall, scores.f1) == (0.25, pytest.approx(1 / 3), pytest.approx(2 / 7))
    assert scores.onset_error == pytest.approx(0.1)
    assert scores.false_per_minute == pytest.approx(1.5)


def test_one_event_is_matched_once() -> None:
    scores = score_events(table((0, 2)), table((0, 1), (1, 2)), iou=0.2)
    assert scores.n_matched == 1


def compute_iou(one: pd.Series, other: pd.Series) -> float:
    ends = one.onset + one.duration, other.onset + other.duration
    shared = max(0.0, min(ends) - max(one.onset, other.onset))
    return shared / (one.duration + other.duration - shared)


def test_matching_is_the_best_there_is(rng: np.random.Generator) -> None:
    for _ in range(30):
        truth, found = (
            pd.DataFrame({"onset": 3 * rng.random(4), "duration": 0.3 + rng.random(4)}) for _ in ("truth", "found")
        )
        overlap = np.array([[compute_iou(a, b) for b in found.itertuples()] for a in truth.itertuples()])
        overlap[overlap < 0.2] = 0
        best = max(sum(overlap[i, j] for i, j in enumerate(order)) for order in permutations(range(4)))
        ours = sum(overlap[i, j] for i, j in match_events(truth, found, iou=0.2))
        assert ours == pytest.approx(best)


def test_nothing_found_and_nothing_there() -> None:
    scores = score_events(table((0, 1)), table(), iou=0.2)
    assert scores.recall == 0
    assert scores.f1 == 0
    assert np.isnan(scores.precision)
    assert np.isnan(score_events(table(), table()).f1)


def test_iou_is_checked() -> None:
    with pytest.raises(SharpwaveError, match="IoU above 0"):
        score_events(table(), table(), iou=0)
