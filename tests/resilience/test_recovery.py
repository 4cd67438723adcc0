"""Recovery is judged beside a twin: improvement that needs no shock is not recovery."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.recovery import compute_recovery, measure_recovery

STEPS = np.arange(11.0)


def test_half_recovery_of_an_exponential() -> None:
    fine = np.linspace(0, 20, 2001)
    found = compute_recovery(fine, 0.9 - 0.4 * np.exp(-fine / 2), np.full(fine.size, 0.9))
    assert found.shock == pytest.approx(0.4)
    assert found.half_step == pytest.approx(2 * np.log(2), abs=0.01)
    assert found.fraction == pytest.approx(1.0, abs=1e-3)
    assert found.area == pytest.approx(1 - 2 / 20, abs=0.01)
    assert found.residual == pytest.approx(0.0, abs=1e-3)


def test_what_improves_the_twin_as_much_recovers_nothing() -> None:
    found = compute_recovery(STEPS, 0.5 + 0.02 * STEPS, 0.7 + 0.02 * STEPS)
    assert found.fraction == pytest.approx(0.0)
    assert found.fraction_alone == pytest.approx(1.0)
    assert np.isnan(found.half_step)
    assert found.residual == pytest.approx(0.2)


def test_no_shock_has_no_recovery() -> None:
    found = compute_recovery(STEPS, np.full(11, 0.9), np.full(11, 0.9))
    assert np.isnan(found.fraction)
    assert np.isnan(found.half_step)


def test_both_copies_get_the_same_steps() -> None:
    class Box:
        def __init__(self) -> None:
            self.value, self.steps = 1.0, []

    made: list[Box] = []

    def make() -> Box:
        made.append(Box())
        return made[-1]

    def step(box: Box, number: int) -> None:
        box.steps.append(number)
        box.value += 0.5 * (1 - box.value)

    found = measure_recovery(
        make, perturb=lambda box: setattr(box, "value", 0.0), step=step, score=lambda box: box.value, n_steps=5, every=2
    )
    assert made[0].steps == made[1].steps == [0, 1, 2, 3, 4]
    assert found.steps.tolist() == [0, 2, 4, 5]
    assert found.perturbed == pytest.approx([0, 0.75, 0.9375, 0.96875])
    assert found.twin == pytest.approx(1.0)


def test_courses_must_pair() -> None:
    with pytest.raises(SharpwaveError, match="its twin at each"):
        compute_recovery(STEPS + 1, STEPS, STEPS)
