"""Spindles and ripples online: a burst in a band against its own running mean, and against the rest of the signal.

A burst begins once the root mean square of the band, over a short window, has stayed above `times` its running mean for
`hold` seconds with at least `share` of the broad band; it ends below `end` times that. What this costs is delay: a
spindle is told some 0.7 s after experts would say it began, so `onset` says when it did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sharpwave.live.filters import FilterState, design_causal, settle_filter, step_filter

TINY = 1e-6
"""Power in µV² below which there is none."""
SETTLED = 10.0
"""Seconds before the running mean is believed."""


@dataclass(frozen=True)
class BurstSettings:
    """What counts as a burst.

    Attributes:
        band: Edges of its band in Hz.
        broad: Edges in Hz of what it is held against.
        window: Seconds of the moving mean square, by an exponential window.
        memory: Seconds of the running mean.
        times: Root mean square over that of the running mean from which a burst begins.
        share: Least root mean square over that of the broad band.
        least: Least root mean square in µV.
        end: Share of the threshold below which it ends.
        hold: Seconds above the threshold before it is told.
        pause: Least seconds between two.
        is_geometric: Whether the running mean is of the logarithm, so that bursts themselves hardly raise it.
        delay: Seconds from the onset that experts or truth give to the moment it is told, at the median.
    """

    band: tuple[float, float]
    broad: tuple[float, float]
    window: float
    memory: float
    times: float
    share: float
    least: float
    end: float
    hold: float
    pause: float
    is_geometric: bool
    delay: float


SPINDLES = BurstSettings((11.0, 16.0), (2.0, 30.0), 0.1, 60.0, 1.5, 0.5, 2.0, 0.6, 0.2, 0.5, False, 0.66)
"""Chosen on DREAMS, each person by the others: all four chose the same."""
RIPPLES = BurstSettings((150.0, 250.0), (2.0, 300.0), 0.02, 60.0, 3.0, 0.0, 0.0, 0.5, 0.0, 0.03, True, 0.0)
"""For the hippocampus of rodents; chosen on simulated nights."""


@dataclass(frozen=True)
class BurstState:
    """What is carried from chunk to chunk.

    Attributes:
        filters: State of the two bands; empty before the first sample.
        power: Moving mean square of the band.
        broad: Moving mean square of the broad band.
        mean: Running mean square of the band, or running mean of its logarithm.
        seen: Samples so far.
        above: Samples since it rose above the threshold.
        since: Samples since the last burst ended.
        active: Whether one is under way.
        told: Sample at which the last one was told; None before any.
    """

    filters: tuple[FilterState, ...] = ()
    power: float = 0.0
    broad: float = 0.0
    mean: float = 0.0
    seen: int = 0
    above: int = 0
    since: int = 1 << 30
    active: bool = False
    told: int | None = None


def can_see(settings: BurstSettings, rate: float) -> bool:
    """Whether the rate is high enough for the band.

    Args:
        settings: What counts as a burst.
        rate: Samples a second.

    >>> can_see(SPINDLES, 256.0), can_see(RIPPLES, 256.0)
    (True, False)
    """
    return rate > 2.2 * settings.band[1]


def step_bursts(
    settings: BurstSettings, state: BurstState, samples: list[float], *, rate: float
) -> tuple[bool | None, BurstState]:
    """Take in samples and say whether a burst is under way.

    Args:
        settings: `SPINDLES`, `RIPPLES` or your own.
        state: State so far; `BurstState()` at first and after a gap.
        samples: Samples of a chunk in µV, all of them numbers.
        rate: Samples a second.

    Returns:
        Whether one is under way, None where the rate is too low or the mean is not yet known; and the state.

    >>> step_bursts(SPINDLES, BurstState(), [0.0] * 256, rate=256.0)[0] is None
    True
    """
    if not can_see(settings, rate) or not samples:
        return None, state
    edges = (settings.broad[0], min(settings.broad[1], 0.45 * rate))
    bands = tuple(design_causal("bandpass", each, order=2, rate=rate) for each in (settings.band, edges))
    filters = state.filters or tuple(settle_filter(band, samples[0]) for band in bands)
    narrow, first = step_filter(bands[0], filters[0], samples)
    wide, second = step_filter(bands[1], filters[1], samples)
    window, slow = math.exp(-1.0 / (settings.window * rate)), settings.memory * rate
    threshold, lower = settings.times**2, (settings.times * settings.end) ** 2
    share, least, geometric = settings.share**2, settings.least**2, settings.is_geometric
    hold, pause, settled = settings.hold * rate, settings.pause * rate, SETTLED * rate
    power, broad, mean, seen = state.power, state.broad, state.mean, state.seen
    above, since, active, told = state.above, state.since, state.active, state.told
    for a, b in zip(narrow, wide, strict=True):
        square = a * a
        power = square + window * (power - square)
        square_wide = b * b
        broad = square_wide + window * (broad - square_wide)
        seen += 1
        value = math.log(power + TINY) if geometric else square
        mean += (value - mean) / min(seen, slow)
        level = math.exp(mean) if geometric else mean
        if active:
            if power < lower * level:
                active, since, above = False, 0, 0
            continue
        since += 1
        above = above + 1 if power > max(threshold * level, share * broad, least) else 0
        if above > hold and since >= pause and seen > settled:
            active, told = True, seen
    state = BurstState((first, second), power, broad, mean, seen, above, since, active, told)
    return (active if seen > settled else None), state
