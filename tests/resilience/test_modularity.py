"""Graphs whose groups are known."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.modularity import compute_connectivity, compute_modularity

METHODS = ("leiden", "louvain")


def make_cliques(n: int, size: int) -> np.ndarray:
    weights = np.kron(np.eye(n), np.ones((size, size)))
    np.fill_diagonal(weights, 0)
    return weights


def compute_by_definition(weights: np.ndarray, groups: np.ndarray) -> float:
    total, degree = weights.sum(), weights.sum(axis=1)
    same = groups[:, None] == groups[None, :]
    return float(((weights - np.outer(degree, degree) / total) * same).sum() / total)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [2, 4])
def test_cliques_apart(method: str, n: int, rng: np.random.Generator) -> None:
    found = compute_modularity(make_cliques(n, 6), rng=rng, method=method)
    assert found.value == pytest.approx(1 - 1 / n)
    assert found.n_groups == n
    assert len(set(found.groups[:6])) == 1


@pytest.mark.parametrize("method", METHODS)
def test_value_is_newmans(method: str, rng: np.random.Generator) -> None:
    noise = rng.random((30, 30))
    weights = make_cliques(3, 10) + 0.2 * (noise + noise.T)
    np.fill_diagonal(weights, 0)
    found = compute_modularity(weights, rng=rng, method=method)
    assert found.value == pytest.approx(compute_by_definition(weights, found.groups))
    assert found.n_groups == 3


def test_karate_club(rng: np.random.Generator) -> None:
    import networkx

    graph = networkx.karate_club_graph()
    weights = networkx.to_numpy_array(graph, weight=None)
    assert compute_modularity(weights, rng=rng).value == pytest.approx(0.4198, abs=0.005)


def test_one_clique_has_no_groups(rng: np.random.Generator) -> None:
    assert compute_modularity(make_cliques(1, 12), rng=rng).value == pytest.approx(0.0, abs=1e-9)


def test_planted_groups_of_signals(rng: np.random.Generator) -> None:
    shared = rng.normal(size=(500, 3)).repeat(5, axis=1)
    signals = shared + rng.normal(size=(500, 15))
    found = compute_modularity(compute_connectivity(signals, density=0.3), rng=rng)
    assert [len(set(found.groups[index : index + 5])) for index in (0, 5, 10)] == [1, 1, 1]
    assert found.n_groups == 3


def test_density_keeps_as_many_edges(rng: np.random.Generator) -> None:
    weights = compute_connectivity(rng.normal(size=(200, 20)), density=0.1)
    assert np.count_nonzero(weights) == 2 * 19


def test_graph_must_be_one(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="symmetric weights"):
        compute_modularity(np.triu(np.ones((4, 4))), rng=rng)
    with pytest.raises(SharpwaveError, match="at least 3 channels"):
        compute_connectivity(rng.normal(size=(10, 2)))
