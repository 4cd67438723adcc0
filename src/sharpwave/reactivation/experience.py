"""The experience that is replayed: when it was, what ran where, and which units have a place there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.place_fields import (
    SINGLE,
    PlaceFields,
    compute_information,
    estimate_place_fields,
)
from sharpwave.reactivation.position import (
    Position,
    find_runs,
    get_position,
    linearise,
    mark_running,
    restrict_position,
)
from sharpwave.recordings import Recording

ON_A_LINE = 0.8
"""Share of the movement's variance along one axis from which an environment counts as a track."""

MIN_PEAK, MIN_INFORMATION = 1.0, 0.25
"""A place cell fires at 1 Hz or more somewhere, and says 0.25 bits or more about place with each spike."""

MIN_CELLS = 5
MOST_PLACES = 150


@dataclass(frozen=True, eq=False)
class Experience:
    """What the animal did, and what its units said of it.

    Attributes:
        start: In s.
        end: In s.
        fields: Place fields of the place cells alone.
        position: All of it, in the coordinates of the tracking; None where place fields came without.
        notes: What was chosen, in sentences.
    """

    start: float
    end: float
    fields: PlaceFields
    position: Position | None
    notes: tuple[str, ...]


def find_experience(recording: Recording, *, run: tuple[float, float] | None = None) -> Experience:
    """Place fields from the running of a session, or from the rate map that its source gives instead.

    A table of laps among the recording's events (columns content and run_direction) tells tracks and directions
    apart; without one, traversals are found from the position.

    Args:
        recording: With spikes, and a position or `metadata["rate_map"]` (unit, place).
        run: Start and end of the experience in s; from the first to the last traversal where omitted.

    Raises:
        SharpwaveError: If there is neither, no running, or fewer than `MIN_CELLS` place cells.
    """
    if not recording.of("position") and "rate_map" in recording.metadata:
        rates = np.asarray(recording.metadata["rate_map"], dtype=float)
        units = tuple(int(unit) for unit in recording.spikes) if recording.spikes is not None else ()
        note = "Place fields are the source's rate map, taken as one track: its positions are not described."
        return Experience(0.0, 0.0, select_place_cells(make_fields(rates, units)), None, (note,))
    position = get_position(recording)
    path, notes = _follow(position)
    laps = _find_laps(recording, path, run)
    if run is None:
        run = _find_span(path, laps)
    path = restrict_position(path, *run)
    if not len(path.times):
        raise SharpwaveError(
            "a position within the experience",
            got=f"none from {run[0]:g} to {run[1]:g} s",
            fix=f"--run START END, within {position.times[0]:g} to {position.times[-1]:g} s",
        )
    fields = estimate_place_fields(recording.spikes, path, epochs=laps)
    chosen = select_place_cells(fields)
    notes.append(f"{len(chosen.units)} of {len(fields.units)} units have a place field.")
    return Experience(run[0], run[1], chosen, position, tuple(notes))


def select_place_cells(fields: PlaceFields) -> PlaceFields:
    """The fields of the units that are place cells: the others carry no place, and cannot be exchanged with these.

    Raises:
        SharpwaveError: If there are fewer than `MIN_CELLS`.
    """
    keep = mark_place_cells(fields)
    if keep.sum() < MIN_CELLS:
        raise SharpwaveError(
            f"at least {MIN_CELLS} place cells ({MIN_PEAK:g} Hz at their peak, {MIN_INFORMATION:g} bits per spike)",
            got=f"{int(keep.sum())} of {len(keep)} units",
            fix="check --run START END, and that units and position share a clock",
        )
    units = tuple(unit for unit, kept in zip(fields.units, keep, strict=True) if kept)
    return replace(fields, units=units, rates=fields.rates[keep])


def mark_place_cells(fields: PlaceFields) -> Bool[np.ndarray, " unit"]:
    """Which units fire at `MIN_PEAK` or more somewhere and carry `MIN_INFORMATION` or more."""
    return (fields.rates.max(axis=1) >= MIN_PEAK) & (compute_information(fields) >= MIN_INFORMATION)


def make_fields(rate_map: Float[np.ndarray, "unit bin"], units: tuple[int, ...], *, floor: float = 0.05) -> PlaceFields:
    """Place fields from a rate map of one track, neighbouring bins pooled so that there are at most `MOST_PLACES`.

    Args:
        rate_map: In Hz.
        units: Their names.
        floor: Least rate in Hz.

    Raises:
        SharpwaveError: If there is not one row a unit.
    """
    if len(units) != len(rate_map):
        raise SharpwaveError(
            "a rate map with one row a unit", got=f"{len(rate_map)} rows for {len(units)} units", fix="check the source"
        )
    size = -(-rate_map.shape[1] // MOST_PLACES)
    first = np.arange(0, rate_map.shape[1], size)
    width = np.diff(np.r_[first, rate_map.shape[1]])
    rates = np.add.reduceat(np.nan_to_num(rate_map), first, axis=1) / width
    n_places = len(first)
    return PlaceFields(
        units,
        np.maximum(rates, floor),
        (SINGLE,),
        np.zeros(n_places, dtype=np.int64),
        np.full(n_places, -1, dtype=np.int64),
        (np.arange(n_places, dtype=float) * size)[:, None],
        np.ones(n_places),
        float(size),
        "bins",
    )


def _follow(position: Position) -> tuple[Position, list[str]]:
    """Position along the track where there is one, else as it is."""
    if position.dimension == 1:
        return position, []
    along = linearise(position)
    if along.explained >= ON_A_LINE:
        return along, [f"Position was projected on a line, along which {along.explained:.0%} of the movement lies."]
    return position, [f"Two-dimensional place fields: {along.explained:.0%} of the movement lies along one line."]


def _find_laps(recording: Recording, path: Position, run: tuple[float, float] | None) -> pd.DataFrame | None:
    events = recording.events
    if {"content", "run_direction"} <= set(events.columns) and events["run_direction"].isin(("outbound",)).any():
        laps = events[events["run_direction"].isin(("outbound", "inbound"))]
    elif path.dimension == 1:
        laps = find_runs(path)
        laps = laps.assign(run_direction=np.where(laps["direction"] > 0, "outbound", "inbound"))
    else:
        return None
    inside = np.ones(len(laps), bool) if run is None else laps["onset"].between(*run, inclusive="left").to_numpy()
    return laps[inside].reset_index(drop=True)


def _find_span(path: Position, laps: pd.DataFrame | None) -> tuple[float, float]:
    if laps is not None and len(laps):
        return float(laps["onset"].min()), float((laps["onset"] + laps["duration"]).max())
    moving = path.times[mark_running(path)]
    if laps is not None or not len(moving):
        raise SharpwaveError(
            "running, from which the experience is found",
            got="no traversal of the track",
            fix="give its start and end: --run START END",
        )
    return float(moving[0]), float(moving[-1])
