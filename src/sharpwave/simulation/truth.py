"""Everything about a simulated night that no recording would show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reprs import short_repr
from sharpwave.simulation.effects import Effects, Nuisance
from sharpwave.simulation.scene import Scene
from sharpwave.simulation.spikes import PlaceCells


@dataclass(frozen=True, eq=False)
class Truth:
    """What was planted. Every table of events has onset (s), duration (s), label, channel, and the columns named here.

    Attributes:
        species: "human", "mouse" or "rat".
        hypnogram: True stages, second by second.
        scorers: The experts' hypnograms by name.
        per_second: Time series with one row a second: time (s), stage, depth and departure (dB), infraslow (phase, rad;
            0 at the peak of sigma power), drift, lightening_hazard (1/s; hazard of a transition to lighter sleep that
            would hold without any reactivation), lightened (whether one came), arousing, precursor_eeg,
            precursor_hippocampus, precursor_behaviour.
        slow_oscillations: amplitude_uv, stage.
        spindles: frequency (Hz), amplitude_uv, coupled (to a slow oscillation), stage.
        ripples: frequency (Hz), amplitude_uv, stage, kind ("ripple", "replay", "shuffled"), content, direction
            ("forward", "reverse"), run_direction, position_start, position_end (m), speed (m/s).
        arousals: stage.
        eye_movements: amplitude_uv.
        gamma_bursts: frequency (Hz), amplitude_uv.
        artefacts: Nothing further; `channel` is "all" where every channel has it.
        laps: content, run_direction.
        cells: Place maps and rates of the units, where spikes were asked for.
        memory: Score of the memory task "before" and "after" sleep, in percent.
        effects: Planted effects.
        nuisance: Planted nuisance.

    >>> from sharpwave.simulation import simulate_night
    >>> _, truth = simulate_night("rat", 0.4, rng=np.random.default_rng(0), modalities=("position",))
    >>> len(truth.per_second), truth.reactivations["kind"].unique().tolist(), len(truth.laps) > 0
    (1440, ['replay'], True)
    """

    __repr__ = short_repr

    species: str
    hypnogram: Hypnogram
    scorers: Mapping[str, Hypnogram]
    per_second: pd.DataFrame
    slow_oscillations: pd.DataFrame
    spindles: pd.DataFrame
    ripples: pd.DataFrame
    arousals: pd.DataFrame
    eye_movements: pd.DataFrame
    gamma_bursts: pd.DataFrame
    artefacts: pd.DataFrame
    laps: pd.DataFrame
    cells: PlaceCells | None
    memory: Mapping[str, float]
    effects: Effects
    nuisance: Nuisance

    @property
    def course(self) -> pd.DataFrame:
        """The old name of `per_second`."""
        moved.warn("Truth.course", "Truth.per_second")
        return self.per_second

    @property
    def reactivations(self) -> pd.DataFrame:
        """The ripples that carry a replay."""
        return self.ripples[self.ripples["kind"] == "replay"].reset_index(drop=True)

    @property
    def events(self) -> pd.DataFrame:
        """All events in one table, by onset: onset, duration, label, channel; replays are labelled "replay"."""
        ripples = self.ripples.assign(label=self.ripples["kind"])
        tables = [self.slow_oscillations, self.spindles, ripples, self.arousals, self.eye_movements, self.artefacts]
        columns = ["onset", "duration", "label", "channel"]
        return pd.concat([t[columns] for t in tables if len(t)], ignore_index=True).sort_values(
            "onset", ignore_index=True
        )

    def write(self, folder: str | Path) -> Path:
        """Write the truth as tables (TSV, Parquet for the time series) and the knobs as JSON.

        Args:
            folder: Made if it does not exist.

        Returns:
            The folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.hypnogram.write(folder / "hypnogram.tsv")
        for name, hypnogram in self.scorers.items():
            hypnogram.write(folder / f"hypnogram_{name}.tsv")
        self.per_second.to_parquet(folder / "course.parquet", index=False)
        names = (
            "slow_oscillations",
            "spindles",
            "ripples",
            "arousals",
            "eye_movements",
            "gamma_bursts",
            "artefacts",
            "laps",
        )
        for name in names:
            getattr(self, name).to_csv(folder / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
        knobs = {"species": self.species, "memory": dict(self.memory), "effects": _plain(self.effects)}
        knobs["nuisance"] = asdict(self.nuisance)
        (folder / "truth.json").write_text(json.dumps(knobs, indent=1) + "\n", encoding="utf-8")
        return folder


def _plain(effects: Effects) -> dict[str, Any]:
    values = {name: getattr(effects, name) for name in effects.__dataclass_fields__}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def label_events(table: pd.DataFrame, label: str | None, channel: str | None) -> pd.DataFrame:
    """Give a table its label and channel where it has none, and put the columns of every events table first."""
    table = table if label is None else table.assign(label=label)
    table = table if channel is None else table.assign(channel=channel)
    first = ["onset", "duration", "label", "channel"]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def tabulate_seconds(scene: Scene) -> pd.DataFrame:
    """The hidden side of the night as a table, one row a second."""
    dynamics = scene.dynamics
    return pd.DataFrame(
        {
            "time": np.arange(scene.n_seconds, dtype=float),
            "stage": dynamics.stage,
            "depth": dynamics.depth,
            "departure": dynamics.departure,
            "infraslow": dynamics.infraslow,
            "drift": dynamics.drift,
            "lightening_hazard": dynamics.lightening_hazard,
            "lightened": dynamics.lightened,
            "arousing": dynamics.arousing,
            **{f"precursor_{name}": values for name, values in scene.precursors.items()},
        }
    )
