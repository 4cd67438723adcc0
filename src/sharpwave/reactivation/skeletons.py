"""The lines in the middle of a drawn shape: thinned (Zhang & Suen 1984), then traced as nodes and straight edges."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Path = list[tuple[float, float]]


def trace_skeleton(
    mask: Bool[np.ndarray, "x y"], depth: Float[np.ndarray, "x y"]
) -> tuple[Float[np.ndarray, "node 2"], list[tuple[int, int]]]:
    """Nodes (in cells) and edges of the lines in the middle of a shape.

    Args:
        mask: Cells of the shape, none at the border.
        depth: Distance of each cell from the outside, in cells.

    Returns:
        The nodes, and pairs of them that are joined. Branches shorter than the shape is wide are left out, and
        branching points nearer than that are one.

    >>> mask = np.zeros((30, 30), bool)
    >>> mask[4:26, 14:17] = True  # the upright of a T
    >>> mask[4:7, 3:28] = True
    >>> nodes, edges = trace_skeleton(mask, 2.0 * mask)
    >>> len(nodes), len(edges)
    (4, 3)
    """
    thin = thin_mask(mask)
    if not thin.any():
        return np.zeros((0, 2)), []
    width = 2 * float(np.median(depth[thin]))
    graph = _trace(thin)
    for _ in range(20):
        if not (_prune(graph, max(1.25 * width, 4.0)) or _merge(graph, 1.25 * width) or _splice(graph)):
            break
    return _straighten(graph, max(0.4 * width, 1.2))


def thin_mask(mask: Bool[np.ndarray, "x y"]) -> Bool[np.ndarray, "x y"]:
    """Lines one cell wide in the middle of a shape, joined as the shape is.

    >>> bool(thin_mask(np.pad(np.ones((3, 7), bool), 2)).sum() <= 7)
    True
    """
    image = mask.astype(np.int8)
    while True:
        before = image.sum()
        for first in (True, False):
            p = [np.roll(image, shift, axis=(0, 1)) for shift in
                 ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))]  # fmt: skip
            n_beside = sum(p)
            n_rises = sum((a == 0) & (b == 1) for a, b in zip(p, p[1:] + p[:1], strict=True))
            if first:
                edge = (p[0] * p[2] * p[4] == 0) & (p[2] * p[4] * p[6] == 0)
            else:
                edge = (p[0] * p[2] * p[6] == 0) & (p[0] * p[4] * p[6] == 0)
            image[(image == 1) & (n_beside >= 2) & (n_beside <= 6) & (n_rises == 1) & edge] = 0
        if image.sum() == before:
            return image.astype(bool)


def _trace(thin: Bool[np.ndarray, "x y"]) -> Any:
    """A multigraph whose nodes are ends and branching points, its edges with the `path` of cells between."""
    import networkx as nx

    cells = nx.Graph()
    points = set(map(tuple, np.argwhere(thin).tolist()))
    cells.add_nodes_from(points)
    for x, y in points:
        for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
            corner = dx and dy and ((x + dx, y) in points or (x, y + dy) in points)
            if (x + dx, y + dy) in points and not corner:
                cells.add_edge((x, y), (x + dx, y + dy))
    keys = {cell for cell in cells if cells.degree[cell] != 2} or {min(points)}
    graph = nx.MultiGraph()
    graph.add_nodes_from((cell, {"at": tuple(map(float, cell))}) for cell in keys)
    done = set()
    for key in sorted(keys):
        for step in sorted(cells[key]):
            path = [key, step]
            while path[-1] not in keys:
                path.append(next(each for each in cells[path[-1]] if each != path[-2]))
            mark = frozenset([(path[0], path[1]), (path[-1], path[-2])])
            if mark not in done:
                done.add(mark)
                graph.add_edge(path[0], path[-1], path=[tuple(map(float, each)) for each in path])
    return graph


def _measure(path: Path) -> float:
    return float(np.linalg.norm(np.diff(np.array(path), axis=0), axis=1).sum())


def _prune(graph: Any, least: float) -> bool:
    """Leave out the shortest dead end that is short and hangs on a branching point."""
    short = [
        (_measure(data["path"]), a, b, key)
        for a, b, key, data in graph.edges(keys=True, data=True)
        if a != b and {graph.degree[a], graph.degree[b]} != {1} and 1 in (graph.degree[a], graph.degree[b])
    ]
    short = [each for each in short if each[0] < least and max(graph.degree[each[1]], graph.degree[each[2]]) > 2]
    if not short:
        return False
    _, a, b, _ = min(short)
    graph.remove_node(a if graph.degree[a] == 1 else b)
    return True


def _merge(graph: Any, least: float) -> bool:
    """Make one of two branching points that are near each other."""
    for a, b, data in list(graph.edges(data=True)):
        if a != b and min(graph.degree[a], graph.degree[b]) > 2 and _measure(data["path"]) < least:
            middle = tuple(np.mean([graph.nodes[a]["at"], graph.nodes[b]["at"]], axis=0).tolist())
            for _, other, key, far in list(graph.edges(b, keys=True, data=True)):
                near = _measure(far["path"]) < least and other == a
                if not near:
                    graph.add_edge(a, a if other == b else other, path=_orient(far["path"], graph.nodes[b]["at"]))
                graph.remove_edge(b, other, key)
            graph.remove_node(b)
            graph.nodes[a]["at"] = middle
            for _, other, far in graph.edges(a, data=True):
                path = far["path"]
                ends = [0] if other != a else [0, -1]
                if other != a and np.linalg.norm(np.subtract(path[0], middle)) > np.linalg.norm(
                    np.subtract(path[-1], middle)
                ):
                    ends = [-1]
                for end in ends:
                    path[end] = middle
            return True
    return False


def _orient(path: Path, start: tuple[float, float]) -> Path:
    first, last = (np.linalg.norm(np.subtract(path[end], start)) for end in (0, -1))
    return path if first <= last else path[::-1]


def _splice(graph: Any) -> bool:
    """Make one edge of two that meet where nothing branches."""
    for node in list(graph):
        if graph.degree[node] == 2 and not graph.has_edge(node, node):
            (_, a, first), (_, b, second) = graph.edges(node, data="path")
            at = graph.nodes[node]["at"]
            path = [*_orient(first, at)[::-1][:-1], *_orient(second, at)]
            graph.remove_node(node)
            graph.add_edge(a, b, path=path)
            return True
    return False


def _straighten(graph: Any, tolerance: float) -> tuple[Float[np.ndarray, "node 2"], list[tuple[int, int]]]:
    """Straight edges with corners where a path bends by more than the tolerance."""
    nodes = [graph.nodes[node]["at"] for node in graph]
    number = {node: index for index, node in enumerate(graph)}
    edges: list[tuple[int, int]] = []
    for a, b, data in graph.edges(data=True):
        path = _orient(data["path"], graph.nodes[a]["at"])
        corners = _find_corners(np.array(path), tolerance)
        joined = tuple(sorted((number[a], number[b]))) in {tuple(sorted(edge)) for edge in edges}
        if len(corners) == 2 and (joined or a == b):
            corners = [0, len(path) // 2, len(path) - 1]
        if a == b and len(corners) < 4:
            corners = [0, len(path) // 3, 2 * len(path) // 3, len(path) - 1]
        chain = [number[a]]
        for corner in corners[1:-1]:
            nodes.append(path[corner])
            chain.append(len(nodes) - 1)
        chain.append(number[b])
        edges += list(itertools.pairwise(chain))
    return np.array(nodes, dtype=float).reshape(-1, 2), edges


def _find_corners(path: Float[np.ndarray, "cell 2"], tolerance: float) -> list[int]:
    """Indices of the corners of a path, its ends among them (Douglas & Peucker 1973)."""
    kept, waiting = {0, len(path) - 1}, [(0, len(path) - 1)]
    while waiting:
        low, high = waiting.pop()
        if high - low < 2:
            continue
        way, offset = path[high] - path[low], path[low : high + 1] - path[low]
        length = float(np.linalg.norm(way))
        beside = (
            np.abs(way[0] * offset[:, 1] - way[1] * offset[:, 0]) / length if length else np.linalg.norm(offset, axis=1)
        )
        worst = int(np.argmax(beside))
        if beside[worst] > tolerance:
            kept.add(low + worst)
            waiting += [(low, low + worst), (low + worst, high)]
    return sorted(kept)
