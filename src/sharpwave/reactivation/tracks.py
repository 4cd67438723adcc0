"""A track that branches, as a graph: straight edges between nodes, laid one after the other on a line.

A place on the track is one number, its position on that line. Distances are those along the graph, so that the ends of
two arms that lie side by side on the line are as far apart as the animal has to run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.untrusted import explained, read_json

MOST_NODES = 1000
GAP_SHARE = 0.05
"""Gap on the line between edges that do not join, as a share of the track's length, where the file gives none."""

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}

Edge = tuple[int, int]


@dataclass(frozen=True, eq=False)
class TrackGraph:
    """The middle of the paths that an animal can take.

    Attributes:
        nodes: Ends, corners and branching points, in `unit`.
        edges: Straight pieces, in the order in which they lie on the line; each starts at its first node.
        gaps: Gap on the line before each edge, in `unit`; 0 before the first and before one that goes on.
        unit: "m", or "pixels" where the scale is unknown.
        headings: 1 where the animal that runs along the edge's order counts as outbound, -1 where inbound.

    >>> graph = make_graph([[0, 0], [1, 0], [1, 1], [1, -1]], [(0, 1), (1, 2), (1, 3)])  # a T
    >>> graph.edges, graph.length, graph.starts.round(2).tolist()
    (((0, 1), (1, 3), (1, 2)), 3.0, [0.0, 1.0, 2.15])
    >>> float(graph.measure(np.array([1.5]), np.array([2.65]))[0])  # half way up, half way down
    1.0
    """

    nodes: Float[np.ndarray, "node 2"]
    edges: tuple[Edge, ...]
    gaps: Float[np.ndarray, " edge"]
    unit: str
    headings: Int[np.ndarray, " edge"]

    @cached_property
    def lengths(self) -> Float[np.ndarray, " edge"]:
        """Length of each edge."""
        first, last = self.nodes[[edge[0] for edge in self.edges]], self.nodes[[edge[1] for edge in self.edges]]
        return np.linalg.norm(last - first, axis=1)

    @property
    def length(self) -> float:
        """Length of all edges together."""
        return float(self.lengths.sum())

    @cached_property
    def starts(self) -> Float[np.ndarray, " edge"]:
        """Position on the line at which each edge starts."""
        return np.cumsum(self.gaps) + np.r_[0.0, np.cumsum(self.lengths)[:-1]]

    @cached_property
    def node_distances(self) -> Float[np.ndarray, "node node"]:
        """Shortest way along the graph between nodes."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import shortest_path

        ends = np.array(self.edges)
        size = (len(self.nodes), len(self.nodes))
        return np.asarray(
            shortest_path(coo_array((self.lengths, (ends[:, 0], ends[:, 1])), shape=size), directed=False)
        )

    def find_edges(self, along: Float[np.ndarray, "*places"]) -> Int[np.ndarray, "*places"]:
        """The edge of each place; of a place in a gap, the nearer one."""
        middles = (self.starts[:-1] + self.lengths[:-1] + self.starts[1:]) / 2
        return np.searchsorted(middles, along, side="right")

    def measure(
        self, first: Float[np.ndarray, "*#places"], second: Float[np.ndarray, "*#places"]
    ) -> Float[np.ndarray, "..."]:
        """Distance along the graph between places on the line, pair by pair (arrays that broadcast)."""
        one, other = self._find_ends(first), self._find_ends(second)
        found = np.where(one[0] == other[0], np.abs(np.asarray(first) - np.asarray(second)), np.inf)
        for node, way in one[1]:
            for far_node, far_way in other[1]:
                found = np.minimum(found, way + self.node_distances[node, far_node] + far_way)
        return found

    def contains(self, along: Float[np.ndarray, " place"], *, tolerance: float = 0.0) -> np.ndarray:
        """Which places on the line lie on an edge, and not in a gap, or within `tolerance` of one."""
        edge = self.find_edges(along)
        offset = along - self.starts[edge]
        return (offset >= -tolerance) & (offset <= self.lengths[edge] + tolerance)

    def locate(self, along: Float[np.ndarray, " place"]) -> Float[np.ndarray, "place 2"]:
        """Where places on the line lie in the plane."""
        edge = self.find_edges(along)
        share = np.clip((along - self.starts[edge]) / self.lengths[edge], 0, 1)[:, None]
        ends = np.array(self.edges)[edge]
        return (1 - share) * self.nodes[ends[:, 0]] + share * self.nodes[ends[:, 1]]

    def _find_ends(self, along: np.ndarray) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """Edge of each place, and the node and the way to it at either end."""
        along = np.asarray(along, dtype=float)
        edge = self.find_edges(along)
        offset = np.clip(along - self.starts[edge], 0, self.lengths[edge])
        ends = np.array(self.edges)[edge]
        return edge, [(ends[..., 0], offset), (ends[..., 1], self.lengths[edge] - offset)]

    def describe(self) -> str:
        """What the graph is, in words."""
        degree = np.bincount(np.array(self.edges).ravel(), minlength=len(self.nodes))
        loops = len(self.edges) - len(self.nodes) + 1
        parts = [
            f"{int((degree == 1).sum())} ends",
            f"{int((degree > 2).sum())} branching points",
            *([f"{loops} loop{'s' * (loops > 1)}"] if loops else []),
        ]
        return f"{', '.join(parts)}, {len(self.edges)} straight pieces, {self.length:.3g} {self.unit} together"


def make_graph(
    nodes: Any,
    edges: Sequence[Edge],
    *,
    order: Sequence[Edge] | None = None,
    spacing: float | Sequence[float] | None = None,
    root: int | None = None,
    unit: str = "m",
) -> TrackGraph:
    """A graph whose edges lie on a line in a given order, or in that of a walk along it.

    Args:
        nodes: Places of the nodes, in `unit`.
        edges: Pairs of numbers of nodes.
        order: The edges as they lie on the line; a walk from `root` that goes straight on first where omitted.
        spacing: Gap before each edge but the first, in `unit`, or one for all. Edges that go on from the one before
            need none: where omitted they have none, and the others have 5 % of the track's length.
        root: Node where the walk begins; the first node with one edge where omitted.
        unit: Unit of length.

    Raises:
        SharpwaveError: If the graph is not one connected track.
    """
    places = np.asarray(nodes, dtype=np.float64)
    _check_graph(places, edges)
    if order is None:
        order = _walk(places, edges, root)
    elif sorted(map(sorted, order)) != sorted(map(sorted, edges)):
        raise SharpwaveError("every edge once in edge_order", got=f"{len(order)} of {len(edges)}", fix="list them all")
    joined = np.array([False, *(before[1] == after[0] for before, after in itertools.pairwise(order))])
    total = sum(float(np.linalg.norm(places[b] - places[a])) for a, b in edges)
    gaps = np.where(joined, 0.0, GAP_SHARE * total)
    if spacing is not None:
        given = np.full(len(order) - 1, spacing) if np.isscalar(spacing) else np.asarray(spacing, dtype=float)
        if given.shape != (len(order) - 1,) or not (np.isfinite(given).all() and (given >= 0).all()):
            raise SharpwaveError(
                f"edge_spacing: one length, or {len(order) - 1} (one between each two edges), none below 0",
                got=f"{spacing!r}"[:80],
                fix="leave it out, and gaps are chosen",
            )
        gaps[1:] = np.where(joined[1:], given, np.maximum(given, gaps[1:]))
    gaps[0] = 0.0
    edges = tuple((int(a), int(b)) for a, b in order)
    return TrackGraph(places, edges, gaps, unit, np.ones(len(edges), dtype=int))


def _check_graph(nodes: np.ndarray, edges: Sequence[Edge]) -> None:
    n = len(nodes)

    def refuse(expected: str, got: str) -> SharpwaveError:
        return SharpwaveError(f"a track graph with {expected}", got=got, fix="correct the nodes and edges")

    if nodes.ndim != 2 or nodes.shape[1] != 2 or not 2 <= n <= MOST_NODES or not np.isfinite(nodes).all():
        raise refuse(f"2 to {MOST_NODES} nodes, each x and y", f"nodes of shape {nodes.shape}")
    if not edges:
        raise refuse("edges", "none")
    for a, b in edges:
        if not (0 <= a < n and 0 <= b < n) or a == b or not np.linalg.norm(nodes[a] - nodes[b]) > 0:
            raise refuse("edges that join two different nodes", f"edge {a}-{b} of {n} nodes")
    if len({tuple(sorted(edge)) for edge in edges}) < len(edges):
        raise refuse("each edge once", "an edge twice; a loop needs a node more on one of its ways")
    reached, waiting = {0}, [0]
    while waiting:
        node = waiting.pop()
        beside = {b if a == node else a for a, b in edges if node in (a, b)} - reached
        reached |= beside
        waiting += beside
    if len(reached) < n:
        raise refuse("one track, all of it joined", f"{len(reached)} of {n} nodes are joined to the first")


def _walk(nodes: np.ndarray, edges: Sequence[Edge], root: int | None) -> list[Edge]:
    """The edges along a walk: at each node that way first which turns least, the others later."""
    beside: dict[int, list[int]] = {}
    for a, b in edges:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    if root is None:
        root = next((node for node in range(len(nodes)) if len(beside[node]) == 1), 0)
    order: list[Edge] = []
    done: set[frozenset[int]] = set()
    waiting = [(root, node) for node in reversed(beside[root])]
    while waiting:
        edge = waiting.pop()
        if frozenset(edge) in done:
            continue
        done.add(frozenset(edge))
        order.append(edge)
        node, way = edge[1], nodes[edge[1]] - nodes[edge[0]]
        onward = [other for other in beside[node] if frozenset((node, other)) not in done]
        turn = {
            other: float(way @ (nodes[other] - nodes[node]) / np.linalg.norm(nodes[other] - nodes[node]))
            for other in onward
        }
        waiting += [(node, other) for other in sorted(onward, key=lambda each: turn[each])]
    return order


def read_track_graph(path: Path) -> TrackGraph:
    """A graph from a JSON file.

    Its keys: `nodes` (a list of [x, y], or a mapping from names to these), `edges` (pairs of numbers or names of
    nodes), and where wanted `edge_order` (the edges as they lie on the line), `edge_spacing` (one gap or a list) and
    `unit` ("m", which is the default, "cm", "mm" or "pixels").

    Raises:
        SharpwaveError: If the file is no such graph.
    """
    shape = 'a track graph such as {"nodes": [[0, 0], [1, 0]], "edges": [[0, 1]]}, in metres'
    fix = 'see "Tracks that branch" in docs/replay.md'
    with explained(shape, name=path.name, fix=fix):
        table = read_json(path)
    if not isinstance(table, dict) or not {"nodes", "edges"} <= set(table):
        raise SharpwaveError(shape, got=f"{path.name} without nodes and edges", fix=fix)
    unknown = sorted(set(table) - {"nodes", "edges", "edge_order", "edge_spacing", "unit"})
    unit = table.get("unit", "m")
    if unknown or (unit not in UNITS and unit != "pixels"):
        got = f"unknown {', '.join(map(str, unknown))}" if unknown else f"unit {unit!r}"
        raise SharpwaveError(f"{shape}; unit m, cm, mm or pixels", got=f"{path.name}: {got}", fix=fix)
    try:
        named = table["nodes"] if isinstance(table["nodes"], dict) else dict(enumerate(table["nodes"]))
        number = {str(name): index for index, name in enumerate(named)}
        scale = UNITS.get(unit, 1.0)
        nodes = scale * np.array([[float(x), float(y)] for x, y in named.values()])
        edges, order = (
            [(number[str(a)], number[str(b)]) for a, b in table.get(key) or []] for key in ("edges", "edge_order")
        )
        spacing = table.get("edge_spacing")
        spacing = None if spacing is None else scale * np.asarray(spacing, dtype=float)
    except (TypeError, ValueError, KeyError) as error:
        raise SharpwaveError(shape, got=f"{path.name}: {type(error).__name__}: {error}", fix=fix) from error
    wide = None if spacing is None else (float(spacing) if spacing.ndim == 0 else spacing.tolist())
    return make_graph(nodes, edges, order=order or None, spacing=wide, unit="pixels" if unit == "pixels" else "m")
