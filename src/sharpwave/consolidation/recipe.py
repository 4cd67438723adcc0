"""What a network's wake and sleep are made of, and the recipes that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sharpwave.consolidation.homeostasis import Homeostasis
from sharpwave.consolidation.nrem import NREM
from sharpwave.consolidation.probe import Probe
from sharpwave.consolidation.protection import Protection
from sharpwave.consolidation.rem import REM
from sharpwave.consolidation.report import NREM_STAGE, REM_STAGE
from sharpwave.consolidation.schedule import FixedRatio
from sharpwave.consolidation.spiking import SpikingReplay
from sharpwave.consolidation.wake import Wake
from sharpwave.errors import SharpwaveError

READINGS = {"steps": 0.1, "replays": 10.0}
"""Sleep steps per wake step in the two readings of "1:10": one sleep step for ten wake steps (which +15 % time allows),
or ten replays of each wake step (which it does not)."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """Options of wake and of each phase of sleep; None leaves a phase out.

    Attributes:
        wake: How the network learns while awake.
        nrem: Replay.
        rem: Dreams.
        homeostasis: After the last NREM step of each cycle.
        protection: Of significant weights while awake.
        probe: What decides whether a night is kept.
        steer: "brittle" lets noise into each layer during NREM replay in proportion to how brittle it is measured to be
            at the start of the night; a mapping says so by parameter name.
        steer_noise: Noise of the most brittle layer, in standard deviations of its weights.
    """

    wake: Wake = field(default_factory=Wake)
    nrem: NREM | SpikingReplay = field(default_factory=NREM)
    rem: REM | None = None
    homeostasis: Homeostasis | None = None
    protection: Protection | None = None
    probe: Probe = field(default_factory=Probe)
    steer: str | Mapping[str, float] | None = None
    steer_noise: float = 0.1

    def __post_init__(self) -> None:
        if isinstance(self.steer, str) and self.steer != "brittle":
            raise SharpwaveError(
                "steer='brittle', or noise by parameter name", got=repr(self.steer), fix="leave it out otherwise"
            )

    def get_options(self) -> dict[str, Any]:
        """As keyword arguments of `Sleep`."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


def make_plan(n_steps: int, rem: REM | None, *, depth: float = 1.0) -> list[int]:
    """Stage of each step of a night: in each cycle NREM, then REM.

    Args:
        n_steps: Of the night.
        rem: Options of dreams, or None.
        depth: From 0 to 1; the deeper, the less REM: its share at depth 1, twice that at 0.
    """
    if rem is None:
        return [NREM_STAGE] * n_steps
    share = min(1.0, rem.share * (2 - depth))
    plan: list[int] = []
    for cycle in range(rem.cycles):
        length = n_steps * (cycle + 1) // rem.cycles - n_steps * cycle // rem.cycles
        n_rem = round(share * length)
        plan += [NREM_STAGE] * (length - n_rem) + [REM_STAGE] * n_rem
    return plan


def make_ssr(reading: str) -> tuple[Recipe, FixedRatio]:
    """Synaptic Sleep Replay as it is described: replay reconstructed under Gaussian noise, then prune and strengthen.

    Raises:
        SharpwaveError: If there is no such reading of 1:10.
    """
    if reading not in READINGS:
        raise SharpwaveError(f"a reading among {', '.join(READINGS)}", got=repr(reading), fix="choose one of them")
    recipe = Recipe(
        wake=Wake(method="er"),
        nrem=NREM(distillation=0.0, noise=0.1, reconstruction=1.0, balanced=False, anneal=False),
        homeostasis=Homeostasis(prune=0.1, strengthen=0.05, gain=0.05, significance="fisher"),
    )
    return recipe, FixedRatio(READINGS[reading])


def make_src() -> Recipe:
    """Sleep replay consolidation, which stores no data; without a probe of the user's, every night is kept."""
    return Recipe(wake=Wake(method="none"), nrem=SpikingReplay())


def make_oscillatory() -> Recipe:
    """Replay in the up states of a slow oscillation, noise in its down states."""
    return Recipe(nrem=NREM(distillation=0.0, noise=0.2, oscillation=8, anneal=False))
