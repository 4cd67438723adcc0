"""Planted effects, each with a knob, all off by default: what reactivation does to sleep, and sleep to reactivation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sharpwave.errors import SharpwaveError

CONTENTS = ("aversive", "neutral", "rewarding")


@dataclass(frozen=True)
class Effects:
    """What is planted in a night.

    Attributes:
        hazard_ratio: By content, the factor on the hazard of lightening (a brief arousal, or a move to a lighter
            stage or wake) for `window` seconds after a reactivation. Exposure is yes or no: another one of the same
            content renews the window, it does not multiply again; different contents multiply. 1 is null.
        window: How long the hazard stays changed, in seconds.
        depth_gain: By content, the step in depth (dB of slow-wave power) at a reactivation. 0 is null.
        depth_decay: Time constant with which that step fades, in seconds.
        rate_per_db: Reverse direction: change in the log rate of ripples per dB that depth departs from what its stage
            and time expect. 0 is null.
        share_per_db: Reverse direction: change in the log odds that a ripple carries a replay, per dB. 0 is null.
        hazard_per_db: Change in the log hazard of lightening per dB of that departure (depth mediates). 0 is null.
        precursor: Size (0 to about 1) of the signs that precede each transition in EEG, hippocampus and behaviour,
            positive before lightening and negative before deepening. Each modality also shows false ones. 0 is null.
        precursor_lead: Length of those signs, in seconds.
        replay_share: Share of NREM ripples that carry a replay right after the experience; it halves in 6 h (Giri
            2019). A default, not an effect; 0 is a night in which nothing is replayed.
        preplay: Share of ripples before the experience that already carry its sequences. 0 is null.
        memory_gain: Points of the memory task gained per hundred reactivations. 0 is null.

    Raises:
        SharpwaveError: If a hazard ratio, window or share is out of range.
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
        """Aversive content lightens and rewarding content stabilises by the same factor and dB; neutral is null."""
        return cls(
            hazard_ratio={"aversive": hazard_ratio, "neutral": 1.0, "rewarding": 1 / hazard_ratio},
            depth_gain={"aversive": -depth, "neutral": 0.0, "rewarding": depth},
        )

    @property
    def is_null(self) -> bool:
        """True where nothing is planted."""
        return (
            all(value == 1 for value in self.hazard_ratio.values())
            and all(value == 0 for value in self.depth_gain.values())
            and not any(
                (
                    self.rate_per_db,
                    self.share_per_db,
                    self.hazard_per_db,
                    self.precursor,
                    self.preplay,
                    self.memory_gain,
                )
            )
        )
