"""All measures of the dynamics of one stretch of signals, by name."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sharpwave.resilience.entropy import compute_lempel_ziv, compute_permutation_entropy, compute_spectral_entropy
from sharpwave.resilience.integration import compute_integration, compute_participation, compute_segregation
from sharpwave.resilience.metastability import (
    FEWEST_SAMPLES,
    compute_metastability,
    compute_order_parameter,
    compute_phases,
)
from sharpwave.resilience.modularity import compute_connectivity, compute_modularity

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
        rate: In Hz.
        band: Band whose phases are compared, in Hz.
        rng: For the search for groups.
        spectrum: Band of the spectral entropy in Hz; all where omitted.
        density: Share of pairs kept as edges.
        margin: Samples at either end that only the filter for the phases sees.
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
