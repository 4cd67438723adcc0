"""Resilience: how far and how fast the score comes back after a shock, minus an unperturbed twin.

Sleep or further training improves an undamaged network too; a damaged one then "recovers" above where it was. So a
twin that was not perturbed is given the same steps, and recovery is judged by the gap between the two. Return is an
event in time: it happened at a step, or not within those that were given, and then it is said to be never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Real

from sharpwave.errors import SharpwaveError

State = TypeVar("State")


@dataclass(frozen=True, eq=False)
class Recovery:
    """Return after a shock; all but the scores are relative to the twin.

    With `g(k) = twin(k) - perturbed(k)` the gap after `k` steps: recovered fraction `1 - g(K) / g(0)`; area
    `1 - mean g / g(0)` over the steps; half-recovery the first step from which `g ≤ g(0) / 2` until the end, with the
    perturbed one above where the shock left it; residual deficit `g(K)`.

    Attributes:
        steps: Steps of recovery at which both were scored, from 0, shape (evaluation,).
        perturbed: Score of the perturbed one, shape (evaluation,).
        twin: Score of the unperturbed one given the same steps, shape (evaluation,).
        shock: Gap right after the shock, in the unit of the score.
        fraction: Recovered fraction at the last step; 1 is whole, below 0 is worse than after the shock.
        fraction_alone: The same without the twin, against the score before the shock: what is usually printed.
        area: Area between 0, where nothing came back, and 1, where all came back at once.
        half_step: Step from which half of the gap stays closed, between steps by a line; NaN where it never is, and
            where there was no shock (`is_known` is then False).
        residual: Gap at the last step.
        returned: What the score of the perturbed one gained since the shock; a gap can close by the fall of the twin
            alone.
        twin_change: What the twin gained over the same steps.
        items: Scores of each test item of both, shape (2, evaluation, item); None where they were not given.

    >>> found = compute_recovery(np.array([0.0, 1.0]), np.array([0.5, 0.7]), np.array([0.9, 0.9]))
    >>> round(found.shock, 2), round(found.residual, 2), round(found.returned, 2)
    (0.4, 0.2, 0.2)
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
    returned: float = float("nan")
    twin_change: float = float("nan")
    items: Float[np.ndarray, "2 evaluation item"] | None = None

    @property
    def is_known(self) -> bool:
        """Whether there was a shock to recover from."""
        return bool(np.isfinite(self.fraction))

    @property
    def is_never(self) -> bool:
        """Whether there was a shock, and half of it never came back for good within these steps."""
        return self.is_known and not np.isfinite(self.half_step)


def compute_recovery(
    steps: Float[np.ndarray, " evaluation"],
    perturbed: Real[np.ndarray, "evaluation *item"],
    twin: Real[np.ndarray, "evaluation *item"],
    *,
    least_shock: float = 0.01,
) -> Recovery:
    """Recovery from two time series of scores.

    Args:
        steps: Rising, from 0 (right after the shock).
        perturbed: Score of the perturbed one at each step, or of each of its test items, (evaluation, item).
        twin: The same of its unperturbed twin, given the same steps, on the same items.
        least_shock: Gap, in the unit of the score, below which there was nothing to recover from: fractions are NaN.

    Raises:
        SharpwaveError: If the three differ in length, the steps do not rise from 0, or a score is not finite.

    >>> steps, twin = np.arange(3.0), np.array([0.9, 0.9, 0.9])
    >>> found = compute_recovery(steps, np.array([0.5, 0.7, 0.9]), twin)
    >>> round(found.fraction, 2), round(found.half_step, 2)
    (1.0, 1.0)
    """
    steps, perturbed, twin = _check_scores(steps, perturbed, twin)
    items = np.stack([perturbed, twin]) if perturbed.ndim == 2 else None
    perturbed, twin = (row.mean(axis=1) if row.ndim == 2 else row for row in (perturbed, twin))
    gap = twin - perturbed
    shock = float(gap[0])
    known = shock >= least_shock
    mean_gap = np.trapezoid(gap, steps) / steps[-1]
    nan = float("nan")
    return Recovery(
        steps=steps,
        perturbed=perturbed,
        twin=twin,
        shock=shock,
        fraction=float(1 - gap[-1] / shock) if known else nan,
        fraction_alone=float((perturbed[-1] - perturbed[0]) / shock) if known else nan,
        area=float(1 - mean_gap / shock) if known else nan,
        half_step=_find_return(steps, gap, perturbed) if known else nan,
        residual=float(gap[-1]),
        returned=float(perturbed[-1] - perturbed[0]),
        twin_change=float(twin[-1] - twin[0]),
        items=items,
    )


