"""How strong an unmeasured confounder would have to be (VanderWeele & Ding 2017, 10.7326/M16-2607)."""

from __future__ import annotations

import numpy as np


def compute_e_value(ratio: float) -> float:
    """E-value of a risk ratio (of a hazard ratio where the outcome is rare).

    A confounder would have to be associated with reactivation and with the outcome by a risk ratio of at least this
    much each, beyond all covariates, to explain the estimate away: E = RR + √(RR (RR - 1)), of 1/RR below 1.

    Args:
        ratio: The ratio; the bound of its interval nearer to 1 gives the E-value of the interval.

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
        difference: In the outcome's unit.
        spread: Standard deviation of the outcome, in the same unit.
    """
    return compute_e_value(float(np.exp(0.91 * difference / spread))) if spread > 0 else float("nan")


def convert_hazard_ratio(ratio: float, *, risk: float) -> float:
    """The risk ratio that a hazard ratio stands for: itself where the outcome is rare (risk up to 0.15), otherwise
    (1 - 0.5^√HR) / (1 - 0.5^√(1/HR)) (VanderWeele & Ding 2017, Table 2)."""
    if risk <= 0.15:
        return ratio
    return float((1 - 0.5 ** np.sqrt(ratio)) / (1 - 0.5 ** np.sqrt(1 / ratio)))
