"""Features of one EEG channel for staging, all below 20 Hz, so that a recording sampled at 50 Hz has them too.

Each epoch's features depend on that epoch alone: computing a night piece by piece gives the same numbers. Amplitude
enters only relative to the night, because many files do not say their unit.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.recording import Signal

EPOCH = 30.0
RATE = 50.0
MINIMUM_RATE = 45.0
"""Lowest sampling rate (Hz) at which the band up to 20 Hz is there with a filter's margin."""

BANDS = {
    "slow": (0.4, 1.0),
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 11.0),
    "sigma": (11.0, 16.0),
    "beta": (16.0, 20.0),
}
_WINDOW = 5.0
_CHUNK_EPOCHS = 120
_MARGIN = 2.0


def compute_eeg_features(
    signal: Signal, *, n_epochs: int | None = None, start: float | None = None
) -> Float[np.ndarray, "epoch feature"]:
    """Spectral features of each 30 s epoch of one channel; NaN where the epoch is absent or flat.

    Args:
        signal: One EEG channel at 45 Hz or more; its amplitude unit does not matter.
        n_epochs: Number of epochs to compute; all whole ones where omitted.
        start: Time of the first epoch in seconds; the signal's start where omitted.

    Returns:
        One row per epoch, one column per name in `FEATURES`.
    """
    start = signal.start if start is None else start
    if n_epochs is None:
        n_epochs = int((signal.end - start) / EPOCH + 1e-6)
    rows = [
        _compute_piece(signal, start + EPOCH * first, min(_CHUNK_EPOCHS, n_epochs - first))
        for first in range(0, n_epochs, _CHUNK_EPOCHS)
    ]
    return np.concatenate(rows) if rows else np.empty((0, len(FEATURES)))


def _compute_piece(signal: Signal, start: float, n_epochs: int) -> np.ndarray:
    length = round(EPOCH * RATE)
    features = np.full((n_epochs, len(FEATURES)), np.nan)
    for index in range(n_epochs):
        low = start + EPOCH * index
        samples = signal.read(low - _MARGIN, low + EPOCH + _MARGIN)
        before = low - max(low - _MARGIN, signal.start)
        if not np.isfinite(samples).all():
            samples = signal.read(low, low + EPOCH)
            before = 0.0
        inside = samples[round(before * signal.rate) :][: round(EPOCH * signal.rate)]
        epoch = _resample(samples, signal.rate)[round(before * RATE) :][:length]
        if len(epoch) == length and np.isfinite(epoch).all() and np.ptp(inside) > 0:
            features[index] = _compute_epoch(epoch)
    return features


def _resample(samples: np.ndarray, rate: float) -> np.ndarray:
    from scipy.signal import resample_poly

    if abs(rate - RATE) < 1e-6:
        return samples
    ratio = Fraction(RATE / rate).limit_denominator(1000)
    low_pass = _design_low_pass(max(ratio.numerator, ratio.denominator)).astype(samples.dtype)
    return resample_poly(samples, ratio.numerator, ratio.denominator, window=low_pass)


@lru_cache(maxsize=8)
def _design_low_pass(factor: int) -> Float[np.ndarray, " tap"]:
    """The filter that `resample_poly` would design for itself in every epoch."""
    from scipy.signal import firwin

    return np.asarray(firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0)))


def _compute_epoch(epoch: np.ndarray) -> np.ndarray:
    size = round(_WINDOW * RATE)
    windows = np.lib.stride_tricks.sliding_window_view(epoch, size)[:: size // 2]
    windows = (windows - windows.mean(axis=1, keepdims=True)) * np.hanning(size)
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2 + 1e-30
    broad = (frequencies >= 0.4) & (frequencies <= 20.0)
    typical = np.median(power, axis=0)
    total = typical[broad].sum()
    shares, spreads, peaks = [], [], []
    window_total = power[:, broad].sum(axis=1)
    for low, high in BANDS.values():
        inside = (frequencies >= low) & (frequencies < high)
        shares.append(np.log(typical[inside].sum() / total))
        by_window = np.log(power[:, inside].sum(axis=1))
        spreads.append(by_window.std())
        peaks.append((by_window - np.log(window_total)).max())
    density = typical[broad] / total
    at = frequencies[broad]
    steep = (at >= 2.0) & (at <= 20.0)
    slope, level = np.polyfit(np.log(at[steep]), np.log(density[steep]), 1)
    bump = np.log(density[steep]) - (slope * np.log(at[steep]) + level)
    alpha = bump[(at[steep] >= 8) & (at[steep] < 11)].max()
    sigma = bump[(at[steep] >= 11) & (at[steep] < 16)].max()
    entropy = -(density * np.log(density)).sum() / np.log(density.size)
    mobility = np.sqrt((density * at**2).sum())
    complexity = np.sqrt((density * at**4).sum()) / mobility**2
    centred = epoch - epoch.mean()
    kurtosis = np.log1p((centred**4).mean() / (centred**2).mean() ** 2)
    edge = at[np.searchsorted(np.cumsum(density), 0.9)]
    delta, theta = np.logaddexp(shares[0], shares[1]), shares[2]
    return np.array(
        [
            *shares,
            *spreads,
            *peaks,
            slope,
            alpha,
            sigma,
            entropy,
            mobility,
            complexity,
            kurtosis,
            edge,
            delta - theta,
            delta - shares[4],
            delta - shares[5],
            shares[3] - theta,
            np.log(window_total).std(),
            np.log(total),
        ]
    )


FEATURES = (
    *(f"share_{band}" for band in BANDS),
    *(f"spread_{band}" for band in BANDS),
    *(f"peak_{band}" for band in BANDS),
    *("slope", "alpha_bump", "sigma_bump", "entropy", "mobility", "complexity", "kurtosis", "edge"),
    *("delta_theta", "delta_sigma", "delta_beta", "alpha_theta", "unsteady", "amplitude"),
)
"""Columns of `compute_eeg_features`; the last is log power in the signal's own unit, for use relative to the night."""


def add_context(features: Float[np.ndarray, "epoch feature"], names: tuple[str, ...]) -> pd.DataFrame:
    """Features with their surroundings: 7.5 min centred and 2 min past means, and each relative to the night.

    Args:
        features: Features as from `compute_eeg_features`; NaN where absent.
        names: Name of each column.

    Returns:
        One row per epoch; the column "amplitude" itself is left out, only its relative forms stay.
    """
    base = pd.DataFrame(features, columns=list(names))
    centred = base.rolling(15, center=True, min_periods=1, win_type="triang").mean()
    near = base.rolling(5, center=True, min_periods=1, win_type="triang").mean()
    past = base.rolling(4, min_periods=1).mean()
    return pd.concat(
        [
            base.drop(columns="amplitude", errors="ignore"),
            near.drop(columns="amplitude", errors="ignore").add_suffix("_near"),
            _relative(base).add_suffix("_night"),
            _relative(centred).add_suffix("_centred_night"),
            _relative(past).add_suffix("_past_night"),
        ],
        axis=1,
    )


def _relative(frame: pd.DataFrame) -> pd.DataFrame:
    spread = frame.quantile(0.95) - frame.quantile(0.05)
    return (frame - frame.median()) / spread.where(spread > 0)
