from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sharpwave.causality.units import compute_jackknife, split_units


def test_jackknife_of_a_mean_is_the_t_test() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 8)
    without = (values.sum() - values) / 7
    found = compute_jackknife(float(values.mean()), without)
    expected = stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_one_unit_has_no_interval() -> None:
    assert np.isnan(compute_jackknife(1.0, np.array([0.5])).low)


def test_units_are_nights_or_stretches_of_few_nights() -> None:
    night = np.arange(0.0, 3600.0, 600.0)
    assert split_units([night, night, night]).tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert split_units([night]).tolist() == [0, 0, 0, 1, 1, 1]
    assert split_units([night, np.empty(0), night[:1]]).tolist() == [0, 0, 0, 1, 1, 1, 2]
