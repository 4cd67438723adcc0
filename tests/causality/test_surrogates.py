from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.causality.baselines import draw_false_positives
from sharpwave.causality.surrogates import compute_absolute_correlation, compute_session_p, compute_shift_p
from sharpwave.errors import SharpwaveError


def test_linear_shifts_hold_where_circular_ones_fail() -> None:
    p = draw_false_positives(60, rng=np.random.default_rng(0))
    assert (p["random walk", "linear-shift"] < 0.05).mean() < 0.08
    assert (p["random walk", "circular-shift"] < 0.05).mean() > 0.1
    assert (p["AR(.98)", "linear-shift"] < 0.05).mean() < 0.15


def test_a_true_relation_is_found_by_both() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(480)
    y = x + rng.standard_normal(480)
    assert compute_shift_p(x, y) == pytest.approx(1 / 101)
    with pytest.warns(UserWarning, match=r"unsafe where signals drift: .* were .10 for AR"):
        assert compute_shift_p(x, y, method="circular", rng=rng) < 0.02
    pairs = [(x := rng.standard_normal(300), x + rng.standard_normal(300)) for _ in range(6)]
    assert compute_session_p(pairs, rng=rng) < 0.01


def test_refusals() -> None:
    x = np.zeros(300)
    rng = np.random.default_rng(0)
    with pytest.raises(SharpwaveError, match="two series of one length, at least 204 values"):
        compute_shift_p(x[:100], x[:100])
    with pytest.raises(SharpwaveError, match="a method among linear, circular"):
        compute_shift_p(x, x, method="other")
    with pytest.warns(UserWarning, match="unsafe"), pytest.raises(SharpwaveError, match="a random generator"):
        compute_shift_p(x, x, method="circular")
    with pytest.raises(SharpwaveError, match="at least four nights"):
        compute_session_p([(x, x)] * 3, rng=rng)
    assert compute_absolute_correlation(x, x) == 0
