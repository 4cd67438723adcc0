"""Rodent staging against an expert: beyond two thresholds, and measured on what it says."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.staging.rodent import (
    _METRICS,
    score_hours,
    stage_by_model,
    stage_by_thresholds,
    take_features,
)
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import load_dataset


def _make_night(rng: np.random.Generator, n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Stages that last, with tone, delta and ratio of each; units of no meaning."""
    stages = np.repeat(rng.choice(3, size=n // 30, p=[0.5, 0.42, 0.08]), 30)
    means = np.array([[4.3, 2.1, -0.3], [3.8, 2.6, -0.2], [3.6, 1.9, 0.05]])
    return stages, means[stages] + rng.normal(0, [0.15, 0.2, 0.25], (len(stages), 3))


def test_stages_are_found_whatever_the_unit(rng: np.random.Generator) -> None:
    stages, features = _make_night(rng)
    found = stage_by_model(features)
    assert (found == stages).mean() > 0.93
    assert (found == stages).mean() > (stage_by_thresholds(features) == stages).mean() + 0.05
    other = stage_by_model(features * [3.0, 2.0, 1.5] + [1.0, -7.0, 2.0])
    assert (other == found).mean() > 0.995


def test_an_absent_epoch_is_unscored(rng: np.random.Generator) -> None:
    _, features = _make_night(rng)
    features[100:110, 0] = np.nan
    assert (stage_by_model(features)[100:110] == -1).all()
    assert (stage_by_model(features)[110:] >= 0).all()
    assert (stage_by_model(np.full((50, 3), np.nan)) == -1).all()


def test_metrics_by_hand() -> None:
    confusion = np.array([[8, 2, 0], [1, 7, 0], [0, 1, 1]])
    assert _METRICS["f1_W"](confusion) == pytest.approx(16 / 19)
    assert _METRICS["f1_R"](confusion) == pytest.approx(2 / 3)
    assert _METRICS["accuracy"](confusion) == pytest.approx(16 / 20)


def test_the_expert_is_met_better_than_by_thresholds() -> None:
    try:
        recording = load_dataset("mouse-bands/recovery")
    except SharpwaveError:
        pytest.skip("mouse-bands is not here")
    rows = score_hours(recording, setting="recovery", rng=np.random.default_rng(0))
    kappa = {row.method: row for row in rows if row.metric == "kappa"}
    assert kappa["sharpwave"].low > max(kappa["two thresholds"].high, kappa["version 0.1"].high)
    assert kappa["sharpwave"].value > 0.9
    assert take_features(np.arange(12.0).reshape(2, 6)).tolist() == [[5.0, 0.0, 1.0], [11.0, 6.0, 1.0]]
