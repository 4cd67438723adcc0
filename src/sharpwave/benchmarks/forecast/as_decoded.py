"""The forecast as `sharpwave decode` makes it, beside the ensemble on signals alone: same nights, epochs and folds.

`decode` stages a recording and forecasts from the stages it found. Its stagers look ahead, so for a forecast they are
run anew at each epoch on what was known by then, and what they said of that epoch is kept: the history of found stages
as a live run has it. Stagers, LightGBM and the ensemble never learn from the people tested. Brainµ's shipped weights
have learned from these people's expert stages, which can only favour `decode`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.benchmarks.rows import Row, resampled_row
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.intervals import bootstrap_metrics, draw_weights
from sharpwave.forecasting.boosting import Boosting, SignalEnsemble
from sharpwave.forecasting.cohorts import DELAYS, EpochTable, compute_night, delay, fill_forward, fit_length
from sharpwave.forecasting.contract import Forecast, average_forecasts, carry_stages, compose_forecast
from sharpwave.forecasting.protocols import compute_base_rate, hide_stages, leave_one_subject_out, split_by_subject
from sharpwave.forecasting.shipped import ShippedForecaster
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.stage_smoothing import load_transitions
from sharpwave.staging.boosted import RECIPES, Recipe, add_context, compute_prior, fit_booster, soften
from sharpwave.staging.lightgbm_stagers import FEATURES, add_wearable_context, compute_lfp_features

HORIZON = 30.0
SETTING = "signal-only, +30 s, as decode does it"
DECODE, LIGHTGBM, ENSEMBLE = "brainmu+lightgbm on found stages", "lightgbm on found stages", "lightgbm-ensemble"
TOGETHER = "mean of decode and ensemble"
METRICS = ("auprc_change", "log_loss_change", "brier", "prevalence_change")
N_FOLDS, FEW = 3, 8

Context = Callable[[Float[np.ndarray, "epoch measure"]], pd.DataFrame]


def measure_walch(recording: Recording) -> Float[np.ndarray, "epoch measure"]:
    """The stager's two measures, delayed until nothing in a row looks ahead of it."""
    columns = [delay(recording[name].read(dtype=np.float64), DELAYS[name]) for name in FEATURES]
    return np.stack(columns, axis=1)


def measure_lfp(recording: Recording) -> Float[np.ndarray, "epoch measure"]:
    """The stager's eighteen measures of band power; each comes from its own epoch."""
    return compute_lfp_features(recording)[0]


def measure_entropies(recording: Recording) -> Float[np.ndarray, "epoch measure"]:
    """Three entropies of the EEG, which stand for it: most of UCDDB's EEG itself is not here."""
    return recording["entropy"].read(dtype=np.float64)


def add_narrow_context(measures: Float[np.ndarray, "epoch measure"]) -> pd.DataFrame:
    """The context that the stager of LFP takes."""
    names = [f"measure{index}" for index in range(measures.shape[1])]
    return add_context(measures, names, windows=RECIPES["lightgbm-lfp"].windows)


KINDS: Mapping[str, tuple[Callable[[Recording], np.ndarray], Context, Recipe]] = {
    "walch": (measure_walch, add_wearable_context, RECIPES["lightgbm-wearable"]),
    "ucddb": (measure_entropies, add_narrow_context, RECIPES["lightgbm-lfp"]),
    "pd-lfp": (measure_lfp, add_narrow_context, RECIPES["lightgbm-lfp"]),
}
"""By cohort: what the stager measures, the context it adds, and how it is fitted."""


def score_as_decoded(cohorts: Mapping[str, Sequence[EpochTable]], data: Path | None, *, seeds: int) -> list[Row]:
    """Rows of every cohort in `KINDS` that has two subjects or more.

    Args:
        cohorts: Nights by cohort; LightGBM on stages learns from all of them but the people tested.
        data: Folder of data sets that they are from.
        seeds: Splits and trainings.
    """
    everyone = [night for nights in cohorts.values() for night in nights]
    rows: list[Row] = []
    for name, nights in cohorts.items():
        if name in KINDS and len({night.subject for night in nights}) > 1:
            rows += score_cohort(name, load_seen(name, data), everyone, seeds=seeds)
    return rows


