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
        line_at: Arrival at which it was taken, in seconds of loop time.
        offset: Loop time minus stamp, in seconds.
        last_arrival: Arrival of the chunk before, in seconds of loop time.
        last_stamp: Stamp of the last sample, in seconds.
        anchor: Arrival and number of samples at which measuring the rate began.
        rate: Samples a second of loop time, measured; None until long enough.
        fault: The last fault; empty where there was none.
        fault_at: Loop time at which it was seen, in seconds.
        gap_at: Loop time after which the signal is unbroken, in seconds.

    >>> ClockState().next_index is None
    True
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
    n, interval, arrival = len(chunk.samples), 1.0 / rate, chunk.arrival
    fault, gap = _compare(state, chunk, interval)
    if fault == "stamp is no number":
        until = state.last_stamp + state.offset
        return Clocked(until, until, interval, math.inf, n, fault), replace(
            state, fault=fault, fault_at=arrival, gap_at=arrival
        )
    last_stamp, end = chunk.stamp + (n - 1) * interval, chunk.index + n
    difference, waited = arrival - last_stamp, max(0.0, arrival - state.last_arrival)
    skip = 0
    if gap == math.inf:
        offset, anchor, measured = difference, (arrival, end), None
    else:
        skip = min(n, max(0, (state.next_index or 0) - chunk.index))
        offset = min(difference, state.offset + DRIFT * waited)
        anchor, measured = _measure_rate(state, arrival, end, broken=gap > 0.0 or waited > FRESH)
    renewed = gap > 0.0 or arrival - state.line_at > LINE
    after = ClockState(
        next_index=end if skip < n else state.next_index,
        line=chunk.stamp - chunk.index * interval if renewed else state.line,
        line_at=arrival if renewed else state.line_at,
        offset=offset,
        last_arrival=max(arrival, state.last_arrival),
        last_stamp=last_stamp if skip < n else state.last_stamp,
        anchor=anchor,
        rate=measured,
        fault=fault or state.fault,
        fault_at=arrival if fault else state.fault_at,
        gap_at=arrival if gap > 0.0 else state.gap_at,
    )
    return Clocked(chunk.stamp + offset, min(arrival, last_stamp + offset), interval, gap, skip, fault), after


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


def _measure_rate(
    state: ClockState, arrival: float, end: int, *, broken: bool
) -> tuple[tuple[float, int], float | None]:
    """Samples over seconds of arrival since the anchor; begun anew after a gap, and where the anchor is old."""
    at, index = state.anchor
    if broken:
        return (arrival, end), None
    span = arrival - at
    if span < RATE_LEAST:
        return state.anchor, state.rate
    return (arrival, end) if span >= 2 * RATE_LEAST else state.anchor, (end - index) / span
