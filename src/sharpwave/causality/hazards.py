"""Discrete-time hazard regression: how often the stage changes, second by second, while a reactivation is recent.

P(transition in second t) = 1 - exp(-exp(Σ_c b_c E_c(t) + covariates)), with E_c(t) = 1 where a reactivation of content
c came in the `horizon` s before t. Several do not add up. exp(b_c) is the hazard ratio.

Each night has coefficients of its own (level, a spline over the night) beside those that all share. What is left out in
turn is a whole unit; one Newton step from the full fit gives the estimate without it. Intervals take a t distribution
with units - 1 degrees of freedom on the jackknife variance (CV3; MacKinnon, Nielsen & Webb 2023,
10.1016/j.jeconom.2022.04.001), which holds its level with few and unequal clusters where the sandwich does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.causality.design import (
    choose_onsets,
    compute_columns,
    compute_covariates,
    compute_own_columns,
    count_events,
    find_exposure,
    find_period,
)
from sharpwave.causality.intervals import Interval, compute_jackknife, split_units
from sharpwave.causality.outcomes import find_transitions
from sharpwave.causality.series import NightSeries
from sharpwave.errors import SharpwaveError

RIDGE = 0.02
"""Precision of the normal prior that keeps nuisance coefficients finite where data say nothing about them."""

MOST_STEPS = 25


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
    nights: Sequence[NightSeries],
    *,
    outcome: str,
    contents: Sequence[str | None],
    horizon: int = 30,
    stages: Sequence[int] | None = None,
    period: str = "any",
) -> list[HazardEffect] | None:
    """Hazard ratio of each content, all in one model.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        outcome: Stage transition: "lighter", "deeper" or "wake".
        contents: Names of the contents, all in one model; [None] for reactivations of any content.
        horizon: Length of the time for which a reactivation counts, in s; 30 s by default.
        stages: Codes of the stages at risk; all NREM stages by default.
        period: Part of each night's sleep: "any" (all of it, the default), "early" or "late" half.

    Returns:
        One effect a content, or None where nothing ever happened.
    """
    stages = nights[0].nrem if stages is None else stages
    rows = [
        _compute_rows(series, outcome=outcome, contents=contents, horizon=horizon, stages=stages, period=period)
        for series in nights
    ]
    blocks = split_blocks([row for row in rows if len(row[2])])
    exposed = [float(sum(b.outcome @ b.shared[:, i] for b in blocks)) for i in range(len(contents))]
    events = sum(float(b.outcome.sum()) for b in blocks)
    if not events or not all(0 < e < events for e in exposed):
        return None
    fit = fit_cloglog(blocks, n_effects=len(contents))
    counts = [sum(_count(series, content, stages, period) for series in nights) for content in contents]
    return [_describe(fit, blocks, index, n) for index, n in enumerate(counts)]


def _compute_rows(
    series: NightSeries,
    *,
    outcome: str,
    contents: Sequence[str | None],
    horizon: int,
    stages: Sequence[int],
    period: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shared columns (exposures first), own columns, outcomes and times of the seconds at risk."""
    covariates = compute_covariates(series, horizon=horizon)
    at_risk = np.isin(series.stage, stages) & series.usable & find_period(series, period)
    at_risk[:-1] &= series.stage[1:] >= 0
    at_risk[-1:] = False
    index = np.flatnonzero(at_risk)
    exposure = np.column_stack([find_exposure(series, content, horizon)[index] for content in contents])
    shared = np.hstack([exposure, compute_columns(series, covariates, index, stages)])
    happened = find_transitions(series, outcome=outcome)[index].astype(float)
    return shared, compute_own_columns(series, index), happened, series.time[index]


def _describe(fit: Fit, blocks: Sequence[Block], index: int, n_events: int) -> HazardEffect:
    interval = compute_jackknife(float(fit.coefficients[index]), fit.without[:, index])
    others = [
        level + block.shared[:, : len(fit.coefficients)][:, :index] @ fit.coefficients[:index]
        for level, block in zip(fit.level, blocks, strict=True)
    ]
    exposed = np.concatenate([o[b.shared[:, index] > 0] for o, b in zip(others, blocks, strict=True)])
    return HazardEffect(interval, float(np.exp(exposed).mean()), n_events)


def _count(series: NightSeries, content: str | None, stages: Sequence[int], period: str) -> int:
    counts = count_events(series, choose_onsets(series, content))
    return int(counts[np.isin(series.stage, stages) & find_period(series, period) & series.usable].sum())


