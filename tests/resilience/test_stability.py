"""The stability gap is seen where end-of-task accuracies hide it."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.stability import compute_largest_fall, compute_stability

GAP = np.array([[0.5, np.nan], [0.9, np.nan], [0.3, 0.4], [0.8, 0.7], [0.9, 0.8]])
"""Task 0 learned at row 1, falls to 0.3 while task 1 is learned, and is back at the end."""


def test_the_fall_in_between_is_seen() -> None:
    found = compute_stability(GAP, learned=[1, 4])
    assert found.minimum == pytest.approx(0.3)
    assert found.worst_case == pytest.approx(0.5 * 0.8 + 0.5 * 0.3)
    assert found.windowed_fall == pytest.approx(0.6)
    assert found.forgetting == pytest.approx(0.0)
    assert found.final == pytest.approx(0.85)


def test_nothing_falls_where_nothing_is_forgotten() -> None:
    steady = np.array([[0.9, np.nan], [0.9, 0.5], [0.9, 0.9]])
    found = compute_stability(steady, learned=[0, 2])
    assert (found.minimum, found.windowed_fall, found.forgetting) == pytest.approx((0.9, 0.0, 0.0))


def test_one_task_has_no_old_one() -> None:
    found = compute_stability(np.array([[0.2], [0.9]]), learned=[1])
    assert np.isnan(found.minimum)
    assert found.worst_case == pytest.approx(0.9)


def test_a_slow_fall_is_outside_a_short_window() -> None:
    course = np.linspace(1.0, 0.0, 11)
    assert compute_largest_fall(course, window=2) == pytest.approx(0.1)
    assert compute_largest_fall(course, window=11) == pytest.approx(1.0)
    assert compute_largest_fall(course[::-1], window=11) == 0.0


def test_rows_must_fit() -> None:
    with pytest.raises(SharpwaveError, match="one rising row per task"):
        compute_stability(GAP, learned=[4, 1])


def test_what_rises_after_its_training_has_its_minimum_after_it() -> None:
    rising = np.array([[0.5, np.nan], [0.7, 0.6], [0.8, 0.9]])
    assert compute_stability(rising, learned=[0, 2]).minimum == pytest.approx(0.7)
