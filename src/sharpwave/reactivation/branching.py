"""Tracks that branch: the graph of a maze found from where the animal ran, and its position along that graph."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.position import JUMP, Position, compute_velocity
from sharpwave.reactivation.skeletons import trace_skeleton
from sharpwave.reactivation.tracks import TrackGraph, make_graph

CELLS = 50
"""Cells along the longer side of the movement, over which a maze is looked for."""

DENSE = 0.08
"""A cell belongs to the track where the animal passed this often, as a share of the usual."""

WIDEST = 0.2
"""Widest path of a track, as a share of the longer side of the movement; above, it is an open field."""

OFF_TRACK = 0.1
"""Distance from the graph at which the animal is off the track, as a share of the longest way along it."""

LEAST_ON_TRACK = 0.9
"""Share of the movement that must lie on the graph."""

MOST_GROUPS = 12


def find_track_graph(position: Position) -> TrackGraph:
    """The graph of a maze, from the middle of the paths that the animal took.

    Where it passed is drawn on a grid and thinned to lines; branches shorter than the path is wide are left out.

    Args:
        position: Position in two dimensions.

    Raises:
        SharpwaveError: If the animal moved over an open field, or hardly at all.

    >>> there = np.r_[np.linspace(0, 1, 200), np.ones(200)], np.r_[np.zeros(200), np.linspace(0, 1, 200)]  # an L
    >>> values = np.concatenate([np.stack(there, axis=1), np.stack(there, axis=1)[::-1]])
    >>> graph = find_track_graph(Position(np.arange(800) / 30, values))
    >>> len(graph.edges), bool(abs(graph.length - 2) < 0.1)
    (2, True)
    """
    values, weights = _weigh(position)
    low, high = (np.quantile(values[weights > 0], share, axis=0) for share in (0.002, 0.998))
    extent = float((high - low).max())
    size = extent / CELLS
    mask, origin = _draw(values, weights, low, size)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    nodes, edges = trace_skeleton(mask, depth)
    width = 2 * size * float(np.median(depth[tuple(np.rint(nodes).astype(int).T)])) if len(nodes) else extent
    share = mask.sum() * size**2 / max(float(np.prod(high - low)), 1e-12)
    if width > WIDEST * extent or share > 0.7 or not edges:
        raise SharpwaveError(
            "a track: paths narrow against their length",
            got=f"paths {width / extent:.0%} as wide as the movement is long, over {min(share, 1):.0%} of its area",
            fix="give the track with --track-graph, or keep the place fields in two dimensions",
        )
    places = origin + size * nodes
    graph = make_graph(places, edges, root=_find_root(places, edges, values), unit=position.unit)
    graph = _stretch(graph, values[weights > 0], width)
    beside = _measure_beside(graph, values)
    inside = float(weights[beside < max(1.5 * width, 0.05 * extent)].sum() / weights.sum())
    if inside < LEAST_ON_TRACK:
        raise SharpwaveError(
            "a track on which the animal stays",
            got=f"{1 - inside:.0%} of its movement beside the paths that were found",
            fix="give the track with --track-graph, or keep the place fields in two dimensions",
        )
    return graph


def linearise_on_graph(position: Position, graph: TrackGraph) -> Position:
    """Position on the line of a graph, by the package track_linearization: each sample on the nearest edge.

    Samples far from the track are left out.

    Args:
        position: Position in two dimensions, in the graph's unit.
        graph: The track.

    Returns:
        Position in one dimension, with the velocity along the track: positive where the animal runs outbound.

    Raises:
        SharpwaveError: If position and graph have not the same unit or size, or do not overlap.
    """
    if position.dimension != 2:
        raise SharpwaveError(
            "position in two dimensions, to be laid on a track graph",
            got=f"{position.dimension}",
            fix="leave --track-graph out",
        )
    if position.unit != graph.unit:
        raise SharpwaveError(
            f"a track graph in {position.unit}, the unit of the position",
            got=graph.unit,
            fix=f'give the nodes in {position.unit}, and "unit" in the file',
        )
    beside = _measure_beside(graph, position.values)
    on_track = beside < OFF_TRACK * float(graph.node_distances.max())
    if on_track.mean() < 0.5:
        low, high = position.values.min(axis=0), position.values.max(axis=0)
        raise SharpwaveError(
            "a track graph where the animal is",
            got=f"{on_track.mean():.0%} of the samples near it; nodes from {_show(graph.nodes.min(axis=0))} to "
            f"{_show(graph.nodes.max(axis=0))}, positions from {_show(low)} to {_show(high)} {position.unit}",
            fix="check the unit and the origin of the nodes",
        )
    line = _project(position.values[on_track], graph)
    velocity = compute_velocity(position)[on_track]
    edge = graph.find_edges(line)
    graph = replace(graph, headings=_choose_headings(graph, edge))
    ends = np.array(graph.edges)[edge]
    way = (graph.nodes[ends[:, 1]] - graph.nodes[ends[:, 0]]) / graph.lengths[edge][:, None]
    along = (velocity * way).sum(axis=1) * graph.headings[edge]
    return replace(
        position,
        times=position.times[on_track],
        values=line[:, None],
        velocity=along[:, None],
        graph=graph,
        explained=1.0,
    )


def _show(point: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.3g}" for value in point) + ")"


def _project(values: Float[np.ndarray, "time 2"], graph: TrackGraph) -> Float[np.ndarray, " time"]:
    """Positions on the line."""
    from track_linearization import get_linearized_position, make_track_graph

    # The package counts edges in the order in which networkx lists them, so they are given in that order.
    ranked = sorted(tuple(sorted(edge)) for edge in graph.edges)
    track = make_track_graph([tuple(node) for node in graph.nodes.tolist()], ranked)
    for number, edge in enumerate(track.edges):
        track.edges[edge]["edge_id"] = number
    table = get_linearized_position(
        values, track, edge_order=list(graph.edges), edge_spacing=graph.gaps[1:].tolist(), use_HMM=False
    )
    return table["linear_position"].to_numpy(dtype=float)


def _measure_beside(graph: TrackGraph, values: Float[np.ndarray, "time 2"]) -> Float[np.ndarray, " time"]:
    """Distance of each sample from the nearest edge."""
    nearest = np.full(len(values), np.inf)
    for a, b in graph.edges:
        way = graph.nodes[b] - graph.nodes[a]
        share = np.clip((values - graph.nodes[a]) @ way / (way @ way), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(values - graph.nodes[a] - share[:, None] * way, axis=1))
    return nearest


def _weigh(position: Position) -> tuple[Float[np.ndarray, "time 2"], Float[np.ndarray, " time"]]:
    """Positions and how far the animal came to each; nothing for jumps of the tracker."""
    if position.dimension != 2 or len(position.times) < 10:
        raise SharpwaveError("a position in two dimensions", got=f"{position.values.shape}", fix="check the tracking")
    travelled = np.linalg.norm(np.diff(position.values, axis=0, prepend=position.values[:1]), axis=1)
    if not (travelled > 0).any():
        raise SharpwaveError("an animal that moves", got="one place throughout", fix="check the tracking")
    usual = float(np.quantile(travelled[travelled > 0], 0.95))
    return position.values, np.where(travelled < JUMP * usual, np.minimum(travelled, 2 * usual), 0.0)


def _draw(
    values: np.ndarray, weights: np.ndarray, low: np.ndarray, size: float
) -> tuple[Bool[np.ndarray, "x y"], Float[np.ndarray, " 2"]]:
    """The cells that belong to the track, and where the middle of the first one lies."""
    border = 4
    origin = low - (border - 0.5) * size
    cells = np.rint((values - origin) / size).astype(int)
    shape = (CELLS + 2 * border, CELLS + 2 * border)
    inside = ((cells >= 0) & (cells < shape)).all(axis=1)
    drawn = np.zeros(shape)
    np.add.at(drawn, tuple(cells[inside].T), weights[inside])
    smooth = ndimage.gaussian_filter(drawn, 0.8)
    usual = np.average(smooth[tuple(cells[inside].T)], weights=weights[inside] + 1e-12)
    mask = ndimage.binary_closing(smooth > DENSE * usual, iterations=1)
    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sums = ndimage.sum_labels(drawn, parts, np.arange(1, parts.max() + 1))
    mask = parts == 1 + int(np.argmax(sums))
    holes, n_holes = ndimage.label(~mask)
    for hole in range(1, n_holes + 1):
        mask |= (holes == hole) if (holes == hole).sum() <= 12 else False
    return mask, origin


def _find_root(places: np.ndarray, edges: list[tuple[int, int]], values: np.ndarray) -> int | None:
    """The end at which the animal was longest."""
    degree = np.bincount(np.array(edges).ravel(), minlength=len(places))
    ends = np.flatnonzero(degree == 1)
    if not len(ends):
        return int(np.argmax(degree))
    nearest = np.linalg.norm(values[:, None] - places[None, ends], axis=2)
    reach = 0.1 * float(np.ptp(values, axis=0).max())
    return int(ends[(nearest < reach).sum(axis=0).argmax()])


def _stretch(graph: TrackGraph, values: np.ndarray, width: float) -> TrackGraph:
    """Ends moved out to where the animal turns: thinning takes about half a width from each."""
    degree = np.bincount(np.array(graph.edges).ravel(), minlength=len(graph.nodes))
    nodes = graph.nodes.copy()
    for a, b in graph.edges:
        for end, other in ((a, b), (b, a)):
            if degree[end] == 1:
                way = (graph.nodes[end] - graph.nodes[other]) / np.linalg.norm(graph.nodes[end] - graph.nodes[other])
                offset = values - graph.nodes[end]
                along = offset @ way
                beyond = (
                    (np.linalg.norm(offset - along[:, None] * way, axis=1) < width)
                    & (along > -width)
                    & (along < 2 * width)
                )
                if beyond.any():
                    nodes[end] = graph.nodes[end] + max(float(np.quantile(along[beyond], 0.98)), 0.0) * way
    return make_graph(nodes, graph.edges, order=graph.edges, unit=graph.unit)


def _choose_headings(graph: TrackGraph, edge: Int[np.ndarray, " time"]) -> Int[np.ndarray, " edge"]:
    """Which way along each edge is outbound: away from the first node, or, where there are loops, so that the animal
    seldom changes it without turning round; edges that follow each other without a branch then share it.
    """
    if len(graph.edges) < len(graph.nodes):
        return np.ones(len(graph.edges), dtype=int)
    degree = np.bincount(np.array(graph.edges).ravel(), minlength=len(graph.nodes))
    goes_on = [False] + [a[1] == b[0] and degree[b[0]] == 2 for a, b in zip(graph.edges, graph.edges[1:], strict=False)]
    group = np.cumsum(~np.array(goes_on)) - 1
    n_groups = int(group[-1]) + 1
    kept = np.zeros((n_groups, n_groups))
    changes = np.flatnonzero(np.diff(edge))
    for before, after in zip(edge[changes].tolist(), edge[changes + 1].tolist(), strict=True):
        shared = set(graph.edges[before]) & set(graph.edges[after])
        if group[before] != group[after] and len(shared) == 1:
            node = shared.pop()
            same = (graph.edges[before][1] == node) == (graph.edges[after][0] == node)
            kept[group[before], group[after]] += 1 if same else -1
    if n_groups > MOST_GROUPS:
        return np.ones(len(graph.edges), dtype=int)
    signs = np.array([(1, *rest) for rest in product((1, -1), repeat=n_groups - 1)])
    best = signs[np.argmax(np.einsum("sa,ab,sb->s", signs, kept, signs))]
    return best[group]
