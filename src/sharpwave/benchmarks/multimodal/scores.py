"""How good forecasts of nights are: the usual metrics, and where a change leads to, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from jaxtyping import Float, Int

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.benchmarks.rows import Row, resampled_row
from sharpwave.evaluation.intervals import bootstrap_metrics, draw_weights
from sharpwave.evaluation.metrics import (
    compute_balanced_accuracy,
    compute_confusion,
    compute_kappa,
    compute_macro_f1,
)
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import N_STAGES, Forecast
from sharpwave.forecasting.protocols import compute_steps, compute_targets

METRICS = (
    "balanced_accuracy_change",
    "balanced_accuracy_destination",
    "auprc_change",
    "log_loss",
    "log_loss_change",
    "prevalence_change",
)
GAINS = ("balanced_accuracy_change", "balanced_accuracy_destination", "auprc_change", "log_loss", "kappa")
HORIZON = 30.0


@dataclass(frozen=True, eq=False)
class ChangeScore:
    """One run of one method on held-out nights.

    Attributes:
        accumulator: The usual metrics; `balanced_accuracy_change` is the mean of two shares: of the epochs whose stage
            changes within the horizon, those with an alarm, and of the others, those without. An alarm is a probability
            above the training nights' base rate.
        arrivals: Epochs whose stage changes, true stage at the horizon by the most probable one other than the present
            stage, (subject, stage, stage). `balanced_accuracy_destination` is the mean share found over the stages
            that changes lead to.
    """

    accumulator: Accumulator
    arrivals: Float[np.ndarray, "subject stage stage"]

    @classmethod
    def of(
        cls, nights: Sequence[EpochTable], forecasts: Sequence[Forecast], *, base_rate: float, observed: bool = True
    ) -> Self:
        """Score forecasts of nights whose present stage was known, or was not."""
        rates = [base_rate] * len(nights)
        accumulator = Accumulator.of(nights, forecasts, horizon=HORIZON, thresholds=rates, observed=observed)
        arrivals = np.zeros((len(accumulator.subjects), N_STAGES, N_STAGES))
        for night, forecast in zip(nights, forecasts, strict=True):
            later = compute_targets(night.stages, compute_steps(night, HORIZON))
            rows = np.flatnonzero((later >= 0) & (later != night.stages))
            elsewhere = forecast.destination[rows].copy()
            if observed:
                elsewhere[np.arange(len(rows)), night.stages[rows]] = -1
            np.add.at(arrivals[accumulator.subjects.index(night.subject)], (later[rows], elsewhere.argmax(axis=1)), 1)
        return cls(accumulator, arrivals)

    @property
    def subjects(self) -> tuple[str, ...]:
        return self.accumulator.subjects

    def score(self, weights: Float[np.ndarray, " subject"]) -> dict[str, float]:
        """Metrics with each subject counted `weights` times."""
        found = compute_balanced_accuracy(np.tensordot(weights, self.arrivals, axes=1))
        values = {**self.accumulator.score(weights), "balanced_accuracy_destination": found}
        return {metric: values[metric] for metric in METRICS}


@dataclass(frozen=True, eq=False)
class StagingScore:
    """Stages found in held-out nights.

    Attributes:
        subjects: Names.
        confusion: Epochs by true and found stage, (subject, stage, stage).
    """

    subjects: tuple[str, ...]
    confusion: Float[np.ndarray, "subject stage stage"]

    @classmethod
    def of(cls, nights: Sequence[EpochTable], found: Sequence[Int[np.ndarray, " epoch"]]) -> Self:
        """Compare stages with those scored."""
        subjects = tuple(sorted({night.subject for night in nights}))
        confusion = np.zeros((len(subjects), N_STAGES, N_STAGES))
        for night, stages in zip(nights, found, strict=True):
            confusion[subjects.index(night.subject)] += compute_confusion(night.stages, stages, n_stages=N_STAGES)
        return cls(subjects, confusion)

    def score(self, weights: Float[np.ndarray, " subject"]) -> dict[str, float]:
        """Cohen's κ and macro-F1 with each subject counted `weights` times."""
        total = np.tensordot(weights, self.confusion, axes=1)
        return {"kappa": compute_kappa(total), "macro_f1": compute_macro_f1(total)}


class Score(Protocol):
    """A run on held-out nights, from which every metric follows for any weighting of the subjects."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names."""

    def score(self, weights: Float[np.ndarray, " subject"]) -> dict[str, float]:
        """Metrics with each subject counted `weights` times."""


def tabulate(data: str, setting: str, runs: Mapping[str, Sequence[Score]], *, against: Sequence[str] = ()) -> list[Row]:
    """Rows of every method, averaged over its runs, with intervals over subjects.

    Args:
        data: Name of the nights.
        setting: Setting of the test.
        runs: Scores by method, one per seed; all on the same subjects.
        against: Methods against which the others' gains are given, paired by subject (log-loss: what is saved).
    """
    n_subjects = len(next(iter(runs.values()))[0].subjects)
    weights = draw_weights(n_subjects, rng=np.random.default_rng(0))
    draws = {name: bootstrap_metrics([run.score for run in scores], weights) for name, scores in runs.items()}
    rows = []
    for name, table in draws.items():
        gains = {
            f"{metric}_gain_over_{other}": (table[metric] - draws[other][metric]) * (-1 if metric == "log_loss" else 1)
            for other in against
            if other in draws and other != name
            for metric in GAINS
            if metric in table
        }
        for metric, values in {**table, **gains}.items():
            rows.append(resampled_row(data, setting, name, metric, values, n=n_subjects))
    return rows
