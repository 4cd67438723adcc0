"""What a peri-event average says: the estimate that the others are held against.

Each event counts as independent, and nothing is adjusted for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from sharpwave.causality.design import choose_onsets, count_events
from sharpwave.causality.intervals import Interval
from sharpwave.causality.outcomes import compute_outcome
from sharpwave.causality.series import NightSeries


def estimate_naive(
    courses: Sequence[NightSeries], *, outcome: str, content: str | None = None, horizon: int = 30
) -> Interval:
    """Depth after minus before each reactivation, or the risk after it minus that after any second of NREM sleep.

    Args:
        courses: Nights.
        outcome: "depth", "lighter", "deeper" or "wake".
        content: Name; None for any content.
        horizon: In s.

    Returns:
        The difference, with the interval and p of a t test or of two proportions over events.
    """
    after, reference = [], []
    for course in courses:
        at_risk = np.isin(course.stage, course.nrem) & np.r_[course.stage[1:] == course.stage[:-1], False]
        events = np.flatnonzero((count_events(course, choose_onsets(course, content)) > 0) & at_risk)
        after.append(compute_outcome(course, events, outcome=outcome, horizon=horizon))
        backwards, moments = (True, events) if outcome == "depth" else (False, np.flatnonzero(at_risk))
        reference.append(compute_outcome(course, moments, outcome=outcome, horizon=horizon, backwards=backwards))
    exposed, control = np.concatenate(after), np.concatenate(reference)
    if outcome == "depth":
        change = exposed - control
        change = change[np.isfinite(change)]
        return _test(float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change))))
    return _compare_proportions(exposed[np.isfinite(exposed)], control[np.isfinite(control)])


def _compare_proportions(exposed: Float[np.ndarray, " event"], control: Float[np.ndarray, " second"]) -> Interval:
    shares = exposed.mean(), control.mean()
    errors = [share * (1 - share) / n for share, n in zip(shares, (len(exposed), len(control)), strict=True)]
    return _test(float(shares[0] - shares[1]), float(np.sqrt(sum(errors))))


def _test(value: float, error: float) -> Interval:
    from scipy.stats import norm

    return Interval(value, value - 1.96 * error, value + 1.96 * error, float(2 * norm.sf(abs(value) / error)))
