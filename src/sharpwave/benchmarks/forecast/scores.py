"""Methods on one forecasting task as rows, each compared with the simpler ones on the same people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.benchmarks.rows import Row, resampled_row
from sharpwave.evaluation.intervals import bootstrap_metrics, draw_weights
from sharpwave.forecasting import Forecast, Forecaster
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import HORIZONS, compute_base_rate, hide_stages

SLOW = ("hmm", "cnn", "lstm")
"""Baselines that run with one seed."""
OURS = "brainmu-lite"
ENSEMBLE = "lightgbm-ensemble"
MEAN, VOTED = "brainmu+lightgbm", "brainmu+lightgbm-votes"
"""The mean of Brainµ and trees that learned from all cohorts, as ships; of Brainµ and trees that see the votes."""
REFERENCES = ("persistence", "markov")
BETTER_REFERENCES = ("lightgbm", "lightgbm-signals", "lightgbm-votes")
"""What Brainµ, its means and the ensemble on signals alone are compared with, person by person."""

Fold = tuple[list[EpochTable], list[EpochTable]]


@dataclass(frozen=True)
class Task:
    """One cohort, protocol and horizon: who is tested, and who may be trained on for each fold.

    Attributes:
        data: Name of the cohort.
        protocol: "observed" or "signal-only".
        horizon: Seconds ahead.
        how: "cross-validated", or "held out" where the tested subjects were not used in development.
        nights: Nights tested.
        split: Folds for a generator.
    """

    data: str
    protocol: str
    horizon: float
    how: str
    nights: list[EpochTable]
    split: Callable[[np.random.Generator], Iterator[Fold]]

    @property
    def setting(self) -> str:
        return f"{self.protocol}, +{self.horizon:g} s, {self.how}"


def score_task(task: Task, methods: dict[str, Callable[[], Forecaster]], *, seeds: int) -> list[Row]:
    """Rows of every method on one task, and what it gains over simpler ones, paired by subject."""
    accumulators = {}
    for name, make in methods.items():
        n_seeds = 1 if name in (*SLOW, OURS) or task.horizon != HORIZONS[0] else seeds
        runs = [make_forecasts(task, make, seed) for seed in range(n_seeds)]
        accumulators[name] = [accumulate_forecasts(task, task.nights, forecasts) for forecasts in runs]
    return to_rows(task.data, task.setting, accumulators)


def make_forecasts(task: Task, make: Callable[[], Forecaster], seed: int) -> dict[int, tuple[Forecast, float]]:
    """Forecast and the training nights' base rate by the identity of each tested night."""
    rng = np.random.default_rng(seed)
    forecasts = {}
    for training, testing in task.split(np.random.default_rng(seed)):
        model = make().fit(training, horizon=task.horizon, rng=rng)
        base_rate = compute_base_rate(training, task.horizon)
        for night in testing:
            seen = hide_stages(night) if task.protocol == "signal-only" else night
            forecasts[id(night)] = (model.predict(seen), base_rate)
    return forecasts


def accumulate_forecasts(
    task: Task, nights: Sequence[EpochTable], forecasts: dict[int, tuple[Forecast, float]]
) -> Accumulator:
    """Forecasts of these nights, counted."""
    said, rates = zip(*(forecasts[id(night)] for night in nights), strict=True)
    observed = task.protocol == "observed"
    return Accumulator.of(nights, said, horizon=task.horizon, thresholds=rates, observed=observed)


def to_rows(data: str, setting: str, accumulators: dict[str, list[Accumulator]]) -> list[Row]:
    """Rows of accumulators by method, one accumulator per seed, over the same people."""
    n_subjects = len(next(iter(accumulators.values()))[0].subjects)
    weights = draw_weights(n_subjects, rng=np.random.default_rng(0))
    draws = {
        name: bootstrap_metrics([accumulator.score for accumulator in runs], weights)
        for name, runs in accumulators.items()
    }
    rows = []
    for name, table in draws.items():
        if name == "persistence":
            table["auprc_change"], table["auroc_change"] = table["prevalence_change"], np.full(len(weights) + 1, 0.5)
        references = (*REFERENCES, *BETTER_REFERENCES) if name in (OURS, MEAN, VOTED, ENSEMBLE) else REFERENCES
        for reference in references:
            if reference not in draws or name == reference:
                continue
            better = reference in BETTER_REFERENCES
            metric = "auprc_change" if better else "auprc"
            table[f"{metric}_gain_over_{reference}"] = table["auprc_change"] - draws[reference]["auprc_change"]
            if better:
                table[f"log_loss_gain_over_{reference}"] = draws[reference]["log_loss"] - table["log_loss"]
        for metric, values in table.items():
            rows.append(resampled_row(data, setting, name, metric, values, n=n_subjects))
    return rows
