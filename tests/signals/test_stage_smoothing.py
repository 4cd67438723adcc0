"""Smoothing over the night against the sum over every path."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sharpwave.signals.stage_smoothing import load_transitions, smooth_probabilities

TRANSITIONS = np.array([[0.9, 0.1], [0.3, 0.7]])
PRIOR = np.array([0.6, 0.4])


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_equals_the_sum_over_all_paths(weight: float) -> None:
    given = np.random.default_rng(0).dirichlet([1, 1], size=6)
    evidence = (given / PRIOR) ** weight
    expected = np.zeros((6, 2))
    for path in product(range(2), repeat=6):
        mass = PRIOR[path[0]] * evidence[0, path[0]]
        for t in range(1, 6):
            mass *= TRANSITIONS[path[t - 1], path[t]] * evidence[t, path[t]]
        expected[np.arange(6), path] += mass
    expected /= expected.sum(axis=1, keepdims=True)
    found = smooth_probabilities(given, transitions=TRANSITIONS, prior=PRIOR, weight=weight)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_lone_dissenting_epoch_is_outvoted_and_a_long_one_is_not() -> None:
    given = np.tile([0.8, 0.2], (40, 1))
    given[10], given[20:34] = [0.3, 0.7], [0.1, 0.9]
    found = smooth_probabilities(given, transitions=TRANSITIONS, prior=PRIOR, weight=0.5).argmax(axis=1)
    assert found[10] == 0
    assert (found[22:32] == 1).all()


def test_an_epoch_without_evidence_follows_its_neighbours() -> None:
    given = np.tile([0.05, 0.95], (9, 1))
    given[4] = np.nan
    found = smooth_probabilities(given, transitions=TRANSITIONS, prior=PRIOR, weight=1.0)
    assert found[4, 1] > 0.9


def test_shipped_transitions_are_probabilities_of_staying_mostly() -> None:
    shipped = load_transitions()
    table = np.array(shipped["transitions"])
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-3)
    assert (np.diag(table) > 0.4).all()
    assert table[0, 3] < 0.01 > table[4, 3]
    assert shipped["source"]


def test_a_smaller_weight_moves_less_from_the_prior() -> None:
    said, prior = np.array([[0.9, 0.1]]), np.array([0.5, 0.5])
    full, half = (
        smooth_probabilities(said, transitions=np.eye(2), prior=prior, weight=weight)[0, 0] for weight in (1.0, 0.5)
    )
    assert full > 0.899
    assert abs(half - 0.75) < 1e-6
