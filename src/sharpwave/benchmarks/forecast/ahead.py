"""What signals can tell of a change at the most: the forecast from signals alone, told some of what follows.

At the end of an epoch the ensemble is also given the measures of later epochs, beside those of now. Told the next 30 s
it sees the very epoch of which it is asked whether it has another stage; told three minutes it can look back on it. No
forecast has this: it is a bound on what these measures and these trees reach with this many people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.benchmarks.forecast.scores import ENSEMBLE, Fold, Task, accumulate_forecasts, make_forecasts
from sharpwave.benchmarks.rows import Row, resampled_row
from sharpwave.evaluation.intervals import bootstrap_metrics, draw_weights
from sharpwave.forecasting.boosting import SignalEnsemble
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import leave_one_subject_out, split_by_subject

HORIZON = 30.0
HOW = "told what follows"
TOLD = {ENSEMBLE: 0, "told 30 s": 1, "told 180 s": 6}
"""Epochs after the present one whose measures are given, by method."""
N_FOLDS, FEW = 3, 8


def score_told(cohorts: Mapping[str, Sequence[EpochTable]], *, seed: int = 0) -> list[Row]:
    """Rows of every cohort that has signals and two subjects or more.

    Args:
        cohorts: Nights by cohort.
        seed: Seed of folds and trees.
    """
    return [
        row
        for name, nights in cohorts.items()
        if nights[0].names and len({night.subject for night in nights}) > 1
        for row in score_cohort_told(name, nights, seed=seed)
    ]


def _repeat(folds: Sequence[Fold], rng: np.random.Generator) -> Iterator[Fold]:
    """The same folds, whatever the generator."""
    return iter(folds)


def score_cohort_told(name: str, nights: Sequence[EpochTable], *, seed: int) -> list[Row]:
    """Rows of the ensemble with and without what follows, on the same folds, and what that gains by subject."""
    few = len({night.subject for night in nights}) <= FEW
    found: dict[str, Accumulator] = {}
    for method, epochs in TOLD.items():
        told = [tell(night, epochs) for night in nights]
        rng = np.random.default_rng(seed)
        folds = [*(leave_one_subject_out(told) if few else split_by_subject(told, n_folds=N_FOLDS, rng=rng))]
        task = Task(name, "signal-only", HORIZON, HOW, told, partial(_repeat, folds))
        found[method] = accumulate_forecasts(task, told, make_forecasts(task, SignalEnsemble, seed))
    n = len(found[ENSEMBLE].subjects)
    weights = draw_weights(n, rng=np.random.default_rng(0))
    draws = {method: bootstrap_metrics([counted.score], weights) for method, counted in found.items()}
    rows: list[Row] = []
    for method, table in draws.items():
        kept = {metric: table[metric] for metric in ("auprc_change", "log_loss_change", "prevalence_change")}
        if method != ENSEMBLE:
            kept[f"auprc_change_gain_over_{ENSEMBLE}"] = table["auprc_change"] - draws[ENSEMBLE]["auprc_change"]
        setting = f"signal-only, +{HORIZON:g} s, {HOW}"
        rows += [resampled_row(name, setting, method, metric, values, n=n) for metric, values in kept.items()]
    return rows


def tell(night: EpochTable, epochs: int) -> EpochTable:
    """The night with the measures of `epochs` later beside those of now; the last known ones where it has ended."""
    if not epochs or not len(night):
        return night
    later = night.features[np.minimum(np.arange(len(night)) + epochs, len(night) - 1)]
    names = tuple(f"{name} later" for name in night.names)
    return replace(night, features=np.concatenate([night.features, later], axis=1), names=night.names + names)
