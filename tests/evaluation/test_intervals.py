"""Intervals cover, shrink with pairing, and say when they cannot be had."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.intervals import (
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_metrics,
    bootstrap_statistic,
    draw_weights,
)


def test_the_mean_is_covered_as_often_as_said(rng: np.random.Generator) -> None:
    hits = 0
    for _ in range(200):
        estimate = bootstrap_mean(rng.normal(1.0, 1.0, 30), rng=rng, n_resamples=300)
        hits += estimate.low <= 1.0 <= estimate.high
    assert 0.87 <= hits / 200 <= 0.99


def test_pairing_removes_what_subjects_share(rng: np.random.Generator) -> None:
    subject = rng.normal(0, 5, 20)
    difference = bootstrap_difference(subject + 1 + rng.normal(0, 0.1, 20), subject, rng=rng)
    assert 0.9 < difference.low < difference.high < 1.1
    with pytest.raises(SharpwaveError, match="one value per subject"):
        bootstrap_difference([1.0], [1.0, 2.0], rng=rng)


def test_missing_and_single_subjects(rng: np.random.Generator) -> None:
    assert bootstrap_mean([1.0, np.nan, 3.0], rng=rng).n == 2
    alone = bootstrap_mean([1.0], rng=rng)
    assert alone.value == 1
    assert np.isnan(alone.low)


def test_several_metrics_use_the_same_draws(rng: np.random.Generator) -> None:
    values = rng.random(12)
    weights = draw_weights(12, rng=rng, n_resamples=50)
    assert (weights.sum(axis=1) == 12).all()
    draws = bootstrap_metrics([lambda w: {"mean": float(w @ values / 12)}, lambda w: {"mean": 0.0}], weights)["mean"]
    single = bootstrap_statistic(lambda w: float(w @ values / 12), weights)
    np.testing.assert_allclose(draws[0], single.value / 2)
    np.testing.assert_allclose(np.quantile(draws[1:], 0.975), single.high / 2)
