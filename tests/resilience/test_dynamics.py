"""Kuramoto's oscillators: disorder and lock-step are stable, the way between them is not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.resilience.oscillators import simulate_kuramoto

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.dynamics import (
    compute_metastability,
    compute_order_parameter,
    compute_phases,
    compute_shared_metastability,
    measure_dynamics,
)


def test_coupling_synchronises(rng: np.random.Generator) -> None:
    weak, strong = (compute_order_parameter(simulate_kuramoto(k, rng=rng)[1000:]) for k in (0.1, 8.0))
    assert weak.mean() < 0.3
    assert strong.mean() > 0.95


def test_metastability_is_highest_near_the_critical_coupling(rng: np.random.Generator) -> None:
    weak, critical, strong = (
        np.mean([compute_metastability(compute_order_parameter(simulate_kuramoto(k, rng=rng)[500:])) for _ in range(6)])
        for k in (0.1, 1.6, 8.0)
    )
    assert critical > 1.5 * weak
    assert critical > 20 * strong


def test_order_of_known_phases() -> None:
    assert compute_order_parameter(np.zeros((3, 5))) == pytest.approx(1.0)
    assert compute_order_parameter(np.tile([0, np.pi], (3, 1))) == pytest.approx(0.0, abs=1e-12)
    assert compute_metastability(np.array([0.0, 1.0, 0.0, 1.0])) == pytest.approx(0.25)


def test_phases_of_sines_are_theirs() -> None:
    times = np.arange(0, 20, 0.01)
    phases = compute_phases(np.cos(2 * np.pi * 2 * times[:, None] + np.array([0.0, 1.0])), 100.0, band=(1.0, 4.0))
    lag = np.angle(np.exp(1j * (phases[:, 1] - phases[:, 0])))[200:-200]
    assert lag == pytest.approx(1.0, abs=0.02)


def test_band_must_fit() -> None:
    with pytest.raises(SharpwaveError, match="a band between 0 and 50 Hz"):
        compute_phases(np.zeros((100, 2)), 100.0, band=(10.0, 60.0))


def test_a_stretch_too_short_for_the_filter_is_refused_and_its_other_measures_stay(rng: np.random.Generator) -> None:
    short = rng.standard_normal((15, 10))
    with pytest.raises(SharpwaveError, match="at least 16 samples"):
        compute_phases(short, 0.5, band=(0.01, 0.1))
    found = measure_dynamics(short, 0.5, band=(0.01, 0.1), rng=rng)
    assert "integration" in found
    assert "synchrony" not in found


@pytest.mark.parametrize("n", [8, 64])
def test_shared_metastability_does_not_depend_on_the_number_of_channels(n: int, rng: np.random.Generator) -> None:
    held = np.repeat(rng.random(400) < 0.5, 50)[:, None]  # all in phase, or each its own way
    apart = rng.uniform(0, 2 * np.pi, (20_000, n))
    phases = np.where(held, rng.normal(0, 0.5, (20_000, n)), apart)
    level = np.exp(-(0.5**2))  # mean of cos(θ_i - θ_j) while they are held
    assert compute_shared_metastability(phases, rng=rng) == pytest.approx(level**2 * held.var(), rel=0.03)
    assert compute_shared_metastability(apart, rng=rng) == pytest.approx(0.0, abs=1e-3)
    assert compute_metastability(compute_order_parameter(apart)) == pytest.approx((1 - np.pi / 4) / n, rel=0.1)


def test_shared_metastability_needs_halves(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="at least 4 channels"):
        compute_shared_metastability(np.zeros((10, 3)), rng=rng)
