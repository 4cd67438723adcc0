"""Independent channels share nothing; groups that keep to themselves are segregated."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.integration import compute_integration, compute_participation, compute_segregation


def test_two_gaussians_share_their_mutual_information(rng: np.random.Generator) -> None:
    r = 0.8
    first = rng.normal(size=200_000)
    second = r * first + np.sqrt(1 - r**2) * rng.normal(size=first.size)
    expected = -0.5 * np.log(1 - r**2) / 2
    assert compute_integration(np.stack([first, second], axis=1), shrinkage=0.0) == pytest.approx(expected, abs=0.005)


def test_independent_channels_share_nothing(rng: np.random.Generator) -> None:
    assert compute_integration(rng.normal(size=(50_000, 6))) == pytest.approx(0.0, abs=1e-3)


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
