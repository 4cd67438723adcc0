"""A simulated night as a source: a sleeper who answers, in the clock of an amplifier that is not that of the loop."""

from __future__ import annotations

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk
from sharpwave.live.sources.sleeper import Response, Sleeper, Truth

KINDS = {"C4-M1": "eeg", "F4-M1": "eeg", "C3-M2": "eeg", "LOC-M2": "eog", "ROC-M2": "eog", "EMG chin": "emg"}
"""Channels that can be simulated, and what each is."""


class SimulatedSource:
    """A sleeper behind an amplifier: chunks come late by a little, stamped in another clock that drifts.

    Args:
        channels: Any of `KINDS`, in the order of the protocol.
        rng: Random generator; the same seed and the same sounds give the same night.
        rate: Sampling rate in Hz.
        chunk: Samples in a chunk.
        hours: Length of the night in hours; nothing comes after it.
        latency: Time from the last sample of a chunk to its arrival, in seconds.
        jitter: Mean of what each arrival is late besides, in seconds.
        drift: By how much the amplifier's clock is fast, as a share.
        asleep_after: Time until the sleeper falls asleep, in seconds; 0 starts in N2.
        response: How the sleeper answers sounds.

    >>> source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0))
    >>> chunk, = source.pull(source.next_arrival())
    >>> chunk.samples.shape, chunk.index, 0.03 < chunk.arrival < 0.1
    ((8, 1), 0, True)
    """

    paced = True

    def __init__(
        self,
        channels: tuple[str, ...] = ("C4-M1", "LOC-M2", "EMG chin"),
        *,
        rng: np.random.Generator,
        rate: float = 256.0,
        chunk: int = 8,
        hours: float = 8.0,
        latency: float = 0.01,
        jitter: float = 0.002,
        drift: float = 2e-5,
        asleep_after: float = 300.0,
        response: Response | None = None,
    ) -> None:
        unknown = [name for name in channels if name not in KINDS]
        if unknown:
            raise SharpwaveError(f"channels among {', '.join(KINDS)}", got=", ".join(unknown), fix="name one of these")
        sleeping, self._rng = rng.spawn(2)
        self.name, self.rate, self.channels = "simulate", rate, tuple(channels)
        kinds = tuple(KINDS[name] for name in channels)
        self.sleeper = Sleeper(kinds, rng=sleeping, rate=rate, asleep_after=asleep_after, response=response)
        self._chunk, self._latency, self._jitter, self._drift = chunk, latency, jitter, drift
        self._end, self._index, self._origin = round(hours * 3600 * rate), 0, 40_000.0
        self._arrival = 0.0
        self._draw_arrival()

    @property
    def truth(self) -> Truth:
        """What was really there."""
        return self.sleeper.truth

    def next_arrival(self) -> float | None:
        """When the next chunk comes, in loop time; infinity after the night."""
        return self._arrival if self._index < self._end else float("inf")

    def pull(self, now: float) -> list[Chunk]:
        """All chunks that have arrived by now (loop time in seconds)."""
        found = []
        while self._index < self._end and self._arrival <= now:
            n = min(self._chunk, self._end - self._index)
            stamp = self._origin + self._index / self.rate * (1 + self._drift)
            found.append(Chunk(self.sleeper.make(n), self._index, stamp, self._arrival))
            self._index += n
            self._draw_arrival()
        return found

    def hear(self, onset: float, level_db: float) -> None:
        """A sound reaches the sleeper at this loop time."""
        self.sleeper.hear(onset, level_db)

    def close(self) -> None:
        """Nothing is held."""

    def _draw_arrival(self) -> None:
        taken = (self._index + self._chunk) / self.rate
        self._arrival = max(self._arrival, taken + self._latency + float(self._rng.exponential(self._jitter)))
