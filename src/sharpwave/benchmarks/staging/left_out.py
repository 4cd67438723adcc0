"""`sharpwave benchmark cohorts`: staging of people of a cohort that was held out whole, from measures alone.

Three questions, each with the same inputs for every method: sleep stages of HMC patients after learning from Sleep-EDF
(band power, no wake in HMC); five stages of Sleep-EDF after learning from UCDDB and simulated people; wake, NREM and
REM of slpdb from heart beats, cross-validated by subject. Brainµ is small and trained here, on the past of each
epoch; LightGBM sees both sides of an epoch, or the past alone; the hidden Markov model smooths over the whole night.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.staging.baselines import (
    StagedFeatures,
    Trained,
    train_gaussian_hmm,
    train_lightgbm,
    train_majority,
)
from sharpwave.benchmarks.staging.cohorts import load_recordings, simulate_recordings, split_folds
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.inputs import compute_context
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.datasets import data_root, list_subjects, load_dataset
from sharpwave.recordings.recording import Recording
from sharpwave.staging.boosted import add_context

SHARED = ("delta", "theta", "alpha")
"""Bands that HMC and Sleep-EDF both have."""
BANDS = {"delta": (0.5, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "sigma_beta": (13.0, 30.0)}
"""Bands in Hz of Sleep-EDF that raw EEG at 100 Hz and more has, too."""
SIMULATED = (12, 6.0)
WINDOWS = (5, 21, 61)
STEPS = {"bands": 200, "beats": 60}
"""Updates of the small Brainµ."""
N_FOLDS = 4
"""Groups in which people are left out where one cohort is learned from and tested."""
THREE = np.array([0, 2, 2, 2, 4])
REFERENCE = "lightgbm"
"""What Brainµ is compared with, person by person."""


@dataclass(frozen=True)
class Question:
    """Who is learned from, and who is tested.

    Attributes:
        data: Name of those tested.
        setting: What was asked, and of whom was learned.
        folds: Nights to learn from, and nights to test, for each fold.
        n_stages: Stages at which κ is taken.
        steps: Updates of Brainµ.
    """

    data: str
    setting: str
    folds: Sequence[tuple[Sequence[StagedFeatures], Sequence[StagedFeatures]]]
    n_stages: int
    steps: int


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Stage what was held out, by every method.

    Args:
        data: Folder of data sets; `data_root()` where None. Questions whose data are not there are left out.
        seeds: Trainings of whatever is random; each person's κ is averaged over them.
        train: Not used: nothing of this ships.

    Raises:
        SharpwaveError: If no question can be asked.
    """
    makers = (ask_hmc, ask_sleep_edf, ask_beats)
    questions = [question for make in makers if (question := make(data)) is not None]
    if not questions:
        raise SharpwaveError(
            "hmc-bands and sleep-edf-bands, or slpdb-beats",
            got=f"none under {data or data_root() or 'any folder of data sets'}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    rng = np.random.default_rng(0)
    rows = [row for question in questions for row in answer(question, seeds=seeds, rng=rng)]
    return {
        "seeds": seeds,
        "unit": "mean over people of κ, 95 % bootstrap interval over people",
        "inputs": "each measure against the night's median, in units of its 5-95 % range",
        "windows": list(WINDOWS),
        "updates": STEPS,
        "simulated_nights": {"n": SIMULATED[0], "hours": SIMULATED[1]},
    }, rows


def answer(question: Question, *, seeds: int, rng: np.random.Generator) -> list[Row]:
    """κ of every method, and what Brainµ gains over LightGBM, person by person."""
    kappas: dict[str, dict[str, list[float]]] = {method: {} for method in METHODS}
    for method, make in METHODS.items():
        for seed in range(1 if method in ("majority", "gaussian-hmm") else seeds):
            for training, testing in question.folds:
                predict = make(training, np.random.default_rng(seed), question.steps)
                for night in testing:
                    kappa = score_kappa(night, predict(night), n_stages=question.n_stages)
                    kappas[method].setdefault(night.subject, []).append(kappa)
    people = sorted(kappas[REFERENCE])
    means = {method: np.array([np.nanmean(found[one]) for one in people]) for method, found in kappas.items()}
    rows = [
        estimate_row(question.data, question.setting, method, "kappa", values.tolist(), rng=rng)
        for method, values in means.items()
    ]
    for reference in (REFERENCE, "lightgbm-past", "gaussian-hmm"):
        gain = (means["brainmu-small"] - means[reference]).tolist()
        metric = f"kappa_gain_over_{reference}"
        rows.append(estimate_row(question.data, question.setting, "brainmu-small", metric, gain, rng=rng))
    return rows


def score_kappa(night: StagedFeatures, probabilities: Float[np.ndarray, "epoch stage"], *, n_stages: int) -> float:
    """κ over the epochs that have both a stage and features; three stages are W, NREM and REM."""
    known = night.known & (night.stages >= 0)
    truth, found = night.stages[known], np.nan_to_num(probabilities[known])
    if n_stages == 3:
        found = np.stack([found[:, 0], found[:, 1:4].sum(axis=1), found[:, 4]], axis=1)
        truth = np.array([0, 1, 1, 1, 2])[truth]
    return float(compute_kappa(compute_confusion(truth, found.argmax(axis=1), n_stages=max(n_stages, found.shape[1]))))


def train_small_brainmu(
    training: Sequence[StagedFeatures], rng: np.random.Generator, steps: int, *, told_apart: bool = False
) -> Trained:
    """A Brainµ of width 64 and two layers on the measures of each epoch and those before it.

    Args:
        training: Nights to learn from.
        rng: Draws the first weights and the crops.
        steps: Updates.
        told_apart: Whether channels begin far apart, as a network of few updates needs, and few are dropped.
    """
    import torch

    from sharpwave.brainmu.epochs import collate
    from sharpwave.brainmu.model import BrainMu
    from sharpwave.brainmu.presets import configure
    from sharpwave.brainmu.training.crops import RandomCrops
    from sharpwave.brainmu.training.training import train
    from sharpwave.forecasting.brainmu_nights import window_night
    from sharpwave.recipes.staging_training import OPTIONS, WINDOW

    def to_epochs(night: StagedFeatures) -> Any:
        names = tuple(night.table.columns[: night.n_own])
        stages = np.where(night.known, night.stages, -1).astype(np.int8)
        return window_night(EpochTable(night.subject, "held out", stages, night.own, names)).only(("features",))

    seed = int(rng.integers(2**31))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = configure("lite", modalities=("features",), width=64, n_layers=2, window=WINDOW, dropout=0.2)
        model = BrainMu(shape)
        if told_apart:
            torch.nn.init.normal_(model.identities.weight, std=1.0)
    objective = replace(OPTIONS.objective, drop_channel=0.1) if told_apart else OPTIONS.objective
    train(
        model,
        RandomCrops([to_epochs(night) for night in training]),
        options=replace(OPTIONS, seed=seed, steps=steps, objective=objective),
        show=False,
    )
    model.eval()

    def predict(night: StagedFeatures) -> Float[np.ndarray, "epoch stage"]:
        with torch.no_grad():
            scores = model(collate([to_epochs(night)])).readout.stage[0]
        return np.asarray(scores.softmax(dim=-1).double().numpy())

    return predict


def train_lightgbm_past(training: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    """LightGBM on each epoch and running means of those before it."""
    predict = train_lightgbm([_look_back(night) for night in training], rng)
    return lambda night: predict(_look_back(night))


def _look_back(night: StagedFeatures) -> StagedFeatures:
    table = pd.DataFrame(compute_context(night.own))
    table[~night.known] = np.nan
    return replace(night, table=table)


def _without_steps(train: Callable[[Sequence[StagedFeatures], np.random.Generator], Trained]) -> Callable[..., Trained]:
    return lambda training, rng, steps: train(training, rng)


METHODS: dict[str, Callable[..., Trained]] = {
    "majority": _without_steps(train_majority),
    "gaussian-hmm": _without_steps(train_gaussian_hmm),
    "lightgbm-past": _without_steps(train_lightgbm_past),
    "lightgbm": _without_steps(train_lightgbm),
    "brainmu-small": train_small_brainmu,
}


def make_night(
    subject: str, values: Float[np.ndarray, "epoch measure"], stages: Int[np.ndarray, " epoch"], names: Sequence[str]
) -> StagedFeatures:
    """A night of measures, relative to itself and with context; epochs that are not there are left out."""
    here = np.isfinite(values).all(axis=1)
    table = add_context(values[here], names, windows=WINDOWS).drop(columns="hours")
    return StagedFeatures(subject, table, len(names), np.asarray(stages, dtype=int)[here])


def ask_hmc(data: Path | None) -> Question | None:
    """N1, N2, N3 and REM of HMC from three bands of two channels, learned from Sleep-EDF's sleep."""
    from sharpwave.recipes.band_nights import load_band_nights, take_bands

    names = [f"{place}_{band}" for place in ("front", "back") for band in SHARED]

    def to_night(night: Any, front: int, back: int) -> StagedFeatures:
        asleep = night.stages > 0
        power = night.log_power[:, [front, back], : len(SHARED)].reshape(len(night), -1)
        return make_night(night.subject, power[asleep], night.stages[asleep], names)

    learned = [to_night(night, 0, 1) for night in load_band_nights(data)]
    tested = []
    for name in list_subjects("hmc-bands", data, required=False):
        recording = load_dataset(f"hmc-bands/{name}", data)
        night = take_bands(recording) if recording.signals else None
        if night is not None:
            tested.append(to_night(night, 0, 2))
    if not learned or not tested:
        return None
    setting = "N1, N2, N3 and REM from bands; trained on Sleep-EDF"
    return Question("HMC", setting, [(learned, tested)], 5, STEPS["bands"])


def ask_sleep_edf(data: Path | None) -> Question | None:
    """Five stages of Sleep-EDF from four bands of one channel, learned from UCDDB and simulated people."""
    from sharpwave.recipes.band_nights import load_band_nights

    tested = [
        make_night(night.subject, night.log_power[:, 0, : len(BANDS)], night.stages, list(BANDS))
        for night in load_band_nights(data, sets=("sleep-edf-bands",))
    ]
    recorded = [recording for recording in load_recordings("ucddb", data) if "eeg" in pick_channels(recording)]
    if not tested or not recorded:
        return None
    n, hours = SIMULATED
    simulated = simulate_recordings("human", n=n, hours=hours, seed=40, modalities=("eeg",))
    learned = [_measure_bands(recording) for recording in (*recorded, *simulated)]
    setting = "five stages from bands; trained on UCDDB and simulated people"
    return Question("Sleep-EDF", setting, [(learned, tested)], 5, STEPS["bands"])


def _measure_bands(recording: Recording) -> StagedFeatures:
    from scipy.signal import welch

    signal = recording[pick_channels(recording)["eeg"]]
    length = round(30 * signal.rate)
    samples = signal.read()[: int(signal.duration / 30 + 1e-6) * length].reshape(-1, length)
    frequencies, power = welch(samples, signal.rate, nperseg=round(2.56 * signal.rate), axis=1)
    columns = [power[:, (frequencies >= low) & (frequencies < high)].mean(axis=1) for low, high in BANDS.values()]
    middle = signal.start + 30.0 * np.arange(len(samples)) + 15.0
    assert recording.hypnogram is not None  # `load_recordings` saw to it
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log10(np.stack(columns, axis=1))
    return make_night(recording.subject, values, recording.hypnogram.resample(30.0).at(middle), list(BANDS))


def ask_beats(data: Path | None) -> Question | None:
    """Wake, NREM and REM of slpdb from the heart rate between beats, cross-validated by subject."""
    from sharpwave.brainmu.encoders.behaviour import MEASURES
    from sharpwave.brainmu.epochs import epoch_recording

    nights = []
    for name in list_subjects("slpdb-beats", data, required=False):
        recording = load_dataset(f"slpdb-beats/{name}", data)
        night = epoch_recording(recording, modalities=("heart_rate",))
        part = night.epochs["heart_rate"]
        values = np.where(np.asarray(part.present)[:, :1], part.values[:, 0], np.nan).astype(float)
        stages = np.asarray(night.stages)
        merged = np.where(stages >= 0, THREE[np.maximum(stages, 0)], -1)
        nights.append(make_night(recording.subject, values, merged, MEASURES))
    people = sorted({night.subject for night in nights})
    if len(people) < 2:
        return None
    folds = []
    for chosen in split_folds(len(people), n_folds=N_FOLDS, rng=np.random.default_rng(0)):
        out = {people[index] for index in chosen}
        folds.append(([n for n in nights if n.subject not in out], [n for n in nights if n.subject in out]))
    return Question(
        "slpdb", "wake, NREM and REM from heart beats, cross-validated by subject", folds, 3, STEPS["beats"]
    )
