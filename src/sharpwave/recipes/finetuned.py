"""By how much fine-tuning helped: models beside persistence, on nights of people that none of them learned from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from sharpwave.brainmu import BrainMu, collate
from sharpwave.brainmu.training.crops import StoredEpochs
from sharpwave.brainmu.uncertainty import Calibration
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.intervals import Estimate, bootstrap_difference, bootstrap_mean
from sharpwave.evaluation.metrics import compute_auprc, compute_confusion, compute_kappa, compute_log_loss

PERSISTENCE = "persistence"
PIECE = 240
"""Steps predicted at a time."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Of one night, on its steps.

    Attributes:
        stages: Stages as scored, -1 where unknown.
        stage: Likeliest stage now, as coarse as the scoring.
        change: Probability that the stage 30 s later is another one.
        n_stages: Number of stages of the scoring.
    """

    stages: Int[np.ndarray, " step"]
    stage: Int[np.ndarray, " step"]
    change: Float[np.ndarray, " step"]
    n_stages: int


@torch.no_grad()
def predict_night(
    model: BrainMu, night: StoredEpochs, *, without: Collection[str] = (), calibration: Calibration | None = None
) -> Prediction:
    """Stages and changes of a night, piece by piece with the model's memory of the pieces before."""
    calibration = calibration or Calibration()
    model.eval()
    caches, stages, found, change = None, [], [], []
    for first in range(0, len(night), PIECE):
        piece = night.restrict(first, min(first + PIECE, len(night)))
        batch = collate([piece.only([name for name in piece.epochs if name not in without])])
        output = model(batch, caches)
        caches = output.caches
        probability = output.readout.stage[0].softmax(dim=1) @ batch.coarse[0].T
        stages.append(piece.stages)
        found.append(probability.argmax(dim=1).numpy())
        change.append(calibration.changes(output.readout.change[0].numpy())[:, 0])
    n_stages = int(night.about["n_stages"])
    return Prediction(np.concatenate(stages), np.concatenate(found), np.concatenate(change), n_stages)


def compare_models(
    models: Mapping[str, BrainMu],
    nights: Sequence[StoredEpochs],
    *,
    learned: Sequence[StoredEpochs],
    calibrations: Mapping[str, Calibration] | None = None,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Rows of setting, metric, method, value, low, high, n; and, last, each model less the first one.

    *observed*: the stages so far are known. *signal-only*: they are not. Metrics: area under the precision-recall curve
    and log-loss (nats) of a change 30 s ahead; and, signal-only, κ of the stage now. Persistence says that changes come
    as often as in the nights that were learned from.

    Args:
        models: Models by name; the others are compared with the first.
        nights: Nights of people that no model learned from.
        learned: Nights that say how often changes come.
        calibrations: Calibrations of the models, by name.
        rng: Random generator of the intervals over subjects.

    Raises:
        SharpwaveError: If no night has stages.
    """
    rate = compute_change_rate(learned)
    rows: list[dict[str, Any]] = []
    for setting in find_settings(next(iter(models.values())), nights):
        without = ("stages",) if setting == "signal-only" else ()
        scores: dict[str, list[dict[str, float]]] = {PERSISTENCE: []}
        for name, model in models.items():
            calibration = (calibrations or {}).get(name)
            predictions = [predict_night(model, night, without=without, calibration=calibration) for night in nights]
            scores[name] = score_subjects(predictions, nights, staging=bool(without))
            if not scores[PERSISTENCE]:
                constant = [
                    Prediction(p.stages, p.stage, np.full(len(p.change), rate), p.n_stages) for p in predictions
                ]
                scores[PERSISTENCE] = score_subjects(constant, nights, staging=False)
        rows += _summarise(setting, scores, first=next(iter(models)), rng=rng)
    if not rows:
        raise SharpwaveError("scored nights to judge by", got="none", fix="give the nights with their hypnograms")
    return rows


def find_settings(model: BrainMu, nights: Sequence[StoredEpochs]) -> list[str]:
    """What the nights and the model allow: "observed" with a stage history, "signal-only" with anything else."""
    known = {name for night in nights for name in night.channels} & set(model.config.modalities)
    return ["observed"] * ("stages" in known) + ["signal-only"] * bool(known - {"stages"})


def compute_change_rate(nights: Sequence[StoredEpochs]) -> float:
    """Share of steps after which the stage changes."""
    changed, known = _count_changes([night.restrict(0, len(night)).stages for night in nights])
    if not known:
        raise SharpwaveError("scored nights to learn from", got="none", fix="give the nights with their hypnograms")
    return changed / known


def score_subjects(
    predictions: Sequence[Prediction], nights: Sequence[StoredEpochs], *, staging: bool
) -> list[dict[str, float]]:
    """Metrics by subject, their nights together."""
    out = []
    for subject in sorted({night.subject for night in nights}):
        theirs = [p for p, night in zip(predictions, nights, strict=True) if night.subject == subject]
        out.append(_score(theirs, staging=staging))
    return out


def _score(predictions: Sequence[Prediction], *, staging: bool) -> dict[str, float]:
    changed, probability = [], []
    for prediction in predictions:
        now, later = prediction.stages[:-1], prediction.stages[1:]
        known = (now >= 0) & (later >= 0)
        changed.append((now != later)[known])
        probability.append(prediction.change[:-1][known])
    truth, score = np.concatenate(changed), np.concatenate(probability)
    metrics = {"auprc_change": compute_auprc(truth, score), "log_loss_change": compute_log_loss(truth, score)}
    if staging:
        n_stages = max(prediction.n_stages for prediction in predictions)
        confusion = np.zeros((n_stages, n_stages))
        for prediction in predictions:
            known = prediction.stages >= 0
            confusion += compute_confusion(prediction.stages[known], prediction.stage[known], n_stages=n_stages)
        metrics["kappa"] = compute_kappa(confusion)
    return metrics


def _summarise(
    setting: str, scores: Mapping[str, list[dict[str, float]]], *, first: str, rng: np.random.Generator
) -> list[dict[str, Any]]:
    rows = []
    for method, subjects in scores.items():
        for metric in subjects[0]:
            values = [subject[metric] for subject in subjects]
            rows.append(_row(setting, metric, method, bootstrap_mean(values, rng=rng)))
            if method not in (PERSISTENCE, first):
                before = [subject[metric] for subject in scores[first]]
                difference = bootstrap_difference(values, before, rng=rng)
                rows.append(_row(setting, metric, f"{method} less {first}", difference))
    return rows


def _row(setting: str, metric: str, method: str, estimate: Estimate) -> dict[str, Any]:
    return {
        "setting": setting,
        "metric": metric,
        "method": method,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }


def _count_changes(nights: Sequence[np.ndarray]) -> tuple[int, int]:
    changed = known = 0
    for stages in nights:
        both = (stages[:-1] >= 0) & (stages[1:] >= 0)
        changed += int((stages[:-1] != stages[1:])[both].sum())
        known += int(both.sum())
    return changed, known
