from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.causality.baselines import draw_false_positives
from sharpwave.causality.series import NightSeries
from sharpwave.causality.surrogates import (
    check_association,
    compute_absolute_correlation,
    compute_session_p,
    compute_shift_p,
)
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


def make_series(rng: np.random.Generator, *, coupled: bool, hours: float = 3.0) -> NightSeries:
    """Depth wanders fast; reactivations follow it, or another night's wander."""
    n = int(hours * 3600)
    wander = np.repeat(rng.normal(size=(2, n // 40)), 40, axis=1)
    rate = 0.05 * np.exp(wander[0] if coupled else wander[1])
    onsets = np.flatnonzero(rng.random(wander.shape[1]) < rate).astype(float)
    length = wander.shape[1]
    return NightSeries(
        night="a",
        time=np.arange(length, dtype=float),
        stage=np.ones(length, dtype=np.int8),
        n_stages=3,
        depth=wander[0] + rng.normal(0, 0.2, length),
        emg=None,
        infraslow=None,
        reactivations=pd.DataFrame({"onset": onsets, "content": "neutral"}),
        usable=np.ones(length, dtype=bool),
    )


def test_what_goes_together_is_told_from_what_does_not(rng):
    assert check_association([make_series(rng, coupled=True) for _ in range(3)], rng=rng).p < 0.01
    apart = check_association([make_series(rng, coupled=False) for _ in range(3)], rng=rng)
    assert apart.p > 0.05
    assert "are not shown to go together within stages" in apart.describe()


def test_nights_exchanged_agree_and_circular_shifts_warn(rng):
    nights = [make_series(rng, coupled=True) for _ in range(5)]
    assert check_association(nights, rng=rng, method="session").p < 0.05
    circular = check_association(nights, rng=rng, method="circular")
    assert "unsafe where signals drift" in circular.warning


def test_nights_too_short_to_shift_are_not_counted_and_unknown_methods_refused(rng):
    series = make_series(rng, coupled=True)
    short = replace(series, **{name: getattr(series, name)[:200] for name in ("time", "stage", "depth", "usable")})
    found = check_association([short, series], rng=rng)
    assert found.n_nights == 1
    with pytest.raises(SharpwaveError, match="linear, session, circular"):
        check_association([series], rng=rng, method="wrap")


def test_a_stage_that_drives_both_is_no_association(rng):
    nights = []
    for _ in range(4):
        series = make_series(rng, coupled=False)
        awake = (np.arange(len(series.time)) // 600) % 2 == 1
        table = series.reactivations[~awake[series.reactivations["onset"].to_numpy(dtype=int)]]
        stage = np.where(awake, 0, 1).astype(np.int8)
        nights.append(replace(series, stage=stage, depth=series.depth - 10 * awake, reactivations=table))
    assert check_association(nights, rng=rng).p > 0.05
