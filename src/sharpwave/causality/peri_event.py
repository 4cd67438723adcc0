"""Depth around reactivations beside matched moments without one: what the eye should see before it reads a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.causality.series import NightSeries

BEFORE, AFTER, STEP = 60, 60, 4
"""Seconds; a step holds one window of depth."""
BASELINE = 30
"""Seconds before an event whose mean is taken as its level."""
CLEAR = 30
"""Seconds around a control moment without any reactivation of its content."""
NEAR = 1200.0
"""Seconds of the night within which a control moment is drawn."""
PHASE = np.pi / 4
"""Largest difference of infraslow phase between an event and its control moments."""
N_CONTROLS = 4
FEWEST_NIGHTS = 3
"""From here on the interval is over nights; below, over events."""

PERI_EVENT_COLUMNS = ("lag", "content", "value", "low", "high", "control", "n", "n_nights")


def compute_peri_event(
    nights: Sequence[NightSeries], *, rng: np.random.Generator, contents: Sequence[str] | None = None
) -> pd.DataFrame:
    """Mean depth around reactivations and around control moments, each against its level in the half minute before.

    Control moments are of the same night, stage, twenty minutes and infraslow phase: candidate events that carried no
    reactivation where those are known, else moments with no reactivation of that content within `CLEAR` seconds. This
    is a picture, not an estimate: `estimate_effects` adjusts for more.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        rng: Random generator, which draws the control moments.
        contents: Names of the contents, "any" for all together; by default "any" and each content of the nights.

    Returns:
        lag (s, middle of a step), content, value with low and high (dB, 95 %), control (dB), n (events), n_nights.
    """
    names = contents or ("any", *sorted({content for series in nights for content in series.contents}))
    lags = np.arange(-BEFORE, AFTER)
    steps = lags.reshape(-1, STEP).mean(axis=1) + 0.5
    tables = []
    for content in names:
        found = [pair for series in nights if len((pair := _cut_night(series, content, rng))[0])]
        if not found:
            continue
        value, low, high = _average([curves for curves, _ in found])
        controls = [curves for _, curves in found if len(curves)]
        control = _average(controls)[0] if controls else np.full(len(steps), np.nan)
        table = {"lag": steps, "content": content, "value": value, "low": low, "high": high, "control": control}
        tables.append(pd.DataFrame(table).assign(n=sum(len(curves) for curves, _ in found), n_nights=len(found)))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=PERI_EVENT_COLUMNS)


def _cut_night(
    series: NightSeries, content: str, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "event step"], Float[np.ndarray, "control step"]]:
    """Curves around the reactivations of one night, and around their control moments."""
    table = series.reactivations
    mine = table if content == "any" else table[table["content"] == content]
    start = series.time[0] if len(series.time) else 0.0
    at = np.floor(mine["onset"].to_numpy(dtype=float) - start).astype(int)
    whole = np.arange(len(series.time))
    room = (whole >= BEFORE) & (whole < len(whole) - AFTER)
    good = room & series.usable & np.isin(series.stage, series.nrem)
    at = at[(at >= 0) & (at < len(whole))]
    free = good & (~_spread(at, len(whole)) if series.candidates is None else _find_empty(series, start))
    at = at[good[at]]
    return _cut(series, at), _cut(series, _draw_controls(series, at, free, rng))


def _draw_controls(
    series: NightSeries, at: Int[np.ndarray, " event"], free: Bool[np.ndarray, " second"], rng: np.random.Generator
) -> Int[np.ndarray, " control"]:
    candidates = np.flatnonzero(free)
    drawn = []
    for second in at:
        near = candidates[slice(*np.searchsorted(candidates, [second - NEAR, second + NEAR]))]
        near = near[series.stage[near] == series.stage[second]]
        if series.infraslow is not None:
            turn = np.angle(np.exp(1j * (series.infraslow[near] - series.infraslow[second])))
            near = near[np.abs(turn) <= PHASE]
        if len(near):
            drawn.append(rng.choice(near, N_CONTROLS))
    return np.concatenate(drawn) if drawn else np.zeros(0, dtype=int)


def _find_empty(series: NightSeries, start: float) -> Bool[np.ndarray, " second"]:
    """Seconds that hold a candidate event and no reactivation."""
    marks = []
    for onsets in (series.candidates, series.reactivations["onset"].to_numpy(dtype=float)):
        at = np.floor(np.asarray(onsets) - start).astype(int)
        marks.append(np.zeros(len(series.time), dtype=bool))
        marks[-1][at[(at >= 0) & (at < len(series.time))]] = True
    return marks[0] & ~marks[1]


def _spread(at: Int[np.ndarray, " event"], n_seconds: int) -> Bool[np.ndarray, " second"]:
    """Seconds within `CLEAR` of an event."""
    counts = np.zeros(n_seconds + 1, dtype=int)
    np.add.at(counts, np.maximum(at - CLEAR, 0), 1)
    np.add.at(counts, np.minimum(at + CLEAR + 1, n_seconds), -1)
    return np.cumsum(counts)[:-1] > 0


def _cut(series: NightSeries, at: Int[np.ndarray, " event"]) -> Float[np.ndarray, "event step"]:
    """Depth around each second in steps, against the level before it; unusable seconds are left out."""
    lags = np.arange(-BEFORE, AFTER)
    depth = np.where(series.usable, series.depth, np.nan)[at[:, None] + lags[None, :]]
    level = _mean(depth[:, (lags >= -BASELINE) & (lags < 0)])
    return _mean(depth.reshape(len(at), len(lags) // STEP, STEP)) - level[:, None]


def _average(
    nights: Sequence[Float[np.ndarray, "event step"]],
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Mean and 95 % interval: over nights where there are several, else over events."""
    from scipy.stats import t

    several = len(nights) >= FEWEST_NIGHTS
    units = np.stack([_mean(curves.T) for curves in nights]) if several else np.concatenate(nights)
    n = np.isfinite(units).sum(axis=0)
    mean = _mean(units.T)
    spread = np.sqrt(np.nansum((units - mean) ** 2, axis=0) / np.maximum(n - 1, 1) / np.maximum(n, 1))
    reach = np.where(n > 1, t.ppf(0.975, np.maximum(n - 1, 1)) * spread, np.nan)
    return mean, mean - reach, mean + reach


def _mean(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*rest"]:
    """Mean over the last axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    count = known.sum(axis=-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
