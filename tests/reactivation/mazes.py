"""Animals on mazes: where they run, and cells with fields along the way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sharpwave.reactivation.position import Position
from sharpwave.reactivation.tracks import TrackGraph, make_graph

W = [(0, 0), (0, 0.8), (0.4, 0.8), (0.4, 0), (0.8, 0.8), (0.8, 0)]
W_EDGES = [(3, 2), (2, 1), (1, 0), (2, 4), (4, 5)]
W_WAYS = [(3, 2, 1, 0), (0, 1, 2, 3), (3, 2, 4, 5), (5, 4, 2, 3)]
T = [(0, 0), (1, 0), (1, 0.5), (1, -0.5)]
T_WAYS = [(0, 1, 2), (2, 1, 0), (0, 1, 3), (3, 1, 0)]
EIGHT = [(0, 0), (0, 1), (0.5, 1), (0.5, 0), (-0.5, 1), (-0.5, 0)]
EIGHT_WAYS = [(0, 1, 2, 3, 0), (0, 1, 4, 5, 0)]


def walk(
    nodes: Sequence[tuple[float, float]], ways: Sequence[Sequence[int]], *, laps: int = 20, seed: int = 0
) -> Position:
    """Runs at 0.4 m/s along ways from node to node, a second of rest after each, with the jitter of a tracked head."""
    rng, rate, parts = np.random.default_rng(seed), 30, []
    for _ in range(laps):
        for way in ways:
            for a, b in itertools.pairwise(way):
                start, end = np.array(nodes[a], float), np.array(nodes[b], float)
                n = int(np.linalg.norm(end - start) / 0.4 * rate)
                parts.append(start + (end - start) * np.linspace(0, 1, n, endpoint=False)[:, None])
            parts.append(np.tile(np.array(nodes[way[-1]], float), (rate, 1)))
    values = gaussian_filter1d(np.concatenate(parts), 3, axis=0)
    jitter = gaussian_filter1d(rng.normal(size=values.shape), 10, axis=0) * 0.06
    return Position(np.arange(len(values)) / rate, values + jitter)


def roam(seconds: float = 600.0, *, seed: int = 0) -> Position:
    """A walk all over an open field of 1 m."""
    rng = np.random.default_rng(seed)
    heading, place, values = 0.0, np.array([0.5, 0.5]), []
    for _ in range(int(seconds * 30)):
        heading += 0.2 * rng.normal()
        place = place + 0.01 * np.array([np.cos(heading), np.sin(heading)])
        if ((place < 0) | (place > 1)).any():
            heading = rng.uniform(0, 2 * np.pi)
            place = np.clip(place, 0, 1)
        values.append(place)
    return Position(np.arange(len(values)) / 30, np.array(values))


def make_w() -> TrackGraph:
    """The graph of the W as it was built."""
    return make_graph(W, W_EDGES, order=W_EDGES)


def fire_along(
    path: Position, graph: TrackGraph, *, n_units: int = 40, peak: float = 14.0, seed: int = 0
) -> dict[int, np.ndarray]:
    """Poisson spikes of cells with one field each, 12 cm wide along the graph, in one running direction."""
    rng = np.random.default_rng(seed)
    edge = rng.choice(len(graph.edges), n_units, p=graph.lengths / graph.length)
    centre = graph.starts[edge] + rng.random(n_units) * graph.lengths[edge]
    away = graph.measure(centre[:, None], path.values[:, 0][None])
    assert path.velocity is not None
    facing = np.sign(path.velocity[:, 0])[None] == rng.choice([-1, 1], n_units)[:, None]
    rates = 0.1 + peak * np.exp(-0.5 * (away / 0.12) ** 2) * facing
    trains = {}
    for unit, rate in enumerate(rates):
        sample = np.repeat(np.arange(len(path.times)), rng.poisson(rate / 30))
        trains[unit] = np.sort(path.times[sample] + rng.random(len(sample)) / 30)
    return trains
