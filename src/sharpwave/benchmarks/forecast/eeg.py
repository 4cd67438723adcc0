"""`sharpwave benchmark forecast-eeg`: a change of stage in 30 s from one EEG channel alone, no stage known.

The ensemble learns from the band power of 39 people of Sleep-EDF and is tested on the 19 others, and on worlds that
played no part: UCDDB's whole night, half hours of DREAMS, simulated nights, and EEG that follows the stages and depth
of the second world. Beside it LightGBM on the same measures, and what `decode` did before: stages found live, each at
the end of its epoch and never revised, and the forecast from them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.forecast.accumulator import Accumulator
from sharpwave.benchmarks.forecast.as_decoded import (
    ENSEMBLE,
    HORIZON,
    METRICS,
    compare,
    find_stages,
    forecast_every_way,
)
from sharpwave.benchmarks.rows import Row, resampled_row
from sharpwave.benchmarks.second_world.nights import Plan, draw_night
from sharpwave.evaluation.intervals import bootstrap_metrics, draw_weights
from sharpwave.forecasting.boosting import MANY_PEOPLE, Boosting, SignalEnsemble
from sharpwave.forecasting.cohorts import SLEEP_EDF, EpochTable, compute_night, load_eeg_nights, take_turns
from sharpwave.forecasting.contract import Forecast, Forecaster
from sharpwave.forecasting.protocols import compute_base_rate, hide_stages
from sharpwave.forecasting.shipped import load_shipped_forecaster
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.signals.staging import classify_newest, compute_staging_features
from sharpwave.simulation import simulate_cohort
from sharpwave.staging.boosted import RECIPES, compute_prior, fit_booster

SETTING, LIVE = "EEG alone, +30 s", "EEG alone, +30 s, beside stages found live"
KEPT = 3
"""Of the people of Sleep-EDF about every third, by a checksum of the name, is kept for testing."""
CHANNELS = ("EEG Fpz-Cz", "EEG Pz-Oz")
N_SIMULATED, HOURS, RATE = 4, 2.0, 100.0
TREES = "lightgbm on the same measures"


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Train on some people of Sleep-EDF, and forecast the others and the nights of four other worlds.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Trainings, over which metrics are averaged; stages are found live in the first alone.
        train: Not used.
    """
    both = load_eeg_nights(data, channels=CHANNELS)
    nights = {channel: both[index :: len(CHANNELS)] for index, channel in enumerate(CHANNELS)}
    training = [night for night in take_turns(both) if not is_kept(night.subject)]
    models = [fit_methods(training, seed=seed) for seed in range(seeds)]
    ensemble = models[0][ENSEMBLE]
    assert isinstance(ensemble, SignalEnsemble)
    rows: list[Row] = []
    for channel, group in nights.items():
        tested = [night for night in group if is_kept(night.subject)]
        rows += score_methods(f"Sleep-EDF, {channel}", tested, models, compute_base_rate(training, HORIZON))
    rows += score_found_by_bands(nights[CHANNELS[0]], ensemble)
    for name, recordings in list_worlds(data).items():
        found = [(measure_eeg(one), one) for one in recordings]
        rows += score_methods(name, [night for night, _ in found], models, compute_base_rate(training, HORIZON))
        rows += score_found_by_yasa(name, found, ensemble)
    return {
        "seeds": {SETTING: seeds, LIVE: 1},
        "trained_on": f"{len({night.subject for night in training})} people of Sleep-EDF, a channel in turn",
        "kept": f"every {KEPT}rd person or so, by a checksum; nothing was chosen on them",
        "interval": "95 %, bootstrap over people (simulated: nights), 200 resamples; differences are paired",
        "live": "Sleep-EDF: the first night of each person, staged from the same measures of the past by trees fitted "
        "on the others, filtered forward; "
        "elsewhere YASA's classifier on the past alone. Brainµ has learned from people of Sleep-EDF and "
        "from UCDDB's 022: in favour of decode",
        "second_world": "five bands of noise whose power follows the stage and depth of the second world's nights",
    }, rows


def is_kept(person: str) -> bool:
    """Whether a person of Sleep-EDF ("SC400") is kept for testing."""
    return zlib.crc32(person.encode()) % KEPT == 0


