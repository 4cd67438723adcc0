"""Columns of the regressions, and which seconds belong to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from sharpwave.causality.course import NightCourse
from sharpwave.causality.covariates import AGE_KNOTS, Covariates, compute_spline, count_events, count_past

N_KNOTS = 5
"""Knots of the course of a night."""


def find_exposure(course: NightCourse, content: str | None, horizon: int) -> Float[np.ndarray, " second"]:
    """1 where a reactivation of that content (any, if None) came in the `horizon` s before."""
    return (count_past(count_events(course, choose_onsets(course, content)), horizon) > 0).astype(float)


def choose_onsets(course: NightCourse, content: str | None) -> Float[np.ndarray, " event"]:
    """Onsets of the reactivations of that content; of all if None."""
    if content is None:
        return np.concatenate([*course.onsets.values(), np.empty(0)])
    return course.onsets.get(content, np.empty(0))


def compute_columns(
    course: NightCourse, covariates: Covariates, index: np.ndarray, stages: Sequence[int]
) -> Float[np.ndarray, "row column"]:
    """Age, bout, stage, phase by stage, EMG, depth before the window and recent events, at the seconds of `index`;
    0 where a night lacks one."""
    knots = np.log(AGE_KNOTS)
    stage = course.stage[index]
    columns = [
        compute_spline(np.log(covariates.age[index]), knots),
        compute_spline(np.log(covariates.bout[index]), knots),
        *((stage == code).astype(float)[:, None] for code in stages[1:]),
    ]
    phase = covariates.phase
    wave = np.zeros((len(index), 2)) if phase is None else np.column_stack([np.cos(phase[index]), np.sin(phase[index])])
    columns += [wave * (stage == code)[:, None] for code in stages]
    emg = np.zeros(len(index)) if covariates.emg is None else standardise(covariates.emg[index])
    columns.append(emg[:, None])
    if course.candidates is not None:
        recent = covariates.recent[index]
        columns.append(np.column_stack([recent == 0, np.log1p(recent), recent / 10]))
    columns.append(np.log1p(covariates.slow[index])[:, None])
    return np.hstack([np.asarray(column, dtype=float) for column in columns])


def compute_own_columns(course: NightCourse, index: np.ndarray) -> Float[np.ndarray, "row own"]:
    """A level and a spline over the night; as many columns in every night, so that knots lie where its sleep is."""
    hours = (course.time[index] - course.time[0]) / 3600
    if len(hours) < 10:
        return np.ones((len(hours), 1 + N_KNOTS - 1))
    knots = np.quantile(hours, np.linspace(0.02, 0.98, N_KNOTS))
    spread = max(float(knots[-1] - knots[0]), 1e-3)
    spline = compute_spline((hours - knots[0]) / spread, (knots - knots[0]) / spread)
    return np.column_stack([np.ones(len(hours)), spline - spline.mean(axis=0)])


def standardise(values: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    known = np.isfinite(values)
    if not known.any() or values[known].std() == 0:
        return np.zeros_like(values)
    return np.where(known, (values - values[known].mean()) / values[known].std(), 0.0)


def find_period(course: NightCourse, period: str) -> Bool[np.ndarray, " second"]:
    """Seconds in the early or late half of the night's NREM sleep."""
    asleep = np.cumsum(np.isin(course.stage, course.nrem))
    early = asleep <= asleep[-1] / 2
    return np.ones(len(asleep), bool) if period == "any" else early if period == "early" else ~early
