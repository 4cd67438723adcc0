"""Mazes found from movement, and positions, fields and events along them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.reactivation.mazes import EIGHT, EIGHT_WAYS, T_WAYS, W_WAYS, T, W, fire_along, make_w, roam, walk

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.branching import find_track_graph, linearise_on_graph
from sharpwave.reactivation.counts import bin_events
from sharpwave.reactivation.decoding import decode_position, filter_position, learn_running_walk, locate
from sharpwave.reactivation.environments import follow
from sharpwave.reactivation.place_fields import estimate_place_fields
from sharpwave.reactivation.position import Position, find_runs
from sharpwave.reactivation.state_space import decode_events

ANGLES = np.linspace(0, 2 * np.pi, 33)
RING = [(0.5 * np.cos(angle), 0.5 * np.sin(angle)) for angle in ANGLES]
STAR = [(0.0, 0.0), *((np.cos(angle), np.sin(angle)) for angle in np.arange(8) * np.pi / 4)]
STAR_WAYS = [way for arm in range(1, 9) for way in ((0, arm), (arm, 0))]


@pytest.mark.parametrize(
    ("nodes", "ways", "ends", "branches", "loops", "length"),
    [
        (W, W_WAYS, 3, 1, 0, 3.2),
        (T, T_WAYS, 3, 1, 0, 2.0),
        (EIGHT, EIGHT_WAYS, 0, 2, 2, 5.0),
        (RING, [tuple(range(33))], 0, 0, 1, np.pi),
        (STAR, STAR_WAYS, 8, 1, 0, 8.0),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_mazes_are_found_from_the_movement(
    nodes: list, ways: list, ends: int, branches: int, loops: int, length: float, scale: float
) -> None:
    position = walk(nodes, ways)
    position = replace(position, values=position.values * scale, unit="m" if scale == 1 else "pixels")
    graph = find_track_graph(position)
    degree = np.bincount(np.array(graph.edges).ravel())
    assert (int((degree == 1).sum()), int((degree > 2).sum())) == (ends, branches)
    assert len(graph.edges) - len(graph.nodes) + 1 == loops
    assert graph.length == pytest.approx(scale * length, rel=0.08)


@pytest.mark.parametrize("seconds", [120.0, 600.0])
def test_an_open_field_is_none(seconds: float) -> None:
    with pytest.raises(SharpwaveError, match="a track: paths narrow"):
        find_track_graph(roam(seconds))
    path, notes = follow(roam(seconds))
    assert path.dimension == 2
    assert "Two-dimensional place fields" in notes[0]


def test_a_straight_track_stays_a_line() -> None:
    path, notes = follow(walk([(0, 0), (2, 0.3)], [(0, 1), (1, 0)]))
    assert path.graph is None
    assert "projected on a line" in notes[0]


def test_a_long_stem_with_short_arms_is_no_line() -> None:
    nodes = [(0, 0), (1.6, 0), (1.6, 0.35), (1.6, -0.35)]
    path, notes = follow(walk(nodes, T_WAYS))
    assert path.graph is not None
    assert "3 ends, 1 branching points" in notes[0]


def test_positions_lie_on_the_nearest_edge_and_velocity_on_the_way() -> None:
    position, graph = walk(W, W_WAYS), make_w()
    path = linearise_on_graph(position, graph)
    assert path.graph is not None
    back = graph.locate(path.values[:, 0])
    assert np.median(np.linalg.norm(back - position.values, axis=1)) < 0.03
    runs = find_runs(path)
    assert len(runs) == 80  # 20 laps of 4 ways
    assert runs["direction"].tolist() == [1, -1] * 40
    assert np.quantile(np.abs(path.velocity), 0.8) == pytest.approx(0.4, abs=0.05)
    eight = linearise_on_graph(walk(EIGHT, EIGHT_WAYS), find_track_graph(walk(EIGHT, EIGHT_WAYS)))
    assert eight.velocity is not None
    share = (eight.velocity[np.abs(eight.velocity) > 0.1] > 0).mean()
    assert max(share, 1 - share) > 0.97  # always run the same way round: one direction throughout


def test_graphs_of_another_unit_or_place_are_refused() -> None:
    position = walk(W, W_WAYS, laps=3)
    with pytest.raises(SharpwaveError, match="a track graph in pixels"):
        linearise_on_graph(replace(position, unit="pixels"), make_w())
    with pytest.raises(SharpwaveError, match="where the animal is"):
        linearise_on_graph(replace(position, values=position.values * 100), make_w())
    with pytest.raises(SharpwaveError, match="two dimensions"):
        linearise_on_graph(Position(position.times, position.values[:, :1]), make_w())


@pytest.fixture(scope="module")
def maze() -> tuple[Position, dict[int, np.ndarray]]:
    path = linearise_on_graph(walk(W, W_WAYS), make_w())
    return path, fire_along(path, make_w())


def test_a_run_on_a_maze_is_decoded_along_the_graph(maze: tuple[Position, dict[int, np.ndarray]]) -> None:
    path, spikes = maze
    graph = make_w()
    half = float(path.times[len(path.times) // 2])
    rest = pd.DataFrame({"onset": [0.0], "duration": [half]})
    fields = estimate_place_fields(spikes, path, epochs=rest)
    assert fields.distances is not None
    walk_of_run = learn_running_walk(path, fields, seconds=0.25, epochs=rest)
    times = {"bin_size": 0.25, "start": half, "end": float(path.times[-1])}
    errors = {}
    for name, posterior in {
        "filter": filter_position(spikes, fields, transition=walk_of_run, **times),
        "assumed walk": filter_position(spikes, fields, **times),
        "memoryless": decode_position(spikes, fields, **times),
    }.items():
        nearest = np.searchsorted(path.times, posterior.times).clip(0, len(path.times) - 1)
        moving = np.abs(path.velocity[nearest, 0]) > 0.05
        away = graph.measure(locate(posterior, fields)[:, 0], path.values[nearest, 0]) / graph.length
        errors[name] = float(np.median(away[moving]))
    assert errors["filter"] < 0.025
    assert errors["assumed walk"] < 0.025
    assert errors["filter"] < 1.1 * errors["memoryless"]


def test_fields_at_the_branching_point_reach_into_all_arms() -> None:
    path = linearise_on_graph(walk(W, W_WAYS), make_w())
    graph = make_w()
    branching = graph.starts[1]  # where the stem ends
    near = graph.measure(path.values[:, 0], np.full(len(path.times), branching)) < 0.04
    spikes = {0: path.times[near] + 0.001}
    fields = estimate_place_fields(spikes, path, directional=False)
    away = graph.measure(fields.position[:, 0], np.full(len(fields.position), branching))
    edge = graph.find_edges(fields.position[:, 0])
    for arm in (0, 1, 3):
        own = (edge == arm) & (away < 0.1)
        assert fields.rates[0, own].max() > 5
    assert fields.rates[0, away > 0.3].max() < 0.5


def test_an_event_that_turns_into_an_arm_is_one_continuous_path() -> None:
    path, graph, rng = linearise_on_graph(walk(W, W_WAYS), make_w()), make_w(), np.random.default_rng(1)
    fields = estimate_place_fields(fire_along(path, graph, n_units=150), path)
    turn = graph.starts[3]  # from the stem into the arm that lies last on the line
    way = np.r_[np.linspace(0.1, 0.8, 40), turn + np.linspace(0, 0.7, 40)]
    nearest = np.abs(fields.position[:, 0][None] - way[:, None]) + 9 * (fields.direction == 1)[None]
    rates = fields.rates[:, nearest.argmin(axis=1)]
    counts = rng.poisson(8 * 0.002 * rates)
    trains = {unit: np.sort(0.002 * (np.repeat(np.arange(80), row) + 0.5)) for unit, row in enumerate(counts)}
    events = pd.DataFrame({"onset": [0.0], "duration": [0.16]})
    table = decode_events(bin_events(trains, events, bin_size=0.004, units=fields.units), fields).table
    on_line = replace(fields, distances=None)  # neighbours on the line only: the turn would be a jump
    other = decode_events(bin_events(trains, events, bin_size=0.004, units=fields.units), on_line).table
    assert table["dynamics"][0] == "continuous"
    assert table["p_continuous"][0] > other["p_continuous"][0]
    assert table["log_likelihood"][0] > other["log_likelihood"][0] + 1
