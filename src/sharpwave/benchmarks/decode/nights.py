"""Long simulated nights on disk, written piece by piece, for the benchmarks of speed and memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sharpwave.recordings import MODALITIES, Recording, Signal, write_store
from sharpwave.recordings.sliced import Sliced

CHANNELS = ("eeg", "eog", "emg")
PIECE_SECONDS = 3600.0

STORE_RATE = 256
"""Sampling rate in Hz of long stores."""
STEP_UV = 0.1
"""Resolution of long stores, in µV."""
DECODED = {"C4-M1": "eeg", "LOC-M2": "eog", "ROC-M1": "eog", "EMG chin": "emg"}
"""Channels of a long store that get decoded: a simulated hour again and again."""
FILLING_SECONDS = 4
"""Length of what every other channel of a long store repeats."""


@dataclass(frozen=True)
class Repeated(Sliced):
    """Samples that come again and again, as an array that is never held whole.

    Attributes:
        samples: Shape (time,), int16.
        length: Samples in all.
    """

    samples: np.ndarray
    length: int

    @property
    def shape(self) -> tuple[int]:
        return (self.length,)

    @property
    def dtype(self) -> np.dtype:
        return self.samples.dtype

    def _take(self, low: int, high: int) -> np.ndarray:
        first = low % self.samples.size
        return np.resize(np.roll(self.samples, -first), high - low)


def write_night(path: Path, *, hours: float, rate: float, rng: np.random.Generator) -> Path:
    """A night of EEG, EOG and EMG as a NumPy array (channel, time) of float32 in µV.

    Args:
        path: File to write.
        hours: Length, in h.
        rate: Sampling rate in Hz.
        rng: Random generator.

    Returns:
        The path.
    """
    n_times = round(hours * 3600 * rate)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(len(CHANNELS), n_times))
    step = round(PIECE_SECONDS * rate)
    for first in range(0, n_times, step):
        clock = np.arange(first, min(first + step, n_times)) / rate
        for row, kind in enumerate(CHANNELS):
            array[row, first : first + clock.size] = make_signal(kind, clock, rate=rate, rng=rng)
    array.flush()
    return path


def make_signal(kind: str, clock: np.ndarray, *, rate: float, rng: np.random.Generator) -> np.ndarray:
    """1/f noise that waxes and wanes over 90 min; in the EEG with slow waves and spindles when it is deep, in µV.

    Args:
        kind: One of `CHANNELS`.
        clock: Times in s, shape (time,).
        rate: Sampling rate in Hz.
        rng: Random generator.

    Returns:
        Shape (time,).
    """
    slope, amplitude = {"eeg": (1.0, 15.0), "eog": (1.2, 25.0), "emg": (0.0, 10.0)}[kind]
    cycle = np.sin(2 * np.pi * clock / 5400)
    spectrum = np.fft.rfft(rng.standard_normal(clock.size))
    spectrum *= np.maximum(np.fft.rfftfreq(clock.size, 1 / rate), 0.2) ** -slope
    noise = np.fft.irfft(spectrum, clock.size)
    signal = noise * (amplitude / noise.std()) * (1 + 0.4 * cycle)
    if kind == "eeg":
        signal += 55 * np.clip(cycle, 0, None) * np.sin(2 * np.pi * 0.8 * clock + 3 * np.sin(clock / 7))
        bumps = np.clip(np.sin(2 * np.pi * clock / 9), 0, None) ** 30
        signal += 25 * (cycle > -0.5) * bumps * np.sin(2 * np.pi * 13.3 * clock)
    return signal


def write_long_store(path: Path, *, hours: float, n_channels: int) -> Path:
    """A store of EEG, EOG and EMG channels, written piece by piece.

    Args:
        path: Folder of the store to write.
        hours: Length, in h.
        n_channels: At least four; beyond those it is more EEG.

    Returns:
        The path.
    """
    rng = np.random.default_rng(0)
    clock = np.arange(3600 * STORE_RATE) / STORE_RATE
    hour = {
        kind: np.round(make_signal(kind, clock, rate=STORE_RATE, rng=rng) / STEP_UV).astype(np.int16)
        for kind in ("eeg", "eog", "emg")
    }
    length = round(hours * 3600 * STORE_RATE)
    samples = {name: np.roll(hour[kind], 997 * index) for index, (name, kind) in enumerate(DECODED.items())}
    samples |= {
        f"EEG {index}": hour["eeg"][: FILLING_SECONDS * STORE_RATE] for index in range(n_channels - len(DECODED))
    }
    signals = {
        name: Signal(
            name, Repeated(values, length), STORE_RATE, MODALITIES[DECODED.get(name, "eeg")], scale=STEP_UV * 1e-6
        )
        for name, values in samples.items()
    }
    return write_store(Recording(signals, species="human", source="simulated"), path)