def fit_methods(training: Sequence[EpochTable], *, seed: int) -> dict[str, Forecaster]:
    """The ensemble, and LightGBM as it is, on the same nights."""
    makers: Mapping[str, Callable[[], Forecaster]] = {
        ENSEMBLE: lambda: SignalEnsemble(MANY_PEOPLE),
        TREES: lambda: Boosting(stages=False, signals=True),
    }
    return {
        name: make().fit(training, horizon=HORIZON, rng=np.random.default_rng(seed)) for name, make in makers.items()
    }


def score_methods(
    data: str, tested: Sequence[EpochTable], models: Sequence[Mapping[str, Forecaster]], rate: float
) -> list[Row]:
    """Rows of the methods that see signals alone, what the ensemble gains over LightGBM, and the prevalence."""
    draws = {}
    weights = draw_weights(len({night.subject for night in tested}), rng=np.random.default_rng(0))
    for name in models[0]:
        runs = []
        for methods in models:
            said = [methods[name].predict(hide_stages(night)) for night in tested]
            rates = [rate] * len(tested)
            runs.append(Accumulator.of(tested, said, horizon=HORIZON, thresholds=rates, observed=False).score)
        draws[name] = bootstrap_metrics(runs, weights)
    table = {name: {metric: one[metric] for metric in METRICS} for name, one in draws.items()}
    table[ENSEMBLE]["auprc_change_gain_over_lightgbm"] = draws[ENSEMBLE]["auprc_change"] - draws[TREES]["auprc_change"]
    prevalence = draws[ENSEMBLE]["prevalence_change"]
    table[ENSEMBLE]["auprc_gain_over_prevalence"] = draws[ENSEMBLE]["auprc_change"] - prevalence
    table["persistence"] = {"auprc_change": prevalence}
    n = len(weights[0])
    return [
        resampled_row(data, SETTING, name, metric, values, n=n)
        for name, metrics in table.items()
        for metric, values in metrics.items()
    ]


def score_found_by_bands(nights: Sequence[EpochTable], ensemble: SignalEnsemble) -> list[Row]:
    """The ensemble beside forecasts from stages that a stager of the past found, in one night of each person kept."""
    first = list({night.subject: night for night in reversed(nights)}.values())
    recipe = replace(RECIPES["lightgbm-lfp"], smoothing=0.4)
    learned, tested = ([night for night in first if is_kept(night.subject) == kept] for kept in (False, True))
    stages = [np.asarray(night.stages, dtype=int) for night in learned]
    tables = [pd.DataFrame(ensemble.encode(night)[0]).add_prefix("measure") for night in learned]
    booster = fit_booster(tables, stages, recipe=recipe, rng=np.random.default_rng(0))
    prior = compute_prior(stages, balance=recipe.balance)
    found = [find_stages(ensemble.encode(night)[0], booster.predict, recipe=recipe, prior=prior) for night in tested]
    return score_beside(f"Sleep-EDF, {CHANNELS[0]}", tested, found, ensemble)


def score_found_by_yasa(
    data: str, nights: Sequence[tuple[EpochTable, Recording]], ensemble: SignalEnsemble
) -> list[Row]:
    """The ensemble beside forecasts from stages that YASA's classifier found live."""
    found = [find_by_yasa(recording, len(night)) for night, recording in nights]
    return score_beside(data, [night for night, _ in nights], found, ensemble)


def find_by_yasa(recording: Recording, n_epochs: int) -> Hypnogram:
    """The stage of each epoch as YASA's classifier finds it at its end; unscored where too much is missing."""
    eeg = next(iter(recording.of("eeg").values()))
    features, missing = compute_staging_features({"eeg": eeg})
    probabilities = np.full((n_epochs, 5), np.nan)
    for epoch in np.flatnonzero(~missing[:n_epochs]):
        hours = (epoch + 1) * HORIZON / 3600
        past = slice(0, epoch + 1)
        probabilities[epoch] = classify_newest(features[past], ("eeg",), missing=missing[past], hours=hours)
    known = np.isfinite(probabilities).all(axis=1)
    stages = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1).astype(np.int8)
    return Hypnogram(stages, HORIZON, 5, probabilities=probabilities)


def score_beside(
    data: str, nights: Sequence[EpochTable], found: Sequence[Hypnogram], ensemble: SignalEnsemble
) -> list[Row]:
    """Rows of the ensemble, of `decode`'s forecast from found stages and of both, paired by person."""
    said: dict[str, list[Forecast]] = {}
    shipped = load_shipped_forecaster(HORIZON)
    for night, stages in zip(nights, found, strict=True):
        for name, forecast in forecast_every_way(night, stages, shipped, ensemble).items():
            said.setdefault(name, []).append(forecast)
    rates = [shipped.persistence] * len(nights)
    runs = {
        name: [Accumulator.of(nights, forecasts, horizon=HORIZON, thresholds=rates, observed=False)]
        for name, forecasts in said.items()
    }
    return [replace(row, setting=LIVE) for row in compare(data, runs)]


