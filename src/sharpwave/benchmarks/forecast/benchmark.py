"""What comes next, on every cohort: two protocols, three horizons, all baselines, tested on people never trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.benchmarks.forecast.ahead import HOW, score_told
from sharpwave.benchmarks.forecast.as_decoded import SETTING, score_as_decoded
from sharpwave.benchmarks.forecast.brainmu import score_cross_validated
from sharpwave.benchmarks.forecast.scores import (
    OURS,
    SLOW,
    Fold,
    Task,
    accumulate_forecasts,
    make_forecasts,
    score_task,
    to_rows,
)
from sharpwave.benchmarks.rows import Row
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting import FORECASTERS, Forecaster
from sharpwave.forecasting.boosting import Boosting
from sharpwave.forecasting.brainmu_forecaster import ShippedBrainMu
from sharpwave.forecasting.cohorts import COHORTS, EpochTable, load_cohort, simulate_nights
from sharpwave.forecasting.protocols import (
    HORIZONS,
    leave_one_subject_out,
    split_by_subject,
)
from sharpwave.forecasting.shipped import (
    TRAINED_ON,
    ShippedForecaster,
    load_shipped_forecaster,
    train_shipped_forecaster,
)
from sharpwave.forecasting.signal_forecaster import COHORTS as SIGNAL_COHORTS
from sharpwave.recipes.signal_forecasters import load_signal_nights, train_signal_forecasters
from sharpwave.recordings.datasets import data_root, list_subjects

N_FOLDS = 3
FEW = 8
"""Cohorts of no more subjects than this are tested leaving one out."""
SIMULATED = {"simulated, precursor off": 0.0, "simulated, precursor on": 1.0}
N_SIMULATED = 8
SIMULATED_HOURS = 6.0


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Forecast every cohort under `data`, and simulated nights.

    Subjects that the shipped weights were trained on are cross-validated; others are tested with these weights and
    with baselines trained on the development subjects alone.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds of the splits and learners at +30 s. HMM, CNN and LSTM run with one seed and at +30 s only;
            everything else with one seed at +60 and +300 s.
        train: Train the shipped weights again on the permitted cohorts under `data` first.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If there is no cohort to run on.
    """
    cohorts = _load(data)
    if train:
        nights = [night for name in TRAINED_ON for night in cohorts.get(name, [])]
        train_shipped_forecaster(nights, rng=np.random.default_rng(0))
        if all(list_subjects(name, data, required=False) for name in SIGNAL_COHORTS.values()):  # else they stay
            train_signal_forecasters(load_signal_nights(data))
    development = cohorts if data is None else _load(None, required=False)
    rows: list[Row] = []
    for name, nights in cohorts.items():
        unseen = [night for night in nights if not load_shipped_forecaster(30.0).has_seen(night)]
        rows += _run_cohort(name, nights, unseen, development.get(name, []), seeds)
    if not any("held out" in row.setting for row in rows):
        rows += _run_pooled(cohorts, seeds)
        rows += score_cross_validated(cohorts, data)
        rows += score_as_decoded(cohorts, data, seeds=1)
        rows += score_told(cohorts)
    for name, precursor in SIMULATED.items():
        rng = np.random.default_rng(20)
        nights = list(simulate_nights(N_SIMULATED, rng=rng, hours=SIMULATED_HOURS, precursor=precursor))
        rows += _run_simulated(name, nights, seeds)
    config = {
        "protocols": list(FORECASTERS),
        "horizons_s": list(HORIZONS),
        "folds": f"{N_FOLDS}; each subject in turn where there are {FEW} or fewer",
        "seeds": {
            "+30 s": seeds,
            "+60 s": 1,
            "+300 s": 1,
            "sharpwave": min(seeds, 2),
            "simulated": 1,
            **dict.fromkeys((SETTING, HOW), 1),
            OURS: "one training: the shipped weights, or one per fold",
            **{name: "1, +30 s only" for name in SLOW},
        },
        "interval": "95 %, bootstrap over subjects, 200 resamples",
        "pooling": "metrics over all epochs of the tested subjects; means over seeds",
        "subjects": {name: len({night.subject for night in nights}) for name, nights in cohorts.items()},
        "persistence": "a constant ranks nothing: its AUPRC is the prevalence, its AUROC one half",
        "simulated_nights": N_SIMULATED,
        "simulated_hours": SIMULATED_HOURS,
    }
    return config, rows


