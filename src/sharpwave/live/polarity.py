"""Which way up the signal is, measured in N3: the sharp half of slow waves is the down-state.

Between 0.5 and 4 Hz the down-state is deeper than the up-state is high, so the skewness of deep sleep is negative where
the positive half is the up-state. It is taken over blocks of 30 s in which the stager says N3 at both ends. The sign is
told once the mean of at least `LEAST` blocks is `CLEAR` from zero and `ERRORS` standard errors away from it; else it
stays unknown, and nothing is armed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sharpwave.live.decision import STAGES, StageResult
from sharpwave.live.phase import GRID, TAPS

Polarity = Literal["as declared", "inverted", "unknown"]
BLOCK = 30.0
LEAST = 6
CLEAR = 0.1
"""Least mean skewness."""
ERRORS = 3.0
"""Least distance from zero in standard errors."""
MOST = 1.5
"""Skewness of a block is cut here: an artefact must not decide."""
DEEP = 0.5
"""Least probability of N3."""
FRESH = 40.0
"""Oldest stage result in seconds that says what sleep a block was."""
WIDTH = 97
"""Values of the linear-phase band, 3 s."""


@dataclass(frozen=True)
class PolarityState:
    """What is carried from chunk to chunk.

    Attributes:
        sums: Count, sum, sum of squares and of cubes of the block.
        deep: Whether the block began in N3.
        skews: Count, sum and sum of squares of the skewness of blocks of N3.
        stage: Loop time of the last stage result that was heard, and whether it said N3.
    """

    sums: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)
    deep: bool = False
    skews: tuple[int, float, float] = (0, 0.0, 0.0)
    stage: tuple[float, bool] = (-math.inf, False)


@lru_cache(maxsize=1)
def _design_band() -> tuple[float, ...]:
    from scipy.signal import firwin

    taps = firwin(WIDTH, (0.5, 4.0), pass_zero=False, fs=GRID)
    return tuple(float(f"{one:.12g}") for one in taps)


def note_stages(state: PolarityState, stages: Sequence[StageResult]) -> PolarityState:
    """Take in what the stager said.

    Args:
        state: State so far.
        stages: Results that have come since the last step.

    >>> note_stages(PolarityState(), [StageResult(31.0, 30.0, (0.0, 0.0, 0.1, 0.9, 0.0))]).stage
    (30.0, True)
    """
    if not stages:
        return state
    last = stages[-1]
    said = last.probabilities[STAGES.index("N3")]
    return PolarityState(state.sums, state.deep, state.skews, (last.heard_until, said >= DEEP))


def step_polarity(state: PolarityState, past: list[float], n_new: int, *, until: float) -> PolarityState:
    """Take in new values of the grid of 32 Hz.

    Args:
        state: State so far; `PolarityState()` at first.
        past: The last values of the grid, the new ones at the end.
        n_new: How many are new.
        until: Loop time of the last, in seconds.

    >>> step_polarity(PolarityState(), [0.0] * 128, 1, until=4.0).sums[0]
    1
    """
    count, first, second, third = state.sums
    deep, skews, taps = state.deep, state.skews, _design_band()
    for end in range(len(past) - n_new + 1, len(past) + 1):
        if end < TAPS:
            continue
        value = math.fsum([a * b for a, b in zip(taps, past[end - WIDTH : end], strict=True)])
        if count == 0:
            deep = _is_deep(state, until)
        count, first, second, third = count + 1, first + value, second + value * value, third + value * value * value
        if count >= BLOCK * GRID:
            if deep and _is_deep(state, until):
                skews = _add(skews, _compute_skewness(count, first, second, third))
            count, first, second, third = 0, 0.0, 0.0, 0.0
    return PolarityState((count, first, second, third), deep, skews, state.stage)


def tell_polarity(state: PolarityState) -> Polarity:
    """What minutes of N3 have said.

    Args:
        state: State so far.

    >>> tell_polarity(PolarityState(skews=(8, -3.2, 1.4))), tell_polarity(PolarityState(skews=(8, -0.2, 1.4)))
    ('as declared', 'unknown')
    """
    count, total, squares = state.skews
    if count < LEAST:
        return "unknown"
    mean = total / count
    error = math.sqrt(max(squares / count - mean * mean, 0.0) / (count - 1))
    if abs(mean) < max(CLEAR, ERRORS * error):
        return "unknown"
    return "as declared" if mean < 0 else "inverted"


def _is_deep(state: PolarityState, now: float) -> bool:
    heard, said = state.stage
    return said and now - heard <= FRESH


def _compute_skewness(count: int, first: float, second: float, third: float) -> float:
    mean = first / count
    variance = second / count - mean * mean
    if not variance > 0:
        return 0.0
    return (third / count - 3 * mean * second / count + 2 * mean**3) / variance**1.5


def _add(skews: tuple[int, float, float], skewness: float) -> tuple[int, float, float]:
    cut = max(-MOST, min(MOST, skewness))
    return skews[0] + 1, skews[1] + cut, skews[2] + cut * cut
