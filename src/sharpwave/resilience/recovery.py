"""Resilience: how far and how fast the score comes back after a shock, minus an unperturbed twin.

Sleep or further training improves an undamaged network too; a damaged one then "recovers" above where it was. So a
twin that was not perturbed is given the same steps, and recovery is judged by the gap between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.robustness import find_crossing

State = TypeVar("State")


@dataclass(frozen=True, eq=False)
class Recovery:
    """Return after a shock; all but the scores are relative to the twin.

    With `g(k) = twin(k) - perturbed(k)` the gap after `k` steps: recovered fraction `1 - g(K) / g(0)`; area
    `1 - mean g / g(0)` over the steps; half-recovery the first step with `g ≤ g(0) / 2`; residual deficit `g(K)`.

    Attributes:
        steps: Steps of recovery at which both were scored, from 0, shape (evaluation,).
        perturbed: Score of the perturbed one, shape (evaluation,).
        twin: Score of the unperturbed one given the same steps, shape (evaluation,).
        shock: Gap right after the shock.
        fraction: Recovered fraction at the last step; 1 is whole, below 0 is worse than after the shock.
        fraction_alone: The same without the twin, against the score before the shock: what is usually printed.
        area: 0 where nothing came back, 1 where all came back at once.
        half_step: First step at which half of the gap is closed, between steps by a line; NaN where it never is.
        residual: Gap at the last step.

    >>> found = compute_recovery(np.array([0.0, 1.0]), np.array([0.5, 0.7]), np.array([0.9, 0.9]))
    >>> round(found.shock, 2), round(found.residual, 2)
    (0.4, 0.2)
    """

    steps: Float[np.ndarray, " evaluation"]
    perturbed: Float[np.ndarray, " evaluation"]
    twin: Float[np.ndarray, " evaluation"]
    shock: float
    fraction: float
    fraction_alone: float
    area: float
    half_step: float
    residual: float


def compute_recovery(
    steps: Float[np.ndarray, " evaluation"],
    perturbed: Float[np.ndarray, " evaluation"],
    twin: Float[np.ndarray, " evaluation"],
    *,
    least_shock: float = 0.01,
) -> Recovery:
    """Recovery from two time series of scores.

    Args:
        steps: Rising, from 0 (right after the shock).
        perturbed: Score of the perturbed one at each step.
        twin: Score of its unperturbed twin, given the same steps, at each.
        least_shock: Gap below which there was nothing to recover from: fractions are NaN then.

    Raises:
        SharpwaveError: If the three differ in length or the steps do not rise from 0.

    >>> steps, twin = np.arange(3.0), np.array([0.9, 0.9, 0.9])
    >>> found = compute_recovery(steps, np.array([0.5, 0.7, 0.9]), twin)
    >>> round(found.fraction, 2), round(found.half_step, 2)
    (1.0, 1.0)
    """
    steps, perturbed, twin = (np.asarray(values, dtype=float) for values in (steps, perturbed, twin))
    if (
        not steps.shape == perturbed.shape == twin.shape
        or steps.size < 2
        or steps[0] != 0
        or np.any(np.diff(steps) <= 0)
    ):
        raise SharpwaveError(
            "rising steps from 0, with a score of the perturbed one and of its twin at each",
            got=f"shapes {steps.shape}, {perturbed.shape}, {twin.shape}, first step {steps[:1].tolist()}",
            fix="score both right after the shock (step 0) and after the same steps",
        )
    gap = twin - perturbed
    shock = float(gap[0])
    known = shock >= least_shock
    mean_gap = np.trapezoid(gap, steps) / steps[-1]
    return Recovery(
        steps=steps,
        perturbed=perturbed,
        twin=twin,
        shock=shock,
        fraction=float(1 - gap[-1] / shock) if known else float("nan"),
        fraction_alone=float((perturbed[-1] - perturbed[0]) / shock) if known else float("nan"),
        area=float(1 - mean_gap / shock) if known else float("nan"),
        half_step=find_crossing(steps, gap, level=shock / 2) if known else float("nan"),
        residual=float(gap[-1]),
    )


def measure_recovery(
    make: Callable[[], State],
    *,
    perturb: Callable[[State], None],
    step: Callable[[State, int], None],
    score: Callable[[State], float],
    n_steps: int,
    every: int = 1,
) -> Recovery:
    """Perturb one copy, leave its twin alone, give both the same steps, and score both on the way.

    Args:
        make: Function that gives a fresh copy of what is tested, always the same.
        perturb: Function that damages a copy.
        step: Gives one step of recovery (sleep, or new data); called with the copy and the number of the step. It must
            draw the same data for both, from the number alone.
        score: Score of a copy, higher is better.
        n_steps: Number of steps of recovery.
        every: Number of steps between scores.

    >>> found = measure_recovery(
    ...     lambda: [1.0],
    ...     perturb=lambda state: state.__setitem__(0, 0.5),
    ...     step=lambda state, number: state.__setitem__(0, min(1.0, state[0] + 0.25)),
    ...     score=lambda state: state[0],
    ...     n_steps=2,
    ... )
    >>> found.perturbed.tolist(), found.fraction
    ([0.5, 0.75, 1.0], 1.0)
    """
    marks = sorted({*range(0, n_steps + 1, every), n_steps})

    def follow(state: State) -> np.ndarray:
        scores = [score(state)]
        for number in range(n_steps):
            step(state, number)
            if number + 1 in marks:
                scores.append(score(state))
        return np.array(scores)

    damaged = make()
    perturb(damaged)
    return compute_recovery(np.array(marks, dtype=float), follow(damaged), follow(make()))
