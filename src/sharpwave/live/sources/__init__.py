"""Where samples come from: a simulated sleeper, a recording replayed, a stream of LSL, an amplifier through BrainFlow.

A source stamps its samples in its own clock and is asked what has arrived; it never waits, and never calls back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sharpwave.live.decision import Chunk


class Source(Protocol):
    """What every source can do.

    Attributes:
        name: What it is, for the audit and the page.
        rate: Sampling rate it declares, in Hz.
        channels: Name of each column of its chunks.
        paced: Whether it makes its own samples, so that it can run faster than the clock on the wall.
    """

    name: str
    rate: float
    channels: tuple[str, ...]
    paced: bool

    def pull(self, now: float) -> Sequence[Chunk]:
        """Everything that has arrived by now (loop time in seconds), oldest first; returns at once."""

    def next_arrival(self) -> float | None:
        """Loop time at which the next chunk arrives; None where only the world knows, infinity where nothing comes."""

    def hear(self, onset: float, level_db: float) -> None:
        """A sound of this level in dB(A) was given at this loop time; only a simulated sleeper hears it."""

    def close(self) -> None:
        """Let go of what it holds."""
