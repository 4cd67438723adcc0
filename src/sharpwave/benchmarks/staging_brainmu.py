"""Brainµ in the staging benchmark: the shipped weights on people they have not seen, and small ones trained here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.staging_cohorts import only_eeg, simulate_recordings, split_folds
from sharpwave.benchmarks.staging_methods import Rows, compare, run_stager
from sharpwave.benchmarks.staging_scores import Scored, summarise
from sharpwave.brainmu.epochs import epoch_recording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.runtime.staging import run_brainmu
from sharpwave.brainmu.shipped import find_refusal, load_weights, rescale_unknown
from sharpwave.recipes.staging_training import WEARABLE, train_on_eeg, train_on_wearables
from sharpwave.recordings.recording import Recording
from sharpwave.signals.stage_smoothing import load_transitions

N_SIMULATED, HOURS, SEED = 24, 6.0, 10_000
"""Simulated nights to train on; the seed is none of those that the benchmark tests on."""
WEARABLE_STEPS = 300


def run_shipped(recordings: Sequence[Recording], *, data: str, setting: str, rng: np.random.Generator) -> Rows:
    """The shipped weights on whom they were not trained on; no rows where there are no weights, or nobody is left."""
    if find_refusal() is not None:
        return []
    seen = set(load_weights().card.get("trained_on", ()))
    new = [recording for recording in recordings if f"{data.lower()}/{recording.subject}" not in seen]
    rows = run_stager("brainmu", new, data=data, setting=setting, n_stages=5, rng=rng)
    return [{**row, "method": "brainmu-lite"} for row in rows]


def run_trained_on_eeg(
    whole: Sequence[Recording], dreams: Sequence[Recording], *, data: Path | None, rng: np.random.Generator
) -> Rows:
    """One EEG channel by a small Brainµ trained on simulated people and on UCDDB without the nights that are tested."""
    if not whole and not dreams:
        return []
    nights = [
        epoch_recording(night, modalities=("eeg",))
        for night in simulate_recordings("human", n=N_SIMULATED, hours=HOURS, seed=SEED)
    ]
    model = train_on_eeg(nights, data=data, leave_out=[recording.subject for recording in whole])
    rows: Rows = []
    for name, recordings, setting in (
        ("UCDDB", whole, "whole nights; trained on other subjects and simulated nights"),
        ("DREAMS", dreams, "30 min excerpts; trained on UCDDB and simulated nights"),
    ):
        scored = [_score(model, only_eeg(rescale_unknown(each)), ("eeg",)) for each in recordings]
        rows += summarise(scored, n_stages=5, data=name, setting=setting, method="brainmu-eeg", rng=rng)
    return rows


def run_trained_on_wearables(recordings: Sequence[Recording], *, n_folds: int, rng: np.random.Generator) -> Rows:
    """Heart rate and activity by a small Brainµ, cross-validated by subject."""
    names = sorted({recording.subject for recording in recordings})
    if len(names) < n_folds:
        return []
    scored = []
    for chosen in split_folds(len(names), n_folds=n_folds, rng=np.random.default_rng(0)):
        out = {names[index] for index in chosen}
        model = train_on_wearables([r for r in recordings if r.subject not in out], steps=WEARABLE_STEPS)
        scored += [_score(model, r, WEARABLE) for r in recordings if r.subject in out]
    rows: Rows = []
    for n_stages, suffix in ((5, ""), (3, ", 3 stages")):
        setting = f"cross-validated by subject{suffix}"
        rows += summarise(scored, n_stages=n_stages, data="Walch", setting=setting, method="brainmu-wearable", rng=rng)
    return rows


def _score(model: BrainMu, recording: Recording, modalities: tuple[str, ...]) -> Scored:
    transitions = np.asarray(load_transitions()["transitions"])
    return compare(recording, run_brainmu(recording, model, modalities=modalities, transitions=transitions).hypnogram)
