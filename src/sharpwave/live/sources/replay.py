"""A recording replayed as if it came now, at any speed: a night of yesterday through the loop of today."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk

if TYPE_CHECKING:
    from sharpwave.recordings.recording import Recording, Signal

BLOCK = 60.0
"""Seconds that are read from the recording at once."""


class ReplaySource:
    """Chunks of a recording at the times at which they would have come; the sleeper in it hears nothing.

    Args:
        recording: The recording.
        channels: Which of its channels, in the order of the protocol; None for the first EEG channel.
        rate: Sampling rate at which they are handed out, in Hz; None for that of the first channel.
        chunk: Samples in a chunk.
        latency: Time from the last sample of a chunk to its arrival, in seconds.

    Raises:
        SharpwaveError: If a channel is missing, or sampled at irregular times.

    >>> from sharpwave.simulation import simulate_night
    >>> night, _ = simulate_night("human", 0.2, rng=np.random.default_rng(0), modalities=("eeg",))
    >>> source = ReplaySource(night, ("C4-M1",))
    >>> source.pull(0.05)[0].samples.shape, source.rate
    ((8, 1), 256.0)
    """

    paced = True

    def __init__(
        self,
        recording: Recording,
        channels: Sequence[str] | None = None,
        *,
        rate: float | None = None,
        chunk: int = 8,
        latency: float = 0.01,
    ) -> None:
        names = list(channels or list(recording.of("eeg"))[:1])
        missing = [name for name in names if name not in recording.signals]
        if missing or not names:
            raise SharpwaveError(
                f"a recording with the channels {', '.join(names) or 'of an EEG'}",
                got=f"{', '.join(recording.signals) or 'none'}",
                fix="name its channels in the protocol, in the order in which they are wanted",
            )
        self._signals = [recording.signals[name] for name in names]
        if any(signal.times is not None or signal.samples.ndim != 1 for signal in self._signals):
            raise SharpwaveError("channels sampled at a steady rate", got="irregular times", fix="name other channels")
        self.name, self.channels = f"replay of {recording.subject or 'a recording'}", tuple(names)
        self.rate = rate or self._signals[0].rate
        self._chunk, self._latency, self._index = chunk, latency, 0
        self._start = max(signal.start for signal in self._signals)
        self._n = int((min(signal.end for signal in self._signals) - self._start) * self.rate)
        self._block, self._first = np.empty((0, len(names)), np.float32), 0

    def next_arrival(self) -> float | None:
        """When the next chunk comes, in loop time; infinity after the end."""
        if self._index >= self._n:
            return float("inf")
        return min(self._index + self._chunk, self._n) / self.rate + self._latency

    def pull(self, now: float) -> list[Chunk]:
        """All chunks that have arrived by now (loop time in seconds)."""
        found = []
        while (arrival := self.next_arrival()) is not None and arrival <= now:
            n = min(self._chunk, self._n - self._index)
            found.append(Chunk(self._read(n), self._index, self._index / self.rate, arrival))
            self._index += n
        return found

    def hear(self, onset: float, level_db: float) -> None:
        """The recording is of another night: nobody hears."""

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, n: int) -> np.ndarray:
        if self._index + n > self._first + len(self._block):
            self._first = self._index
            length = min(max(round(BLOCK * self.rate), n), self._n - self._index)
            self._block = np.stack([self._resample(signal, length) for signal in self._signals], axis=1)
        low = self._index - self._first
        return np.ascontiguousarray(self._block[low : low + n])

    def _resample(self, signal: Signal, length: int) -> np.ndarray:
        start = self._start + self._first / self.rate
        if signal.rate == self.rate:
            values = signal.read(start, start + length / self.rate + 1 / self.rate)[:length]
        else:
            wanted = start + np.arange(length) / self.rate
            low = max(start - 1.0, signal.start)
            read = signal.read(low, wanted[-1] + 1.0).astype(float)
            values = np.interp(wanted, np.ceil((low - signal.start) * signal.rate - 1e-6) / signal.rate
                               + signal.start + np.arange(len(read)) / signal.rate, read)  # fmt: skip
        return np.asarray(values, dtype=np.float32)


def open_replay(path: str | Path, channels: Sequence[str] | None = None, *, rate: float | None = None) -> ReplaySource:
    """A recording of any format that can be read, replayed.

    Args:
        path: The file or the store.
        channels: Channels in the order of the protocol; None for the first EEG channel.
        rate: Sampling rate at which they are handed out, in Hz; None for that of the file.

    Raises:
        SharpwaveError: If it cannot be read or lacks a channel.
    """
    from sharpwave.recordings import read_recording

    return ReplaySource(read_recording(path), channels, rate=rate)
