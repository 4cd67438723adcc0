"""Brainµ on the subjects that its shipped weights were trained on: the recipe again, without each fold's subjects.

Beside it stand its means with LightGBM, one half each: with trees that learned from the stages of all cohorts, as
ships, and, where several scored, with trees that see the votes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.forecast.scores import (
    BETTER_REFERENCES,
    MEAN,
    OURS,
    REFERENCES,
    VOTED,
    Fold,
    Task,
    accumulate_forecasts,
    make_forecasts,
    to_rows,
)
from sharpwave.benchmarks.rows import Row
from sharpwave.forecasting import FORECASTERS, Forecaster
from sharpwave.forecasting.boosting import Boosting
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, average_forecasts
from sharpwave.forecasting.protocols import compute_base_rate
from sharpwave.recipes.cross_validation import (
    OutOfFold,
    calibrate_folds,
    forecast_folds,
    name_subject,
    split_cohorts,
)
from sharpwave.recipes.recipe import train_on_cohorts
from sharpwave.recipes.sources import load_forecasting

N_FOLDS = 3
HOW = "cross-validated, trained on all cohorts"


def score_cross_validated(cohorts: Mapping[str, list[EpochTable]], data: Path | None, *, seed: int = 0) -> list[Row]:
    """Rows of Brainµ and of LightGBM on the same folds, for every cohort, protocol and horizon.

    Args:
        cohorts: Nights by cohort, of two subjects or more each.
        data: Folder of data sets that they are from.
        seed: Seed of folds and training.
    """
    cohorts = {name: nights for name, nights in cohorts.items() if len({night.subject for night in nights}) > 1}
    folds = split_cohorts(cohorts, n_folds=N_FOLDS, rng=np.random.default_rng(seed))
    raw, members = forecast_folds(load_forecasting(data), folds, train_model=train_on_cohorts, seed=seed)
    everyone = [night for nights in cohorts.values() for night in nights]
    forecasts = calibrate_folds(raw, members, everyone)
    pooled = {
        horizon: make_forecasts(Task("all", "observed", horizon, HOW, everyone, lambda rng: iter(folds)), Boosting, 0)
        for protocol, horizon in forecasts
        if protocol == "observed"
    }
    return [row for name, nights in cohorts.items() for row in score_cohort(name, nights, folds, forecasts, pooled)]


def score_cohort(
    name: str,
    nights: list[EpochTable],
    folds: list[Fold],
    forecasts: OutOfFold,
    pooled: Mapping[float, Mapping[int, tuple[Forecast, float]]],
) -> list[Row]:
    """Rows of Brainµ, of its means with LightGBM, and of what it is compared with, on one cohort.

    Args:
        name: Name of the cohort.
        nights: Its nights, each tested in one of the folds.
        folds: Training and tested nights of all cohorts.
        forecasts: What Brainµ said of each night without having learned from its subject.
        pooled: The same of trees that learned from the stages of all cohorts, by horizon, then by the night's identity.
    """
    rows: list[Row] = []
    for (protocol, horizon), said in forecasts.items():
        if any(name_subject(night) not in said for night in nights):
            continue
        task = Task(name, protocol, horizon, HOW, nights, _take_folds(name, folds))
        rates = {
            id(night): compute_base_rate([n for n in training if n.cohort == name], horizon)
            for training, testing in folds
            for night in testing
        }
        ours = {id(night): (said[name_subject(night)], rates[id(night)]) for night in nights}
        accumulators = {OURS: [accumulate_forecasts(task, nights, ours)]}
        found = {m: make_forecasts(task, make, 0) for m, make in _choose_references(protocol, nights[0]).items()}
        if protocol == "observed":
            found[MEAN] = _average(ours, pooled[horizon])
        if "lightgbm-votes" in found:
            found[VOTED] = _average(ours, found["lightgbm-votes"])
        for method, by_night in found.items():
            accumulators[method] = [accumulate_forecasts(task, nights, by_night)]
        rows += to_rows(name, task.setting, accumulators)
    return rows


def _average(
    ours: Mapping[int, tuple[Forecast, float]], theirs: Mapping[int, tuple[Forecast, float]]
) -> dict[int, tuple[Forecast, float]]:
    return {night: (average_forecasts(said, theirs[night][0]), rate) for night, (said, rate) in ours.items()}


def _take_folds(cohort: str, folds: list[Fold]) -> Callable[[np.random.Generator], Iterator[Fold]]:
    """The folds' nights of one cohort, whatever the generator."""

    def split(rng: np.random.Generator) -> Iterator[Fold]:
        for training, testing in folds:
            yield [n for n in training if n.cohort == cohort], [n for n in testing if n.cohort == cohort]

    return split


def _choose_references(protocol: str, night: EpochTable) -> dict[str, Callable[[], Forecaster]]:
    members = FORECASTERS[protocol]
    names = [name for name in (*REFERENCES, *BETTER_REFERENCES) if name in members]
    if not night.names:
        names = [name for name in names if name != "lightgbm-signals"]
    if night.votes is None:
        names = [name for name in names if name != "lightgbm-votes"]
    return {name: members[name] for name in names}
