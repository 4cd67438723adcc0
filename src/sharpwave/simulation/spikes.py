"""The task on the tracks, and CA1 units: place cells, log-normal rates in all states, sequences replayed in ripples.

Before sleep the animal runs laps on linear tracks, one track for each content.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.firing import (
    PLAIN,
    Firing,
    add_complex_spikes,
    add_second_fields,
    draw_assemblies,
    draw_levels,
    draw_positions,
    remap,
)
from sharpwave.simulation.scene import TRACK_LENGTH, Scene

POSITION_RATE = 30.0
"""Samples of position per second."""


@dataclass(frozen=True, eq=False)
class Run:
    """Behaviour on the tracks.

    Attributes:
        start: Time of the first position, in seconds.
        position: Along the track, in metres, shape (time,), at `POSITION_RATE`.
        velocity: Velocity in m/s, positive outbound, 0 at rest, shape (time,).
        track: Index of the track (of the content), shape (time,).
        laps: onset, duration, label ("lap"), content, run_direction.
    """

    start: float
    position: Float[np.ndarray, " time"]
    velocity: Float[np.ndarray, " time"]
    track: np.ndarray
    laps: pd.DataFrame


def simulate_run(
    task: tuple[float, float],
    *,
    contents: tuple[str, ...],
    track_length: float = TRACK_LENGTH,
    rng: np.random.Generator,
) -> Run:
    """Run to and fro on one track after the other, with a rest at each end.

    Args:
        task: Start and end, in seconds, shared equally by the tracks.
        contents: Contents of the memories, one track each.
        track_length: Length of each track in metres.
        rng: Random generator.

    Returns:
        The run.
    """
    n = int((task[1] - task[0]) * POSITION_RATE)
    position, velocity = np.zeros(n), np.zeros(n)
    track = np.minimum(np.arange(n) * len(contents) // max(n, 1), len(contents) - 1)
    laps = []
    index, outbound = 0, True
    while index < n:
        index_end = min(index + int(rng.uniform(0.8, 2.5) * POSITION_RATE), n)
        position[index:index_end] = 0.0 if outbound else track_length
        speed = float(np.clip(rng.normal(0.45, 0.08), 0.25, 0.7))
        length = int(track_length / speed * POSITION_RATE)
        first, last = index_end, min(index_end + length, n)
        if first >= n or last <= first or track[first] != track[last - 1]:
            position[first:last] = 0.0 if outbound else track_length
            index = last
            continue
        share = np.arange(1, last - first + 1) / length
        smooth = share - np.sin(2 * np.pi * share) / (2 * np.pi) * 0.5
        position[first:last] = track_length * (smooth if outbound else 1 - smooth)
        velocity[first:last] = np.gradient(position[first:last]) * POSITION_RATE if last - first > 1 else 0.0
        laps.append(
            {
                "onset": task[0] + first / POSITION_RATE,
                "duration": (last - first) / POSITION_RATE,
                "label": "lap",
                "content": contents[int(track[first])],
                "run_direction": "outbound" if outbound else "inbound",
            }
        )
        index, outbound = last, not outbound
    columns = ["onset", "duration", "label", "content", "run_direction"]
    return Run(
        task[0], position.astype(np.float32), velocity.astype(np.float32), track, pd.DataFrame(laps, columns=columns)
    )


N_BINS = 100
"""Position bins of each place map."""

RATE_DECAY = 0.11
"""Fall of the background rates per hour of sleep (Mizuseki & Buzsáki 2013)."""


@dataclass(frozen=True, eq=False)
class PlaceCells:
    """What each unit would fire.

    Attributes:
        maps: Rate (Hz) by content, running direction (outbound, inbound) and position bin, shape (unit, track, 2, bin).
        base_rate: Background rate in NREM outside ripples, in Hz, shape (unit,).
        participation: Chance to fire in a ripple that carries no sequence, shape (unit,).
        shuffle: Unit whose place each unit takes in a shuffled sequence, shape (unit,).
    """

    maps: Float[np.ndarray, "unit track direction bin"]
    base_rate: Float[np.ndarray, " unit"]
    participation: Float[np.ndarray, " unit"]
    shuffle: np.ndarray


def draw_place_cells(
    n_units: int, *, n_tracks: int, track_length: float = TRACK_LENGTH, rng: np.random.Generator
) -> PlaceCells:
    """Units with log-normal rates and participation (Mizuseki & Buzsáki 2013); most are place cells on each track.

    Args:
        n_units: Number of units.
        n_tracks: How many tracks; each has its own map.
        track_length: Length of each track in metres.
        rng: Random generator.

    Returns:
        The place cells: one field per map, 3 in 4 cells active in it, 20–40 cm wide, directional.
    """
    bins = (np.arange(N_BINS) + 0.5) * track_length / N_BINS
    shape = (n_units, n_tracks, 2, 1)
    centre = rng.uniform(-0.05, 1.05, shape) * track_length
    width = rng.uniform(0.07, 0.14, shape)
    peak = np.clip(rng.lognormal(np.log(10.0), 0.4, shape), 4, 30) * (rng.random(shape) < 0.75)
    base = rng.lognormal(np.log(0.4), 0.8, n_units)
    maps = 0.1 + peak * np.exp(-0.5 * ((bins - centre) / width) ** 2)
    participation = np.clip(rng.lognormal(np.log(0.12), 0.5, n_units), 0.02, 0.6)
    return PlaceCells(maps, base, participation, rng.permutation(n_units))


def give_second_fields(cells: PlaceCells, share: float, *, rng: np.random.Generator) -> PlaceCells:
    """The cells, a share of their fields with a second one elsewhere on the same track."""
    return replace(cells, maps=add_second_fields(cells.maps, share, rng=rng))


def simulate_spikes(
    scene: Scene,
    run: Run,
    cells: PlaceCells,
    *,
    track_length: float = TRACK_LENGTH,
    firing: Firing = PLAIN,
    rng: np.random.Generator,
) -> list[Float[np.ndarray, " spike"]]:
    """Spike times of every unit, Poisson throughout unless `firing` departs from it.

    Args:
        scene: The hidden side of the night.
        run: Behaviour on the tracks.
        cells: What each unit would fire.
        track_length: Length of each track in metres.
        firing: What departs from Poisson firing and straight paths.
        rng: Random generator.

    Returns:
        Sorted times in seconds, one array per unit.
    """
    background, running, bursts, departures = rng.spawn(4)
    levels = draw_levels(scene.n_seconds, firing.drift, rng=departures)
    times = _fire_background(scene, cells, levels, rng=background)
    for extra in (
        _fire_on_track(run, cells, track_length, levels**0.5, rng=running),
        _fire_in_ripples(scene, cells, track_length, firing, rng=bursts, departures=departures),
    ):
        times = [np.concatenate(pair) for pair in zip(times, extra, strict=True)]
    if firing.bursting:
        times = [add_complex_spikes(unit, firing.bursting, rng=departures) for unit in times]
    end = float(scene.n_seconds)
    return [np.sort(unit[(unit >= 0) & (unit < end)]) for unit in times]


def _fire_background(
    scene: Scene, cells: PlaceCells, levels: np.ndarray, *, rng: np.random.Generator
) -> list[np.ndarray]:
    species, n = scene.species, scene.n_seconds
    factor = scene.compute_level((1.2, 1.0, 0.8, 0.7, 1.1) if species.n_stages == 5 else (1.2, 0.75, 1.1), arousal=1.3)
    asleep = np.cumsum(scene.dynamics.stage > 0) / 3600
    factor = factor * (1 - RATE_DECAY) ** asleep * (1 + 0.5 * scene.precursors["hippocampus"])
    on_task = np.zeros(n, bool)
    on_task[int(scene.task[0]) : int(scene.task[1])] = True
    factor = np.where(on_task, 0.0, np.maximum(factor, 0.05)) * levels
    times = []
    for rate in cells.base_rate:
        second = np.repeat(np.arange(n), rng.poisson(rate * factor))
        times.append(second + rng.random(len(second)))
    return times


def _fire_on_track(
    run: Run, cells: PlaceCells, track_length: float, levels: np.ndarray, *, rng: np.random.Generator
) -> list[np.ndarray]:
    where = np.clip((run.position / track_length * N_BINS).astype(int), 0, N_BINS - 1)
    direction = np.where(run.velocity >= 0, 0, 1)
    moving = np.abs(run.velocity) > 0.03
    second = np.clip((run.start + np.arange(len(where)) / POSITION_RATE).astype(int), 0, len(levels) - 1)
    times = []
    for unit, rate in enumerate(cells.maps):
        expected = np.where(moving, rate[run.track, direction, where], 0.5 * cells.base_rate[unit]) / POSITION_RATE
        sample = np.repeat(np.arange(len(where)), rng.poisson(expected * levels[second]))
        times.append(run.start + (sample + rng.random(len(sample))) / POSITION_RATE)
    return times


def _fire_in_ripples(
    scene: Scene,
    cells: PlaceCells,
    track_length: float,
    firing: Firing,
    *,
    rng: np.random.Generator,
    departures: np.random.Generator,
) -> list[np.ndarray]:
    """Ten time bins a ripple: a path through the maps, or what its kind holds instead of one, or a burst."""
    n_bins = 10
    table, n_units = scene.ripples, len(cells.base_rate)
    track = np.array([scene.contents.index(c) if c else 0 for c in table["content"]], dtype=int)
    kind = table["kind"].to_numpy()
    sequence, shuffled, remapped = kind != "ripple", kind == "shuffled", kind == "remapped"
    direction = (table["run_direction"] == "inbound").to_numpy().astype(int)
    onset, duration = table["onset"].to_numpy(), table["duration"].to_numpy()
    path = np.where(sequence[:, None], draw_positions(table, n_bins, firing, rng=departures), 0.0)
    where = np.clip(np.nan_to_num(path) / track_length * N_BINS, 0, N_BINS - 1).astype(int)
    group = draw_assemblies(n_units, len(table), rng=departures) / n_bins
    elsewhere = remap(cells.maps, rng=departures)
    gain = firing.gain * np.exp(firing.drift * departures.standard_normal(len(table)))
    times = []
    for unit in range(n_units):
        own = cells.maps[unit][track[:, None], direction[:, None], where]
        other = cells.maps[cells.shuffle[unit]][track[:, None], direction[:, None], where]
        rate = np.where(shuffled[:, None], other, own)
        if remapped.any():
            rate[remapped] = elsewhere[unit][track[:, None], direction[:, None], where][remapped]
        replayed = gain[:, None] * rate * duration[:, None] / n_bins
        if firing.absent:
            replayed = replayed * (departures.random((len(table), 1)) >= firing.absent)
        replayed = np.where((kind == "assembly")[:, None], group[:, [unit]], replayed)
        takes_part = rng.random(len(table)) < cells.participation[unit]
        burst = np.where(takes_part[:, None], 1.6 / n_bins, 0.0) * np.ones(n_bins)
        expected = np.where(sequence[:, None], replayed + 0.1 * burst, burst)
        event, part = np.nonzero(counts := rng.poisson(expected))
        repeat = counts[event, part]
        event, part = np.repeat(event, repeat), np.repeat(part, repeat)
        times.append(onset[event] + duration[event] * (part + rng.random(len(part))) / n_bins)
    return times