def _load(data: Path | None, *, required: bool = True) -> dict[str, list[EpochTable]]:
    cohorts = {}
    for name in COHORTS:
        if list_subjects(name, data, required=False):
            cohorts[name] = load_cohort(name, data)
    if required and not cohorts:
        raise SharpwaveError(
            f"at least one of the cohorts {', '.join(COHORTS)}",
            got=f"none under {data or data_root()}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    return cohorts


def _run_cohort(
    name: str, nights: list[EpochTable], unseen: list[EpochTable], development: list[EpochTable], seeds: int
) -> list[Row]:
    rows: list[Row] = []
    tested = {night.subject for night in unseen}
    training = [night for night in [*nights, *development] if night.subject not in tested]
    training = list({night.subject: night for night in training}.values())
    for horizon in HORIZONS:
        rows += _score_shipped(name, nights, unseen, horizon)
        for protocol in FORECASTERS:
            if protocol == "signal-only" and not nights[0].names:
                continue
            if unseen and training:
                task = Task(name, protocol, horizon, "held out", unseen, lambda rng: iter([(training, unseen)]))
            elif len({night.subject for night in nights}) > 1:
                task = Task(name, protocol, horizon, "cross-validated", nights, _cross_validation(nights))
            else:
                continue
            rows += score_task(task, _choose_methods(task), seeds=seeds)
    return rows


def _run_simulated(name: str, nights: list[EpochTable], seeds: int) -> list[Row]:
    methods = ("persistence", "markov", "semi-markov", "lightgbm", "lightgbm-signals")
    rows: list[Row] = []
    for protocol, members in FORECASTERS.items():
        task = Task(name, protocol, 30.0, "cross-validated", nights, _cross_validation(nights))
        chosen = {method: members[method] for method in methods if method in members}
        rows += score_task(task, chosen, seeds=1)
    return rows


def _run_pooled(cohorts: dict[str, list[EpochTable]], seeds: int) -> list[Row]:
    """What ships, cross-validated: trained on all cohorts at once, on the folds' training subjects."""
    everyone = [night for nights in cohorts.values() for night in nights]

    def split(rng: np.random.Generator) -> Iterator[Fold]:
        parts = [list(split_by_subject(nights, n_folds=N_FOLDS, rng=rng)) for nights in cohorts.values()]
        for index in range(N_FOLDS):
            folds = [part[index] for part in parts if index < len(part)]
            tested = {(night.cohort, night.subject) for _, testing in folds for night in testing}
            yield (
                [night for night in everyone if (night.cohort, night.subject) not in tested],
                [night for _, testing in folds for night in testing],
            )

    rows = []
    for horizon in HORIZONS:
        task = Task("all", "observed", horizon, "cross-validated", everyone, split)
        runs = [make_forecasts(task, Boosting, seed) for seed in range(min(seeds, 2) if horizon == HORIZONS[0] else 1)]
        for name, nights in cohorts.items():
            accumulators = [accumulate_forecasts(task, nights, forecasts) for forecasts in runs]
            rows += to_rows(name, task.setting, {"sharpwave": accumulators})
    return rows


def _cross_validation(nights: list[EpochTable]) -> Callable[[np.random.Generator], Iterator[Fold]]:
    few = len({night.subject for night in nights}) <= FEW
    return lambda rng: leave_one_subject_out(nights) if few else split_by_subject(nights, n_folds=N_FOLDS, rng=rng)


def _choose_methods(task: Task) -> dict[str, Callable[[], Forecaster]]:
    night = task.nights[0]
    chosen = {}
    for name, make in FORECASTERS[task.protocol].items():
        impossible = (name in ("lightgbm-signals", "lightgbm-ensemble") and not night.names) or (
            name == "lightgbm-votes" and night.votes is None
        )
        if not impossible and not (name in SLOW and task.horizon != HORIZONS[0]):
            chosen[name] = make
    if task.how == "held out":
        chosen[OURS] = ShippedBrainMu
    return chosen


def _score_shipped(name: str, nights: list[EpochTable], unseen: list[EpochTable], horizon: float) -> list[Row]:
    shipped = load_shipped_forecaster(horizon)
    rows = []
    seen = [night for night in nights if night not in unseen]
    for how, group in (("shipped, held out", unseen), ("shipped, in-sample", seen)):
        if not group:
            continue
        tables = {"markov": shipped.markov, "semi-markov": shipped.semi_markov, "sharpwave": shipped}
        accumulators = {method: [_accumulate_shipped(shipped, table, group)] for method, table in tables.items()}
        rows += to_rows(name, f"observed, +{horizon:g} s, {how}", accumulators)
    return rows


def _accumulate_shipped(shipped: ShippedForecaster, model: Any, nights: list[EpochTable]) -> Accumulator:
    said = [model.predict(night) for night in nights]
    rates = [shipped.persistence] * len(nights)
    return Accumulator.of(nights, said, horizon=shipped.horizon, thresholds=rates, observed=True)
