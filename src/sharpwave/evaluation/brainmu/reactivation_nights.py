"""Simulated nights with planted replays, what their units fire where, and events found against events planted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.brainmu.reactivation_frames import FRAME, PlaceFields
from sharpwave.brainmu.reactivation_head import ShippedHead, detect_reactivations
from sharpwave.evaluation.events import EventScores, score_events
from sharpwave.recordings.recording import Recording
from sharpwave.simulation import simulate_night
from sharpwave.simulation.species import get_species

SIGNALS = ("lfp", "spikes", "position")
HOURS = {"rat": 0.8, "mouse": 0.8, "human": 1.2}
N_PLACES = 20
IOU = 0.2


@dataclass(frozen=True, eq=False)
class ReactivationNight:
    """A simulated night.

    Attributes:
        recording: As a reader would give it.
        fields: Estimated from the laps.
        replays: Onset and duration of each planted replay.
        others: The same of shuffled sequences and of ripples without any.
    """

    recording: Recording
    fields: PlaceFields
    replays: pd.DataFrame
    others: pd.DataFrame


def simulate_reactivation_night(
    species: str, *, rng: np.random.Generator, n_units: int = 40, hours: float | None = None, replay: bool = True
) -> ReactivationNight:
    """A night with planted replays, or one whose sleep comes before the task, in which there is nothing to replay."""
    hours = HOURS[species] if hours is None else hours
    start = 0.0 if replay else hours * 3600 - get_species(species).task_length - 61
    recording, truth = simulate_night(species, hours, rng=rng, modalities=SIGNALS, n_units=n_units, task_start=start)
    fields = estimate_place_fields(recording, truth.laps)
    if not replay:
        recording = recording.restrict(0.0, start)
    ripples = truth.ripples[truth.ripples["onset"] < recording.duration]
    kinds = ripples["kind"] == "replay"
    return ReactivationNight(recording, fields, ripples[kinds], ripples[~kinds])


def estimate_place_fields(recording: Recording, laps: pd.DataFrame) -> PlaceFields:
    """What each unit fires where, from the laps: a smoothed histogram per track and running direction.

    Args:
        recording: With `position` and spikes.
        laps: onset, duration (s), content, run_direction.
    """
    signal = recording["position"]
    position = signal.read(dtype=np.float64)
    times = signal.start + np.arange(len(position)) / signal.rate
    edges = np.linspace(0, float(position.max()), N_PLACES + 1)
    kernel = np.exp(-0.5 * (np.arange(-2, 3) / 0.8) ** 2)
    trains: Any = recording.spikes
    units = tuple(trains.keys())
    rates, track, places = [], [], []
    for index, (_, group) in enumerate(laps.groupby(["content", "run_direction"])):
        spans = group[["onset", "duration"]].to_numpy(float)
        running = select_within(times, spans)
        time = np.convolve(np.histogram(position[running], edges)[0] / signal.rate, kernel, mode="same")
        rows = []
        for unit in units:
            fired = trains[unit].t
            where = np.interp(fired[select_within(fired, spans)], times, position)
            rows.append(np.convolve(np.histogram(where, edges)[0], kernel, mode="same") / np.maximum(time, 0.1))
        rates.append(np.array(rows))
        track.append(np.full(N_PLACES, index))
        places.append((edges[:-1] + edges[1:]) / 2)
    return PlaceFields(units, np.concatenate(rates, axis=1), np.concatenate(track), np.concatenate(places))


def score_night(shipped: ShippedHead, night: ReactivationNight, *, fields: bool = True) -> EventScores:
    """Events found against replays planted, at an intersection over union of `IOU`."""
    found = detect_reactivations(night.recording, fields=night.fields if fields else None, shipped=shipped)
    return score_events(night.replays, found, iou=IOU, duration=night.recording.duration)


def mark_frames(events: pd.DataFrame, n_frames: int) -> Float[np.ndarray, " frame"]:
    """1 in frames whose middle lies in an event."""
    middles = (np.arange(n_frames) + 0.5) * FRAME
    return select_within(middles, events[["onset", "duration"]].to_numpy(float)).astype(np.float32)


def select_within(times: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Which times lie in one of the spans (onset, duration), which do not overlap."""
    if not len(spans):
        return np.zeros(len(times), dtype=bool)
    spans = spans[np.argsort(spans[:, 0])]
    index = np.searchsorted(spans[:, 0], times, side="right") - 1
    return (index >= 0) & (times < spans[np.maximum(index, 0)].sum(axis=1))
