"""Outcomes: stage transitions (to a lighter stage, to a deeper one, to wake) within some seconds, and depth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave import moved
from sharpwave.causality.series import DEPTH_WINDOW, NightSeries

TRANSITIONS = ("lighter", "deeper", "wake")


def find_transitions(series: NightSeries, *, outcome: str) -> Bool[np.ndarray, " second"]:
    """Whether the next second is in a lighter or deeper stage, or awake."""
    now, after = series.stage, np.r_[series.stage[1:], -1]
    rem = series.n_stages - 1 if series.n_stages > 2 else series.n_stages
    if outcome == "wake":
        return (now > 0) & (after == 0)
    nrem = (now > 0) & (now < rem)
    if outcome == "lighter":
        return nrem & (after >= 0) & (after < now)
    return nrem & (after > now) & (after < rem)


def compute_outcome(
    series: NightSeries,
    seconds: Int[np.ndarray, " moment"],
    *,
    outcome: str,
    horizon: int,
    backwards: bool = False,
) -> Float[np.ndarray, " moment"]:
    """What follows each second, or with `backwards` what came before it.

    Args:
        series: Time series of the night.
        seconds: Indices of seconds, shape (moment,).
        outcome: "depth" (dB), or one of `TRANSITIONS` (1 where it happened, else 0).
        horizon: Length of the time that counts, in s.
        backwards: Whether the `horizon` s before each second are taken: the negative control outcome.

    Returns:
        Shape (moment,); NaN where it is not known.
    """
    if outcome == "depth":
        compute = compute_depth_before if backwards else compute_depth_after
        return compute(series, seconds, horizon=horizon)
    risk = compute_past_risk if backwards else compute_risk
    return risk(series, seconds, outcome=outcome, horizon=horizon)


def compute_risk(
    series: NightSeries, seconds: Int[np.ndarray, " moment"], *, outcome: str, horizon: int
) -> Float[np.ndarray, " moment"]:
    """Whether the first change of stage after each second was that transition and came within the next `horizon` s.

    Args:
        series: Time series of the night.
        seconds: Indices of seconds, shape (moment,).
        outcome: Stage transition: "lighter", "deeper" or "wake".
        horizon: Length of the time that counts, in s.

    Returns:
        1 or 0; NaN where the stage was lost within that time.
    """
    first = find_next_change(series)[np.minimum(seconds + 1, len(series.stage) - 1)]
    within = first <= seconds + horizon
    happened = within & find_transitions(series, outcome=outcome)[np.minimum(first, len(series.stage) - 1)]
    after = np.r_[series.stage[1:], -1][np.minimum(first, len(series.stage) - 1)]
    lost = (within & (after < 0)) | (seconds + 1 >= len(series.stage))
    return np.where(lost, np.nan, happened.astype(float))


def compute_past_risk(
    series: NightSeries, seconds: Int[np.ndarray, " moment"], *, outcome: str, horizon: int
) -> Float[np.ndarray, " moment"]:
    """Whether such a transition came in the `horizon` s before each second, which nothing at that second can cause."""
    total = np.r_[0.0, np.cumsum(find_transitions(series, outcome=outcome))]
    begin = seconds - horizon
    return np.where(begin < 0, np.nan, (total[seconds] - total[np.maximum(begin, 0)] > 0).astype(float))


def compute_depth_after(
    series: NightSeries, seconds: Int[np.ndarray, " moment"], *, horizon: int
) -> Float[np.ndarray, " moment"]:
    """Mean depth over `horizon` s from the first window that lies wholly after each second, while the stage lasts.

    Returns:
        In dB; NaN where the stage changes before `DEPTH_WINDOW` s of it were measured.
    """
    window = series.depth_window
    begin = seconds + window
    change = find_next_change(series)[np.minimum(seconds + 1, len(series.stage) - 1)]
    end = np.minimum(begin + horizon, change + 2 - window)
    return _mean_between(series, begin, end)


def compute_depth_before(
    series: NightSeries, seconds: Int[np.ndarray, " moment"], *, horizon: int
) -> Float[np.ndarray, " moment"]:
    """Mean depth over the `horizon` s before the last window that may touch each second."""
    end = seconds - series.depth_window + 1
    return np.where(end < horizon, np.nan, _mean_between(series, np.maximum(end - horizon, 0), end))


def find_next_change(series: NightSeries) -> Int[np.ndarray, " second"]:
    """Index of the last second of the present run of one stage."""
    ends = np.flatnonzero(np.r_[np.diff(series.stage) != 0, True])
    return ends[np.searchsorted(ends, np.arange(len(series.stage)))]


def _mean_between(series: NightSeries, begin: np.ndarray, end: np.ndarray) -> Float[np.ndarray, " moment"]:
    """Mean depth of the seconds from `begin` to before `end`; NaN below `DEPTH_WINDOW` usable ones."""
    known = series.usable & np.isfinite(series.depth)
    total = np.r_[0.0, np.cumsum(np.where(known, series.depth, 0.0))]
    count = np.r_[0, np.cumsum(known)]
    low, high = np.clip(begin, 0, len(known)), np.clip(end, 0, len(known))
    high = np.maximum(low, high)
    n = count[high] - count[low]
    enough = n >= DEPTH_WINDOW
    return np.divide(total[high] - total[low], n, out=np.full(len(begin), np.nan), where=enough)


__getattr__ = moved.rename(__name__, {"MOVES": "TRANSITIONS", "find_moves": "find_transitions"})
