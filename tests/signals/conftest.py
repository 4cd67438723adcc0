"""Small signals with something planted."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.recordings import MODALITIES, Signal

RATE = 128.0


def make_noise(n: int, *, rng: np.random.Generator, rate: float = RATE, slope: float = 1.0) -> np.ndarray:
    """1/f noise of unit standard deviation."""
    spectrum = np.fft.rfft(rng.standard_normal(n)) * np.maximum(np.fft.rfftfreq(n, 1 / rate), 0.3) ** -slope
    noise = np.fft.irfft(spectrum, n)
    return noise / noise.std()


def make_eeg(samples_uv: np.ndarray, *, rate: float = RATE, start: float = 0.0, modality: str = "eeg") -> Signal:
    return Signal("C4-M1", samples_uv.astype(np.float32), rate, MODALITIES[modality], start=start, scale=1e-6)


@pytest.fixture
def sleep_uv(rng: np.random.Generator) -> np.ndarray:
    """25 min of noise with a 13 Hz spindle every 15 s and slow waves in the last third, in µV at 128 Hz."""
    clock = np.arange(int(1500 * RATE)) / RATE
    spindles = 30 * np.exp(-(((clock % 15) - 7.5) ** 2) / 0.15) * np.sin(2 * np.pi * 13.3 * clock)
    slow = np.where(clock > 1000, 70 * np.sin(2 * np.pi * 0.8 * clock + np.sin(clock / 5)), 0)
    return 12 * make_noise(clock.size, rng=rng) + spindles + slow
