"""From the stamps of a source to loop time, and whether they can be believed.

A source stamps in a clock of its own, which may drift, jump, stand still or count from 1970. What is known for certain
is that no sample was taken after it arrived. So the loop time of a sample is its stamp plus an offset: the least
difference of arrival and stamp so far, which may rise by `DRIFT` alone. What arrives later than that is old, and its
age says so: a backlog that stays for minutes does not become the present.
Samples are counted: a gap in the count, or in the stamps, is a gap in the signal and is never closed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sharpwave.live.decision import Chunk

DRIFT = 2e-4
"""Seconds a second by which the source's clock may be slower than that of the loop."""
JUMP = 0.1
"""Seconds by which stamps may differ from the count before they have jumped."""
LINE = 60.0
"""Seconds after which stamps and count are compared anew."""
RATE_LEAST = 20.0
"""Seconds over which a rate is measured before it is believed; after twice as long it is measured anew."""
FRESH = 1.0
"""Seconds without arrivals after which the rate is measured anew."""


@dataclass(frozen=True)
class Clocked:
    """Where the samples of a chunk lie in loop time.

    Attributes:
        first: Loop time of its first sample, in seconds.
        until: Loop time of its last sample.
        interval: Seconds from sample to sample, of the declared rate.
        gap: Seconds that are missing before it; 0 where it follows the one before, infinite where nothing is before it
            that it can be held against: filters then begin anew.
        skip: Samples at its start that have come before and are to be left out.
        fault: What is wrong with stamps or count; empty where nothing is.

    >>> Clocked(first=1.0, until=1.03, interval=1 / 256).gap
    0.0
    """

    first: float
    until: float
    interval: float
    gap: float = 0.0
    skip: int = 0
    fault: str = ""


@dataclass(frozen=True)
class ClockState:
    """What is carried from chunk to chunk.

    Attributes:
        next_index: Number of the sample that comes next; None before the first chunk.
        line: Stamp that sample 0 would have, by the stamps of late; None before the first chunk.
        line_at: Arrival at which it was taken.
        offset: Loop time minus stamp.
        last_arrival: Of the chunk before.
        last_stamp: Of the last sample.
        anchor: Arrival and number of samples at which measuring the rate began.
        rate: Samples a second of loop time, measured; None until long enough.
        fault: The last fault; empty where there was none.
        fault_at: Loop time at which it was seen.
        gap_at: Loop time after which the signal is unbroken.
    """

    next_index: int | None = None
    line: float = 0.0
    line_at: float = 0.0
    offset: float = 0.0
    last_arrival: float = -math.inf
    last_stamp: float = 0.0
    anchor: tuple[float, int] = (0.0, 0)
    rate: float | None = None
    fault: str = ""
    fault_at: float = -math.inf
    gap_at: float = -math.inf


def step_clock(rate: float, state: ClockState, chunk: Chunk) -> tuple[Clocked, ClockState]:
    """Bring a chunk into loop time.

    Args:
        rate: Declared samples a second.
        state: State so far; `ClockState()` at first.
        chunk: What arrived; at least one sample.

    Returns:
        Where its samples lie, and the state for the next.

    >>> import numpy as np
    >>> chunk = Chunk(np.zeros((256, 1), np.float32), index=0, stamp=1_700_000_000.0, arrival=5.0)
    >>> clocked, state = step_clock(256.0, ClockState(), chunk)
    >>> round(clocked.until, 3), clocked.gap
    (5.0, inf)
    """
    n, interval = len(chunk.samples), 1.0 / rate
    fault, gap = _compare(state, chunk, interval)
    if fault == "stamp is no number":
        until = state.last_stamp + state.offset
        refused = replace(state, fault=fault, fault_at=chunk.arrival, gap_at=chunk.arrival)
        return Clocked(until, until, interval, math.inf, n, fault), refused
    last_stamp = chunk.stamp + (n - 1) * interval
    difference = chunk.arrival - last_stamp
    skip = 0 if state.next_index is None or gap == math.inf else min(n, max(0, state.next_index - chunk.index))
    if gap == math.inf:
        state = replace(state, offset=difference, rate=None, anchor=(chunk.arrival, chunk.index + n))
    else:
        waited = max(0.0, chunk.arrival - state.last_arrival)
        state = replace(state, offset=min(difference, state.offset + DRIFT * waited))
        state = _measure_rate(state, chunk, broken=gap > 0.0)
    if gap > 0.0 or chunk.arrival - state.line_at > LINE:
        state = replace(state, line=chunk.stamp - chunk.index * interval, line_at=chunk.arrival)
    if skip < n:
        state = replace(state, next_index=chunk.index + n, last_stamp=last_stamp)
    if fault:
        state = replace(state, fault=fault, fault_at=chunk.arrival)
    if gap > 0.0:
        state = replace(state, gap_at=chunk.arrival)
    clocked = Clocked(chunk.stamp + state.offset, last_stamp + state.offset, interval, gap, skip, fault)
    return clocked, replace(state, last_arrival=max(chunk.arrival, state.last_arrival))


def _compare(state: ClockState, chunk: Chunk, interval: float) -> tuple[str, float]:
    """What is wrong with the stamp or the count of a chunk, and how many seconds are missing before it."""
    if not math.isfinite(chunk.stamp) or not math.isfinite(chunk.arrival):
        return "stamp is no number", math.inf
    if state.next_index is None:
        return "", math.inf
    if chunk.arrival < state.last_arrival:
        return "arrivals went back", math.inf
    ahead = chunk.stamp - chunk.index * interval - state.line
    missing = (chunk.index - state.next_index) * interval
    if missing < 0:
        return ("samples came again", 0.0) if abs(ahead) <= JUMP else ("count went back", math.inf)
    if ahead < -JUMP:
        return "stamps went back", math.inf
    if ahead > JUMP:
        waited = chunk.arrival - state.last_arrival
        return ("", ahead + missing) if waited > ahead + missing - JUMP / 2 else ("stamps jumped", math.inf)
    return "", missing


def _measure_rate(state: ClockState, chunk: Chunk, *, broken: bool) -> ClockState:
    """Samples over seconds of arrival since the anchor; begun anew after a gap, and where the anchor is old."""
    at, index = state.anchor
    end = chunk.index + len(chunk.samples)
    if broken or chunk.arrival - state.last_arrival > FRESH:
        return replace(state, anchor=(chunk.arrival, end), rate=None)
    span = chunk.arrival - at
    if span < RATE_LEAST:
        return state
    measured = replace(state, rate=(end - index) / span)
    return replace(measured, anchor=(chunk.arrival, end)) if span >= 2 * RATE_LEAST else measured
