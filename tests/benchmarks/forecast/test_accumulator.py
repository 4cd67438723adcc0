"""Metrics from sums per subject equal metrics from epochs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.evaluation import metrics
from sharpwave.forecasting import FORECASTERS, Forecast
from sharpwave.forecasting.protocols import compute_targets


def test_sums_by_subject_give_the_same_metrics(make_nights: Callable, rng: np.random.Generator) -> None:
    nights = make_nights(3, n_epochs=200)
    model = FORECASTERS["observed"]["semi-markov"]().fit(nights, horizon=30.0, rng=rng)
    said = [model.predict(night) for night in nights]
    accumulator = Accumulator.of(nights, said, horizon=30.0, thresholds=[0.15] * 3, observed=True)
    for weights in (np.ones(3), np.array([2.0, 0.0, 1.0])):
        chosen = [night for night, w in zip(nights, weights, strict=True) for _ in range(int(w))]
        forecasts = [forecast for forecast, w in zip(said, weights, strict=True) for _ in range(int(w))]
        later = [compute_targets(night.stages, 1) for night in chosen]
        known = np.concatenate(later) >= 0
        truth = (np.concatenate(later) != np.concatenate([night.stages for night in chosen]))[known]
        p = np.concatenate([forecast.change for forecast in forecasts])[known]
        scores = accumulator.score(weights)
        assert scores["auprc_change"] == pytest.approx(metrics.compute_auprc(truth, p))
        assert scores["auroc_change"] == pytest.approx(roc_auc_score(truth, p))
        assert scores["log_loss_change"] == pytest.approx(metrics.compute_log_loss(truth, p))
        assert scores["brier"] == pytest.approx(metrics.compute_brier(truth, p))
        assert scores["ece"] == pytest.approx(metrics.compute_ece(truth, p))
        destination = np.concatenate([forecast.destination for forecast in forecasts])[known]
        confusion = metrics.compute_confusion(np.concatenate(later)[known], destination.argmax(axis=1), n_stages=5)
        assert scores["kappa"] == pytest.approx(metrics.compute_kappa(confusion))
        assert scores["macro_f1"] == pytest.approx(metrics.compute_macro_f1(confusion))


def test_a_known_destination_is_counted(make_nights: Callable) -> None:
    night = make_nights(1, n_epochs=100)[0]
    later = compute_targets(night.stages, 1)
    destination = np.eye(5)[np.maximum(later, 0)]
    perfect = Forecast((later != night.stages).astype(float), destination)
    scores = Accumulator.of([night], [perfect], horizon=30.0, thresholds=[0.5], observed=True).score()
    assert scores["destination_accuracy"] == 1
    assert scores["auprc_change"] == pytest.approx(1)
    assert scores["balanced_accuracy_change"] == 1
    assert scores["log_loss"] == pytest.approx(0, abs=1e-6)
    timid = Forecast(perfect.change * 0.4, 0.6 * np.eye(5)[night.stages] + 0.4 * destination)
    assert (
        Accumulator.of([night], [timid], horizon=30.0, thresholds=[0.5], observed=True).score()["destination_accuracy"]
        == 1
    )


def test_many_scores_are_binned_without_harm(make_nights: Callable, rng: np.random.Generator) -> None:
    nights = make_nights(2, n_epochs=4000)
    truth = [(compute_targets(night.stages, 1) != night.stages).astype(float) for night in nights]
    said = [Forecast(np.clip(0.3 * t + 0.6 * rng.random(len(t)), 0, 1), np.full((len(t), 5), 0.2)) for t in truth]
    accumulator = Accumulator.of(nights, said, horizon=30.0, thresholds=[0.1] * 2, observed=True)
    p = np.concatenate([forecast.change[:-1] for forecast in said])
    events = np.concatenate([t[:-1] for t in truth]) > 0
    assert accumulator.score()["auprc_change"] == pytest.approx(metrics.compute_auprc(events, p), abs=0.01)
