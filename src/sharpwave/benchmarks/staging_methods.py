"""Runs one method of the staging benchmark on a set of nights and scores it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sharpwave.benchmarks.staging_baselines import BASELINES, FIXED
from sharpwave.benchmarks.staging_cohorts import Fold
from sharpwave.benchmarks.staging_scores import Scored, summarise
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging import load_stager
from sharpwave.staging.boosted import to_hypnogram

Rows = list[dict[str, Any]]


def run_stager(
    name: str, recordings: Sequence[Recording], *, data: str, setting: str, n_stages: int, rng: np.random.Generator
) -> Rows:
    """Rows of a shipped stager on the recordings that it accepts.

    Args:
        name: Key in `STAGERS`.
        recordings: With expert hypnograms.
        data: What to call them.
        setting: How they were given.
        n_stages: Stages to compare at.
        rng: Draws the bootstrap.
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
) -> Rows:
    """Rows of supervised baselines, trained on each fold's training nights.

    Args:
        split: Folds by seed.
        data: What to call the nights.
        setting: What the baselines were trained on.
        seeds: Number of seeds; each subject's metrics are averaged over them. Where neither the method nor the folds
            are random, one is enough and one is run.
        rng: Draws the bootstrap.
        methods: Keys of `BASELINES`.
    """
    rows: Rows = []
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
