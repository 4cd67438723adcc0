"""The recipe on part of the subjects, tested on the others: out-of-fold forecasts, and the calibration they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.uncertainty import name_calibration
from sharpwave.forecasting.brainmu_forecaster import Calibration, forecast_horizons
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, carry_stages, compose_forecast
from sharpwave.forecasting.protocols import HORIZONS, compute_steps, compute_targets, hide_stages, split_by_subject
from sharpwave.forecasting.shipped import calibrate, fit_calibration
from sharpwave.recipes.sources import Forecasting

PROTOCOLS = ("observed", "signal-only")
Fold = tuple[list[EpochTable], list[EpochTable]]
Key = tuple[str, float]
OutOfFold = dict[Key, dict[str, Forecast]]
"""Forecasts by protocol and horizon, then by `name_subject`."""


def name_subject(night: EpochTable) -> str:
    """ "cohort/subject"."""
    return f"{night.cohort}/{night.subject}"


def split_cohorts(cohorts: Mapping[str, Sequence[EpochTable]], *, n_folds: int, rng: np.random.Generator) -> list[Fold]:
    """Folds over all cohorts at once, every subject tested in one of them."""
    parts = [list(split_by_subject(nights, n_folds=n_folds, rng=rng)) for nights in cohorts.values()]
    everyone = [night for nights in cohorts.values() for night in nights]
    folds = []
    for index in range(n_folds):
        testing = [night for part in parts if index < len(part) for night in part[index][1]]
        tested = {name_subject(night) for night in testing}
        folds.append(([night for night in everyone if name_subject(night) not in tested], testing))
    return folds


def forecast_folds(
    forecasting: Forecasting,
    folds: Iterable[Fold],
    *,
    train_model: Callable[[Forecasting, int], BrainMu],
    seed: int = 0,
) -> tuple[OutOfFold, list[set[str]]]:
    """Forecasts of every tested night by a model that was trained without its fold.

    Args:
        forecasting: Nights of all subjects, for training.
        folds: Training and tested nights.
        train_model: A model trained on these cohorts, from a seed.
        seed: Seed of the first fold; each has its own.

    Returns:
        Raw forecasts, and who was in each fold.
    """
    forecasts: OutOfFold = {(protocol, horizon): {} for protocol in PROTOCOLS for horizon in HORIZONS}
    members = []
    for index, (_, testing) in enumerate(folds):
        tested = {name_subject(night) for night in testing}
        model = train_model(forecasting.without(tested), seed + index)
        for night in testing:
            seen = {"observed": night, "signal-only": hide_stages(night) if night.names else None}
            for protocol, part in seen.items():
                said = {} if part is None else forecast_horizons(model, part)
                for horizon in said.keys() & set(HORIZONS):
                    forecasts[protocol, horizon][name_subject(night)] = said[horizon]
        members.append(tested)
    return forecasts, members


def fit_calibrations(forecasts: OutOfFold, nights: Iterable[EpochTable]) -> Calibration:
    """Slope and intercept for each protocol and horizon, from forecasts of subjects that the model had not seen."""
    by_name = {name_subject(night): night for night in nights}
    found: dict[str, tuple[float, float]] = {}
    for (protocol, horizon), said in forecasts.items():
        change, truth = [], []
        for name in said.keys() & by_name.keys():
            night = by_name[name]
            later = compute_targets(night.stages, compute_steps(night, horizon))
            known = later >= 0
            change.append(said[name].change[known])
            truth.append((later != night.stages)[known])
        if change:
            slope, intercept = fit_calibration(np.concatenate(change), np.concatenate(truth).astype(float))
            found[name_calibration(protocol, horizon)] = (round(slope, 4), round(intercept, 4))
    return found


def calibrate_folds(forecasts: OutOfFold, members: Sequence[set[str]], nights: Sequence[EpochTable]) -> OutOfFold:
    """Each fold's forecasts calibrated with what the other folds' say."""
    by_name = {name_subject(night): night for night in nights}
    out: OutOfFold = {key: {} for key in forecasts}
    for tested in members:
        calibration = fit_calibrations(forecasts, [night for night in nights if name_subject(night) not in tested])
        for (protocol, horizon), said in forecasts.items():
            line = calibration.get(name_calibration(protocol, horizon))
            for name in said.keys() & tested:
                raw = said[name]
                change = raw.change if line is None else calibrate(raw.change, line)
                now = carry_stages(by_name[name].stages)
                observed = protocol == "observed"
                out[protocol, horizon][name] = (
                    compose_forecast(now, change, raw.destination) if observed else Forecast(change, raw.destination)
                )
    return out
