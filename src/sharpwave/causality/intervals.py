"""Intervals whose unit is the night, since nights are few, and how strong a confounder would have to be.

The interval comes from a jackknife over nights and a t distribution; the E-value is that of VanderWeele & Ding (2017,
10.7326/M16-2607).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

FEWEST_UNITS = 3
"""With fewer nights, stretches of them are the units, and the interval holds for these nights alone."""

STRETCH = 1800
"""Length of such a stretch, in seconds."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval and two-sided p against `null`."""

    value: float
    low: float
    high: float
    p: float


def compute_jackknife(
    value: float, without: Float[np.ndarray, " unit"], *, level: float = 0.95, null: float = 0.0
) -> Interval:
    """Interval from the estimates that leave one unit out each.

    The variance is (G-1)/G · Σ(b_(-g) - b)², the quantile that of t with G-1 degrees of freedom.

    Args:
        value: Estimate on all units.
        without: Estimates without each unit, shape (unit,).
        level: Coverage of the interval; 0.95 by default.
        null: Value under the null hypothesis; 0 by default.

    Returns:
        The interval; NaN with fewer than two units.
    """
    from scipy import stats

    n = len(without)
    if n < 2 or not np.isfinite(value) or not np.isfinite(without).all():
        return Interval(float(value), np.nan, np.nan, np.nan)
    error = float(np.sqrt((n - 1) / n * np.sum((without - value) ** 2)))
    if error == 0:
        return Interval(float(value), float(value), float(value), float(value == null))
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(value - null) / error, n - 1))
    return Interval(float(value), float(value - half), float(value + half), p)


def split_units(times: Sequence[Float[np.ndarray, " row"]]) -> Int[np.ndarray, " row"]:
    """Unit of each row, counted from 0: the night, or where nights are too few its stretches of `STRETCH` s.

    Args:
        times: Times of the rows of each night, in s.
    """
    filled = [time for time in times if len(time)]
    if len(filled) >= FEWEST_UNITS:
        return np.repeat(np.arange(len(filled)), [len(time) for time in filled])
    labels = [np.column_stack([np.full(len(time), night), time // STRETCH]) for night, time in enumerate(filled)]
    return np.unique(np.concatenate(labels), axis=0, return_inverse=True)[1].reshape(-1)


def compute_e_value(ratio: float) -> float:
    """E-value of a risk ratio (of a hazard ratio where the outcome is rare).

    A confounder would have to be associated with reactivation and with the outcome by a risk ratio of at least this
    much each, beyond all covariates, to explain the estimate away: E = RR + √(RR (RR - 1)), of 1/RR below 1.

    Args:
        ratio: Risk ratio; the bound of its interval nearer to 1 gives the E-value of the interval.

    Returns:
        The E-value, at least 1; NaN where the ratio is not finite and positive.

    >>> round(compute_e_value(2.0), 2)
    3.41
    """
    if not np.isfinite(ratio) or ratio <= 0:
        return float("nan")
    ratio = max(ratio, 1 / ratio)
    return float(ratio + np.sqrt(ratio * (ratio - 1)))


def compute_e_value_of_difference(difference: float, spread: float) -> float:
    """E-value of a difference in means, through RR ≈ exp(0.91 d) with d the difference in standard deviations.

    Args:
        difference: Difference in means, in the outcome's unit.
        spread: Standard deviation of the outcome, in the same unit.
    """
    return compute_e_value(float(np.exp(0.91 * difference / spread))) if spread > 0 else float("nan")


def convert_hazard_ratio(ratio: float, *, risk: float) -> float:
    """The risk ratio that corresponds to a hazard ratio (VanderWeele & Ding 2017, Table 2).

    It is the same where the outcome is rare (risk up to 0.15), otherwise (1 - 0.5^√HR) / (1 - 0.5^√(1/HR)).
    """
    if risk <= 0.15:
        return ratio
    return float((1 - 0.5 ** np.sqrt(ratio)) / (1 - 0.5 ** np.sqrt(1 / ratio)))