def load_seen(cohort: str, data: Path | None) -> list[tuple[EpochTable, Float[np.ndarray, "epoch measure"]]]:
    """Nights with what the cohort's stager measures in them, row by row of the night."""
    measure = KINDS[cohort][0]
    seen = []
    for subject in list_subjects(cohort, data):
        recording = load_dataset(f"{cohort}/{subject}", data)
        night = compute_night(recording, cohort)
        try:
            measures = measure(recording)
        except (KeyError, SharpwaveError):
            continue
        seen.append((night, np.stack([fit_length(column, len(night)) for column in measures.T], axis=1)))
    return seen


def score_cohort(
    cohort: str,
    seen: Sequence[tuple[EpochTable, Float[np.ndarray, "epoch measure"]]],
    everyone: Sequence[EpochTable],
    *,
    seeds: int,
) -> list[Row]:
    """Rows of each method on one cohort, and what each gains over the others, paired by subject."""
    _, add, recipe = KINDS[cohort]
    nights = [night for night, _ in seen]
    whole = {night.subject: add(measures) for night, measures in seen}
    known = {night.subject: look_back(measures, add) for night, measures in seen}
    runs: dict[str, list[Accumulator]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        few = len({night.subject for night in nights}) <= FEW
        folds = leave_one_subject_out(nights) if few else split_by_subject(nights, n_folds=N_FOLDS, rng=rng)
        said: dict[str, dict[int, Forecast]] = {}
        rates: dict[int, float] = {}
        for training, testing in folds:
            tested = {night.subject for night in testing}
            others = [night for night in everyone if night.cohort != cohort or night.subject not in tested]
            stages = [np.asarray(night.stages, dtype=int) for night in training]
            booster = fit_booster([whole[night.subject] for night in training], stages, recipe=recipe, rng=rng)
            prior = compute_prior(stages, balance=recipe.balance)
            trees = Boosting().fit(others, horizon=HORIZON, rng=rng)
            ensemble = SignalEnsemble().fit(training, horizon=HORIZON, rng=rng)
            for night in testing:
                found = find_stages(known[night.subject], booster.predict, recipe=recipe, prior=prior)
                rates[id(night)] = compute_base_rate(training, HORIZON)
                forecasts = forecast_every_way(night, found, trees, ensemble)
                for method, forecast in forecasts.items():
                    said.setdefault(method, {})[id(night)] = forecast
        for method, by_night in said.items():
            ordered = [by_night[id(night)] for night in nights]
            rate = [rates[id(night)] for night in nights]
            counted = Accumulator.of(nights, ordered, horizon=HORIZON, thresholds=rate, observed=False)
            runs.setdefault(method, []).append(counted)
    return compare(cohort, runs)


def look_back(measures: Float[np.ndarray, "epoch measure"], add: Context) -> Float[np.ndarray, "epoch input"]:
    """What the stager is given of each epoch at its end: its last row, when all that comes later is not yet there."""
    return np.stack([add(measures[: epoch + 1]).to_numpy()[-1] for epoch in range(len(measures))])


def find_stages(
    inputs: Float[np.ndarray, "epoch input"],
    predict: Callable[..., np.ndarray],
    *,
    recipe: Recipe,
    prior: Float[np.ndarray, " stage"],
) -> Hypnogram:
    """The stage of each epoch as it was found at its end, and never revised; unscored where nothing is known.

    Args:
        inputs: From `look_back`.
        predict: Probabilities of the stages from rows of inputs.
        recipe: Recipe of the stager; its smoothing becomes a filter, for there is no later epoch.
        prior: Share of each stage in the stager's training.
    """
    there = np.isfinite(inputs).any(axis=1)
    probabilities = np.full((len(inputs), len(prior)), np.nan)
    if there.any():
        probabilities[there] = predict(inputs[there])
    if recipe.smoothing is not None:
        filtered = filter_forward(probabilities, prior=prior, weight=recipe.smoothing)
        probabilities[there] = filtered[there]
    probabilities = soften(probabilities, 1.0)
    stages = np.where(there, np.nan_to_num(probabilities).argmax(axis=1), -1).astype(np.int8)
    return Hypnogram(stages, HORIZON, len(prior), probabilities=probabilities)


def filter_forward(
    probabilities: Float[np.ndarray, "epoch stage"], *, prior: Float[np.ndarray, " stage"], weight: float
) -> Float[np.ndarray, "epoch stage"]:
    """`smooth_probabilities` with the past alone."""
    transitions = np.asarray(load_transitions()["transitions"])
    known = np.isfinite(probabilities).all(axis=1)
    evidence = np.ones_like(probabilities)
    evidence[known] = (np.maximum(probabilities[known], 1e-4) / np.maximum(prior, 1e-4)) ** weight
    filtered = np.empty_like(evidence)
    state = np.asarray(prior, dtype=float)
    for epoch, likelihood in enumerate(evidence):
        state = (state if epoch == 0 else state @ transitions) * likelihood
        state = state / state.sum()
        filtered[epoch] = state
    return filtered


def forecast_every_way(
    night: EpochTable, found: Hypnogram, trees: Boosting | ShippedForecaster, ensemble: SignalEnsemble
) -> dict[str, Forecast]:
    """What each method says of a night whose expert's stages are hidden."""
    told = replace(hide_stages(night), stages=np.asarray(found.stages, dtype=np.int8))
    by_trees, by_signals = trees.predict(told), ensemble.predict(hide_stages(night))
    decode = average_forecasts(by_trees, forecast_by_brainmu(found, otherwise=by_trees))
    return {
        DECODE: decode,
        LIGHTGBM: by_trees,
        ENSEMBLE: by_signals,
        TOGETHER: average_forecasts(decode, by_signals),
    }


def forecast_by_brainmu(found: Hypnogram, *, otherwise: Forecast) -> Forecast:
    """Brainµ's part of `decode`'s forecast, from found stages and their probabilities.

    Args:
        found: Stages as they were found.
        otherwise: What is said where nothing is known yet.
    """
    from sharpwave.brainmu.shipped import forecast_with_brainmu

    said = forecast_with_brainmu(found, horizon=HORIZON)
    change = fill_forward(said["p_change"].to_numpy(dtype=float))
    elsewhere = said[[f"p_{name}" for name in found.names]].to_numpy(dtype=float)
    unknown = ~np.isfinite(elsewhere).all(axis=1)
    elsewhere[unknown] = otherwise.destination[unknown]
    change = np.where(np.isfinite(change), change, otherwise.change)
    return compose_forecast(carry_stages(np.asarray(found.stages, dtype=int)), change, elsewhere)


def compare(cohort: str, runs: Mapping[str, Sequence[Accumulator]]) -> list[Row]:
    """Rows of methods on the same people, and the paired differences that the choice rests on."""
    n = len(next(iter(runs.values()))[0].subjects)
    weights = draw_weights(n, rng=np.random.default_rng(0))
    draws = {method: bootstrap_metrics([run.score for run in counted], weights) for method, counted in runs.items()}
    rows: list[Row] = []
    for method, table in draws.items():
        kept = {metric: table[metric] for metric in METRICS}
        for other in (DECODE, ENSEMBLE):
            if other != method and method != DECODE:
                kept[f"auprc_change_gain_over_{other}"] = table["auprc_change"] - draws[other]["auprc_change"]
        rows += [resampled_row(cohort, SETTING, method, metric, values, n=n) for metric, values in kept.items()]
    rate = draws[DECODE]["prevalence_change"]
    return [*rows, resampled_row(cohort, SETTING, "persistence", "auprc_change", rate, n=n)]
