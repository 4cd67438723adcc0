"""What comes next, on every cohort: two protocols, three horizons, all baselines, tested on people never trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.baselines import FORECASTERS, Forecast, Forecaster
from sharpwave.evaluation.baselines.boosting import Boosting
from sharpwave.evaluation.cohorts import COHORTS, Night, load_cohort, simulate_nights
from sharpwave.evaluation.intervals import bootstrap_metrics, draw_weights
from sharpwave.evaluation.protocols import (
    HORIZONS,
    compute_base_rate,
    hide_stages,
    leave_one_subject_out,
    split_by_subject,
)
from sharpwave.evaluation.shipped import (
    TRAINED_ON,
    ShippedForecaster,
    load_shipped_forecaster,
    train_shipped_forecaster,
)
from sharpwave.evaluation.tally import Tally
from sharpwave.recordings.datasets import data_root

N_FOLDS = 3
FEW = 8
"""Cohorts of no more subjects than this are tested leaving one out."""
SLOW = ("hmm", "cnn", "lstm")
SIMULATED = {"simulated, precursor off": 0.0, "simulated, precursor on": 1.0}
N_SIMULATED = 8
SIMULATED_HOURS = 6.0

Fold = tuple[list[Night], list[Night]]


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
    nights: list[Night]
    split: Callable[[np.random.Generator], Iterator[Fold]]

    @property
    def setting(self) -> str:
        return f"{self.protocol}, +{self.horizon:g} s, {self.how}"


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
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
    development = cohorts if data is None else _load(None, required=False)
    rows: list[dict[str, Any]] = []
    for name, nights in cohorts.items():
        unseen = [night for night in nights if not load_shipped_forecaster(30.0).has_seen(night)]
        rows += _run_cohort(name, nights, unseen, development.get(name, []), seeds)
    if not any("held out" in row["setting"] for row in rows):
        rows += _run_pooled(cohorts, seeds)
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


def _load(data: Path | None, *, required: bool = True) -> dict[str, list[Night]]:
    cohorts = {}
    for name in COHORTS:
        try:
            cohorts[name] = load_cohort(name, data)
        except SharpwaveError:
            continue
    if required and not cohorts:
        raise SharpwaveError(
            f"at least one of the cohorts {', '.join(COHORTS)}",
            got=f"none under {data or data_root()}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    return cohorts


def _run_cohort(
    name: str, nights: list[Night], unseen: list[Night], development: list[Night], seeds: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
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


def _run_simulated(name: str, nights: list[Night], seeds: int) -> list[dict[str, Any]]:
    methods = ("persistence", "markov", "semi-markov", "lightgbm", "lightgbm-signals")
    rows: list[dict[str, Any]] = []
    for protocol, members in FORECASTERS.items():
        task = Task(name, protocol, 30.0, "cross-validated", nights, _cross_validation(nights))
        chosen = {method: members[method] for method in methods if method in members}
        rows += score_task(task, chosen, seeds=1)
    return rows


def _run_pooled(cohorts: dict[str, list[Night]], seeds: int) -> list[dict[str, Any]]:
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
        runs = [_forecast(task, Boosting, seed) for seed in range(min(seeds, 2) if horizon == HORIZONS[0] else 1)]
        for name, nights in cohorts.items():
            tallies = [_tally(task, nights, forecasts) for forecasts in runs]
            rows += _to_rows(name, task.setting, {"sharpwave": tallies})
    return rows


def _cross_validation(nights: list[Night]) -> Callable[[np.random.Generator], Iterator[Fold]]:
    few = len({night.subject for night in nights}) <= FEW
    return lambda rng: leave_one_subject_out(nights) if few else split_by_subject(nights, n_folds=N_FOLDS, rng=rng)


def _choose_methods(task: Task) -> dict[str, Callable[[], Forecaster]]:
    night = task.nights[0]
    chosen = {}
    for name, make in FORECASTERS[task.protocol].items():
        impossible = (name == "lightgbm-signals" and not night.names) or (
            name == "lightgbm-votes" and night.votes is None
        )
        if not impossible and not (name in SLOW and task.horizon != HORIZONS[0]):
            chosen[name] = make
    return chosen


def score_task(task: Task, methods: dict[str, Callable[[], Forecaster]], *, seeds: int) -> list[dict[str, Any]]:
    """Rows of every method on one task, and the gain in AUPRC over persistence and Markov, paired by subject."""
    tallies = {}
    for name, make in methods.items():
        n_seeds = 1 if name in SLOW or task.horizon != HORIZONS[0] else seeds
        runs = [_forecast(task, make, seed) for seed in range(n_seeds)]
        tallies[name] = [_tally(task, task.nights, forecasts) for forecasts in runs]
    return _to_rows(task.data, task.setting, tallies)


def _forecast(task: Task, make: Callable[[], Forecaster], seed: int) -> dict[int, tuple[Forecast, float]]:
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


def _tally(task: Task, nights: Sequence[Night], forecasts: dict[int, tuple[Forecast, float]]) -> Tally:
    said, rates = zip(*(forecasts[id(night)] for night in nights), strict=True)
    observed = task.protocol == "observed"
    return Tally.of(nights, said, horizon=task.horizon, thresholds=rates, observed=observed)


def _score_shipped(name: str, nights: list[Night], unseen: list[Night], horizon: float) -> list[dict[str, Any]]:
    shipped = load_shipped_forecaster(horizon)
    rows = []
    seen = [night for night in nights if night not in unseen]
    for how, group in (("shipped, held out", unseen), ("shipped, in-sample", seen)):
        if not group:
            continue
        tables = {"markov": shipped.markov, "semi-markov": shipped.semi_markov, "sharpwave": shipped}
        tallies = {method: [_tally_shipped(shipped, table, group)] for method, table in tables.items()}
        rows += _to_rows(name, f"observed, +{horizon:g} s, {how}", tallies)
    return rows


def _tally_shipped(shipped: ShippedForecaster, model: Any, nights: list[Night]) -> Tally:
    said = [model.predict(night) for night in nights]
    rates = [shipped.persistence] * len(nights)
    return Tally.of(nights, said, horizon=shipped.horizon, thresholds=rates, observed=True)


def _to_rows(data: str, setting: str, tallies: dict[str, list[Tally]]) -> list[dict[str, Any]]:
    n_subjects = len(next(iter(tallies.values()))[0].subjects)
    weights = draw_weights(n_subjects, rng=np.random.default_rng(0))
    draws = {name: bootstrap_metrics([tally.score for tally in runs], weights) for name, runs in tallies.items()}
    rows = []
    for name, table in draws.items():
        if name == "persistence":
            table["auprc_change"], table["auroc_change"] = table["prevalence_change"], np.full(len(weights) + 1, 0.5)
        for reference in ("persistence", "markov"):
            if reference in draws and name != reference:
                table[f"auprc_gain_over_{reference}"] = table["auprc_change"] - draws[reference]["auprc_change"]
        for metric, values in table.items():
            low, high = np.nanquantile(values[1:], [0.025, 0.975]) if n_subjects > 1 else (np.nan, np.nan)
            numbers = {"value": float(values[0]), "low": float(low), "high": float(high), "n": n_subjects}
            rows.append({"data": data, "setting": setting, "method": name, "metric": metric, **numbers})
    return rows
