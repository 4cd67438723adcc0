"""Discrete-time hazard regression: how often sleep moves, second by second, while a reactivation is recent.

P(move in second t) = 1 - exp(-exp(Σ_c b_c E_c(t) + covariates)), with E_c(t) = 1 where a reactivation of content c came
in the `horizon` s before t. Several do not add up. exp(b_c) is the hazard ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sharpwave.causality.course import NightCourse
from sharpwave.causality.covariates import compute_covariates, count_events
from sharpwave.causality.design import choose_onsets, compute_columns, compute_own_columns, find_exposure, find_period
from sharpwave.causality.moves import find_moves
from sharpwave.causality.regression import Block, Fit, fit_cloglog, split_blocks
from sharpwave.causality.units import Interval, compute_jackknife


@dataclass(frozen=True)
class HazardEffect:
    """Effect of one content.

    Attributes:
        log_ratio: Log hazard ratio with its interval.
        hazard: Mean hazard (1/s) of the exposed seconds if they had not been exposed.
        n_events: Reactivations of that content in the seconds at risk.
    """

    log_ratio: Interval
    hazard: float
    n_events: int


def estimate_hazards(
    courses: Sequence[NightCourse],
    *,
    outcome: str,
    contents: Sequence[str | None],
    horizon: int = 30,
    stages: Sequence[int] | None = None,
    period: str = "any",
) -> list[HazardEffect] | None:
    """Hazard ratio of each content, all in one model.

    Args:
        courses: Nights.
        outcome: "lighter", "deeper" or "wake".
        contents: Names; [None] for reactivations of any content.
        horizon: Seconds for which a reactivation counts.
        stages: Codes of the stages at risk; all NREM by default.
        period: "any", "early" or "late" (half of each night's sleep).

    Returns:
        One effect a content, or None where nothing ever happened.
    """
    stages = courses[0].nrem if stages is None else stages
    rows = [
        _compute_rows(course, outcome=outcome, contents=contents, horizon=horizon, stages=stages, period=period)
        for course in courses
    ]
    blocks = split_blocks([row for row in rows if len(row[2])])
    exposed = [float(sum(b.outcome @ b.shared[:, i] for b in blocks)) for i in range(len(contents))]
    events = sum(float(b.outcome.sum()) for b in blocks)
    if not events or not all(0 < e < events for e in exposed):
        return None
    fit = fit_cloglog(blocks, n_effects=len(contents))
    counts = [sum(_count(course, content, stages, period) for course in courses) for content in contents]
    return [_describe(fit, blocks, index, n) for index, n in enumerate(counts)]


def _compute_rows(
    course: NightCourse,
    *,
    outcome: str,
    contents: Sequence[str | None],
    horizon: int,
    stages: Sequence[int],
    period: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shared columns (exposures first), own columns, outcomes and times of the seconds at risk."""
    covariates = compute_covariates(course, horizon=horizon)
    at_risk = np.isin(course.stage, stages) & course.usable & find_period(course, period)
    at_risk[:-1] &= course.stage[1:] >= 0
    at_risk[-1:] = False
    index = np.flatnonzero(at_risk)
    exposure = np.column_stack([find_exposure(course, content, horizon)[index] for content in contents])
    shared = np.hstack([exposure, compute_columns(course, covariates, index, stages)])
    moves = find_moves(course, outcome=outcome)[index].astype(float)
    return shared, compute_own_columns(course, index), moves, course.time[index]


def _describe(fit: Fit, blocks: Sequence[Block], index: int, n_events: int) -> HazardEffect:
    interval = compute_jackknife(float(fit.coefficients[index]), fit.without[:, index])
    others = [
        level + block.shared[:, : len(fit.coefficients)][:, :index] @ fit.coefficients[:index]
        for level, block in zip(fit.level, blocks, strict=True)
    ]
    exposed = np.concatenate([o[b.shared[:, index] > 0] for o, b in zip(others, blocks, strict=True)])
    return HazardEffect(interval, float(np.exp(exposed).mean()), n_events)


def _count(course: NightCourse, content: str | None, stages: Sequence[int], period: str) -> int:
    counts = count_events(course, choose_onsets(course, content))
    return int(counts[np.isin(course.stage, stages) & find_period(course, period) & course.usable].sum())