def measure_eeg(recording: Recording) -> EpochTable:
    """The measures of the first EEG channel with the expert's stages in epochs of 30 s."""
    assert recording.hypnogram is not None  # `list_worlds` saw to it
    return compute_night(replace(recording, hypnogram=recording.hypnogram.resample(HORIZON)), SLEEP_EDF)


def list_worlds(data: Path | None) -> dict[str, list[Recording]]:
    """Nights with EEG that no forecaster here has learned a measure from; a data set that is not there is left out."""
    worlds: dict[str, list[Recording]] = {}
    for title, cohort, chosen in (("UCDDB 022", "ucddb", ("022",)), ("DREAMS", "dreams", None)):
        if names := list_subjects(cohort, data, required=False):
            recordings = [load_dataset(f"{cohort}/{name}", data) for name in names if chosen is None or name in chosen]
            worlds[title] = [one for one in recordings if is_usable(one)]
    rng = np.random.default_rng(31)
    cohort = simulate_cohort(N_SIMULATED, rng=rng, hours=HOURS, modalities=("eeg",))
    worlds["simulated"] = [recording for recording, _ in cohort]
    worlds["second world"] = list(draw_second_world(N_SIMULATED, rng=np.random.default_rng(32)))
    return {name: recordings for name, recordings in worlds.items() if recordings}


def is_usable(recording: Recording) -> bool:
    """Whether there is EEG of at least 80 Hz, and a hypnogram that agrees with it (DREAMS' excerpt 7 contradicts)."""
    eeg = next(iter(recording.of("eeg").values()), None)
    return bool(eeg and eeg.rate >= 80 and recording.hypnogram is not None and "excerpt7" not in recording.source)


SHAPES = {  # dB above the waking level of each band, by stage
    "delta": (0, 1, 4, 9, 1), "theta": (0, 3, 4, 4, 3), "alpha": (6, 2, 0, -1, 1),
    "sigma": (0, 0, 4, 1, -1), "beta": (3, 2, 0, -2, 1),
}  # fmt: skip
EDGES = {"delta": (0.5, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 12.0), "sigma": (12.0, 16.0), "beta": (16.0, 30.0)}
SLOPES = {"delta": 1.0, "theta": 0.2, "alpha": -0.2, "sigma": 0.0, "beta": -0.6}
"""dB of each band per dB of the second world's depth."""


def draw_second_world(n: int, *, rng: np.random.Generator) -> Iterator[Recording]:
    """Nights of EEG at 100 Hz: noise in five bands over a pink floor, which follows stage and depth every second.

    Args:
        n: Number of nights.
        rng: Random generator.
    """
    for index in range(n):
        series, _ = draw_night(Plan(hours=HOURS), rng=rng)
        seconds = len(series.time)
        samples = round(seconds * RATE)
        frequencies = np.fft.rfftfreq(samples, 1 / RATE)
        eeg = _shape(rng.normal(size=samples), 1 / np.maximum(frequencies, 0.5))
        for band, (low, high) in EDGES.items():
            inside = (frequencies >= low) & (frequencies < high)
            level = np.asarray(SHAPES[band])[series.stage] + SLOPES[band] * (series.depth - series.depth.mean())
            gain = 10 ** ((level + rng.normal(scale=1.5, size=seconds)) / 20)
            wave = _shape(rng.normal(size=samples), inside / np.sqrt(low))
            eeg = eeg + 0.5 * np.repeat(gain, round(RATE)) * wave
        signal = Signal("EEG", (20e-6 * eeg / eeg.std()).astype(np.float32), RATE, MODALITIES["eeg"])
        epochs = series.stage.reshape(-1, 30)
        stages = np.array([np.bincount(epoch, minlength=5).argmax() for epoch in epochs], dtype=np.int8)
        yield Recording(
            {"EEG": signal}, hypnogram=Hypnogram(stages, HORIZON), subject=f"second-{index}", species="human",
            source="simulated/second world",
        )  # fmt: skip


def _shape(noise: np.ndarray, gain: np.ndarray) -> np.ndarray:
    shaped = np.fft.irfft(np.fft.rfft(noise) * gain, len(noise))
    return shaped / shaped.std()
