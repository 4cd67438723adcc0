"""Recovery is judged beside a twin: improvement that needs no shock is not recovery."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.recovery import compute_recovery, match_shock, measure_recovery, summarise_recoveries

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


def test_a_crossing_that_does_not_last_is_no_return() -> None:
    steps, twin = np.arange(6.0), np.full(6, 0.9)
    touched = compute_recovery(steps, np.array([0.5, 0.8, 0.5, 0.5, 0.6, 0.6]), twin)
    assert touched.is_never
    late = compute_recovery(steps, np.array([0.5, 0.8, 0.5, 0.6, 0.8, 0.9]), twin)
    assert late.half_step == pytest.approx(3.5)


def test_a_twin_that_falls_brings_nothing_back() -> None:
    found = compute_recovery(STEPS, np.full(11, 0.5), 0.9 - 0.04 * STEPS)
    assert found.fraction == pytest.approx(1.0)
    assert (found.returned, found.twin_change) == pytest.approx((0.0, -0.4))
    assert found.is_never


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    scores = np.full(11, 0.5)
    scores[4] = value
    with pytest.raises(SharpwaveError, match="of the perturbed that"):
        compute_recovery(STEPS, scores, np.full(11, 0.9))


def make_items(p: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Right and wrong answers of items that each have a difficulty of their own, so that steps go together."""
    return (rng.random(n)[None, :] < p[:, None]).astype(float)


def test_items_give_the_same_mean_and_an_interval_that_covers_the_truth(rng: np.random.Generator) -> None:
    steps = np.arange(21.0)
    course, twin = 0.9 - 0.4 * np.exp(-steps / 6), np.full(21, 0.9)
    truth = compute_recovery(steps, course, twin).half_step
    covered = []
    for _ in range(40):
        one = compute_recovery(steps, make_items(course, 300, rng), make_items(twin, 300, rng))
        found = summarise_recoveries([one], rng=rng, n_resamples=200)
        value, low, high = found.values["half_step"]
        assert value == pytest.approx(one.half_step)
        covered.append(low <= truth <= high)
    assert found.n_items == 300
    assert np.mean(covered) > 0.8


def test_networks_that_never_return_count_as_the_last_step_and_are_told(rng: np.random.Generator) -> None:
    soon = compute_recovery(STEPS, 0.9 - 0.4 * np.exp(-STEPS), np.full(11, 0.9))
    never = compute_recovery(STEPS, np.full(11, 0.5), np.full(11, 0.9))
    unhurt = compute_recovery(STEPS, np.full(11, 0.9), np.full(11, 0.9))
    found = summarise_recoveries([soon, never, never, unhurt], rng=rng, n_resamples=200)
    assert found.n == 3
    assert found.values["never"][0] == pytest.approx(2 / 3)
    assert found.values["half_step"][0] == pytest.approx((soon.half_step + 20) / 3)
    assert summarise_recoveries([unhurt], rng=rng).n == 0
    with pytest.raises(SharpwaveError, match="as many steps"):
        summarise_recoveries([soon, compute_recovery(STEPS[:5], np.full(5, 0.5), np.full(5, 0.9))], rng=rng)


def test_shocks_are_matched() -> None:
    assert match_shock(lambda dose: 0.5 * dose**2, target=0.125, highest=2.0, tolerance=1e-4) == pytest.approx(
        0.5, abs=1e-3
    )
    with pytest.raises(SharpwaveError, match="a dose up to 1"):
        match_shock(lambda dose: 0.1 * dose, target=0.5, highest=1.0)
