from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sharpwave.causality.intervals import (
    compute_e_value,
    compute_e_value_of_difference,
    compute_jackknife,
    convert_hazard_ratio,
    invert_permutations,
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


def draw_labels(outcome: np.ndarray, labels: np.ndarray, n: int) -> tuple[float, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    drawn = [rng.permutation(labels) for _ in range(n)]
    compare = lambda values, mine: values[mine].mean() - values[~mine].mean()  # noqa: E731
    shares = [compare(labels.astype(float), mine) for mine in drawn]
    return compare(outcome, labels), np.array([compare(outcome, mine) for mine in drawn]), np.array(shares)


@pytest.mark.parametrize("effect", [0.0, 0.8, -0.8])
def test_the_inverted_interval_holds_what_the_permutation_test_does_not_reject(effect: float) -> None:
    """Each effect on a grid is tested by brute force: taken from the outcomes, and the labels permuted."""
    rng = np.random.default_rng(0)
    labels = np.repeat([False, True], [30, 20])
    outcome = rng.normal(size=50) + effect * labels
    found = invert_permutations(*draw_labels(outcome, labels, 399))
    for shift in np.linspace(found.low - 0.3, found.high + 0.3, 41):
        value, drawn, _ = draw_labels(outcome - shift * labels, labels, 399)
        p = (1 + np.sum(np.abs(drawn) >= abs(value) - 1e-12)) / 400
        assert (p > 0.05) == (found.low <= shift <= found.high)
    value, drawn, _ = draw_labels(outcome, labels, 399)
    assert found.p == (1 + np.sum(np.abs(drawn) >= abs(value) - 1e-12)) / 400


def test_interval_and_p_of_randomised_risks_agree_with_many_ties() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([False, True], 25)
    for _ in range(60):
        outcome = (rng.random(50) < np.where(labels, 0.5, 0.25)).astype(float)
        found = invert_permutations(*draw_labels(outcome, labels, 199))
        assert (found.p <= 0.05) == (found.low > 0 or found.high < 0)


def test_the_smallest_effect_that_could_be_seen_is_seen_in_eight_of_ten() -> None:
    rng = np.random.default_rng(0)
    n, hits, seen = 12, 0, []
    expected = (2.201 + 0.876) / np.sqrt(n)  # t with 11 degrees of freedom, at .975 and .8
    for _ in range(400):
        values = rng.normal(size=n) + expected
        found = compute_jackknife(float(values.mean()), (values.sum() - values) / (n - 1))
        hits += found.p < 0.05
        seen.append(found.detectable)
    assert hits / 400 == pytest.approx(0.8, abs=0.06)
    assert np.sqrt(np.mean(np.square(seen))) == pytest.approx(expected, rel=0.05)
