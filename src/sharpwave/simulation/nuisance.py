"""What fools a naive analysis: common causes, drifts and trends that nothing in `Effects` explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError


@dataclass(frozen=True)
class Nuisance:
    """Common causes and faults, realistic by default; `Nuisance.none()` switches all of them off.

    The infraslow rhythm (Lecci et al. 2017, 10.1126/sciadv.1602026) is the confounder that matters most: sigma power,
    ripples and heart rate follow its phase, and arousals come a quarter of a cycle later. Ripples then precede waking
    without causing it.

    Attributes:
        infraslow: Size of the infraslow rhythm; 1 is realistic, 0 is off.
        drift: Standard deviation of a slow random drift (time constant 40 min) in the log rates of ripples, spindles
            and arousals together.
        trend: Change per hour about mid-night, shared by the same log rates (ripples and spindles fall by it, arousals
            rise).
        artefacts: Artefact rate relative to a realistic night.
        electrode_loss: Chance that a channel is lost for part of the night.
        decoys: Share of ripples that hold the spikes of a replay with the order of the cells shuffled.

    Raises:
        SharpwaveError: If a size is negative or a share is above 1.
    """

    infraslow: float = 1.0
    drift: float = 0.2
    trend: float = 0.03
    artefacts: float = 1.0
    electrode_loss: float = 0.05
    decoys: float = 0.15

    def __post_init__(self) -> None:
        sizes = (self.infraslow, self.drift, self.artefacts, self.electrode_loss, self.decoys)
        if min(sizes) < 0 or self.electrode_loss > 1 or self.decoys > 1:
            raise SharpwaveError(
                "nuisance sizes of at least 0, and shares of at most 1", got=str(self), fix="0 switches a nuisance off"
            )

    @classmethod
    def none(cls) -> Nuisance:
        """A night without any nuisance."""
        return cls(infraslow=0.0, drift=0.0, trend=0.0, artefacts=0.0, electrode_loss=0.0, decoys=0.0)


RIPPLES_BY_INFRASLOW = 0.6
SPINDLES_BY_INFRASLOW = 0.9
AROUSALS_BY_INFRASLOW = 1.2
"""Log rate at the peak of the infraslow rhythm relative to its mean, for a size of 1."""


def compute_infraslow_phase(n_seconds: int, *, spread: float, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """Phase of a rhythm near 0.02 Hz whose frequency wanders.

    Args:
        n_seconds: Length.
        spread: Standard deviation of the frequency, in Hz.
        rng: Random generator.

    Returns:
        Phase in radians, one value a second, growing; 0 is the peak of sigma power.
    """
    frequency = 0.02 + spread * compute_wander(n_seconds, time_constant=100.0, rng=rng)
    return rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(np.clip(frequency, 0.006, 0.05))


def compute_wander(n_seconds: int, *, time_constant: float, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """A stationary Gauss–Markov (Ornstein–Uhlenbeck) path with unit variance, one value a second."""
    from scipy.signal import lfilter

    keep = np.exp(-1 / time_constant)
    noise = rng.standard_normal(n_seconds) * np.sqrt(1 - keep**2)
    noise[:1] /= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise))


def compute_rate_modulation(
    phase: Float[np.ndarray, " second"], *, size: float, lag: float = 0.0
) -> Float[np.ndarray, " second"]:
    """exp(size·cos(phase − lag)) with mean 1 over a cycle (so that the rhythm moves events without adding any)."""
    return np.exp(size * np.cos(phase - lag)) / np.i0(size)
