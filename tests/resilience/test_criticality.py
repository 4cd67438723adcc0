"""Branching processes of known ratio, power laws of known exponent, and what is none."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.criticality import (
    compute_branching_ratio,
    draw_power_law,
    find_avalanches,
    fit_avalanches,
)


def simulate_branching(m: float, *, rng: np.random.Generator, n: int = 40_000, rate: float = 50.0) -> np.ndarray:
    activity = np.empty(n)
    now = rate / (1 - m)
    for index in range(n):
        now = rng.poisson(m * now + rate)
        activity[index] = now
    return activity


@pytest.mark.parametrize("m", [0.8, 0.97])
def test_known_branching_ratio(m: float, rng: np.random.Generator) -> None:
    activity = simulate_branching(m, rng=rng)
    found = compute_branching_ratio(activity, bin_length=0.004, longest=0.2)
    assert found.ratio == pytest.approx(m, abs=0.02)
    assert found.timescale == pytest.approx(-0.004 / np.log(m), rel=0.35)


def test_subsampling_moves_the_plain_slope_alone(rng: np.random.Generator) -> None:
    seen = rng.binomial(simulate_branching(0.97, rng=rng).astype(int), 0.02)
    found = compute_branching_ratio(seen, bin_length=0.004, longest=0.2)
    assert found.ratio == pytest.approx(0.97, abs=0.02)
    assert found.ratio_regression < 0.8


def test_avalanches_by_hand() -> None:
    sizes, durations = find_avalanches(np.array([2, 1, 0, 0, 5, 0, 1]))
    assert sizes.tolist() == [3, 5, 1]
    assert durations.tolist() == [2, 1, 1]
    assert find_avalanches(np.zeros(4))[0].size == 0


def test_power_law_is_found(rng: np.random.Generator) -> None:
    found = fit_avalanches(draw_power_law(2000, exponent=2.2, smallest=5, rng=rng), rng=rng, smallest=5.0, n_samples=20)
    assert found.exponent == pytest.approx(2.2, abs=0.1)
    assert found.p_fit > 0.1
    assert found.against_exponential > 0
    assert found.p_exponential < 0.05


def test_lognormal_is_none(rng: np.random.Generator) -> None:
    found = fit_avalanches(rng.lognormal(1.0, 0.8, 3000), rng=rng, discrete=False, smallest=1.0, n_samples=20)
    assert found.against_lognormal < 0
    assert found.p_lognormal < 0.05
    assert found.p_fit < 0.1


def test_too_little_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="at least 50 avalanches"):
        fit_avalanches(np.ones(10), rng=rng)
    with pytest.raises(SharpwaveError, match="three times as long"):
        compute_branching_ratio(np.ones(100), bin_length=0.004, longest=0.2)


def test_the_ratio_has_an_interval_that_holds_the_truth(rng: np.random.Generator) -> None:
    held = []
    for _ in range(8):
        found = compute_branching_ratio(simulate_branching(0.9, rng=rng, n=10_000), bin_length=0.004, longest=0.2)
        held.append(found.low <= 0.9 <= found.high)
        assert 0 < found.high - found.low < 0.1
    assert np.mean(held) >= 0.75


def test_nothing_identified_is_refused(rng: np.random.Generator) -> None:
    for _ in range(10):
        with pytest.raises(SharpwaveError, match=r"before it|decays"):
            compute_branching_ratio(rng.poisson(5.0, 20_000), bin_length=0.004, longest=0.2)
    trend = rng.poisson(np.linspace(5, 50, 20_000))
    with pytest.raises(SharpwaveError, match="trend"):
        compute_branching_ratio(trend, bin_length=0.004, longest=0.2)


def test_the_logging_of_others_is_left_alone(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    import mrestimator

    for disabled in (False, True):
        monkeypatch.setattr(mrestimator.ut.log, "disabled", disabled)
        compute_branching_ratio(simulate_branching(0.8, rng=rng, n=4000), bin_length=0.004, longest=0.1)
        assert mrestimator.ut.log.disabled is disabled


def test_the_smallest_value_is_chosen_anew_in_each_sample(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import powerlaw

    asked: list[object] = []
    fit = powerlaw.Fit

    def watch(values: np.ndarray, **options: object) -> object:
        asked.append(options["xmin"])
        return fit(values, **options)

    monkeypatch.setattr(powerlaw, "Fit", watch)
    sizes = draw_power_law(300, exponent=2.5, smallest=1, rng=rng)
    fit_avalanches(sizes, rng=rng, n_samples=3)
    assert asked == [None] * 4
