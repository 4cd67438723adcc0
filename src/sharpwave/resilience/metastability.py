"""Metastability: how much the synchrony of many oscillators comes and goes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

from sharpwave.errors import SharpwaveError

FEWEST_SAMPLES = 16
"""That the filter for phases needs."""


def compute_phases(
    signals: Float[np.ndarray, "time channel"], rate: float, *, band: tuple[float, float]
) -> Float[np.ndarray, "time channel"]:
    """Instantaneous phase of each channel in a band: zero-phase Butterworth filter, then Hilbert transform.

    Args:
        signals: Time first.
        rate: In Hz.
        band: Lowest and highest frequency in Hz, within (0, rate / 2).

    Raises:
        SharpwaveError: If the band does not fit the rate, or there are fewer than `FEWEST_SAMPLES`.
    """
    from scipy.signal import butter, hilbert, sosfiltfilt

    low, high = band
    if not 0 < low < high < rate / 2:
        raise SharpwaveError(
            f"a band between 0 and {rate / 2:g} Hz", got=f"{low:g} to {high:g} Hz", fix="choose a band below rate / 2"
        )
    if len(signals) < FEWEST_SAMPLES:
        raise SharpwaveError(
            f"at least {FEWEST_SAMPLES} samples", got=f"{len(signals)}", fix="give a longer stretch of the signals"
        )
    filtered = sosfiltfilt(butter(2, band, btype="bandpass", fs=rate, output="sos"), signals, axis=0)
    return np.angle(hilbert(filtered, axis=0))


def compute_order_parameter(phases: Float[np.ndarray, "time channel"]) -> Float[np.ndarray, " time"]:
    """Kuramoto's order parameter `R(t) = |mean over channels of exp(i θ(t))|`: 1 is synchrony (Kuramoto 1984)."""
    vectors: Complex[np.ndarray, "time channel"] = np.exp(1j * np.asarray(phases, dtype=float))
    return np.abs(vectors.mean(axis=1))


def compute_metastability(order: Float[np.ndarray, " time"]) -> float:
    """Variance of Kuramoto's order parameter over time (Shanahan 2010, doi:10.1063/1.3247089).

    Synchrony that stays high and disorder that stays low are both 0; coming and going is high.
    """
    return float(np.var(order))
