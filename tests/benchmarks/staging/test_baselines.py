"""Every baseline of the staging benchmark finds planted stages, and nothing where nothing is planted."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.staging.baselines import BASELINES, StagedFeatures
from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.staging.boosted import add_context


def make_nights(n: int, *, effect: float, seed: int = 0) -> list[StagedFeatures]:
    rng = np.random.default_rng(seed)
    found = []
    for index in range(n):
        codes = np.repeat(rng.integers(0, 5, 30), rng.integers(8, 25, 30))
        features = effect * np.eye(5)[codes] + rng.standard_normal((len(codes), 5))
        features[20:25] = np.nan
        found.append(StagedFeatures(str(index), add_context(features, list("abcde"), windows=(5,)), 5, codes))
    return found


def kappa(method: str, *, effect: float) -> float:
    train, test = make_nights(4, effect=effect), make_nights(2, effect=effect, seed=1)
    predict = BASELINES[method](train, np.random.default_rng(0))
    confusion = np.zeros((5, 5))
    for night in test:
        probabilities = predict(night)[night.known]
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        confusion += compute_confusion(night.stages[night.known], probabilities.argmax(axis=1), n_stages=5)
    return compute_kappa(confusion)


@pytest.mark.parametrize("method", BASELINES)
def test_planted_stages_are_found_and_absent_ones_are_not(method: str) -> None:
    assert (kappa(method, effect=2.5) > 0.6) == (method != "majority")
    assert abs(kappa(method, effect=0.0)) < 0.2


def test_the_seed_decides_the_weights() -> None:
    nights = make_nights(1, effect=2.0)
    first, second, other = (BASELINES["cnn"](nights, np.random.default_rng(seed))(nights[0]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3
