"""Heart rate and movement of a wearable per 30 s, in the form of the published features of Walch et al. 2019."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sharpwave.recordings.recording import Recording, Signal

EPOCH = 30.0
FEATURES = ("heart_rate", "activity")


def compute_wearable_features(recording: Recording) -> Float[np.ndarray, "epoch feature"]:
    """Heart-rate variation and movement of each 30 s epoch from the recording's start; NaN where absent.

    A signal that already comes once per 30 s without a plausible heart rate is taken as a published feature. Raw heart
    rate becomes one as Walch et al. (2019, 10.1093/sleep/zsz180) describe: difference of Gaussians (120 s, 600 s),
    divided by the 90th percentile of its absolute size, and the deviation within 5 min round the epoch.

    Args:
        recording: With a `heart_rate` signal, an `activity` signal, or both.

    Returns:
        Columns `FEATURES`.
    """
    n_epochs = int(recording.duration / EPOCH + 1e-6)
    features = np.full((n_epochs, len(FEATURES)), np.nan)
    for column, modality in enumerate(FEATURES):
        signals = list(recording.of(modality).values())
        if not signals:
            continue
        seconds = _per_epoch(signals[0], n_epochs)
        if modality == "heart_rate" and np.nanmedian(seconds) > 20:
            seconds = _compute_heart_variation(seconds)
        elif modality == "activity":
            seconds = np.log1p(np.maximum(seconds, 0))
        features[:, column] = seconds
    return features


def _per_epoch(signal: Signal, n_epochs: int) -> np.ndarray:
    """Mean of each epoch; for several axes the deviation of their length, which is movement whatever the posture."""
    if (
        signal.times is None
        and abs(signal.rate * EPOCH - 1) < 1e-6
        and signal.start == 0
        and len(signal.samples.shape) == 1
    ):
        values = np.full(n_epochs, np.nan)
        values[: len(signal)] = signal.read()[:n_epochs]
        return values
    values = np.full(n_epochs, np.nan)
    for index in range(n_epochs):
        piece = signal.read(index * EPOCH, (index + 1) * EPOCH)
        if piece.ndim == 2:
            length = np.linalg.norm(piece, axis=1)
            piece = np.abs(length - np.nanmean(length)) if length.size else length
        if piece.size and np.isfinite(piece).any():
            values[index] = np.nanmean(piece)
    return values


def _compute_heart_variation(heart_rate: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    known = np.isfinite(heart_rate)
    filled = np.interp(np.arange(heart_rate.size), np.flatnonzero(known), heart_rate[known])
    band = gaussian_filter1d(filled, 120 / EPOCH) - gaussian_filter1d(filled, 600 / EPOCH)
    scale = np.percentile(np.abs(band), 90)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(band / scale if scale > 0 else band, 5, mode="edge"), 11)
    return np.where(known, windows.std(axis=1), np.nan)
