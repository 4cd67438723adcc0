"""What is planted in a night: effects, all off by default, and the nuisance that fools a naive analysis.

`Effects` holds what reactivation does to sleep, and sleep to reactivation, each with a knob. `Nuisance` holds common
causes, drifts and trends that no effect explains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError

CONTENTS = ("aversive", "neutral", "rewarding")


@dataclass(frozen=True)
class Effects:
    """What is planted in a night.

    Attributes:
        hazard_ratio: Factor, by content, on the hazard of a transition to lighter sleep (to a lighter stage, to wake,
            or a brief arousal) for `window` seconds after a reactivation. Exposure is yes or no: another reactivation
            of the same content renews the window and does not multiply again; different contents multiply. 1 is null.
        window: How long the hazard stays changed, in seconds.
        depth_gain: Step in depth, by content (dB of slow-wave power), at a reactivation. 0 is null.
        depth_decay: Time constant with which that step fades, in seconds.
        rate_per_db: Reverse direction: change in the log rate of ripples per dB that depth departs from what its stage
            and time expect. 0 is null.
        share_per_db: Reverse direction: change in the log odds that a ripple carries a replay, per dB. 0 is null.
        hazard_per_db: Change in the log hazard of such a transition, per dB of that departure (depth mediates). 0 is
            null.
        precursor: Size (0 to about 1) of the signs that precede each transition in EEG, hippocampus and behaviour,
            positive before lighter sleep and negative before deeper sleep. Each modality also shows false ones. 0 is
            null.
        precursor_lead: Length of those signs, in seconds.
        replay_share: Share of NREM ripples that carry a replay right after the experience; it halves in 6 h (Giri
            2019). A default, not an effect; 0 is a night in which nothing is replayed.
        preplay: Share of ripples before the experience that already carry its sequences. 0 is null.
        memory_gain: Points of the memory task gained per hundred reactivations. 0 is null.

    Raises:
        SharpwaveError: If a hazard ratio, window or share is out of range.

    >>> effects = Effects(hazard_ratio={"aversive": 2.0})
    >>> effects.hazard_ratio["aversive"], effects.precursor
    (2.0, 0.0)
    >>> dict(Effects.planted(depth=1.0).depth_gain)
    {'aversive': -1.0, 'neutral': 0.0, 'rewarding': 1.0}
    """

    hazard_ratio: Mapping[str, float] = field(default_factory=dict)
    window: float = 30.0
    depth_gain: Mapping[str, float] = field(default_factory=dict)
    depth_decay: float = 30.0
    rate_per_db: float = 0.0
    share_per_db: float = 0.0
    hazard_per_db: float = 0.0
    precursor: float = 0.0
    precursor_lead: float = 45.0
    replay_share: float = 0.2
    preplay: float = 0.0
    memory_gain: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hazard_ratio", "depth_gain"):
            object.__setattr__(self, name, MappingProxyType({str(k): float(v) for k, v in getattr(self, name).items()}))
        if any(value <= 0 for value in self.hazard_ratio.values()):
            raise SharpwaveError(
                "hazard ratios above 0",
                got=str(dict(self.hazard_ratio)),
                fix="use 1 for no effect, below 1 for a stabilising content",
            )
        if self.window <= 0 or self.depth_decay <= 0 or self.precursor_lead <= 0:
            raise SharpwaveError(
                "window, depth_decay and precursor_lead above 0 s",
                got=f"{self.window}, {self.depth_decay}, {self.precursor_lead}",
                fix="to switch an effect off, set its size, not its length, to null",
            )
        if not (0 <= self.preplay <= 1 and 0 <= self.replay_share < 1) or self.precursor < 0:
            raise SharpwaveError(
                "preplay between 0 and 1, replay_share from 0 to below 1 and precursor not below 0",
                got=f"preplay={self.preplay}, replay_share={self.replay_share}, precursor={self.precursor}",
                fix="all are 0 when off",
            )

    @classmethod
    def planted(cls, *, hazard_ratio: float = 2.0, depth: float = 2.0) -> Effects:
        """Aversive content lightens and rewarding stabilises sleep, by the same factor and dB; neutral is null."""
        return cls(
            hazard_ratio={"aversive": hazard_ratio, "neutral": 1.0, "rewarding": 1 / hazard_ratio},
            depth_gain={"aversive": -depth, "neutral": 0.0, "rewarding": depth},
        )


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

    >>> Nuisance().infraslow, Nuisance.none().infraslow
    (1.0, 0.0)
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
        n_seconds: Length in seconds.
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
