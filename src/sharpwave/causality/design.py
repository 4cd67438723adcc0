"""The design of the regressions: what is known at each second before it happens, and which seconds count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from sharpwave.causality.series import DEPTH_WINDOW, FREQUENCY, NightSeries

AGE_KNOTS = (2.0, 8.0, 25.0, 80.0, 250.0, 800.0)
"""Seconds; natural cubic splines run on their logarithms."""

BRIEF = 16
"""Wake up to so long (s) does not end a bout of sleep: it is an arousal."""

SLOW = 600
"""Seconds over which the slow rate of events is counted."""

N_KNOTS = 5
"""Knots of the spline over the time of the night."""


@dataclass(frozen=True, eq=False)
class Covariates:
    """One value a second, each from what lies before that second.

    Attributes:
        age: Seconds since the present stage began, whatever came before it (an arousal too).
        bout: Seconds since the last wake or REM that was longer than an arousal.
        phase: Infraslow phase (rad), extrapolated from `DEPTH_WINDOW` s ago; None if unknown.
        depth: Mean depth (dB) of the 8 s that are wholly past.
        before: Mean depth (dB) of the 32 s before those.
        emg: EMG in dB, wholly past; None without an EMG.
        recent: Number of candidate events (of reactivations where only they are known) in the last `horizon` s.
        slow: Number of the same events in the last 10 min.
    """

    age: Float[np.ndarray, " second"]
    bout: Float[np.ndarray, " second"]
    phase: Float[np.ndarray, " second"] | None
    depth: Float[np.ndarray, " second"]
    before: Float[np.ndarray, " second"]
    emg: Float[np.ndarray, " second"] | None
    recent: Float[np.ndarray, " second"]
    slow: Float[np.ndarray, " second"]


@lru_cache(maxsize=32)
def compute_covariates(series: NightSeries, *, horizon: int) -> Covariates:
    """The covariates of one night; those of the last nights asked for stay in memory, since every estimator wants them.

    Args:
        series: Time series of the night.
        horizon: Length of the time in which recent events are counted, in s.
    """
    asleep = np.isin(series.stage, series.nrem)
    every = series.reactivations["onset"].to_numpy(dtype=float) if series.candidates is None else series.candidates
    counts, window = count_events(series, every), series.depth_window
    phase = None
    if series.infraslow is not None:
        phase = delay(series.infraslow, DEPTH_WINDOW) + 2 * np.pi * FREQUENCY * DEPTH_WINDOW
    return Covariates(
        age=count_since(np.r_[True, np.diff(series.stage) != 0]),
        bout=count_since(_long_gaps(asleep)),
        phase=phase,
        depth=compute_past_mean(series.depth, first=window, last=window + 7),
        before=compute_past_mean(series.depth, first=window + 8, last=window + 39),
        emg=None if series.emg is None else delay(series.emg, DEPTH_WINDOW),
        recent=count_past(counts, horizon),
        slow=count_past(counts, SLOW),
    )


def count_events(series: NightSeries, onsets: Float[np.ndarray, " event"]) -> Float[np.ndarray, " second"]:
    """Events in each second; those outside the night are left out."""
    index = np.floor(np.asarray(onsets, dtype=float) - series.time[0]).astype(int)
    return np.bincount(index[(index >= 0) & (index < len(series.time))], minlength=len(series.time)).astype(float)


def count_past(counts: Float[np.ndarray, " second"], seconds: int) -> Float[np.ndarray, " second"]:
    """Events in the `seconds` before each second, that second not among them."""
    total = np.r_[0.0, np.cumsum(counts)]
    now = np.arange(len(counts))
    return total[now] - total[np.maximum(now - seconds, 0)]


def compute_past_mean(values: Float[np.ndarray, " second"], *, first: int, last: int) -> Float[np.ndarray, " second"]:
    """Mean over the seconds t - last to t - first, without the missing; NaN where all are."""
    known = np.isfinite(values)
    total = np.r_[0.0, np.cumsum(np.where(known, values, 0.0))]
    count = np.r_[0.0, np.cumsum(known)]
    now = np.arange(len(values))
    high, low = np.clip(now - first + 1, 0, None), np.clip(now - last, 0, None)
    n = count[high] - count[low]
    return np.divide(total[high] - total[low], n, out=np.full(len(values), np.nan), where=n > 0)


def delay(values: Float[np.ndarray, " second"], seconds: int) -> Float[np.ndarray, " second"]:
    """The values of `seconds` ago; the first value before there are any."""
    return np.r_[np.full(min(seconds, len(values)), values[0]), values[:-seconds]]


def count_since(starts: Bool[np.ndarray, " second"]) -> Float[np.ndarray, " second"]:
    """Seconds since the last start, that second included: 1 at a start."""
    now = np.arange(len(starts))
    return (now - np.maximum.accumulate(np.where(starts, now, 0)) + 1).astype(float)


def compute_spline(values: Float[np.ndarray, " row"], knots: np.ndarray) -> Float[np.ndarray, "row column"]:
    """Natural cubic spline, linear beyond the outer knots (Harrell 2015, eq. 2.25), without a constant."""
    knots = np.asarray(knots, dtype=float)
    last, previous = knots[-1], knots[-2]
    scale = (last - knots[0]) ** 2
    columns = [values]
    tail, end = np.maximum(values - previous, 0) ** 3, np.maximum(values - last, 0) ** 3
    for knot in knots[:-2]:
        columns.append(
            (
                np.maximum(values - knot, 0) ** 3
                - tail * (last - knot) / (last - previous)
                + end * (previous - knot) / (last - previous)
            )
            / scale
        )
    return np.column_stack(columns)


def _long_gaps(asleep: Bool[np.ndarray, " second"]) -> Bool[np.ndarray, " second"]:
    """Seconds of wake or REM in runs longer than `BRIEF`, and the first second of the night."""
    change = np.flatnonzero(np.r_[True, np.diff(asleep)])
    length = np.diff(np.r_[change, len(asleep)])
    run = np.repeat(length, length)
    gaps = ~asleep & (run > BRIEF)
    gaps[:1] = True
    return gaps


def find_exposure(series: NightSeries, content: str | None, horizon: int) -> Float[np.ndarray, " second"]:
    """1 where a reactivation of that content (any, if None) came in the `horizon` s before."""
    return (count_past(count_events(series, choose_onsets(series, content)), horizon) > 0).astype(float)


def choose_onsets(series: NightSeries, content: str | None) -> Float[np.ndarray, " event"]:
    """Onsets of the reactivations of that content; of all if None."""
    if content is None:
        return np.concatenate([*series.onsets.values(), np.empty(0)])
    return series.onsets.get(content, np.empty(0))


def compute_columns(
    series: NightSeries, covariates: Covariates, index: np.ndarray, stages: Sequence[int]
) -> Float[np.ndarray, "row column"]:
    """Age, bout, stage, phase by stage, EMG, depth before the window and recent events, at the seconds of `index`;
    0 where a night lacks one."""
    knots = np.log(AGE_KNOTS)
    stage = series.stage[index]
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
    if series.candidates is not None:
        recent = covariates.recent[index]
        columns.append(np.column_stack([recent == 0, np.log1p(recent), recent / 10]))
    columns.append(np.log1p(covariates.slow[index])[:, None])
    return np.hstack([np.asarray(column, dtype=float) for column in columns])


def compute_own_columns(series: NightSeries, index: np.ndarray) -> Float[np.ndarray, "row own"]:
    """A level and a spline over the night; as many columns in every night, so that knots lie where its sleep is."""
    hours = (series.time[index] - series.time[0]) / 3600
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


def find_period(series: NightSeries, period: str) -> Bool[np.ndarray, " second"]:
    """Seconds in the early or late half of the night's NREM sleep."""
    asleep = np.cumsum(np.isin(series.stage, series.nrem))
    early = asleep <= asleep[-1] / 2
    return np.ones(len(asleep), bool) if period == "any" else early if period == "early" else ~early
