"""Metrics against scikit-learn, against repetition of epochs, and on cases known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from sharpwave.evaluation import metrics


@pytest.fixture
def stages(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.integers(0, 5, 400)
    return truth, np.where(rng.random(400) < 0.6, truth, rng.integers(0, 5, 400))


@pytest.fixture
def event(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.random(500) < 0.15
    return truth, np.round(np.clip(rng.normal(0.2 + 0.2 * truth, 0.15), 0.01, 0.99), 2)


def test_stage_metrics_match_sklearn(stages: tuple[np.ndarray, np.ndarray]) -> None:
    truth, found = stages
    confusion = metrics.compute_confusion(truth, found, n_stages=5)
    assert metrics.compute_accuracy(confusion) == pytest.approx(oracle.accuracy_score(truth, found))
    assert metrics.compute_balanced_accuracy(confusion) == pytest.approx(oracle.balanced_accuracy_score(truth, found))
    assert metrics.compute_macro_f1(confusion) == pytest.approx(oracle.f1_score(truth, found, average="macro"))
    assert metrics.compute_kappa(confusion) == pytest.approx(oracle.cohen_kappa_score(truth, found))
    np.testing.assert_allclose(metrics.compute_class_f1(confusion), oracle.f1_score(truth, found, average=None))


def test_ranking_and_calibration_match_sklearn(event: tuple[np.ndarray, np.ndarray]) -> None:
    truth, p = event
    assert metrics.compute_auprc(truth, p) == pytest.approx(oracle.average_precision_score(truth, p))
    assert metrics.compute_auroc_from_counts(*count(truth, p)) == pytest.approx(oracle.roc_auc_score(truth, p))
    assert metrics.compute_brier(truth, p) == pytest.approx(oracle.brier_score_loss(truth, p))
    assert metrics.compute_log_loss(truth, p) == pytest.approx(oracle.log_loss(truth, p))


def test_weighted_metrics_match_sklearn(
    stages: tuple[np.ndarray, np.ndarray], event: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    truth, found = stages
    weights = rng.uniform(0, 2, len(truth))
    known = {"sample_weight": weights}
    confusion = metrics.compute_confusion(truth, found, n_stages=5, weights=weights)
    np.testing.assert_allclose(confusion, oracle.confusion_matrix(truth, found, **known))
    assert metrics.compute_accuracy(confusion) == pytest.approx(oracle.accuracy_score(truth, found, **known))
    assert metrics.compute_macro_f1(confusion) == pytest.approx(oracle.f1_score(truth, found, average="macro", **known))
    assert metrics.compute_kappa(confusion) == pytest.approx(oracle.cohen_kappa_score(truth, found, **known))
    changed, p = event
    weights = rng.uniform(0, 2, len(changed))
    known = {"sample_weight": weights}
    assert metrics.compute_auprc(changed, p, weights=weights) == pytest.approx(
        oracle.average_precision_score(changed, p, **known)
    )
    assert metrics.compute_auroc_from_counts(*count(changed, p, weights)) == pytest.approx(
        oracle.roc_auc_score(changed, p, **known)
    )
    assert metrics.compute_brier(changed, p, weights=weights) == pytest.approx(
        oracle.brier_score_loss(changed, p, **known)
    )
    assert metrics.compute_log_loss(changed, p, weights=weights) == pytest.approx(oracle.log_loss(changed, p, **known))


def count(truth: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Weight of epochs with and without the event at each score, highest score first."""
    w = np.ones(len(truth)) if weights is None else weights
    scores = np.unique(score)[::-1]
    return (
        np.array([w[(score == each) & truth].sum() for each in scores]),
        np.array([w[(score == each) & ~truth].sum() for each in scores]),
    )


@pytest.mark.parametrize("name", ["auprc", "log_loss", "brier", "ece"])
def test_weights_are_repetitions(name: str, event: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    truth, p = event
    weights = rng.integers(0, 4, len(truth))
    compute = getattr(metrics, f"compute_{name}")
    repeated = compute(np.repeat(truth, weights), np.repeat(p, weights))
    assert compute(truth, p, weights=weights.astype(float)) == pytest.approx(repeated)


def test_unscored_epochs_are_left_out() -> None:
    confusion = metrics.compute_confusion(np.array([0, -1, 2]), np.array([0, 1, -1]), n_stages=3)
    assert confusion.sum() == 1
    assert metrics.compute_accuracy(confusion) == 1


def test_calibration_error_of_a_known_mistake() -> None:
    truth = np.r_[np.ones(30), np.zeros(70)].astype(bool)
    assert metrics.compute_ece(truth, np.full(100, 0.3)) == pytest.approx(0)
    assert metrics.compute_ece(truth, np.full(100, 0.8)) == pytest.approx(0.5)


def test_undefined_is_nan() -> None:
    nothing = np.zeros(5, dtype=bool)
    assert np.isnan(metrics.compute_auprc(nothing, np.arange(5.0)))
    assert np.isnan(metrics.compute_auroc_from_counts(*count(nothing, np.arange(5.0))))
    assert np.isnan(metrics.compute_kappa(np.zeros((5, 5))))
    assert np.isnan(metrics.compute_balanced_accuracy(np.zeros((5, 5))))


def test_a_constant_ranks_at_chance(event: tuple[np.ndarray, np.ndarray]) -> None:
    truth, _ = event
    assert metrics.compute_auprc(truth, np.full(len(truth), 0.1)) == pytest.approx(truth.mean())
    assert metrics.compute_auroc_from_counts(*count(truth, np.full(len(truth), 0.1))) == pytest.approx(0.5)
