"""Runs one method of the staging benchmark on a set of nights and scores it.

Stagers as shipped, supervised baselines, and Brainµ: the shipped weights on people they have not seen, and small models
trained here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.staging.baselines import BASELINES, FIXED
from sharpwave.benchmarks.staging.cohorts import CUT, Fold, only_eeg, simulate_recordings, split_folds
from sharpwave.benchmarks.staging.scores import Scored, score_night, summarise
from sharpwave.brainmu.epochs import epoch_recording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.runtime.staging import run_brainmu
from sharpwave.brainmu.shipped import find_refusal, load_weights
from sharpwave.recipes.staging_training import WEARABLE, train_on_eeg, train_on_wearables
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.stage_smoothing import load_transitions
from sharpwave.staging import load_stager
from sharpwave.staging.boosted import to_hypnogram


def run_stager(
    name: str, recordings: Sequence[Recording], *, data: str, setting: str, n_stages: int, rng: np.random.Generator
) -> list[Row]:
    """list[Row] of a shipped stager on the recordings that it accepts.

    Args:
        name: Key in `STAGERS`.
        recordings: Recordings with experts' hypnograms.
        data: Name of the nights in the table.
        setting: Name of how they were given.
        n_stages: Number of stages to compare at.
        rng: Random generator of the bootstrap.
    """
    stager = load_stager(name)
    nights = []
    for recording in recordings:
        picks = pick_channels(recording)
        if stager.accepts(recording, picks) is None:
            nights.append(compare(recording, stager.stage(recording, picks)))
    return summarise(nights, n_stages=n_stages, data=data, setting=setting, method=name, rng=rng)


def run_baselines(
    split: Callable[[int], Sequence[Fold]],
    *,
    data: str,
    setting: str,
    seeds: int,
    rng: np.random.Generator,
    methods: Sequence[str] = tuple(BASELINES),
) -> list[Row]:
    """list[Row] of supervised baselines, trained on each fold's training nights.

    Args:
        split: Folds by seed.
        data: Name of the nights in the table.
        setting: Name of what the baselines were trained on.
        seeds: Number of seeds; each subject's metrics are averaged over them. Where neither the method nor the folds
            are random, one is enough and one is run.
        rng: Random generator of the bootstrap.
        methods: Keys of `BASELINES`.
    """
    rows: list[Row] = []
    for method in methods:
        train = BASELINES[method]
        nights = []
        for seed in range(seeds):
            stream = np.random.default_rng(seed)
            folds = split(seed)
            if seed and method in FIXED and len(folds) == 1:
                break
            for training, tests in folds:
                predict = train(training, stream)
                for night, recording in tests:
                    probabilities = np.where(night.known[:, None], predict(night), np.nan)
                    nights.append(compare(recording, to_hypnogram(probabilities, scorer=method)))
        for n_stages, suffix in ((5, ""), (3, ", 3 stages")):
            rows += summarise(nights, n_stages=n_stages, data=data, setting=setting + suffix, method=method, rng=rng)
    return rows


def compare(recording: Recording, found: Hypnogram) -> Scored:
    """A stager's hypnogram beside the recording's own, the expert's in epochs no shorter than the stager's."""
    truth = recording.hypnogram
    assert truth is not None  # every recording of the benchmark has one
    if truth.epoch_length < found.epoch_length:
        truth = truth.resample(found.epoch_length)
    return Scored(recording.subject, truth, found)


def score_later(night: Recording, found: Hypnogram) -> float:
    """κ of the epochs after the first two hours of a night."""
    later = found.onsets >= CUT - 1e-6
    kept = replace(found, stages=np.where(later, found.stages, -1).astype(np.int8))
    return score_night(compare(night, kept), n_stages=5)["kappa"]


N_SIMULATED, HOURS, SEED = 24, 6.0, 10_000
"""Simulated nights to train on; the seed is none of those that the benchmark tests on."""
WEARABLE_STEPS = 300


def run_shipped(recordings: Sequence[Recording], *, data: str, setting: str, rng: np.random.Generator) -> list[Row]:
    """The shipped weights on whom they were not trained on; no rows where there are no weights, or nobody is left."""
    if find_refusal() is not None:
        return []
    seen = set(load_weights().card.get("trained_on", ()))
    new = [recording for recording in recordings if f"{data.lower()}/{recording.subject}" not in seen]
    rows = run_stager("brainmu", new, data=data, setting=setting, n_stages=5, rng=rng)
    return [replace(row, method="brainmu-lite") for row in rows]


def run_trained_on_eeg(
    whole: Sequence[Recording], dreams: Sequence[Recording], *, data: Path | None, rng: np.random.Generator
) -> list[Row]:
    """One EEG channel by a small Brainµ trained on simulated people and on UCDDB without the nights that are tested."""
    if not whole and not dreams:
        return []
    nights = [
        epoch_recording(night, modalities=("eeg",), every_channel=True)
        for night in simulate_recordings("human", n=N_SIMULATED, hours=HOURS, seed=SEED)
    ]
    model = train_on_eeg(nights, data=data, leave_out=[recording.subject for recording in whole])
    rows: list[Row] = []
    for name, recordings, setting in (
        ("UCDDB", whole, "whole nights; trained on other subjects and simulated nights"),
        ("DREAMS", dreams, "30 min excerpts; trained on UCDDB and simulated nights"),
    ):
        scored = [_score(model, only_eeg(each), ("eeg",)) for each in recordings]
        rows += summarise(scored, n_stages=5, data=name, setting=setting, method="brainmu-eeg", rng=rng)
    return rows


def run_trained_on_wearables(recordings: Sequence[Recording], *, n_folds: int, rng: np.random.Generator) -> list[Row]:
    """Heart rate and activity by a small Brainµ, cross-validated by subject."""
    names = sorted({recording.subject for recording in recordings})
    if len(names) < n_folds:
        return []
    scored = []
    for chosen in split_folds(len(names), n_folds=n_folds, rng=np.random.default_rng(0)):
        out = {names[index] for index in chosen}
        model = train_on_wearables([r for r in recordings if r.subject not in out], steps=WEARABLE_STEPS)
        scored += [_score(model, r, WEARABLE) for r in recordings if r.subject in out]
    rows: list[Row] = []
    for n_stages, suffix in ((5, ""), (3, ", 3 stages")):
        setting = f"cross-validated by subject{suffix}"
        rows += summarise(scored, n_stages=n_stages, data="Walch", setting=setting, method="brainmu-wearable", rng=rng)
    return rows


def _score(model: BrainMu, recording: Recording, modalities: tuple[str, ...]) -> Scored:
    transitions = np.asarray(load_transitions()["transitions"])
    return compare(recording, run_brainmu(recording, model, modalities=modalities, transitions=transitions).hypnogram)
