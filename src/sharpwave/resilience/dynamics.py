"""All measures of the dynamics of one stretch of signals, by name.

Metastability is computed here: how much the synchrony of many oscillators comes and goes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.connectivity import (
    compute_connectivity,
    compute_integration,
    compute_modularity,
    compute_participation,
    compute_segregation,
)
from sharpwave.resilience.entropy import compute_lempel_ziv, compute_permutation_entropy, compute_spectral_entropy

FEWEST_SAMPLES = 16
"""That the filter for phases needs."""


def compute_phases(
    signals: Float[np.ndarray, "time channel"], rate: float, *, band: tuple[float, float]
) -> Float[np.ndarray, "time channel"]:
    """Instantaneous phase of each channel in a band: zero-phase Butterworth filter, then Hilbert transform.

    Args:
        signals: Signals, time first.
        rate: Sampling rate in Hz.
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


FEWEST_NODES = 8
"""Channels from which a graph of them is worth dividing."""

DENSITY = 0.2
"""Share of pairs of channels kept as edges."""

MEASURES: dict[str, str] = {
    "spectral_entropy": "flatness of the spectrum",
    "permutation_entropy": "unpredictability of the order of samples",
    "lempel_ziv": "incompressibility of the signal above and below its median",
    "synchrony": "mean of Kuramoto's order parameter",
    "metastability": "variance of Kuramoto's order parameter",
    "integration": "information that channels share",
    "modularity": "how far the graph of channels falls into groups",
    "segregation": "weight within groups above that between",
    "participation": "how evenly channels are tied to all groups",
}


def measure_dynamics(
    signals: Float[np.ndarray, "time channel"],
    rate: float,
    *,
    band: tuple[float, float],
    rng: np.random.Generator,
    spectrum: tuple[float, float] | None = None,
    density: float = DENSITY,
    margin: int = 0,
) -> dict[str, float]:
    """Every measure that the number of channels allows, keys of `MEASURES`.

    Entropies are means over channels. Two channels add integration, and over `FEWEST_SAMPLES` synchrony and
    metastability; `FEWEST_NODES` add those of the graph.

    Args:
        signals: Time first, without gaps; for networks hidden states over tokens or training steps (a proxy).
        rate: Sampling rate in Hz.
        band: Band whose phases are compared, in Hz.
        rng: Source of randomness for the search for groups.
        spectrum: Band of the spectral entropy in Hz; all where omitted.
        density: Share of pairs kept as edges.
        margin: Samples at either end that only the filter for the phases sees.

    >>> rng = np.random.default_rng(0)
    >>> found = measure_dynamics(rng.normal(size=(3000, 4)), 100.0, band=(0.5, 4.0), spectrum=(0.5, 40.0), rng=rng)
    >>> round(found["spectral_entropy"], 1), found["integration"] < 0.01
    (1.0, True)
    """
    signals = np.asarray(signals, dtype=float)
    signals = signals[:, None] if signals.ndim == 1 else signals
    core = signals[margin : len(signals) - margin]
    varying = core.std(axis=0) > 0
    signals, core = signals[:, varying], core[:, varying]
    channels = core.T
    if not len(channels):
        return {}
    found = {
        "spectral_entropy": _mean([compute_spectral_entropy(one, rate, band=spectrum) for one in channels]),
        "permutation_entropy": _mean([compute_permutation_entropy(one) for one in channels]),
        "lempel_ziv": _mean([compute_lempel_ziv(one) for one in channels]),
    }
    if len(channels) >= 2 and len(signals) >= FEWEST_SAMPLES:
        phases = compute_phases(signals, rate, band=band)
        order = compute_order_parameter(phases[margin : len(phases) - margin])
        found |= {"synchrony": float(order.mean()), "metastability": compute_metastability(order)}
    if len(channels) >= 2:
        found["integration"] = compute_integration(core)
    if len(channels) >= FEWEST_NODES:
        whole = compute_connectivity(core)
        weights = compute_connectivity(core, density=density)
        if weights.any():
            division = compute_modularity(weights, rng=rng, n_repeats=3)
            found["modularity"] = division.value
            found["segregation"] = compute_segregation(whole, division.groups)
            found["participation"] = float(np.nanmean(compute_participation(weights, division.groups)))
    return found


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
