"""What every signal of a night is made from: its hidden stages and depth, shaped events, and signs before transitions.

From when to what: every slow oscillation, spindle and ripple gets its shape, every replay its path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.dynamics import Dynamics
from sharpwave.simulation.effects import Effects, Nuisance, compute_wander
from sharpwave.simulation.species import Species

TRACK_LENGTH = 2.0
"""Length of each linear track, in metres (1.6–2 m in CRCNS hc-11)."""

REPLAY_SPEED = 8.0
"""Speed of long replayed trajectories, in m/s (Davidson et al. 2009, 10.1016/j.neuron.2009.07.027)."""

COUPLED_SHARE = 0.3
"""Share of spindles on the up-state of a slow oscillation."""

UP_STATE = 0.45 + 0.45 * 0.55
"""Where the up-state peaks, as a share of the cycle (see `make_slow_oscillation`)."""


def draw_spindles(dynamics: Dynamics, *, species: Species, rng: np.random.Generator) -> pd.DataFrame:
    """Duration (0.5–1.0 s mostly), frequency and size of each spindle.

    Returns:
        onset, duration, stage, frequency, amplitude_uv, coupled.
    """
    table = dynamics.spindles.copy()
    n = len(table)
    table["duration"] = np.clip(rng.lognormal(np.log(0.75), 0.28, n), 0.5, 2.0)
    table["frequency"] = rng.normal(*species.spindle_frequency, n)
    table["amplitude_uv"] = rng.lognormal(np.log(24.0), 0.35, n)
    table["coupled"] = rng.random(n) < COUPLED_SHARE
    return table


def draw_slow_oscillations(
    dynamics: Dynamics, spindles: pd.DataFrame, *, species: Species, rng: np.random.Generator
) -> pd.DataFrame:
    """Trains of slow oscillations, 1.25 s apart (Massimini et al. 2004), the denser and larger the deeper the sleep.

    Args:
        dynamics: Dynamics that give stage and depth.
        spindles: The coupled ones bring their own slow oscillation, whose up-state follows them closely.
        species: Preset of the species.
        rng: Random generator.

    Returns:
        onset, duration, stage, amplitude_uv (depth of the trough).
    """
    n_seconds = len(dynamics.stage)
    onset = np.cumsum(rng.lognormal(np.log(1.29), 0.17, int(n_seconds / 1.2)))
    onset = onset[onset < n_seconds - 2]
    second = onset.astype(int)
    half = 5.0 if species.n_stages == 5 else -1.0
    wanted = 0.06 + 0.85 / (1 + np.exp(-(dynamics.depth[second] - half) / 1.8))
    asleep = np.isin(dynamics.stage[second], species.nrem) & ~dynamics.arousing[second]
    trains = compute_wander(len(onset), time_constant=5.0, rng=rng)
    keep = asleep & (_rank(trains) < wanted)
    onset = onset[keep]

    coupled = spindles[spindles["coupled"]]
    period = np.clip(rng.lognormal(np.log(1.15), 0.12, len(coupled)), 0.8, 1.6)
    lag = rng.normal(0.04, 0.08, len(coupled))
    middle = coupled["onset"].to_numpy() + coupled["duration"].to_numpy() / 2
    own = np.maximum(middle + lag - UP_STATE * period, 0.0)
    if len(own) and len(onset):
        ordered = np.sort(own)
        nearest = np.abs(onset - ordered[_nearest(ordered, onset)])
        onset = onset[nearest > 1.0]
    duration = np.clip(rng.lognormal(np.log(1.08), 0.14, len(onset)), 0.7, 1.6)
    table = pd.DataFrame({"onset": np.r_[onset, own], "duration": np.r_[duration, period]}).sort_values(
        "onset", ignore_index=True
    )
    second = table["onset"].to_numpy().astype(int)
    table["stage"] = dynamics.stage[second]
    size = 58.0 * 10 ** ((dynamics.depth[second] - (8.5 if species.n_stages == 5 else 0.0)) / 40)
    table["amplitude_uv"] = size * rng.lognormal(0, 0.3, len(table))
    return table


def draw_ripples(
    dynamics: Dynamics, *, species: Species, track_length: float = TRACK_LENGTH, rng: np.random.Generator
) -> pd.DataFrame:
    """Duration (right-skewed), frequency and size of each ripple, and the path of those that carry a sequence.

    Ripples with a sequence, in order or shuffled, last longer, so that neither length nor size tells replay from decoy.

    Returns:
        onset, duration, stage, kind, content, direction, frequency, amplitude_uv, run_direction, position_start,
        position_end, speed; the last four are NaN or "" where there is no sequence.
    """
    table = dynamics.ripples.copy()
    n = len(table)
    sequence = (table["kind"] != "ripple").to_numpy()
    median, spread = species.ripple_duration
    table["duration"] = np.clip(rng.lognormal(np.log(median), spread, n) * np.where(sequence, 1.8, 1.0), 0.03, 0.5)
    table["frequency"] = rng.normal(*species.ripple_frequency, n)
    base = 70.0 if species.name == "human" else 160.0
    table["amplitude_uv"] = base * rng.lognormal(0, 0.35, n) * np.where(sequence, 1.15, 1.0)
    speed = REPLAY_SPEED * rng.lognormal(0, 0.25, n)
    distance = np.minimum(speed * table["duration"].to_numpy(), 0.95 * track_length)
    low = rng.random(n) * (track_length - distance)
    outbound = rng.random(n) < 0.5
    rising = outbound == (table["direction"] == "forward").to_numpy()
    start, end = np.where(rising, low, low + distance), np.where(rising, low + distance, low)
    table["run_direction"] = np.where(sequence, np.where(outbound, "outbound", "inbound"), "")
    table["position_start"] = np.where(sequence, start, np.nan)
    table["position_end"] = np.where(sequence, end, np.nan)
    table["speed"] = np.where(sequence, distance / table["duration"].to_numpy(), np.nan)
    return table


def _rank(values: Float[np.ndarray, " item"]) -> Float[np.ndarray, " item"]:
    from scipy.special import ndtr

    return np.asarray(ndtr(values))


def _nearest(sorted_values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    index = np.clip(np.searchsorted(sorted_values, wanted), 1, max(len(sorted_values) - 1, 1))
    left = np.minimum(index - 1, len(sorted_values) - 1)
    right = np.minimum(index, len(sorted_values) - 1)
    return np.where(np.abs(wanted - sorted_values[left]) <= np.abs(sorted_values[right] - wanted), left, right)


@dataclass(frozen=True, eq=False)
class Scene:
    """The hidden side of a night.

    Attributes:
        species: Preset of the species.
        dynamics: Stages, depth and events second by second.
        slow_oscillations: onset, duration, amplitude_uv (of the trough), stage.
        spindles: onset, duration, frequency, amplitude_uv (half peak-to-peak), coupled, stage.
        ripples: onset, duration, frequency, amplitude_uv, stage, kind, content, direction, and, where they carry a
            sequence, run_direction, position_start, position_end (m), speed (m/s).
        precursors: Sign of a coming transition by modality ("eeg", "hippocampus", "behaviour"), one value a second.
        effects: Effects that were planted.
        nuisance: Nuisance that was added to mislead.
        task: Start and end of the task, in seconds.
        contents: Contents of the memories, one track each.
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
        dynamics: Dynamics that give the transitions; their times do not depend on the precursor.
        species: Preset that says which stages are lighter.
        effects: Effects that give size and lead of the sign.
        rng: Random generator.

    Returns:
        By modality, one value a second: up to `effects.precursor` before lighter sleep, down to minus that before
        deeper sleep; all zero where it is off.
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
