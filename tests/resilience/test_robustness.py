"""Areas and half doses of curves that are known."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.robustness import find_crossing, measure_robustness


def test_a_straight_fall(rng: np.random.Generator) -> None:
    curve = measure_robustness(lambda dose, _: 1 - dose, [0.0, 0.25, 0.5, 1.0], rng=rng, chance=0.0)
    assert curve.area == pytest.approx(0.5)
    assert curve.kept == pytest.approx(0.5)
    assert curve.half_dose == pytest.approx(0.5)
    assert curve.spread == pytest.approx(0.0)


def test_chance_is_taken_off(rng: np.random.Generator) -> None:
    curve = measure_robustness(lambda dose, _: 0.9 if dose == 0 else 0.1, [0.0, 1e-9, 1.0], rng=rng, chance=0.1)
    assert curve.kept == pytest.approx(0.0, abs=1e-6)
    unharmed = measure_robustness(lambda dose, _: 0.9, [0.0, 1.0], rng=rng, chance=0.1)
    assert unharmed.kept == pytest.approx(1.0)
    assert np.isnan(unharmed.half_dose)


def test_every_dose_meets_the_same_damage(rng: np.random.Generator) -> None:
    seen: dict[float, list[float]] = {}

    def score(dose: float, generator: np.random.Generator) -> float:
        seen.setdefault(dose, []).append(float(generator.random()))
        return 1.0

    measure_robustness(score, [0.0, 1.0], rng=rng)
    assert seen[0.0] == seen[1.0]
    assert len(set(seen[0.0])) == 3


def test_doses_start_with_none(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="rising doses, the first one 0"):
        measure_robustness(lambda dose, _: 1.0, [0.1, 0.2], rng=rng)


def test_crossing_upwards() -> None:
    assert find_crossing(np.array([0.0, 2.0]), np.array([0.0, 1.0]), level=0.25, rising=True) == pytest.approx(0.5)
