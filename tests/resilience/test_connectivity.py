"""Channels and graphs whose groups are known."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.connectivity import (
    compute_connectivity,
    compute_integration,
    compute_modularity,
    compute_participation,
    compute_segregation,
)


def test_two_gaussians_share_their_mutual_information(rng: np.random.Generator) -> None:
    r = 0.8
    first = rng.normal(size=200_000)
    second = r * first + np.sqrt(1 - r**2) * rng.normal(size=first.size)
    expected = -0.5 * np.log(1 - r**2) / 2
    assert compute_integration(np.stack([first, second], axis=1), shrinkage=0.0) == pytest.approx(expected, abs=0.005)


def test_independent_channels_share_nothing(rng: np.random.Generator) -> None:
    assert compute_integration(rng.normal(size=(50_000, 6))) == pytest.approx(0.0, abs=1e-3)


def test_independent_channels_share_nothing_where_they_outnumber_the_samples(rng: np.random.Generator) -> None:
    found = [compute_integration(rng.normal(size=(30, 94))) for _ in range(5)]
    assert max(found) < 0.02
    assert compute_integration(rng.normal(size=(30, 94)), shrinkage=0.05) > 0.8, "what was printed before"


@pytest.mark.parametrize("r", [0.1, 0.2, 0.3, 0.5])
def test_shared_information_is_found_where_channels_outnumber_the_samples(r: float, rng: np.random.Generator) -> None:
    n = 94
    expected = -((n - 1) * np.log(1 - r) + np.log(1 + (n - 1) * r)) / (2 * n)
    found = [
        compute_integration(np.sqrt(r) * rng.normal(size=(30, 1)) + np.sqrt(1 - r) * rng.normal(size=(30, n)))
        for _ in range(30)
    ]
    assert np.mean(found) == pytest.approx(expected, rel=0.2)


def test_cross_validation_agrees_with_the_truth_where_samples_are_many(rng: np.random.Generator) -> None:
    groups = np.kron(np.eye(2), np.full((4, 4), 0.5)) + 0.5 * np.eye(8)
    expected = -np.linalg.slogdet(groups)[1] / 16
    signals = rng.normal(size=(4000, 8)) @ np.linalg.cholesky(groups).T
    assert compute_integration(signals) == pytest.approx(expected, rel=0.05)


def test_participation_of_a_hub_and_of_a_loner() -> None:
    weights = np.zeros((6, 6))
    for first, second in ((0, 1), (0, 2), (1, 2), (3, 4), (0, 3), (0, 4)):
        weights[first, second] = weights[second, first] = 1
    groups = np.array([0, 0, 0, 1, 1, 1])
    found = compute_participation(weights, groups)
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx(0.0)
    assert np.isnan(found[5])


def test_segregation() -> None:
    groups = np.array([0, 0, 1, 1])
    weights = np.where(groups[:, None] == groups[None, :], 0.8, 0.2)
    assert compute_segregation(weights, groups) == pytest.approx(0.75)
    assert compute_segregation(np.full((4, 4), 0.5), groups) == pytest.approx(0.0)
    assert np.isnan(compute_segregation(weights, np.zeros(4, dtype=int)))


def test_a_constant_channel_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="channels that vary"):
        compute_integration(np.ones((10, 2)))


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
