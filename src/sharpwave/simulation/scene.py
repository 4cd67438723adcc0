"""What every signal of a night is made from: the hidden course, its events, and the signs that precede transitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.dynamics import Dynamics
from sharpwave.simulation.effects import Effects
from sharpwave.simulation.nuisance import Nuisance
from sharpwave.simulation.species import Species


@dataclass(frozen=True, eq=False)
class Scene:
    """The hidden side of a night.

    Attributes:
        species: Preset.
        dynamics: Second by second.
        slow_oscillations: onset, duration, amplitude_uv (of the trough), stage.
        spindles: onset, duration, frequency, amplitude_uv (half peak-to-peak), coupled, stage.
        ripples: onset, duration, frequency, amplitude_uv, stage, kind, content, direction, and, where they carry a
            sequence, run_direction, position_start, position_end (m), speed (m/s).
        precursors: By modality ("eeg", "hippocampus", "behaviour"), the sign of a coming transition, one a second.
        effects: What was planted.
        nuisance: What was added to mislead.
        task: Start and end of the task, in seconds.
        contents: One track each.
    """

    species: Species
    dynamics: Dynamics
    slow_oscillations: pd.DataFrame
    spindles: pd.DataFrame
    ripples: pd.DataFrame
    precursors: dict[str, Float[np.ndarray, " second"]]
    effects: Effects
    nuisance: Nuisance
    task: tuple[float, float]
    contents: tuple[str, ...]

    @property
    def n_seconds(self) -> int:
        return len(self.dynamics.stage)

    def compute_shares(self) -> Float[np.ndarray, "state second"]:
        """Share of each stage, and last of brief arousal, in the power of each second; changes take about 3 s."""
        stage, arousing = self.dynamics.stage, self.dynamics.arousing
        rows = [(stage == code) & ~arousing for code in range(self.species.n_stages)] + [arousing]
        kernel = np.array([0.25, 0.5, 0.25])
        padded = np.pad(np.array(rows, dtype=float), ((0, 0), (1, 1)), mode="edge")
        return np.array([np.convolve(row, kernel, mode="valid") for row in padded])

    def compute_level(self, by_stage: tuple[float, ...], *, arousal: float) -> Float[np.ndarray, " second"]:
        """A quantity that each stage and brief arousal set, one value a second."""
        return np.array([*by_stage, arousal]) @ self.compute_shares()


def compute_precursor(
    dynamics: Dynamics, *, species: Species, effects: Effects, rng: np.random.Generator
) -> dict[str, Float[np.ndarray, " second"]]:
    """The sign of coming transitions in each modality: true ramps in all of them, false ones in each alone.

    Args:
        dynamics: Gives the transitions; their times do not depend on the precursor.
        species: Says which stages are lighter.
        effects: Size and lead.
        rng: Random generator.

    Returns:
        By modality, one value a second: up to `effects.precursor` before lightening, down to minus that before
        deepening; all zero where it is off.
    """
    n_seconds = len(dynamics.stage)
    names = ("eeg", "hippocampus", "behaviour")
    if effects.precursor == 0:
        return {name: np.zeros(n_seconds, np.float32) for name in names}
    changes = np.flatnonzero(np.diff(dynamics.stage)) + 1
    lead = round(effects.precursor_lead)
    common = np.zeros(n_seconds, np.float32)
    for change, bout in zip(changes.tolist(), np.diff(changes, prepend=0).tolist(), strict=True):
        before, after = int(dynamics.stage[change - 1]), int(dynamics.stage[change])
        sign = 1.0 if after in species.lighter[before] else -1.0
        _add_ramp(common, change, min(lead, bout), lead, sign)
    out = {}
    for name in names:
        own = common.copy()
        for moment in rng.integers(lead, n_seconds, size=len(changes)):
            _add_ramp(own, int(moment), lead, lead, float(rng.choice([-1.0, 1.0])))
        out[name] = effects.precursor * np.clip(own, -1, 1)
    return out


def _add_ramp(values: np.ndarray, end: int, length: int, lead: int, sign: float) -> None:
    values[end - length : end] += sign * (np.arange(lead - length, lead) + 1) / lead
