"""All measures of the dynamics of one stretch of signals, by name.

Metastability is computed here: how much the synchrony of many oscillators comes and goes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.connectivity import (
    N_FOLDS,
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


FEWEST_TO_SPLIT = 4
"""Channels that can be split into two halves of at least two."""

N_SPLITS = 20


def compute_shared_metastability(phases: Float[np.ndarray, "time channel"], *, rng: np.random.Generator) -> float:
    """Variance of squared synchrony that all channels share: comparable across numbers of channels.

    The variance of Kuramoto's order parameter is `(1 - π/4) / N` for N channels that have nothing in common. Here the
    mean over pairs of `cos(θ_i - θ_j)` is taken in two halves of the channels, and its covariance between them over
    time: 0 for independent channels, and the same for any number of channels that follow one course.

    Args:
        phases: Phases, time first, of at least `FEWEST_TO_SPLIT` channels.
        rng: Source of the splits, over which the mean is taken.

    Raises:
        SharpwaveError: If there are too few channels to split.

    >>> rng = np.random.default_rng(0)
    >>> abs(compute_shared_metastability(rng.uniform(0, 6.28, (5000, 8)), rng=rng)) < 1e-3
    True
    """
    vectors = np.exp(1j * np.asarray(phases, dtype=float))
    n = vectors.shape[1]
    if n < FEWEST_TO_SPLIT:
        raise SharpwaveError(
            f"at least {FEWEST_TO_SPLIT} channels", got=f"{n}", fix="use compute_metastability, beside surrogates"
        )
    found = []
    for _ in range(N_SPLITS):
        order = rng.permutation(n)
        halves = []
        for half in (order[: n // 2], order[n // 2 :]):
            squared = np.abs(vectors[:, half].sum(axis=1)) ** 2
            halves.append((squared - len(half)) / (len(half) * (len(half) - 1)))
        found.append(np.mean((halves[0] - halves[0].mean()) * (halves[1] - halves[1].mean())))
    return float(np.mean(found))


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
    "shared_metastability": "variance of squared synchrony that all channels share",
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
        rng: Source of randomness for the search for groups and for splits of the channels.
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
        if len(channels) >= FEWEST_TO_SPLIT:
            inside = phases[margin : len(phases) - margin]
            found["shared_metastability"] = compute_shared_metastability(inside, rng=rng)
    if len(channels) >= 2 and len(core) >= 2 * N_FOLDS:
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
