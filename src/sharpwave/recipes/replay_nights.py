"""Simulated nights with planted replays, and what their units fire where."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.brainmu.reactivation.reactivation_frames import FRAME
from sharpwave.brainmu.reactivation.reactivation_places import PlaceFields
from sharpwave.night.reactivations import PLACE, SMOOTHING, convert_fields
from sharpwave.reactivation import place_fields as maps
from sharpwave.reactivation.position import get_position
from sharpwave.recordings.recording import Recording
from sharpwave.simulation import Effects, Nuisance, simulate_night
from sharpwave.simulation.species import get_species

SIGNALS = ("lfp", "spikes", "position")
HOURS = {"rat": 0.8, "mouse": 0.8, "human": 1.2}
SOURCES = ("lfp", "spikes", "lfp+spikes", "spikes+places", "lfp+spikes+places")
"""What a detector may be given."""


@dataclass(frozen=True, eq=False)
class ReactivationNight:
    """A simulated night.

    Attributes:
        recording: As a reader would give it.
        maps: Place fields estimated from the laps.
        replays: Planted replays: onset, duration, content, direction ("forward", "reverse"), run_direction.
        others: The same of shuffled sequences and of ripples without any; `kind` tells which.
    """

    recording: Recording
    maps: maps.PlaceFields
    replays: pd.DataFrame
    others: pd.DataFrame

    @property
    def fields(self) -> PlaceFields:
        """The place fields as the head takes them."""
        return convert_fields(self.maps)

    def restrict_sources(self, sources: str) -> tuple[Recording, PlaceFields | None]:
        """Recording and fields with nothing but what one of `SOURCES` names."""
        named = sources.split("+")
        signals = {name: s for name, s in self.recording.signals.items() if s.modality.name != "lfp" or "lfp" in named}
        spikes = self.recording.spikes if "spikes" in named else None
        return replace(self.recording, signals=signals, spikes=spikes), self.fields if "places" in named else None


def simulate_reactivation_night(
    species: str,
    *,
    rng: np.random.Generator,
    n_units: int = 40,
    hours: float | None = None,
    replay: bool = True,
    effects: Effects | None = None,
    nuisance: Nuisance | None = None,
) -> ReactivationNight:
    """A night with planted replays, or one whose sleep comes before the task, in which there is nothing to replay.

    Args:
        species: "human", "mouse" or "rat".
        rng: Random generator.
        n_units: Units.
        hours: Length; `HOURS` of the species where omitted.
        replay: False for a recording that ends where the task begins; the fields are still known.
        effects: As for `simulate_night`.
        nuisance: As for `simulate_night`.
    """
    hours = HOURS[species] if hours is None else hours
    start = 0.0 if replay else hours * 3600 - get_species(species).task_length - 61
    recording, truth = simulate_night(
        species, hours, rng=rng, modalities=SIGNALS, n_units=n_units, task_start=start, effects=effects,
        nuisance=nuisance,
    )  # fmt: skip
    fields = maps.estimate_place_fields(
        recording.spikes, get_position(recording), epochs=truth.laps, bin_size=PLACE, smoothing=SMOOTHING
    )
    if not replay:
        recording = recording.restrict(0.0, start)
        signals = {name: signal for name, signal in recording.signals.items() if name != "position"}
        recording = replace(recording, signals=signals)
    ripples = truth.ripples[truth.ripples["onset"] < recording.duration]
    kinds = ripples["kind"] == "replay"
    return ReactivationNight(recording, fields, ripples[kinds], ripples[~kinds])


def mark_frames(events: pd.DataFrame, n_frames: int) -> Float[np.ndarray, " frame"]:
    """1 in frames whose middle lies in an event."""
    return maps.mark_within((np.arange(n_frames) + 0.5) * FRAME, events).astype(np.float32)
