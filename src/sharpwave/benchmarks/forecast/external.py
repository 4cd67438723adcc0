"""`sharpwave benchmark external`: a change of stage in 30 s on people whose nights went into no choice made here.

BOAS (experts' consensus, and what a network made of a two-channel headband) by person, and HMC's hypnograms. The
weights are the shipped ones as they are; people whom they have learned from are left out, which the notes say. From a
machine's history the question stays the expert's: does *his* stage change?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.benchmarks.rows import Row, resampled_row
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.intervals import bootstrap_metrics, draw_weights
from sharpwave.forecasting.brainmu_forecaster import ShippedBrainMu
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, Forecaster, average_forecasts
from sharpwave.forecasting.shipped import ShippedLightGBM, load_shipped_forecaster
from sharpwave.recordings.datasets import data_root, list_subjects, load_dataset
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording

HORIZON = 30.0
COHORTS = {"boas": "BOAS", "hmc-bands": "HMC"}
METHODS: dict[str, Callable[[], Forecaster]] = {"lightgbm": ShippedLightGBM, "brainmu-lite": ShippedBrainMu}
"""Forecasters that ship."""
MEAN = "brainmu+lightgbm"
"""Their mean, which is what `sharpwave decode` forecasts with where stages are given."""


@dataclass(frozen=True)
class History:
    """A night whose past one scorer tells and whose future another judges.

    Attributes:
        seen: Stages up to now, as the forecaster sees them.
        truth: The expert's stages of the same epochs.
    """

    seen: EpochTable
    truth: EpochTable


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Forecast with the shipped weights on every external cohort under `data`.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Not used: nothing is trained and nothing is random but the bootstrap.
        train: Not used.

    Raises:
        SharpwaveError: If none of the cohorts is there.
    """
    rows: list[Row] = []
    notes: list[str] = []
    for name, title in COHORTS.items():
        nights = load_nights(name, data)
        new = [night for night in nights if not is_known(night)]
        if not new:
            notes.append(f"{title} left out: {'all of it was learned from' if nights else 'not here'}")
            continue
        if len(new) < len(nights):
            notes.append(f"{title}: {len(nights) - len(new)} nights of people who were learned from left out")
        for kind, told in list_histories(new).items():
            rows += score_histories(told, data=title, setting=f"{kind} history, +{HORIZON:g} s")
    if not rows:
        raise SharpwaveError(
            f"at least one of the cohorts {', '.join(COHORTS)}, with people who are new to the shipped weights",
            got=f"none under {data or data_root() or 'any folder of data sets'}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    config = {
        "seeds": seeds,
        "weights": "as shipped; nothing is fitted on these people",
        "interval": "95 %, bootstrap over people, 200 resamples; differences are paired by person",
        "unscored": "epochs before which nothing is scored are left out; gaps carry the last stage",
        "notes": notes,
    }
    return config, rows


def load_nights(cohort: str, data: Path | None) -> list[Recording]:
    """Nights of a cohort with a hypnogram; none where it is not here."""
    nights = [load_dataset(f"{cohort}/{name}", data) for name in list_subjects(cohort, data, required=False)]
    return [night for night in nights if night.hypnogram is not None and night.hypnogram.scored.any()]


def is_known(night: Recording) -> bool:
    """Whether a shipped forecaster has learned from this person."""
    cohort = night.source.partition("/")[0]
    table = EpochTable(night.subject, str(night.metadata.get("cohort", cohort)), np.zeros(0, np.int8), np.empty((0, 0)))
    tables = [table, replace(table, cohort=cohort), replace(table, cohort=cohort.removesuffix("-bands"))]
    return any(load_shipped_forecaster().has_seen(one) or ShippedBrainMu().has_seen(one) for one in tables)


def list_histories(nights: Sequence[Recording]) -> dict[str, list[History]]:
    """Every kind of history that the nights have: the expert's, and those of machines."""
    told: dict[str, list[History]] = {}
    for night in nights:
        expert = night.hypnogram
        assert expert is not None  # `load_nights` saw to it
        machines = dict(night.metadata.get("machines", {}))
        for kind, hypnogram in {"expert": expert, **machines}.items():
            told.setdefault(kind.replace("_", " "), []).append(make_history(night.subject, hypnogram, expert))
    return told


def make_history(subject: str, seen: Hypnogram, expert: Hypnogram) -> History:
    """A night from the first epoch that both have scored to the last."""
    first, second = np.asarray(seen.stages), np.asarray(expert.stages)
    length = min(len(first), len(second))
    both = np.flatnonzero((first[:length] >= 0) & (second[:length] >= 0))
    span = slice(0, 0) if not both.size else slice(int(both[0]), int(both[-1]) + 1)
    tables = [
        EpochTable(subject, "external", stages[span].astype(np.int8), np.empty((len(stages[span]), 0)))
        for stages in (first, second)
    ]
    missing = tables[0].stages < 0  # what cannot be forecast from is not judged
    return History(tables[0], replace(tables[1], stages=np.where(missing, UNSCORED, tables[1].stages).astype(np.int8)))


def score_histories(told: Sequence[History], *, data: str, setting: str) -> list[Row]:
    """Rows of every method and of their mean, and what each gains over the others, paired by person."""
    nights = [history.truth for history in told]
    rates = [load_shipped_forecaster(HORIZON).persistence] * len(nights)
    said: dict[str, list[Forecast]] = {}
    for name, make in METHODS.items():
        model = make().fit([], horizon=HORIZON, rng=np.random.default_rng(0))
        said[name] = [model.predict(history.seen) for history in told]
    said[MEAN] = [average_forecasts(*both) for both in zip(*said.values(), strict=True)]
    draws: dict[str, dict[str, np.ndarray]] = {}
    for name, forecasts in said.items():
        counted = Accumulator.of(nights, forecasts, horizon=HORIZON, thresholds=rates, observed=False)
        weights = draw_weights(len(counted.subjects), rng=np.random.default_rng(0))
        draws[name] = bootstrap_metrics([counted.score], weights)
    rows: list[Row] = []
    n = len({night.subject for night in nights})
    for name, table in draws.items():
        for other in draws:
            if name not in (other, "lightgbm") and other != MEAN:
                gain = table["auprc_change"] - draws[other]["auprc_change"]
                table[f"auprc_change_gain_over_{other}"] = gain
                table[f"log_loss_gain_over_{other}"] = draws[other]["log_loss"] - table["log_loss"]
        rows += [resampled_row(data, setting, name, metric, values, n=n) for metric, values in table.items()]
    prevalence = draws["lightgbm"]["prevalence_change"]
    return [*rows, resampled_row(data, setting, "persistence", "auprc_change", prevalence, n=n)]