@dataclass(frozen=True, eq=False)
class Block:
    """The rows of one unit (a night, or a stretch of one).

    Attributes:
        night: Index of the night, which has its own coefficients.
        shared: Columns whose coefficients all nights share, shape (row, column).
        own: Columns whose coefficients are the night's own.
        outcome: 0 or 1, shape (row,).
    """

    night: int
    shared: Float[np.ndarray, "row column"]
    own: Float[np.ndarray, "row own"]
    outcome: Float[np.ndarray, " row"]


@dataclass(frozen=True, eq=False)
class Fit:
    """Shared coefficients.

    Attributes:
        coefficients: Coefficients that all nights share, shape (column,).
        without: The coefficients without each unit, shape (unit, column).
        level: Linear predictor of each row of each block with the first `n_effects` columns at 0.
    """

    coefficients: Float[np.ndarray, " column"]
    without: Float[np.ndarray, "unit column"]
    level: list[Float[np.ndarray, " row"]]


def split_blocks(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> list[Block]:
    """Units of the rows of nights, each given as (shared, own, outcome, time in s): nights, or stretches of them."""
    if not rows:
        return []
    units = split_units([row[3] for row in rows])
    ends = np.cumsum([len(row[3]) for row in rows])
    blocks = []
    for night, ((shared, own, outcome, time), end) in enumerate(zip(rows, ends, strict=True)):
        unit = units[end - len(time) : end]
        for label in np.unique(unit):
            mine = unit == label
            blocks.append(Block(night, shared[mine], own[mine], outcome[mine]))
    return blocks


def fit_cloglog(blocks: Sequence[Block], *, n_effects: int) -> Fit:
    """Fit P(outcome) = 1 - exp(-exp(x · b)): b are log ratios of the hazard per row.

    Args:
        blocks: Rows of each unit.
        n_effects: Number of effects: the first so many shared columns, which no prior pulls.

    Returns:
        The fit.

    Raises:
        SharpwaveError: If there is no event at all.
    """
    events = sum(float(block.outcome.sum()) for block in blocks)
    if not events:
        raise SharpwaveError("at least one event", got="none in any night", fix="add nights, or take another outcome")
    n_shared, n_own = blocks[0].shared.shape[1], blocks[0].own.shape[1]
    n_nights = max(block.night for block in blocks) + 1
    size = n_shared + n_own * n_nights
    prior = np.full(size, RIDGE)
    prior[:n_effects] = 0
    prior[n_shared::n_own] = 0  # the level of each night
    places = [np.r_[:n_shared, n_shared + b.night * n_own : n_shared + (b.night + 1) * n_own] for b in blocks]
    designs = [np.hstack([block.shared, block.own]) for block in blocks]
    beta = np.zeros(size)
    beta[n_shared::n_own] = np.log(events / sum(len(block.outcome) for block in blocks))
    for _ in range(MOST_STEPS):
        parts = [_score(x, block.outcome, beta[place]) for x, block, place in zip(designs, blocks, places, strict=True)]
        gradient, information = -prior * beta, np.diag(prior)
        for (score, weight), place in zip(parts, places, strict=True):
            gradient[place] += score
            information[np.ix_(place, place)] += weight
        step = _solve(information, gradient)
        beta = beta + step * min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-5:
            break
    without = []
    for (score, weight), place in zip(parts, places, strict=True):
        left, rest = information.copy(), gradient.copy()
        left[np.ix_(place, place)] -= weight
        rest[place] -= score
        without.append((beta + _solve(left, rest))[:n_shared])
    free = beta.copy()
    free[:n_effects] = 0
    return Fit(beta[:n_shared], np.array(without), [x @ free[p] for x, p in zip(designs, places, strict=True)])


def _score(
    x: Float[np.ndarray, "row column"], y: Float[np.ndarray, " row"], beta: Float[np.ndarray, " column"]
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the log likelihood, and its expected information."""
    hazard = np.exp(np.clip(x @ beta, -30, 3))
    p = -np.expm1(-hazard)
    ratio = hazard / p
    weight = hazard * ratio * (1 - p)
    return x.T @ ((y - p) * ratio), (x * weight[:, None]).T @ x


def _solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-9))
    scaled = matrix * scale[:, None] * scale + 1e-9 * np.eye(len(vector))
    return scale * np.linalg.solve(scaled, scale * vector)
