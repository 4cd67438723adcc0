from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sharpwave.causality import NightSeries
from sharpwave.causality.design import (
    compute_covariates,
    compute_past_mean,
    compute_spline,
    count_past,
    count_since,
    delay,
)
from sharpwave.causality.series import DEPTH_WINDOW


def test_counts_and_means_by_hand() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    np.testing.assert_allclose(compute_past_mean(values, first=1, last=2), [np.nan, 1, 1.5, 2, 4])
    assert count_past(np.array([1.0, 0, 2, 0, 0]), 2).tolist() == [0, 1, 1, 2, 2]
    assert count_since(np.array([True, False, False, True, False])).tolist() == [1, 2, 3, 1, 2]
    assert delay(np.array([1.0, 2, 3]), 2).tolist() == [1, 1, 1]


def test_spline_is_linear_beyond_its_knots() -> None:
    knots = np.array([0.0, 1.0, 2.0, 3.0])
    spline = compute_spline(np.array([-3.0, -2.0, -1.0, 4.0, 5.0, 6.0]), knots)
    assert spline.shape == (6, 3)
    np.testing.assert_allclose(np.diff(spline[:3], n=2, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.diff(spline[3:], n=2, axis=0), 0, atol=1e-9)


def test_nothing_looks_ahead(null_nights: list[NightSeries]) -> None:
    series, cut = null_nights[0], 7200
    rng = np.random.default_rng(0)
    noise = {
        name: np.r_[getattr(series, name)[:cut], rng.normal(size=len(series.time) - cut)]
        for name in ("depth", "emg", "infraslow")
    }
    stage = np.r_[series.stage[:cut], rng.integers(0, 3, len(series.time) - cut)].astype(np.int8)
    assert series.candidates is not None
    later = replace(
        series,
        **noise,
        stage=stage,
        reactivations=series.reactivations[series.reactivations["onset"] < cut],
        candidates=series.candidates[series.candidates < cut],
    )
    before, after = compute_covariates(series, horizon=30), compute_covariates(later, horizon=30)
    # A bout's age does not change; whether a wake was brief is known only once it is over, in wake itself.
    asleep = np.isin(series.stage[:cut], series.nrem)
    for name in ("age", "bout", "phase", "depth", "before", "emg", "recent", "slow"):
        known, again = getattr(before, name)[:cut][asleep], getattr(after, name)[:cut][asleep]
        np.testing.assert_allclose(known, again, err_msg=name)
    # The epoch that holds a second may reach beyond it, so signals count only once their epoch has passed.
    for name in ("phase", "depth", "before", "emg"):
        known, again = getattr(before, name)[: cut + DEPTH_WINDOW], getattr(after, name)[: cut + DEPTH_WINDOW]
        np.testing.assert_allclose(known, again, err_msg=name)
    assert compute_covariates(replace(series, emg=None, infraslow=None), horizon=30).phase is None
    assert before.age.min() == pytest.approx(1)
