"""The fast guard: what speaks against a cue at once, without waiting for the stager.

Arousal is suspected from the power at 16 to 40 Hz of three seconds over its running median of five minutes; movement
from the root mean square of a second. An arousal can only be *scored* three seconds later: so suspicion is enough here.
A sample that is no number counts as one at the limit of the amplifier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from sharpwave.live.filters import (
    FilterState,
    Sections,
    design_causal,
    design_resonator,
    settle_filter,
    step_filter,
)

BLOCK = 0.25
"""Seconds after which power is looked at anew."""
AROUSAL_BLOCKS = 12
SECOND = 4
"""Blocks in a second."""
BASELINE = 300
"""Seconds of the running medians."""
LEAST = 30
"""Seconds before a median is believed."""
LIMIT_SHARE = 0.98
"""From this share of the amplifier's limit on a sample counts as saturated."""


@dataclass(frozen=True)
class GuardState:
    """What the guard carries from chunk to chunk.

    Attributes:
        filters: State of each band; empty before the first sample.
        last: The sample before, in µV.
        repeats: Of the last second, whether each sample repeats the one before.
        limits: Of the last second, whether each sample is at a limit.
        seen: Samples so far.
        sums: Squares of each band since the block began, and their count.
        blocks: Mean squares of the last blocks.
        powers: Power at 16 to 40 Hz, one value a second, of the last five minutes.
        sizes: Mean square of the signal, likewise.
        medians: Of these two.
    """

    filters: tuple[FilterState, ...] = ()
    last: float = math.nan
    repeats: tuple[bool, ...] = ()
    limits: tuple[bool, ...] = ()
    seen: int = 0
    sums: tuple[float, float, float, int] = (0.0, 0.0, 0.0, 0)
    blocks: tuple[tuple[float, float, float], ...] = ()
    powers: tuple[float, ...] = ()
    sizes: tuple[float, ...] = ()
    medians: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Guard:
    """What the guard says; None where it does not know yet. The fields are those of `Estimates`."""

    arousal_ratio: float | None
    movement_ratio: float | None
    flat_share: float | None
    saturated_share: float | None
    mains_ratio: float | None


@lru_cache(maxsize=16)
def _design(rate: float, mains: float) -> tuple[Sections, Sections, Sections | None]:
    high = min(40.0, 0.45 * rate)
    fast = design_causal("bandpass", (16.0, high), order=2, rate=rate)
    broad = design_causal("bandpass", (0.5, min(30.0, 0.45 * rate)), order=2, rate=rate)
    line = design_resonator(mains, width=2.0, rate=rate) if mains < 0.48 * rate else None
    return fast, broad, line


def step_guard(
    state: GuardState, samples: list[float], *, rate: float, limit: float, mains: float
) -> tuple[Guard, GuardState]:
    """Take in samples and say what speaks against a cue.

    Args:
        state: State so far; `GuardState()` at first.
        samples: Samples of a chunk in µV, as they came; some may be no numbers.
        rate: Samples a second.
        limit: Amplitude at which the amplifier saturates, in µV.
        mains: Frequency of the mains in Hz; where the rate is too low to see it, its ratio is 0.

    Returns:
        What it says, and the state for the next chunk.

    >>> guard, _ = step_guard(GuardState(), [0.0] * 256, rate=256.0, limit=3000.0, mains=50.0)
    >>> guard.flat_share > 0.9, guard.saturated_share
    (True, 0.0)
    """
    second = round(rate)
    repeats, limits, filled, last = [], [], [], state.last
    for value in samples:
        known = math.isfinite(value)
        limits.append(not known or abs(value) >= LIMIT_SHARE * limit)
        repeats.append(value == last)
        last = value if known else last
        filled.append(max(-limit, min(limit, last)) if math.isfinite(last) else 0.0)
    repeats_kept = (state.repeats + tuple(repeats))[-second:]
    limits_kept = (state.limits + tuple(limits))[-second:]
    state = _measure_bands(state, filled, rate=rate, mains=mains)
    state = GuardState(
        state.filters,
        last,
        repeats_kept,
        limits_kept,
        state.seen,
        state.sums,
        state.blocks,
        state.powers,
        state.sizes,
        state.medians,
    )
    return _say(state), state


def _measure_bands(state: GuardState, samples: list[float], *, rate: float, mains: float) -> GuardState:
    """Mean squares of the bands in blocks of a quarter of a second, and each second their medians."""
    if not samples:
        return state
    bands = [band for band in _design(rate, mains) if band is not None]
    filters = state.filters or tuple(settle_filter(band, samples[0]) for band in bands)
    outs, kept = [], []
    for band, carried in zip(bands, filters, strict=True):
        out, carried = step_filter(band, carried, samples)
        outs.append(out)
        kept.append(carried)
    if len(outs) == 2:
        outs.append([0.0] * len(samples))
    fast, broad, line, count = state.sums
    blocks, powers, sizes, medians, seen = state.blocks, state.powers, state.sizes, state.medians, state.seen
    per_block = rate * BLOCK
    end = math.floor(seen / per_block + 1) * per_block
    for a, b, c in zip(*outs, strict=True):
        fast, broad, line, count, seen = fast + a * a, broad + b * b, line + c * c, count + 1, seen + 1
        if seen < end:
            continue
        end += per_block
        blocks = (*blocks[1 - AROUSAL_BLOCKS :], (fast / count, broad / count, line / count))
        fast = broad = line = 0.0
        count = 0
        if len(blocks) == AROUSAL_BLOCKS and round(seen / per_block) % SECOND == 0:
            powers = (*powers[1 - BASELINE :], _mean(blocks, 0, AROUSAL_BLOCKS))
            sizes = (*sizes[1 - BASELINE :], _mean(blocks, 1, SECOND))
            medians = (_median(powers), _median(sizes))
    return GuardState(
        tuple(kept),
        state.last,
        state.repeats,
        state.limits,
        seen,
        (fast, broad, line, count),
        blocks,
        powers,
        sizes,
        medians,
    )


def _say(state: GuardState) -> Guard:
    power, size = state.medians
    believed = len(state.powers) >= LEAST
    arousal = _mean(state.blocks, 0, AROUSAL_BLOCKS) / power if believed and power > 0 else None
    movement = math.sqrt(_mean(state.blocks, 1, SECOND) / size) if believed and size > 0 else None
    mains = None
    if len(state.blocks) >= SECOND:
        signal = _mean(state.blocks, 1, SECOND)
        mains = math.sqrt(_mean(state.blocks, 2, SECOND) / signal) if signal > 0 else 0.0
    flat = sum(state.repeats) / len(state.repeats) if state.repeats else None
    saturated = sum(state.limits) / len(state.limits) if state.limits else None
    return Guard(arousal, movement, flat, saturated, mains)


def _mean(blocks: tuple[tuple[float, float, float], ...], band: int, count: int) -> float:
    chosen = blocks[-count:]
    return sum([block[band] for block in chosen]) / len(chosen)


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
