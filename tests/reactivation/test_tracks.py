"""Graphs of tracks: distances against networkx, the line they are laid on, and files that say them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from tests.reactivation.mazes import EIGHT, W_EDGES, W

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.tracks import make_graph, read_track_graph

LOOPS = [(0, 1), (1, 2), (2, 3), (3, 0), (1, 4), (4, 5), (5, 0)]


@pytest.mark.parametrize(("nodes", "edges"), [(W, W_EDGES), (EIGHT, LOOPS)])
def test_distances_are_the_shortest_ways(nodes: list[tuple[float, float]], edges: list[tuple[int, int]]) -> None:
    graph = make_graph(nodes, edges)
    rng = np.random.default_rng(0)
    edge = rng.integers(len(edges), size=40)
    along = graph.starts[edge] + rng.random(40) * graph.lengths[edge]
    oracle = nx.Graph()
    for number, (a, b) in enumerate(graph.edges):
        inside = sorted(
            (float(each - graph.starts[number]), f"p{i}") for i, each in enumerate(along) if edge[i] == number
        )
        stops = [(0.0, a), *inside, (float(graph.lengths[number]), b)]
        for (low, first), (high, second) in itertools.pairwise(stops):
            oracle.add_edge(first, second, weight=high - low)
    found = graph.measure(along[:, None], along[None])
    for i in range(40):
        ways = nx.single_source_dijkstra_path_length(oracle, f"p{i}")
        assert found[i] == pytest.approx([ways[f"p{j}"] for j in range(40)], abs=1e-9)


def test_arms_side_by_side_on_the_line_are_far_apart_on_the_track() -> None:
    graph = make_graph(W, W_EDGES, order=W_EDGES)
    left_end, right_start = graph.starts[2] + graph.lengths[2], graph.starts[3]
    assert right_start - left_end == pytest.approx(0.05 * graph.length)
    assert float(graph.measure(np.array([left_end]), np.array([right_start]))[0]) == pytest.approx(1.2)
    assert graph.contains(np.array([left_end + 0.05])).tolist() == [False]
    assert graph.locate(np.array([0.0, left_end])).round(6).tolist() == [[0.4, 0.0], [0.0, 0.0]]


def test_graphs_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    named = {"a": [0, 0], "b": [100, 0], "c": [100, 100], "d": [100, -100]}
    table = {"unit": "cm", "nodes": named, "edges": [["a", "b"], ["b", "c"], ["b", "d"]]}
    path.write_text(json.dumps(table | {"edge_order": [["a", "b"], ["b", "c"], ["b", "d"]], "edge_spacing": 20}))
    graph = read_track_graph(path)
    assert (graph.unit, graph.length) == ("m", 3.0)
    assert graph.starts.tolist() == pytest.approx([0, 1.2, 2.4])
    path.write_text(json.dumps(table))
    assert read_track_graph(path).starts.tolist() == pytest.approx(
        [0, 1, 2.15]
    )  # no gap where one goes on from another


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nodes": [[0, 0, 0]] * 4}, "ValueError"),
        ({"edges": []}, "a track graph with edges"),
        ({"edges": [[0, 1], [2, 3]]}, "joined"),
        ({"edges": [[0, 1], [1, 2], [1, 7]]}, "'7'"),
        ({"edges": [[0, 1], [1, 1], [1, 3]]}, "two different nodes"),
        ({"edges": [[0, 1], [1, 0], [1, 2], [1, 3]]}, "each edge once"),
        ({"edge_order": [[0, 1]]}, "every edge once in edge_order"),
        ({"edge_spacing": [0.1, 0.1, 0.1, 0.1]}, "edge_spacing"),
        ({"edge_spacing": -1}, "none below 0"),
        ({"unit": "feet"}, "unit 'feet'"),
        ({"knots": []}, "unknown knots"),
        ({"nodes": [[0, 0], ["x", 1], [1, 1], [1, 2]]}, "could not convert"),
        ({"nodes": [[0, 0], [1, float("nan")], [1, 1], [1, 2]]}, "nodes"),
    ],
)
def test_what_is_no_track_is_refused_in_words(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "graph.json"
    table = {"nodes": [[0, 0], [1, 0], [1, 1], [1, -1]], "edges": [[0, 1], [1, 2], [1, 3]]}
    path.write_text(json.dumps(table | change))
    with pytest.raises(SharpwaveError, match=said):
        read_track_graph(path)


def test_what_is_no_file_of_a_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text("{")
    with pytest.raises(SharpwaveError, match="track graph such as"):
        read_track_graph(path)
    path.write_text("[1, 2]")
    with pytest.raises(SharpwaveError, match="without nodes and edges"):
        read_track_graph(path)
