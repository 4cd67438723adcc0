"""Long simulated nights on disk, written piece by piece, for the benchmarks of speed and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CHANNELS = ("eeg", "eog", "emg")
PIECE_SECONDS = 3600.0


def write_night(path: Path, *, hours: float, rate: float, rng: np.random.Generator) -> Path:
    """A night of EEG, EOG and EMG as a NumPy array (channel, time) of float32 in µV.

    Args:
        path: File to write.
        hours: Length.
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
