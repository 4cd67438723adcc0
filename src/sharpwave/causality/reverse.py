"""The reverse direction: does depth now change the rate of reactivation next?

P(reactivation in second t) = 1 - exp(-exp(b · depth(t) + covariates)), with the depth (dB) of the windows that lie
wholly before t, beside that of the 32 s before these. exp(b) is the ratio of rates per dB. Reactivations of the last
minute, by content, are among the covariates, so that what reactivation did to depth is not read backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.causality.course import NightCourse
from sharpwave.causality.covariates import compute_covariates, count_events, count_past
from sharpwave.causality.design import choose_onsets, compute_columns, compute_own_columns, find_period
from sharpwave.causality.regression import fit_cloglog, split_blocks
from sharpwave.causality.units import Interval, compute_jackknife

LOOK_BACK = (10, 30, 60)
"""Seconds in which past reactivations are counted."""


@dataclass(frozen=True)
class ReverseEffect:
    """Effect of depth on the rate of reactivation.

    Attributes:
        log_ratio: Log ratio of rates per dB, with its interval.
        rate: Reactivations a minute of the seconds at risk.
        n_events: Reactivations.
    """

    log_ratio: Interval
    rate: float
    n_events: int


def estimate_reverse(
    courses: Sequence[NightCourse],
    *,
    content: str | None = None,
    stages: Sequence[int] | None = None,
    period: str = "any",
) -> ReverseEffect | None:
    """Ratio of the rate of reactivation per dB of depth just before.

    Args:
        courses: Nights.
        content: Name; None for any content.
        stages: Codes; all NREM by default.
        period: "any", "early" or "late".

    Returns:
        The effect, or None with fewer than two reactivations.
    """
    stages = courses[0].nrem if stages is None else stages
    contents = sorted({name for course in courses for name in course.contents})
    rows = [_compute_rows(course, content, contents, stages, period) for course in courses]
    blocks = split_blocks([row for row in rows if len(row[2])])
    events = int(sum(block.outcome.sum() for block in blocks))
    if events < 2:
        return None
    fit = fit_cloglog(blocks, n_effects=1)
    seconds = sum(len(block.outcome) for block in blocks)
    return ReverseEffect(
        compute_jackknife(float(fit.coefficients[0]), fit.without[:, 0]), 60 * events / seconds, events
    )


def _compute_rows(
    course: NightCourse, content: str | None, contents: Sequence[str], stages: Sequence[int], period: str
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, "row own"], np.ndarray, np.ndarray]:
    covariates = compute_covariates(course, horizon=LOOK_BACK[1])
    at_risk = np.isin(course.stage, stages) & course.usable & find_period(course, period)
    index = np.flatnonzero(at_risk & np.isfinite(covariates.depth) & np.isfinite(covariates.before))
    depth = np.column_stack([covariates.depth, covariates.before])[index]
    past = [
        count_past(count_events(course, choose_onsets(course, name)), seconds)[index]
        for name in contents
        for seconds in LOOK_BACK
    ]
    shared = np.hstack(
        [depth - depth.mean(axis=0), np.column_stack(past), compute_columns(course, covariates, index, stages)]
    )
    outcome = np.minimum(count_events(course, choose_onsets(course, content))[index], 1.0)
    return shared, compute_own_columns(course, index), outcome, course.time[index]
