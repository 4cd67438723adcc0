"""The short-time spectrum of a signal at any rate, in bands given in Hz: the fixed first layer of the 1-D CNN.

Each frame is a Hann-windowed product with Fourier kernels (a convolution whose weights are known), so that a signal at
50 Hz and one at 1 kHz come out in the same bands. Bands that a rate cannot carry are left out and flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.windows import Grid
from sharpwave.recordings.recording import Signal

NYQUIST_SHARE = 0.9
LEAST_WEIGHT = 1e-6
READ_STEPS = 60


@dataclass(frozen=True)
class Frames:
    """How a signal is cut into frames.

    Attributes:
        low: Centre of the lowest band in Hz.
        high: Centre of the highest band in Hz.
        n_bands: Bands, evenly spaced on the logarithm of frequency.
        window: Length of a frame in seconds.
        hop: From frame to frame in seconds.
        unit: Factor from the modality's unit to that in which power is expressed (1e6: µV).
    """

    low: float
    high: float
    n_bands: int = 24
    window: float = 2.0
    hop: float = 1.0
    unit: float = 1e6

    @property
    def centres(self) -> Float[np.ndarray, " band"]:
        return np.geomspace(self.low, self.high, self.n_bands)

    def count(self, step: float) -> int:
        """Frames in a step of `step` seconds."""
        return max(1, int((step - self.window) / self.hop + 1e-6) + 1)


@lru_cache(maxsize=64)
def _make_bands(frames: Frames, length: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each Fourier bin in each band (bin, band) up to the last bin that counts, and which bands exist."""
    bins = np.fft.rfftfreq(length, 1 / rate)
    centres = frames.centres
    spread = np.maximum(centres * 0.5 * np.log(centres[1] / centres[0]), 0.5 / (length / rate))
    weights = np.exp(-0.5 * ((bins[:, None] - centres) / spread) ** 2)
    weights[0] = 0
    weights /= np.maximum(weights.sum(axis=0), 1e-9)
    carried = centres < NYQUIST_SHARE * rate / 2
    n_bins = int(np.flatnonzero(np.r_[True, (weights > LEAST_WEIGHT).any(axis=1)])[-1])
    return (weights * carried)[:n_bins].astype(np.float32), carried


def compute_frames(
    samples: Float[np.ndarray, "step sample"], rate: float, frames: Frames
) -> Float[np.ndarray, "step frame band"]:
    """Log10 power density per frame and band (unit²/Hz), about centred; 0 in bands that the rate cannot carry."""
    from scipy.fft import rfft

    length = min(round(frames.window * rate), samples.shape[1])
    hop = max(1, round(frames.hop * rate))
    window = np.hanning(length).astype(np.float32)
    weights, carried = _make_bands(frames, length, rate)
    cut = np.lib.stride_tricks.sliding_window_view(samples, length, axis=1)[:, ::hop]
    cut = cut - cut.mean(axis=2, keepdims=True)
    cut *= window
    spectrum = rfft(cut, axis=2, overwrite_x=True)[..., : len(weights)]
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    density = power @ (weights * np.float32(2 / (rate * (window**2).sum())))
    density += np.float32(1e-8)
    return np.log10(density, out=density) * carried.astype(np.float32)


def cut_signal(signal: Signal, grid: Grid, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Frames (step, frame, band) of a one-channel signal and which steps are whole and finite (step,)."""
    n_samples = int(grid.step * signal.rate + 1e-6)
    n_frames = frames.count(grid.step)
    values = np.zeros((len(grid), n_frames, frames.n_bands), dtype=np.float32)
    present = np.zeros(len(grid), dtype=bool)
    for first in range(0, len(grid), READ_STEPS):
        last = min(first + READ_STEPS, len(grid))
        steps = _read_steps(signal, grid.restrict(first, last), n_samples)
        least, most = steps.min(axis=1), steps.max(axis=1)  # NaN where any sample is
        whole = np.isfinite(least) & np.isfinite(most) & (most > least)
        if whole.any():
            cut = compute_frames(steps[whole] * np.float32(frames.unit), signal.rate, frames)
            values[first:last][whole, : cut.shape[1]] = cut[:, :n_frames]
        present[first:last] = whole
    return values, present


def _read_steps(signal: Signal, grid: Grid, n_samples: int) -> np.ndarray:
    """Samples of each step (step, sample); NaN where there are none. A step starts at the first sample at or after."""
    if signal.times is not None:
        return _read_irregular(signal, signal.times, grid, n_samples)
    low = np.ceil((grid.start + grid.step * np.arange(len(grid)) - signal.start) * signal.rate - 1e-6).astype(int)
    first, last = max(int(low[0]), 0), min(int(low[-1]) + n_samples, len(signal))
    steps = np.full((len(grid), n_samples), np.nan, dtype=np.float32)
    if last <= first:
        return steps
    samples = signal.read(signal.start + first / signal.rate, signal.start + last / signal.rate)
    for row, begin in enumerate(low - first):
        if begin >= 0 and begin + n_samples <= len(samples):
            steps[row] = samples[begin : begin + n_samples]
    return steps


def _read_irregular(signal: Signal, clock: np.ndarray, grid: Grid, n_samples: int) -> np.ndarray:
    """The same from samples at irregular times, interpolated within the step; NaN where two are missing or more."""
    steps = np.full((len(grid), n_samples), np.nan, dtype=np.float32)
    for row, begin in enumerate(grid.start + grid.step * np.arange(len(grid))):
        low, high = np.searchsorted(clock, [begin, begin + grid.step])
        times = clock[low:high]
        edges = np.r_[begin, times, begin + grid.step]
        if len(times) and np.diff(edges).max() * signal.rate < 3:
            samples = signal.read(begin, begin + grid.step)
            steps[row] = np.interp(begin + np.arange(n_samples) / signal.rate, times, samples)
    return steps
