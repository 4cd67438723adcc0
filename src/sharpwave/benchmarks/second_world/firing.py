"""Cells of the second world and their spikes: at rest, on the track, in population bursts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.benchmarks.second_world.options import FRAMES, N_PLACES, STEP, SessionOptions


@dataclass(frozen=True, eq=False)
class Cells:
    """What each cell does.

    Attributes:
        fields: Rate in Hz by cell, direction and place of the track that was run.
        elsewhere: The same on a track that never was.
        base: Rate in rest outside bursts, Hz.
        joins: Chance to join a random burst.
        groups: Members of the assemblies.
    """

    fields: Float[np.ndarray, "cell 2 place"]
    elsewhere: Float[np.ndarray, "cell 2 place"]
    base: Float[np.ndarray, " cell"]
    joins: Float[np.ndarray, " cell"]
    groups: tuple[Int[np.ndarray, " member"], ...]

    @classmethod
    def draw(cls, options: SessionOptions, rng: np.random.Generator) -> Cells:
        """Excitability is a cell's own: it lifts the peaks of all maps, the base rate and the chance to join."""
        n = options.n_cells
        excitability = rng.normal(size=n)
        size = int(np.clip(rng.normal(0.22, 0.04) * n, 6, 16))
        return cls(
            _draw_fields(options, excitability, rng),
            _draw_fields(options, excitability, rng),
            np.exp(np.log(0.25) + 0.5 * excitability + 0.5 * rng.normal(size=n)),
            1 / (1 + np.exp(1.6 - 0.5 * excitability - 0.5 * rng.normal(size=n))),
            tuple(rng.choice(n, min(size, n), replace=False) for _ in range(5)),
        )


def _draw_fields(
    options: SessionOptions, excitability: Float[np.ndarray, " cell"], rng: np.random.Generator
) -> Float[np.ndarray, "cell 2 place"]:
    """Skewed bumps on a floor; a third of the maps of a cell are silent; some cells fire alike in both directions."""
    length, n = options.track_length, len(excitability)
    places = (np.arange(N_PLACES) + 0.5) * length / N_PLACES
    shape = (n, 2, 1)
    middle = rng.uniform(-0.04, 1.04, shape) * length
    alike = rng.random(n) < 0.2
    middle[alike, 1] = middle[alike, 0]
    before, behind = rng.uniform(0.08, 0.22, shape), rng.uniform(0.06, 0.14, shape)
    peak = np.clip(np.exp(np.log(9) + 0.3 * excitability[:, None, None] + 0.4 * rng.normal(size=shape)), 2, 35)
    peak = peak * (rng.random(shape) < 0.68)
    second = rng.uniform(0, 1, shape) * length
    twice = 0.6 * (rng.random(shape) < options.second_field)
    away = places - middle
    bump = np.exp(-0.5 * (away / np.where(away < 0, before, behind)) ** 2)
    return 0.1 + peak * (bump + twice * np.exp(-0.5 * ((places - second) / behind) ** 2))


