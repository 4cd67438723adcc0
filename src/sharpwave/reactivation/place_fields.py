"""Place fields: how fast each unit fires where, per track and running direction, and which units are place cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import flatten_spikes, mark_observed
from sharpwave.reactivation.grids import Grid, Smoother
from sharpwave.reactivation.position import GAP, Position, compute_velocity, convert_metres
from sharpwave.reactivation.tracks import TrackGraph

DIRECTIONS = {"outbound": 0, "inbound": 1}
SINGLE = "track"
"""Content of place fields where tracks are not distinguished."""

MIN_PEAK, MIN_INFORMATION = 1.0, 0.25
"""A place cell fires at 1 Hz or more somewhere, and says 0.25 bits or more about place with each spike."""

MIN_CELLS = 5

MOST_PLACES = 150

LEAST_OBSERVED = 0.1
"""Share of the running in which a unit must have been observed for its field to be known."""


@dataclass(frozen=True, eq=False)
class PlaceFields:
    """Rates by place. The places of all maps follow one another; a map is one content in one running direction.

    Attributes:
        units: Names of the units.
        rates: Rate of each unit at each place in Hz, above 0.
        contents: Names of the tracks (environments).
        content: Index into `contents` of each place.
        direction: Running direction of each place: 0 outbound, 1 inbound, -1 where directions are not distinguished.
        position: Middle of each place, in `unit`.
        occupancy: Time spent there, in s.
        bin_size: Size of a place along each dimension, in `unit`.
        unit: "m" or "pixels".
        distances: Distance along the track between places, where it branches; infinite between contents. None where
            distances are those between positions.

    >>> fields = PlaceFields(
    ...     units=(3, 8), rates=np.array([[9.0, 1.0], [1.0, 9.0]]), contents=("track",), content=np.zeros(2, int),
    ...     direction=np.full(2, -1), position=np.array([[0.5], [1.5]]), occupancy=np.ones(2), bin_size=1.0,
    ... )
    >>> len(fields.maps), fields.rates.argmax(axis=1).tolist()
    (1, [0, 1])
    """

    units: tuple[int, ...]
    rates: Float[np.ndarray, "unit place"]
    contents: tuple[str, ...]
    content: Int[np.ndarray, " place"]
    direction: Int[np.ndarray, " place"]
    position: Float[np.ndarray, "place dimension"]
    occupancy: Float[np.ndarray, " place"]
    bin_size: float
    unit: str = "m"
    distances: Float[np.ndarray, "place place"] | None = None

    @property
    def maps(self) -> tuple[np.ndarray, ...]:
        """Places of each map, in order."""
        code = self.content * 3 + self.direction
        return tuple(np.flatnonzero(code == each) for each in dict.fromkeys(code.tolist()))


def estimate_place_fields(
    spikes: Any,
    position: Position,
    *,
    epochs: pd.DataFrame | None = None,
    bin_size: float | None = None,
    smoothing: float | None = None,
    min_speed: float | None = None,
    min_occupancy: float = 0.1,
    floor: float = 0.05,
    directional: bool = True,
) -> PlaceFields:
    """Rates by place: smoothed spike counts over smoothed time spent there (Skaggs et al. 1993; Zhang et al. 1998).

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        position: Position in one dimension (a track) or two (an open field).
        epochs: Table of the time that the animal ran: onset, duration; optionally content (the track's name) and
            run_direction ("outbound", "inbound"). Where omitted, all of the position, on one track.
        bin_size: Size of a place; 4 cm where omitted. Where the unit is not the metre, this and the other lengths are
            those of a track 2 m long.
        smoothing: Standard deviation of the Gaussian over places; 5 cm where omitted.
        min_speed: Least speed of samples that count, per second; 5 cm/s where omitted.
        min_occupancy: Least time spent at a place, in s; places with less are left out. 0.1 s by default.
        floor: Least rate in Hz, so that one stray spike does not rule a place out; 0.05 Hz by default.
        directional: Whether a track has one map per running direction, which is the default.

    Returns:
        The place fields; units that never fire have the floor everywhere.

    Raises:
        SharpwaveError: If position has more than two dimensions, or nothing is left of the running.

    >>> times = np.arange(0, 60, 0.05)
    >>> position = Position(times, np.abs(2 - times % 4)[:, None])  # to and fro on 2 m
    >>> fields = estimate_place_fields({0: times[np.abs(position.values[:, 0] - 0.5) < 0.1]}, position)
    >>> fields.position[fields.rates[0].argmax()].round(1).tolist()
    [0.5]
    """
    if position.dimension > 2:
        raise SharpwaveError(
            "position in one or two dimensions", got=f"{position.dimension}", fix="leave the height out"
        )
    bin_size = convert_metres(0.04, position) if bin_size is None else bin_size
    smoothing = convert_metres(0.05, position) if smoothing is None else smoothing
    min_speed = convert_metres(0.05, position) if min_speed is None else min_speed
    velocity = compute_velocity(position)
    moving = np.linalg.norm(velocity, axis=1) > min_speed
    units, maps = tuple(map(int, spikes.keys())), []
    trains = flatten_spikes(spikes, units)
    for name, selected, heading in _select_maps(position, velocity, epochs, directional=directional):
        if (selected & moving).any():
            grid = Grid.around(position.values[_on_content(position, epochs, name) & moving], bin_size)
            time, counts = _count_on_grid(grid, *trains, position, selected & moving, n_units=len(units))
            smoother = Smoother(grid, smoothing, position.graph)
            maps.append(_Map.smooth(name, heading, smoother, time, counts, min_occupancy, floor))
    if not sum(len(each.occupancy) for each in maps):
        raise _miss_running(min_speed, position.unit)
    fields = _measure(_join_maps(maps, units, bin_size, position.unit), position.graph)
    return _weigh_observed(fields, spikes, position.times[moving], floor)


def _weigh_observed(fields: PlaceFields, spikes: Any, times: np.ndarray, floor: float) -> PlaceFields:
    """Fields of units that were observed in part of the running: their rates in that part; the floor without any."""
    observed = mark_observed(spikes, times, times, fields.units)
    if observed is None:
        return fields
    share = observed.mean(axis=0)[:, None]
    rates = np.where(share >= LEAST_OBSERVED, fields.rates / np.maximum(share, LEAST_OBSERVED), floor)
    return replace(fields, rates=np.where(share < 1, np.maximum(rates, floor), fields.rates))


def _miss_running(min_speed: float, unit: str) -> SharpwaveError:
    return SharpwaveError(
        f"running faster than {min_speed:g} {unit}/s within the epochs",
        got="none",
        fix="lower min_speed, or check that epochs and position share a clock",
    )


def compute_information(fields: PlaceFields) -> Float[np.ndarray, " unit"]:
    """Spatial information of each unit in bits per spike (Skaggs et al. 1993): Σ p(x) λ(x)/λ̄ log2 λ(x)/λ̄."""
    share = fields.occupancy / fields.occupancy.sum()
    ratio = fields.rates / (fields.rates @ share)[:, None]
    return (ratio * np.log2(ratio)) @ share


def compute_log_likelihood(
    counts: Int[np.ndarray, "bin unit"],
    fields: PlaceFields,
    *,
    bin_size: float,
    gain: float = 1.0,
    dtype: type = np.float64,
    observed: Bool[np.ndarray, "bin unit"] | None = None,
) -> Float[np.ndarray, "bin place"]:
    """Log of the Poisson probability of the counts at each place, but for the factorials, which no place changes.

    log p(n | x) = Σ_i n_i log(g λ_i(x) τ) − g τ Σ_i λ_i(x).

    Args:
        counts: Spikes by bin, units in the order of `fields.units`.
        fields: Place fields with rates λ in Hz.
        bin_size: Length τ of a bin, in s.
        gain: Factor g by which the units fire faster than where the fields were measured; 1 by default.
        dtype: Precision; in short bins float32 is enough, and faster.
        observed: Whether each unit was observed in each bin; the sum is over those alone. All were where omitted.

    Raises:
        SharpwaveError: If the counts are of another number of units.
    """
    if counts.shape[1] != len(fields.units):
        raise SharpwaveError(
            f"counts of {len(fields.units)} units, as the place fields have",
            got=f"{counts.shape[1]}",
            fix="bin the spikes with units=fields.units",
        )
    expected = gain * bin_size * fields.rates
    silent = expected.sum(axis=0) if observed is None else observed.astype(dtype) @ expected.astype(dtype)
    return counts.astype(dtype) @ np.log(expected).astype(dtype) - silent.astype(dtype)


def select_place_cells(fields: PlaceFields) -> PlaceFields:
    """The fields of the place cells alone: other units say nothing of place, and cannot be exchanged with these.

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
        rate_map: Rates in Hz.
        units: Names of the units.
        floor: Least rate in Hz; 0.05 Hz by default.

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


def _select_maps(
    position: Position, velocity: np.ndarray, epochs: pd.DataFrame | None, *, directional: bool
) -> Iterator[tuple[str, Bool[np.ndarray, " time"], int]]:
    """For each map its content, the samples that belong to it, and its direction."""
    for name in _list_contents(epochs):
        inside = _on_content(position, epochs, name)
        if not directional or position.dimension > 1:
            yield name, inside, -1
        elif epochs is not None and "run_direction" in epochs:
            own = epochs if "content" not in epochs else epochs[epochs["content"] == name]
            for label, code in DIRECTIONS.items():
                yield name, mark_within(position.times, own[own["run_direction"] == label]), code
        else:
            yield name, inside & (velocity[:, 0] > 0), 0
            yield name, inside & (velocity[:, 0] < 0), 1


def _list_contents(epochs: pd.DataFrame | None) -> list[str]:
    return [SINGLE] if epochs is None or "content" not in epochs else sorted(epochs["content"].astype(str).unique())


def _on_content(position: Position, epochs: pd.DataFrame | None, name: str) -> Bool[np.ndarray, " time"]:
    if epochs is None:
        return np.ones(len(position.times), dtype=bool)
    return mark_within(position.times, epochs if "content" not in epochs else epochs[epochs["content"] == name])


@dataclass(frozen=True, eq=False)
class _Map:
    """Rates of one content in one running direction, at the places that were visited."""

    content: str
    direction: int
    rates: Float[np.ndarray, "unit place"]
    position: Float[np.ndarray, "place dimension"]
    occupancy: Float[np.ndarray, " place"]

    @classmethod
    def smooth(
        cls,
        content: str,
        direction: int,
        smoother: Smoother,
        time: np.ndarray,
        counts: np.ndarray,
        min_occupancy: float,
        floor: float,
    ) -> _Map:
        """Smoothed counts over smoothed time, where the animal was for `min_occupancy` s or longer."""
        smooth_time, smooth_counts = smoother.smooth(time), smoother.smooth(counts)
        visited = (smooth_time >= min_occupancy) & smoother.on_track
        rates = np.maximum(smooth_counts[:, visited] / smooth_time[visited], floor)
        return cls(content, direction, rates, smoother.grid.middles[visited], time[visited])


def _join_maps(maps: list[_Map], units: tuple[int, ...], bin_size: float, unit: str) -> PlaceFields:
    """All maps one after the other."""
    contents = tuple(dict.fromkeys(each.content for each in maps))
    lengths = [len(each.occupancy) for each in maps]
    return PlaceFields(
        units,
        np.concatenate([each.rates for each in maps], axis=1),
        contents,
        np.repeat([contents.index(each.content) for each in maps], lengths),
        np.repeat([each.direction for each in maps], lengths),
        np.concatenate([each.position for each in maps]),
        np.concatenate([each.occupancy for each in maps]),
        bin_size,
        unit,
    )


def _measure(fields: PlaceFields, graph: TrackGraph | None) -> PlaceFields:
    """The fields with the distances along the graph, where there is one; infinite between contents."""
    if graph is None:
        return fields
    along = fields.position[:, 0]
    apart = fields.content[:, None] != fields.content[None]
    return replace(fields, distances=np.where(apart, np.inf, graph.measure(along[:, None], along[None])))


def _count_on_grid(
    grid: Grid, times: np.ndarray, index: np.ndarray, position: Position, selected: np.ndarray, *, n_units: int
) -> tuple[np.ndarray, np.ndarray]:
    """Time (s) that the selected samples spent in each bin, and the spikes of each unit there."""
    time = grid.sum(position.values[selected], weights=position.steps[selected])
    where, unit = _locate_spikes(times, index, position, selected)
    return time, grid.sum(where, index=unit, n=n_units)


def _locate_spikes(
    times: np.ndarray, index: np.ndarray, position: Position, selected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the animal was at each spike that falls between two selected samples, and the spike's unit."""
    before = np.searchsorted(position.times, times, side="right") - 1
    known = (before >= 0) & selected[before]
    known &= times - position.times[before] <= np.minimum(GAP, position.steps[before])
    if position.graph is not None:  # its line jumps between arms: the sample before, not the line between two
        return position.values[before[known]], index[known]
    where = [np.interp(times[known], position.times, axis) for axis in position.values.T]
    return np.stack(where, axis=-1), index[known]


def mark_within(times: np.ndarray, spans: pd.DataFrame) -> Bool[np.ndarray, " time"]:
    """Which times lie in one of the spans (onset, duration), which may overlap."""
    if not len(spans):
        return np.zeros(len(times), dtype=bool)
    onset = spans["onset"].to_numpy(float)
    opened = np.searchsorted(np.sort(onset), times, side="right")
    closed = np.searchsorted(np.sort(onset + spans["duration"].to_numpy(float)), times, side="right")
    return opened > closed
