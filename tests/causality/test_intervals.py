from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sharpwave.causality.intervals import (
    compute_e_value,
    compute_e_value_of_difference,
    compute_jackknife,
    convert_hazard_ratio,
    split_units,
)


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


def test_e_values_as_published() -> None:
    """Maternal smoking, VanderWeele & Ding 2017: RR 3.9 has 7.26, its lower bound 1.8 has 3.0."""
    assert compute_e_value(3.9) == pytest.approx(7.26, abs=0.01)
    assert compute_e_value(1.8) == pytest.approx(3.0, abs=0.01)
    assert compute_e_value(1 / 3.9) == pytest.approx(compute_e_value(3.9))
    assert compute_e_value(1.0) == 1
    assert np.isnan(compute_e_value(0.0))


def test_differences_and_hazards() -> None:
    assert compute_e_value_of_difference(0.5, 1.0) == pytest.approx(compute_e_value(np.exp(0.455)))
    assert compute_e_value_of_difference(0.0, 1.0) == 1
    assert np.isnan(compute_e_value_of_difference(0.5, 0.0))
    assert convert_hazard_ratio(2.0, risk=0.05) == 2.0
    assert 1 < convert_hazard_ratio(2.0, risk=0.4) < 2.0
    assert convert_hazard_ratio(1.0, risk=0.4) == pytest.approx(1.0)