def _check_scores(*scores: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    steps, perturbed, twin = (np.asarray(values, dtype=float) for values in scores)
    if (
        perturbed.shape != twin.shape
        or perturbed.ndim not in {1, 2}
        or steps.shape != perturbed.shape[:1]
        or steps.size < 2
        or steps[0] != 0
        or np.any(np.diff(steps) <= 0)
    ):
        raise SharpwaveError(
            "rising steps from 0, with a score of the perturbed one and of its twin at each",
            got=f"shapes {steps.shape}, {perturbed.shape}, {twin.shape}, first step {steps[:1].tolist()}",
            fix="score both right after the shock (step 0) and after the same steps",
        )
    if not (np.isfinite(perturbed).all() and np.isfinite(twin).all()):
        wrong = [name for name, row in (("perturbed", perturbed), ("twin", twin)) if not np.isfinite(row).all()]
        raise SharpwaveError(
            "finite scores",
            got=f"scores of the {' and of the '.join(wrong)} that are not",
            fix="let the score of a network that gives NaN be that of a wrong answer",
        )
    return steps, perturbed, twin


def _find_return(
    steps: Float[np.ndarray, " evaluation"],
    gap: Float[np.ndarray, " evaluation"],
    perturbed: Float[np.ndarray, " evaluation"],
) -> float:
    """Step from which half of the first gap stays closed, between steps by a line; NaN where it is open at the end."""
    level = gap[0] / 2
    open_at = np.flatnonzero((gap > level) | (perturbed <= perturbed[0]))
    last = int(open_at[-1])
    if last == len(steps) - 1:
        return float("nan")
    before, after = gap[last], gap[last + 1]
    share = (before - level) / (before - after) if before > level and before > after else 1.0
    return float(steps[last] + share * (steps[last + 1] - steps[last]))


@dataclass(frozen=True, eq=False)
class RecoverySummary:
    """Return of several networks after the same shock.

    Attributes:
        values: Estimate, low and high end of each number, by name: "half_step" (restricted mean: what never returned
            counts as the last step), "never" (share of networks that never returned), "fraction", "returned",
            "twin_change", "residual", "shock".
        n: Networks that had a shock to return from.
        n_items: Test items of each; 0 where they were not given, and the interval then knows of networks alone.
        level: Coverage of the intervals.

    >>> steps = np.arange(3.0)
    >>> one = compute_recovery(steps, np.array([0.5, 0.7, 0.9]), np.full(3, 0.9))
    >>> two = compute_recovery(steps, np.array([0.5, 0.5, 0.5]), np.full(3, 0.9))
    >>> found = summarise_recoveries([one, two], rng=np.random.default_rng(0))
    >>> [round(found.values[name][0], 2) for name in ("half_step", "never")]
    [1.5, 0.5]
    """

    values: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    n: int = 0
    n_items: int = 0
    level: float = 0.95


def summarise_recoveries(
    recoveries: Sequence[Recovery], *, rng: np.random.Generator, n_resamples: int = 1000, level: float = 0.95
) -> RecoverySummary:
    """Restricted mean time of return, and the share that never returned, with intervals over networks and test items.

    Args:
        recoveries: One for each network, over the same steps.
        rng: Random generator of the bootstrap: networks are drawn anew, and test items within each where it has them,
            the same items at every step and for the twin.
        n_resamples: Number of resamples.
        level: Coverage of the intervals.

    Raises:
        SharpwaveError: If the last steps differ.

    >>> one = compute_recovery(np.array([0.0, 1.0]), np.array([0.5, 0.9]), np.array([0.9, 0.9]))
    >>> summarise_recoveries([one, one], rng=np.random.default_rng(0), n_resamples=9).n
    2
    """
    known = [one for one in recoveries if one.is_known]
    if len({float(one.steps[-1]) for one in known}) > 1:
        raise SharpwaveError(
            "recoveries over as many steps each",
            got=f"last steps {sorted({float(one.steps[-1]) for one in known})}",
            fix="give every network the same steps: a mean time is restricted to them",
        )
    if not known:
        return RecoverySummary(level=level)
    whole = _average(known)
    draws = []
    for _ in range(n_resamples):
        chosen = [known[index] for index in rng.integers(len(known), size=len(known)).tolist()]
        draws.append(_average([_draw_items(one, rng) for one in chosen]))
    tail = 50 * (1 - level)
    values = {}
    for name, value in whole.items():
        row = np.array([draw[name] for draw in draws])
        low, high = np.nanpercentile(row, [tail, 100 - tail]) if np.isfinite(row).any() else (np.nan, np.nan)
        values[name] = (value, float(low), float(high))
    n_items = 0 if any(one.items is None for one in known) else min(one.items.shape[2] for one in known)  # type: ignore[union-attr]
    return RecoverySummary(values, len(known), n_items, level)


def _draw_items(one: Recovery, rng: np.random.Generator) -> Recovery:
    if one.items is None:
        return one
    n_items = one.items.shape[2]
    drawn = one.items @ (rng.multinomial(n_items, np.full(n_items, 1 / n_items)) / n_items)
    return compute_recovery(one.steps, drawn[0], drawn[1], least_shock=1e-12)


def _average(found: Sequence[Recovery]) -> dict[str, float]:
    known = [one for one in found if one.is_known]
    if not known:
        return dict.fromkeys(("half_step", "never", "fraction", "returned", "twin_change", "residual", "shock"), np.nan)
    mean = {
        name: float(np.mean([getattr(one, name) for one in known]))
        for name in ("fraction", "returned", "twin_change", "residual", "shock")
    }
    times = [float(one.steps[-1]) if one.is_never else one.half_step for one in known]
    return {"half_step": float(np.mean(times)), "never": float(np.mean([one.is_never for one in known])), **mean}


def match_shock(
    lose: Callable[[float], float], *, target: float, highest: float, tolerance: float = 0.01, n_steps: int = 20
) -> float:
    """The dose at which a network loses as much as another: recoveries compare only from the same depth.

    Args:
        lose: Loss of score at a dose, with the same draw of the damage each time; about rising.
        target: Loss that is wanted.
        highest: Largest dose that is tried.
        tolerance: How near the loss must come; default 0.01.
        n_steps: Largest number of halvings.

    Raises:
        SharpwaveError: If no dose up to the highest comes near the loss.

    >>> round(match_shock(lambda dose: dose / 4, target=0.2, highest=2.0), 1)
    0.8
    """
    low, high = 0.0, highest
    tried = {highest: lose(highest)}
    for _ in range(n_steps):
        best = min(tried, key=lambda dose: abs(tried[dose] - target))
        if abs(tried[best] - target) <= tolerance:
            return best
        middle = (low + high) / 2
        tried[middle] = lose(middle)
        low, high = (middle, high) if tried[middle] < target else (low, middle)
    best = min(tried, key=lambda dose: abs(tried[dose] - target))
    raise SharpwaveError(
        f"a dose up to {highest:g} that costs {target:g}, within {tolerance:g}",
        got=f"{tried[best]:g} at {best:g}, the nearest",
        fix="choose another loss, a larger highest dose, or more test items",
    )


def measure_recovery(
    make: Callable[[], State],
    *,
    perturb: Callable[[State], None],
    step: Callable[[State, int], None],
    score: Callable[[State], Any],
    n_steps: int,
    every: int = 1,
    least_shock: float = 0.01,
) -> Recovery:
    """Perturb one copy, leave its twin alone, give both the same steps, and score both on the way.

    Args:
        make: Function that gives a fresh copy of what is tested, always the same.
        perturb: Function that damages a copy.
        step: Gives one step of recovery (sleep, or new data); called with the copy and the number of the step. It must
            draw the same data for both, from the number alone.
        score: Score of a copy, higher is better; or the scores of its test items, for intervals over them.
        n_steps: Number of steps of recovery.
        every: Number of steps between scores.
        least_shock: Gap, in the unit of the score, below which there was nothing to recover from.

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
    return compute_recovery(np.array(marks, dtype=float), follow(damaged), follow(make()), least_shock=least_shock)
