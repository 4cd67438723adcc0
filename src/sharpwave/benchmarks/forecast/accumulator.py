"""Sums per subject from which every forecasting metric follows, for any weighting of the subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float

from sharpwave.evaluation import metrics
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import N_STAGES, Forecast
from sharpwave.forecasting.protocols import compute_steps, compute_targets

MOST_SCORES = 2000
"""With more distinct probabilities than this, ranking metrics count them in as many quantile bins."""

N_BINS = 10


@dataclass(frozen=True, eq=False)
class Accumulator:
    """Counts and sums by subject, first axis (subject,).

    Attributes:
        subjects: Names, in the order of the first axis.
        ranks: Epochs with and without a change at each score, highest first, (subject, 2, score).
        confusion: Stage at the horizon, true by most probable, (subject, stage, stage).
        alarms: Whether it changes, true by whether its probability is above the base rate, (subject, 2, 2).
        arrivals: Changes whose destination was named, and all changes, (subject, 2).
        sums: Stage log-loss, change log-loss, Brier score of the change, epochs, (subject, 4).
        reliability: Epochs, summed probability and changes per bin of probability, (subject, 3, bin).
    """

    subjects: tuple[str, ...]
    ranks: Float[np.ndarray, "subject kind score"]
    confusion: Float[np.ndarray, "subject stage stage"]
    alarms: Float[np.ndarray, "subject two two"]
    arrivals: Float[np.ndarray, "subject two"]
    sums: Float[np.ndarray, "subject four"]
    reliability: Float[np.ndarray, "subject three bin"]

    @classmethod
    def of(
        cls,
        nights: Sequence[EpochTable],
        forecasts: Sequence[Forecast],
        *,
        horizon: float,
        thresholds: Sequence[float],
        observed: bool,
    ) -> Self:
        """Count forecasts of nights.

        Args:
            nights: Nights with their stages.
            forecasts: Forecast of each night.
            horizon: Seconds ahead.
            thresholds: The training nights' base rate of a change, for each night.
            observed: Whether the present stage was known: then a change cannot lead back to it.
        """
        subjects = sorted({night.subject for night in nights})
        who, truth, found, changed, p, elsewhere, alarm, loss = _flatten(
            nights, forecasts, horizon, thresholds, observed
        )
        row = np.array([subjects.index(name) for name in who], dtype=int)

        def count(*cells: tuple[np.ndarray, int], weights: np.ndarray | None = None) -> np.ndarray:
            shape = (len(subjects), *(size for _, size in cells))
            index = np.ravel_multi_index((row, *(cell for cell, _ in cells)), shape)
            return np.bincount(index, weights=weights, minlength=int(np.prod(shape))).reshape(shape).astype(float)

        scores, n_scores = _rank(p)
        bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
        chance = np.clip(p, 1e-6, 1 - 1e-6)
        binary_loss = np.where(changed, -np.log(chance), -np.log1p(-chance))
        values = (loss, binary_loss, (p - changed) ** 2, np.ones_like(p))
        return cls(
            subjects=tuple(subjects),
            ranks=count(((~changed).astype(int), 2), (scores, n_scores)),
            confusion=count((truth, N_STAGES), (found, N_STAGES)),
            alarms=count((changed.astype(int), 2), (alarm.astype(int), 2)),
            arrivals=np.stack([count(weights=changed * (elsewhere == truth)), count(weights=changed)], axis=1),
            sums=np.stack([count(weights=value) for value in values], axis=1),
            reliability=np.stack([count((bins, N_BINS), weights=w) for w in (np.ones_like(p), p, changed)], axis=1),
        )

    def score(self, weights: Float[np.ndarray, " subject"] | None = None) -> dict[str, float]:
        """Every metric, with each subject counted `weights` times."""
        w = np.ones(len(self.subjects)) if weights is None else weights
        events, others = np.tensordot(w, self.ranks, axes=1)
        confusion = np.tensordot(w, self.confusion, axes=1)
        named, changes = w @ self.arrivals
        stage_loss, change_loss, brier, epochs = w @ self.sums
        weight, predicted, observed = np.tensordot(w, self.reliability, axes=1)
        return {
            "auprc_change": metrics.compute_auprc_from_counts(events, others),
            "auroc_change": metrics.compute_auroc_from_counts(events, others),
            "prevalence_change": changes / epochs,
            "log_loss": stage_loss / epochs,
            "brier": brier / epochs,
            "ece": float(np.abs(predicted - observed).sum() / weight.sum()),
            "balanced_accuracy_change": metrics.compute_balanced_accuracy(np.tensordot(w, self.alarms, axes=1)),
            "destination_accuracy": named / changes if changes else float("nan"),
            "macro_f1": metrics.compute_macro_f1(confusion),
            "accuracy": metrics.compute_accuracy(confusion),
            "kappa": metrics.compute_kappa(confusion),
            "log_loss_change": change_loss / epochs,
        }


def _flatten(
    nights: Sequence[EpochTable],
    forecasts: Sequence[Forecast],
    horizon: float,
    thresholds: Sequence[float],
    observed: bool,
) -> tuple[np.ndarray, ...]:
    parts = []
    for night, forecast, threshold in zip(nights, forecasts, thresholds, strict=True):
        later = compute_targets(night.stages, compute_steps(night, horizon))
        known = np.flatnonzero(later >= 0)
        now, truth = night.stages[known].astype(int), later[known].astype(int)
        destination = forecast.destination[known]
        elsewhere = destination.copy()
        if observed:
            elsewhere[np.arange(len(known)), now] = -1
        p = forecast.change[known]
        loss = -np.log(np.maximum(destination[np.arange(len(known)), truth], 1e-6))
        found = destination.argmax(axis=1)
        who = np.full(len(known), night.subject, dtype=object)
        parts.append((who, truth, found, truth != now, p, elsewhere.argmax(axis=1), p > threshold + 1e-9, loss))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _rank(p: np.ndarray) -> tuple[np.ndarray, int]:
    """Place of each probability among the distinct ones (or among quantile bins), highest first."""
    distinct = np.unique(p)
    if len(distinct) > MOST_SCORES:
        distinct = np.unique(np.quantile(p, np.linspace(0, 1, MOST_SCORES)))
    place = np.searchsorted(distinct, p, side="right") - 1
    return len(distinct) - 1 - place, len(distinct)
