"""`sharpwave benchmark hearts`: staging from heart beats alone, slpdb by subject, and worlds that nothing was set on.

Every method gets the same measures of the beats: what ships, LightGBM with the benchmark's recipe on both sides of an
epoch or on the past, a hidden Markov model over the night, a small Brainµ, and the mean of it and LightGBM. The second
worlds are what there is without beats of other staged people: Walch's published heart rate, from which one measure can
be formed (the same is formed of slpdb's beats and learned alone), and simulated nights, whose rate of 1 Hz is summed
to beats that breathing does not move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.staging.baselines import (
    StagedFeatures,
    Trained,
    train_gaussian_hmm,
    train_lightgbm,
    train_majority,
)
from sharpwave.benchmarks.staging.cohorts import simulate_recordings, split_folds
from sharpwave.benchmarks.staging.left_out import train_lightgbm_past, train_small_brainmu
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.metrics import compute_accuracy, compute_confusion, compute_ece, compute_kappa
from sharpwave.recipes.stagers import TABLES
from sharpwave.recordings.datasets import data_root, list_subjects, load_dataset
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.signals.heart_beats import MEASURES
from sharpwave.staging import load_stager
from sharpwave.staging.boosted import RECIPES, fit_booster, relate_to_night, soften
from sharpwave.staging.lightgbm_stagers import compute_wearable_features, describe_surroundings
from sharpwave.staging.weights import load_card, save_json

NAME = "lightgbm-heart"
MEAN = "brainmu+lightgbm"
"""The ensemble: the mean of the probabilities of Brainµ and of LightGBM, both of which see the past alone."""
GAINS = {
    NAME: ("gaussian-hmm", "lightgbm", "lightgbm-past"),
    "brainmu-small": ("gaussian-hmm", "lightgbm", "lightgbm-past"),
    MEAN: ("lightgbm-past", "lightgbm"),
}
"""What is compared with what, person by person."""
N_FOLDS = 4
UPDATES = 100
SETTING = "wake, NREM and REM from heart beats, cross-validated by subject"
PEOPLE = "11 men with sleep apnoea, some under CPAP; cross-validated by subject"
SIMULATED = (6, 7.0, 3)
"""Simulated nights, their hours, and their seed: those of the watch in `sharpwave benchmark staging`."""
FIVE = np.array([0, 2, 4])
"""Code among five stages of wake, NREM and REM."""


def load_hearts(data: Path | None) -> list[StagedFeatures]:
    """slpdb's nights as the shipped stager sees them: its measures first, then their surroundings; stages as W, N2, R.

    Args:
        data: Folder of data sets; no nights where it lacks slpdb.
    """
    nights = []
    for recording in _load("slpdb-beats", data):
        assert recording.hypnogram is not None  # all of slpdb is staged
        codes = recording.hypnogram.merge(3).stages
        table = TABLES[NAME](recording).iloc[: len(codes)]
        stages = np.where(codes >= 0, FIVE[np.maximum(codes, 0)], -1)[: len(table)]
        nights.append(StagedFeatures(recording.subject, table, len(MEASURES), stages.astype(int)))
    return nights


def train_heart(training: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    """The recipe that ships, with the temperature that ships."""
    booster = _fit(training, rng)
    temperature = float(load_card(NAME).get("temperature", 1.0))

    def predict(night: StagedFeatures) -> Float[np.ndarray, "epoch stage"]:
        found = np.zeros((len(night.stages), 5))
        found[:, FIVE] = soften(booster.predict(night.table.to_numpy(), num_threads=1), temperature)
        return found

    return predict


def _fit(training: Sequence[StagedFeatures], rng: np.random.Generator) -> Any:
    stages = [np.where(night.known & (night.stages >= 0), night.stages // 2, -1) for night in training]
    return fit_booster([night.table for night in training], stages, recipe=RECIPES[NAME], rng=rng)


def _train_brainmu(training: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    return train_small_brainmu(training, rng, UPDATES, told_apart=True)


METHODS: dict[str, Callable[[Sequence[StagedFeatures], np.random.Generator], Trained]] = {
    "majority": train_majority,
    "gaussian-hmm": train_gaussian_hmm,
    "lightgbm": train_lightgbm,
    "lightgbm-past": train_lightgbm_past,
    "brainmu-small": _train_brainmu,
    NAME: train_heart,
}


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Stage slpdb from its beats, each person by what was learned from others, and the second worlds.

    Args:
        data: Folder of data sets; `data_root()` where None.
        seeds: Trainings of whatever is random; each person's scores are averaged over them.
        train: Save what this run finds of the stager that ships as what pages say of it; nothing is trained.

    Raises:
        SharpwaveError: If slpdb is not there.
    """
    nights = load_hearts(data)
    people = sorted({night.subject for night in nights})
    if len(people) < 2:
        raise SharpwaveError(
            "slpdb-beats",
            got=f"none under {data or data_root() or 'any folder of data sets'}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    folds = []
    for chosen in split_folds(len(people), n_folds=N_FOLDS, rng=np.random.default_rng(0)):
        out = {people[index] for index in chosen}
        folds.append(([n for n in nights if n.subject not in out], [n for n in nights if n.subject in out]))
    rng = np.random.default_rng(0)
    rows = [*cross_validate_hearts(folds, seeds=seeds, rng=rng), *run_second_worlds(nights, data, rng=rng)]
    if train:
        save_json("stager_validation", {**load_card("stager_validation"), NAME: collect_validation(rows)})
    return {
        "seeds": seeds,
        "folds": N_FOLDS,
        "people": len(people),
        "population": PEOPLE,
        "unit": "mean over people, 95 % bootstrap interval over people",
        "measures": list(MEASURES),
        "updates": UPDATES,
        "simulated_nights": {"n": SIMULATED[0], "hours": SIMULATED[1]},
    }, rows


def cross_validate_hearts(
    folds: Sequence[tuple[Sequence[StagedFeatures], Sequence[StagedFeatures]]], *, seeds: int, rng: np.random.Generator
) -> list[Row]:
    """Scores of every method over wake, NREM and REM, and what the shipped one and Brainµ gain, person by person.

    Args:
        folds: Nights to learn from, and to test.
        seeds: Trainings.
        rng: Random generator of the bootstrap.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for seed in range(seeds):
        for training, testing in folds:
            predict = {name: make(training, np.random.default_rng(seed)) for name, make in METHODS.items()}
            for night in testing:
                said = {name: one(night) for name, one in predict.items()}
                said[MEAN] = (said["brainmu-small"] + said["lightgbm-past"]) / 2
                for name, probabilities in said.items():
                    scores = score_probabilities(night.stages // 2, _merge(probabilities), night.known)
                    for metric, value in scores.items():
                        found.setdefault((name, metric), {}).setdefault(night.subject, []).append(value)
    means = {key: np.array([np.mean(people[one]) for one in sorted(people)]) for key, people in found.items()}
    row = partial(estimate_row, "slpdb", SETTING, rng=rng)
    rows = [row(name, metric, values.tolist()) for (name, metric), values in means.items()]
    for method, references in GAINS.items():
        for reference in references:
            gain = means[method, "kappa"] - means[reference, "kappa"]
            rows.append(row(method, f"kappa_gain_over_{reference}", gain.tolist()))
    return rows


def _merge(probabilities: Float[np.ndarray, "epoch stage"]) -> Float[np.ndarray, "epoch three"]:
    five = np.nan_to_num(probabilities)
    return np.column_stack([five[:, 0], five[:, 1:4].sum(axis=1), five[:, 4]])


def score_probabilities(
    truth: np.ndarray, found: Float[np.ndarray, "epoch stage"], known: np.ndarray
) -> dict[str, float]:
    """Scores of wake, NREM and REM over the epochs that have a stage and measures.

    Args:
        truth: Codes 0 to 2; below 0 unscored.
        found: Probabilities.
        known: Whether an epoch has measures.
    """
    keep = known & (truth >= 0)
    codes, rows = truth[keep], found[keep]
    said = rows.argmax(axis=1)
    confusion = compute_confusion(codes, said, n_stages=3)
    asleep = compute_confusion((codes > 0).astype(int), (rows[:, 0] <= 0.5).astype(int), n_stages=2)
    f1 = [
        2 * confusion[k, k] / max(confusion[k].sum() + confusion[:, k].sum(), 1) if (codes == k).any() else np.nan
        for k in range(3)
    ]
    return {
        "kappa": compute_kappa(confusion),
        "accuracy": compute_accuracy(confusion),
        "macro_f1": float(np.nanmean(f1)),
        "f1_W": f1[0],
        "f1_NREM": f1[1],
        "f1_R": f1[2],
        "ece": compute_ece(said == codes, rows.max(axis=1)),
        "kappa_wake_or_sleep": compute_kappa(asleep),
        "accuracy_wake_or_sleep": compute_accuracy(asleep),
    }


def run_second_worlds(hearts: Sequence[StagedFeatures], data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    """κ on people of a watch and on simulated nights, of whom nothing was learned.

    Args:
        hearts: Nights from `load_hearts`.
        data: Folder of data sets.
        rng: Random generator of the bootstrap.
    """
    return [*_run_walch(hearts, data, rng=rng), *run_simulated(rng=rng)]


def _run_walch(hearts: Sequence[StagedFeatures], data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    watches = [_take_variation(recording) for recording in _load("walch", data)]
    beats = [_take_variation(recording) for recording in _load("slpdb-beats", data)]
    if not watches or not beats:
        return []
    booster, majority = _fit(beats, np.random.default_rng(0)), train_majority(beats, np.random.default_rng(0))
    setting = "wake, NREM and REM from heart rate alone, as published; learned from slpdb"
    row = partial(estimate_row, "Walch", setting, rng=rng)
    hmm = load_stager("hmm")
    by_rate, at_chance, unlearned = [], [], []
    for night, recording in zip(watches, _load("walch", data), strict=True):
        keep = night.known & (night.stages >= 0)
        codes = night.stages[keep] // 2
        found = booster.predict(night.table[keep].to_numpy(), num_threads=1).argmax(axis=1)
        by_rate.append(compute_kappa(compute_confusion(codes, found, n_stages=3)))
        usual = majority(night)[keep][:, FIVE].argmax(axis=1)
        at_chance.append(compute_kappa(compute_confusion(codes, usual, n_stages=3)))
        alone = replace(recording, signals=recording.of("heart_rate"))
        asleep = np.asarray(hmm.stage(alone, {}).stages)[: len(keep)][keep]
        unlearned.append(compute_kappa(compute_confusion((codes > 0).astype(int), asleep, n_stages=2)))
    return [
        row("lightgbm, one measure of slpdb's beats", "kappa", by_rate),
        row("majority", "kappa", at_chance),
        row("hmm", "kappa_wake_or_sleep", unlearned),
    ]


def _take_variation(recording: Recording) -> StagedFeatures:
    """The one measure that a published heart rate has: how it varies within minutes."""
    assert recording.hypnogram is not None  # both cohorts are staged
    codes = recording.hypnogram.merge(3).stages
    values = compute_wearable_features(recording)[: len(codes), :1]
    relative = relate_to_night(pd.DataFrame(values, columns=["heart_rate"]))
    table = pd.DataFrame(describe_surroundings(relative)).mask(relative.isna().all(axis=1))
    stages = np.where(codes >= 0, FIVE[np.maximum(codes, 0)], -1)[: len(table)]
    return StagedFeatures(recording.subject, table, 1, stages.astype(int))


def run_simulated(*, rng: np.random.Generator) -> list[Row]:
    """The shipped stager on simulated nights whose rate was summed to beats."""
    n, hours, seed = SIMULATED
    stager = load_stager(NAME)
    kappas = []
    for night in simulate_recordings("human", n=n, hours=hours, seed=seed, modalities=("heart_rate",)):
        found = stager.stage(sum_to_beats(night), {})
        assert night.hypnogram is not None  # simulated nights know their stages
        codes = night.hypnogram.resample(30.0).merge(2).at(found.onsets + 15.0)
        keep = (codes >= 0) & found.scored
        kappas.append(compute_kappa(compute_confusion(codes[keep], found.stages[keep], n_stages=2)))
    setting = "beats summed from the simulated rate, without breathing"
    return [estimate_row("simulated human", setting, NAME, "kappa_wake_or_sleep", kappas, rng=rng)]


def sum_to_beats(night: Recording) -> Recording:
    """A recording whose heart rate has a value for each beat, from one with a value each second."""
    pulse = night["heart_rate"]
    phase = np.cumsum(pulse.read(dtype=np.float64) / 60 / pulse.rate)
    beats = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(1, len(phase) + 1) / pulse.rate)
    gaps = np.diff(beats)
    rate = Signal(
        "heart_rate", 60 / gaps, float(1 / np.median(gaps)), MODALITIES["heart_rate"], start=beats[1], times=beats[1:]
    )
    return replace(night, signals={"heart_rate": rate})


def collect_validation(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What pages say of the stager: its rows over wake and sleep on people it did not learn from."""
    spoken = []
    for row in rows:
        metric, _, depth = row.metric.partition("_wake")
        if row.method == NAME and row.data == "slpdb" and depth:
            kept = {key: value for key, value in row.to_dict().items() if key not in ("method", "values")}
            spoken.append(kept | {"metric": metric, "data": f"slpdb ({PEOPLE}; wake or sleep)", "signals": "heart"})
    return spoken


def _load(name: str, data: Path | None) -> list[Recording]:
    return [load_dataset(f"{name}/{one}", data) for one in list_subjects(name, data, required=False)]
