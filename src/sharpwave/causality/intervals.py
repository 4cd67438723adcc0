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

POWER = 0.8
"""Power at which the smallest effect that could have been seen is given."""

TIE = 1e-12
"""Differences that are smaller than this are ties."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval and two-sided p against `null`.

    Attributes:
        value: The estimate.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p: Two-sided p; at most .05 where the interval leaves out `null`, and nowhere else.
        detectable: Smallest effect, in the unit of the estimate, that a test at .05 would have shown in 8 of 10 such
            data sets; NaN where it is not known.
    """

    value: float
    low: float
    high: float
    p: float
    detectable: float = np.nan


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
    detectable = half + float(stats.t.ppf(POWER, n - 1)) * error
    return Interval(float(value), float(value - half), float(value + half), p, detectable)


def invert_permutations(
    value: float, drawn: Float[np.ndarray, " draw"], shares: Float[np.ndarray, " draw"], *, level: float = 0.95
) -> Interval:
    """Interval of a difference that was randomised: every effect that the permutation test does not reject.

    Under an effect d that adds to every outcome, the difference after labels were drawn again would be `drawn` - d ·
    (what the new labels share with the old ones). Each draw is as extreme as the estimate for d between the two roots
    of |value - d| = |drawn - d · share|, which lie on either side of the estimate; so the ends of the interval are
    quantiles of these roots, and the interval leaves out 0 exactly where p is at most 1 - level.

    Args:
        value: The difference as it was randomised.
        drawn: The difference of each draw of the labels, shape (draw,).
        shares: The same difference of the original labels (1 or 0) in place of the outcomes: 1 where a draw gave the
            labels back, shape (draw,).
        level: Coverage of the interval; 0.95 by default.

    Returns:
        The interval, with p = (1 + draws at least as extreme) / (1 + draws); NaN without an estimate.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0.0, 1.0], 50)
    >>> outcome, draws = rng.normal(size=100) + labels, [rng.permutation(labels) > 0 for _ in range(999)]
    >>> drawn = [outcome[d].mean() - outcome[~d].mean() for d in draws]
    >>> shares = [labels[d].mean() - labels[~d].mean() for d in draws]
    >>> found = invert_permutations(outcome[50:].mean() - outcome[:50].mean(), np.array(drawn), np.array(shares))
    >>> found.low < 1 < found.high, found.p <= 0.05
    (True, True)
    """
    if not np.isfinite(value):
        return Interval(float(value), np.nan, np.nan, np.nan)
    n = len(drawn)
    same = np.abs(shares) > 1 - TIE  # the labels as they were, or all exchanged: as extreme whatever the effect
    free = np.where(same, 0.0, shares)
    roots = np.stack([(value - drawn) / (1 - free), (value + drawn) / (1 + free)])
    roots = np.where(np.abs(roots) < TIE, 0.0, roots)
    low = np.sort(np.where(same, -np.inf, roots.min(axis=0)))
    high = np.sort(np.where(same, np.inf, roots.max(axis=0)))[::-1]
    p = (1 + int(np.sum(low <= 0) if value > 0 else np.sum(high >= 0))) / (1 + n)
    rank = int(np.floor((1 - level) * (1 + n) + 1e-9))  # with fewer draws as extreme as the estimate, an effect is out
    if not 1 <= rank <= n:
        return Interval(float(value), -np.inf, np.inf, p)
    from scipy.stats import norm

    detectable = float(np.std(drawn) * (norm.ppf(0.5 + level / 2) + norm.ppf(POWER)))
    return Interval(float(value), float(low[rank - 1]), float(high[rank - 1]), p, detectable)


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
