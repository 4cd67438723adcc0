"""A simulated night as a source: a sleeper who answers, in the clock of an amplifier that is not that of the loop."""

from __future__ import annotations

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk, StageResult
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

    def end(self) -> None:
        """The night ends here: nothing comes any more."""
        self._end = self._index

    def close(self) -> None:
        """Nothing is held."""

    def _draw_arrival(self) -> None:
        taken = (self._index + self._chunk) / self.rate
        self._arrival = max(self._arrival, taken + self._latency + float(self._rng.exponential(self._jitter)))


class SimulatedStager:
    """Stages of a simulated sleeper as a stager would tell them: late, never certain, now and then wrong.

    Args:
        source: The night.
        rng: Random generator.
        every: Time between two results, in seconds.
        late: Time from the last sample that a result was made from to the result, in seconds.
        wrong: Share of results that name another stage.

    >>> source = SimulatedSource(rng=np.random.default_rng(0), asleep_after=0.0)
    >>> stager = SimulatedStager(source, rng=np.random.default_rng(1), wrong=0.0)
    >>> for second in range(40):
    ...     for chunk in source.pull(float(second)):
    ...         stager.offer(chunk, float(second))
    >>> stager.poll(40.0)[-1].probabilities[2] > 0.8
    True
    """

    def __init__(
        self, source: SimulatedSource, *, rng: np.random.Generator, every: float = 5.0, late: float = 0.3,
        wrong: float = 0.01,
    ) -> None:  # fmt: skip
        self._source, self._rng, self._every, self._late, self._wrong = source, rng, every, late, wrong
        self._until, self._last, self._made = 0.0, 0.0, 0.0

    def offer(self, chunk: Chunk, until: float) -> None:
        """Samples up to this loop time have come."""
        self._until = max(self._until, until)

    def poll(self, now: float) -> tuple[StageResult, ...]:
        """A result, where its time has come: of the stage that most of the last 30 s had."""
        heard = self._until
        if heard < 30.0 or heard - self._last < self._every or now < heard + self._late - self._every / 2:
            return ()
        self._last = heard
        stages = self._source.truth.stages[max(int(heard) - 30, 0) : int(heard)]
        counts = np.bincount(stages, minlength=5)[:5] / len(stages)
        if self._rng.random() < self._wrong:
            counts = np.roll(counts, 1)
        soft = 0.94 * counts + 0.012 + 0.001 * self._rng.random(5)
        first, second, third, fourth, fifth = (float(one) for one in soft / soft.sum())
        return (StageResult(max(now, heard), heard, (first, second, third, fourth, fifth)),)

    def close(self) -> None:
        """Nothing is held."""
