"""Intervals by bootstrap over subjects: epochs of one night are not independent, people are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError

LEVEL_TAILS = (0.025, 0.975)
"""Quantiles of an interval of 95 %."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: The estimate on all subjects.
        low: Lower end of the interval, in the unit of the value.
        high: Upper end of the interval, in the unit of the value.
        n: Number of subjects.

    >>> estimate = Estimate(0.72, 0.65, 0.78, n=30)
    >>> f"{estimate.value} [{estimate.low}, {estimate.high}]"
    '0.72 [0.65, 0.78]'
    """

    value: float
    low: float
    high: float
    n: int


def draw_weights(n_subjects: int, *, rng: np.random.Generator, n_resamples: int = 200) -> np.ndarray:
    """How often each subject is drawn in each resample, shape (resample, subject)."""
    return rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=n_resamples).astype(float)


def bootstrap_statistic(
    statistic: Callable[[Float[np.ndarray, " subject"]], float],
    weights: Float[np.ndarray, "resample subject"],
    *,
    level: float = 0.95,
) -> Estimate:
    """Percentile interval of a statistic that takes a weight per subject.

    Args:
        statistic: Called with all weights 1 for the value, then once per resample.
        weights: From `draw_weights`; pass the same array to two statistics to compare them on the same resamples.
        level: Share of resamples inside the interval.

    Returns:
        The estimate; its interval is NaN with fewer than two subjects.
    """
    n_subjects = weights.shape[1]
    value = statistic(np.ones(n_subjects))
    if n_subjects < 2:
        return Estimate(value, float("nan"), float("nan"), n_subjects)
    draws = np.array([statistic(row) for row in weights])
    draws = draws[np.isfinite(draws)]
    if not draws.size:
        return Estimate(value, float("nan"), float("nan"), n_subjects)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high), n_subjects)


def bootstrap_mean(values: Sequence[float], *, rng: np.random.Generator, n_resamples: int = 2000) -> Estimate:
    """Mean over subjects with its interval; subjects without a value (NaN) are left out.

    Args:
        values: One value for each subject, in any unit.
        rng: Random generator of the bootstrap.
        n_resamples: Number of resamples.

    >>> found = bootstrap_mean([0.7, 0.8, 0.9, float("nan")], rng=np.random.default_rng(0))
    >>> round(found.value, 3), found.n, found.low < found.value < found.high
    (0.8, 3, True)
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value, nan = float(finite.mean()), float("nan")
    if finite.size < 2:
        return Estimate(value, nan, nan, 1)
    draws = draw_weights(finite.size, rng=rng, n_resamples=n_resamples) @ finite / finite.size
    low, high = np.quantile(draws, LEVEL_TAILS)
    return Estimate(value, float(low), float(high), finite.size)


def bootstrap_difference(
    ours: Sequence[float], theirs: Sequence[float], *, rng: np.random.Generator, n_resamples: int = 2000
) -> Estimate:
    """Mean paired difference (ours minus theirs) over the same subjects.

    Args:
        ours: One value for each subject, in any unit.
        theirs: Likewise, in the same order of subjects.
        rng: Random generator of the bootstrap.
        n_resamples: Number of resamples.

    Raises:
        SharpwaveError: If the two do not have one value for each subject.

    >>> found = bootstrap_difference([0.8, 0.9, 0.7], [0.7, 0.7, 0.6], rng=np.random.default_rng(0))
    >>> round(found.value, 3), found.low > 0
    (0.133, True)
    """
    if len(ours) != len(theirs):
        raise SharpwaveError(
            "one value per subject on both sides",
            got=f"{len(ours)} and {len(theirs)}",
            fix="pair the values by subject first",
        )
    return bootstrap_mean(
        np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float), rng=rng, n_resamples=n_resamples
    )


def bootstrap_metrics(
    statistics: Sequence[Callable[[Float[np.ndarray, " subject"]], dict[str, float]]],
    weights: Float[np.ndarray, "resample subject"],
) -> dict[str, Float[np.ndarray, " draw"]]:
    """Several metrics at once, averaged over seeds: the value first, then one draw per resample.

    Args:
        statistics: One per seed; each takes a weight per subject and gives metrics by name.
        weights: How often each subject is drawn, from `draw_weights`.
    """
    rows = np.concatenate([np.ones((1, weights.shape[1])), weights])
    runs = [[statistic(row) for row in rows] for statistic in statistics]
    return {metric: np.array([[draw[metric] for draw in run] for run in runs]).mean(axis=0) for metric in runs[0][0]}
