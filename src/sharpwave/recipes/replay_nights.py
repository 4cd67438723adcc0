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
from sharpwave.simulation.effects import CONTENTS
from sharpwave.simulation.firing import DECOYS, PLAIN, Firing
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
    firing: Firing = PLAIN,
    contents: tuple[str, ...] = CONTENTS,
    signals: tuple[str, ...] = SIGNALS,
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
        firing: As for `simulate_night`.
        contents: As for `simulate_night`.
        signals: What is recorded; LFP, spikes and position by default.
    """
    hours = HOURS[species] if hours is None else hours
    start = 0.0 if replay else hours * 3600 - get_species(species).task_length - 61
    recording, truth = simulate_night(
        species, hours, rng=rng, modalities=signals, n_units=n_units, task_start=start, effects=effects,
        nuisance=nuisance, firing=firing, contents=contents,
    )  # fmt: skip
    fields = maps.estimate_place_fields(
        recording.spikes, get_position(recording), epochs=truth.laps, bin_size=PLACE, smoothing=SMOOTHING
    )
    if not replay:
        recording = recording.restrict(0.0, start)
        kept = {name: signal for name, signal in recording.signals.items() if name != "position"}
        recording = replace(recording, signals=kept)
    ripples = truth.ripples[truth.ripples["onset"] < recording.duration]
    kinds = ripples["kind"] == "replay"
    return ReactivationNight(recording, fields, ripples[kinds], ripples[~kinds])


def draw_varied_night(
    *, rng: np.random.Generator, hours: float = 0.6, lfp: bool = True, gain: tuple[float, float] = (2.5, 7.5)
) -> ReactivationNight:
    """A night that is drawn anew in everything that a laboratory does not choose, over wide ranges.

    20 to 150 units on one to three tracks; Poisson or bursting, with or without a shared gain that drifts, second
    fields and silent cells; replays of 3 to 20 m/s, straight or uneven, some of which leap; decoys of several kinds.

    Args:
        rng: Random generator.
        hours: Length, in h.
        lfp: Whether LFP is recorded.
        gain: Least and largest factor on the rate of a place cell in a replay; one is drawn for the night.
    """
    kinds = tuple(kind for kind in DECOYS if rng.random() < 0.6) or ("stationary",)
    firing = Firing(
        decoys=kinds,
        bursting=_draw_or_none(rng, 0.1, 0.5),
        drift=_draw_or_none(rng, 0.1, 0.6),
        speed=(3.0, 20.0) if rng.random() < 0.7 else None,
        leap=_draw_or_none(rng, 0.05, 0.3),
        bend=float(rng.uniform(0.0, 0.6)),
        absent=_draw_or_none(rng, 0.05, 0.35),
        second_fields=_draw_or_none(rng, 0.1, 0.4),
        gain=float(rng.uniform(*gain)),
    )
    return simulate_reactivation_night(
        "rat",
        rng=rng,
        hours=hours,
        n_units=round(float(np.exp(rng.uniform(np.log(20), np.log(150))))),
        firing=firing,
        contents=CONTENTS[: int(rng.integers(1, 4))],
        effects=Effects(replay_share=float(rng.uniform(0.1, 0.25))),
        nuisance=Nuisance(decoys=float(rng.uniform(0.3, 0.6))),
        signals=SIGNALS if lfp else SIGNALS[1:],
    )


def _draw_or_none(rng: np.random.Generator, low: float, high: float) -> float:
    """Nothing in half of the nights, else a value between."""
    return float(rng.choice([0.0, rng.uniform(low, high)]))


def mark_frames(events: pd.DataFrame, n_frames: int) -> Float[np.ndarray, " frame"]:
    """1 in frames whose middle lies in an event."""
    return maps.mark_within((np.arange(n_frames) + 0.5) * FRAME, events).astype(np.float32)