def _wander(n: int, deviation: float, hold: int, rng: np.random.Generator) -> np.ndarray:
    """Log-normal gain that holds for `hold` samples, in steps smoothed by their neighbours."""
    steps = np.convolve(rng.standard_normal(n // hold + 3), [0.5, 0.7, 0.5], "same")
    return np.exp(deviation * np.repeat(steps, hold)[:n])


def fire_in_rest(
    cells: Cells, options: SessionOptions, task: tuple[float, float], end: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Independent spikes at each cell's base rate, times a gain that all share and one of its own."""
    seconds = np.arange(int(end))
    resting = np.where((seconds < task[0]) | (seconds >= task[1]), 1.0, 0.3)
    shared = _wander(len(seconds), options.drift, 3, rng) * resting
    found = []
    for rate in cells.base:
        own = _wander(len(seconds), options.drift / 2, 60, rng)
        second = np.repeat(seconds, rng.poisson(rate * shared * own / _burst_factor(options)))
        found.append(second + rng.random(len(second)))
    return found


def fire_on_track(
    cells: Cells,
    options: SessionOptions,
    times: np.ndarray,
    place: np.ndarray,
    speed: np.ndarray,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Fields, paced by theta, while the animal moves; a fifth of the base rate in pauses."""
    here, way = _index(place, options.track_length), np.where(speed >= 0, 0, 1)
    theta = 1 + 0.6 * np.cos(2 * np.pi * 8 * times + rng.uniform(0, 6.28))
    moving = np.abs(speed) > 0.05
    found = []
    for cell, rate in enumerate(cells.base):
        expected = np.where(moving, cells.fields[cell, way, here] * theta, 0.2 * rate)
        expected = expected * _wander(len(times), options.drift / 2, 60, rng) / FRAMES / _burst_factor(options)
        sample = np.repeat(np.arange(len(times)), rng.poisson(expected))
        found.append(times[sample] + rng.random(len(sample)) / FRAMES)
    return found


def _index(place: np.ndarray, length: float) -> np.ndarray:
    return np.clip((place / length * N_PLACES).astype(int), 0, N_PLACES - 1)


def fire_in_events(
    cells: Cells, options: SessionOptions, events: pd.DataFrame, paths: list[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
    """Spikes of each cell in all bursts."""
    n, factor = options.n_cells, _burst_factor(options)
    found: list[list[np.ndarray]] = [[] for _ in range(n)]
    for onset, kind, way, path in zip(events["onset"], events["kind"], events["direction"], paths, strict=True):
        if way >= 0:
            maps = cells.elsewhere if kind == "remapped" else cells.fields
            takes_part = rng.random(n) >= options.absent
            hazard = options.gain * maps[:, way, _index(path, options.track_length)] * STEP * takes_part[:, None]
            hazard = (hazard + options.noise / len(path)) / factor
        else:
            hazard = np.repeat(_expect_in_burst(kind, cells, rng)[:, None] / len(path) / factor, len(path), axis=1)
        cell, step = np.nonzero(counts := rng.poisson(hazard))
        times = onset + STEP * (np.repeat(step, counts[cell, step]) + rng.random(counts.sum()))
        for each, piece in zip(*_split(np.repeat(cell, counts[cell, step]), times), strict=True):
            found[each].append(piece)
    return [np.concatenate(pieces) if pieces else np.empty(0) for pieces in found]


def _split(cell: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Times by cell, where cells come in order."""
    names, first = np.unique(cell, return_index=True)
    return names, np.split(times, first[1:]) if len(names) else []


def _expect_in_burst(kind: str, cells: Cells, rng: np.random.Generator) -> Float[np.ndarray, " cell"]:
    """Expected spikes of each cell in a burst without place."""
    if kind == "poisson":
        return cells.base * 12 / max(cells.base.sum(), 1e-9) * np.sqrt(len(cells.base) / 45)
    joining = rng.random(len(cells.base)) < cells.joins * (0.3 if kind == "assembly" else 1.0)
    if kind == "assembly":
        group = cells.groups[rng.integers(len(cells.groups))]
        joining[group[rng.random(len(group)) < 0.8]] = True
    return 2.0 * joining


def _burst_factor(options: SessionOptions) -> float:
    """Spikes per drawn spike once complex spikes are added: 1 + share (1 + 1/2 + 1/4 + 1/8)."""
    return 1 + 1.875 * options.bursting


def add_bursts(train: np.ndarray, options: SessionOptions, end: float, rng: np.random.Generator) -> np.ndarray:
    """Some spikes start complex spikes, 3 to 9 ms apart; what falls into the refractory time is dropped."""
    last, parts = train[rng.random(len(train)) < options.bursting], [train]
    for _ in range(4):
        last = last + rng.uniform(0.003, 0.009, len(last))
        parts.append(last)
        last = last[rng.random(len(last)) < 0.5]
    train = np.sort(np.concatenate(parts))
    train = train[np.r_[True, np.diff(train) >= options.refractory]] if len(train) else train
    return train[(train > 0) & (train < end)]
