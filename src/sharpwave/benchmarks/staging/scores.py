"""Scores of staged nights: per subject, then the mean over subjects with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.evaluation.metrics import (
    compute_accuracy,
    compute_balanced_accuracy,
    compute_class_f1,
    compute_confusion,
    compute_ece,
    compute_kappa,
    compute_macro_f1,
)
from sharpwave.recordings.hypnogram import Hypnogram


@dataclass(frozen=True, eq=False)
class Scored:
    """One staged night beside its expert.

    Attributes:
        subject: Name of the subject.
        truth: The expert's hypnogram.
        found: The stager's, with probabilities.
    """

    subject: str
    truth: Hypnogram
    found: Hypnogram


def score_night(scored: Scored, *, n_stages: int) -> dict[str, float]:
    """Every metric of one night, both sides merged to `n_stages`; NaN where undefined."""
    truth, found = scored.truth.merge(n_stages), scored.found.merge(n_stages)
    middle = found.onsets + found.epoch_length / 2
    codes = truth.at(middle)
    confusion = compute_confusion(codes, found.stages, n_stages=n_stages)
    f1 = dict(zip((f"f1_{name}" for name in found.names), compute_class_f1(confusion).tolist(), strict=True))
    present = confusion.sum(axis=1) > 0
    f1 = {name: value if there else float("nan") for (name, value), there in zip(f1.items(), present, strict=True)}
    scores = {
        "kappa": compute_kappa(confusion),
        "accuracy": compute_accuracy(confusion),
        "balanced_accuracy": compute_balanced_accuracy(confusion),
        "macro_f1": compute_macro_f1(confusion),
        **f1,
    }
    if found.probabilities is not None:
        scores |= _score_probabilities(codes, found)
    return scores


def _score_probabilities(codes: np.ndarray, found: Hypnogram) -> dict[str, float]:
    """Log-loss of the true stage, and calibration of the probability of the stage that was said."""
    probabilities = np.asarray(found.probabilities)
    keep = (codes >= 0) & np.isfinite(probabilities).all(axis=1)
    if not keep.any():
        return {"log_loss": float("nan"), "ece": float("nan")}
    rows, truth = probabilities[keep], codes[keep]
    right = rows.argmax(axis=1) == truth
    log_loss = -np.log(np.maximum(rows[np.arange(len(truth)), truth], 1e-6)).mean()
    return {"log_loss": float(log_loss), "ece": compute_ece(right, np.minimum(rows.max(axis=1), 1.0))}


def summarise(
    nights: Sequence[Scored], *, n_stages: int, data: str, setting: str, method: str, rng: np.random.Generator
) -> list[Row]:
    """One row per metric: mean over subjects (over the seeds of each first) with its 95 % interval."""
    by_subject: dict[str, list[dict[str, float]]] = {}
    for scored in nights:
        by_subject.setdefault(scored.subject, []).append(score_night(scored, n_stages=n_stages))
    rows = []
    for metric in next(iter(by_subject.values()))[0] if by_subject else ():
        values = [_mean([scores.get(metric, np.nan) for scores in runs]) for runs in by_subject.values()]
        rows.append(estimate_row(data, setting, method, metric, values, rng=rng))
    return rows


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
