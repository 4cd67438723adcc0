"""Small Brainµs that stage from one kind of signal, trained on some subjects to be tested on others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sharpwave.brainmu.epochs import N_STAGES, EpochedRecording, epoch_recording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure
from sharpwave.brainmu.training.crops import Alternation, RandomCrops, Source
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.spectral_transfer import TransferredNights
from sharpwave.brainmu.training.training import train
from sharpwave.recipes.band_nights import SETS, collect_templates, load_band_nights, load_raw_sleep_edf
from sharpwave.recipes.staging_nights import (
    collect_contrasts,
    load_raw_ucddb,
    simulate_people,
    vary_recordings,
)
from sharpwave.recordings.recording import Recording

OPTIONS = TrainingOptions(
    steps=600,
    batch=6,
    piece=120,
    learning_rate=2e-3,
    average=0.1,
    objective=Objective(next_step=0.0, stage=1.0, change=0.0, depth=0.0, drop_modality=0.0, drop_channel=0.5),
)
WINDOW = 3600.0
"""Seconds that a token looks back: as long as the crops, for over longer spans nothing was learned."""
REAL = 0.3
"""Share of the recorded and simulated crops of EEG that are UCDDB's."""
TRANSFERRED = 0.35
"""Share of all crops of EEG that are nights known by band power, where there are any."""
WEARABLE = ("heart_rate", "activity")


def make_staging_source(
    simulated: Iterable[EpochedRecording],
    *,
    rng: np.random.Generator,
    data: str | Path | None = None,
    leave_out: Collection[str] = (),
    modalities: Collection[str] | None = None,
    sets: Collection[str] = SETS,
    leave_out_bands: Collection[str] = (),
) -> Alternation:
    """Crops of simulated people, of UCDDB's EEG and of Sleep-EDF's nights, each update from one; stages not shown.

    Args:
        simulated: Human nights with EEG, cut into epochs; others are left out.
        rng: Draws the people and their recordings.
        data: Folder of data sets.
        leave_out: Subjects of UCDDB that are kept for testing; 022 alone shows N1, N2 and REM of a real person.
        modalities: Modalities of the simulated nights; all that they have where omitted.
        sets: Data sets of band power, made into EEG by spectral transfer; those that are not there are left out.
        leave_out_bands: People of these ("SC400") that are kept for testing.
    """
    real = load_raw_ucddb(data, leave_out=leave_out)
    contrasts = collect_contrasts([night for night in real if night.scorable])
    nights = [night for night in simulated if "eeg" in night.epochs and night.n_stages == N_STAGES]
    banded = load_band_nights(data, sets=sets, leave_out=leave_out_bands)
    people = simulate_people(nights, contrasts=contrasts, rng=rng, people=banded)
    chosen = [night if modalities is None else night.only(modalities) for night in people]
    recorded = vary_recordings(real, rng=rng, copies=3)
    parts: list[tuple[Source, float]] = [(RandomCrops(chosen), 1 - REAL), (RandomCrops(recorded), REAL)]
    if banded:
        source = TransferredNights(
            banded, collect_templates([*real, *load_raw_sleep_edf(data, leave_out_bands)], nights)
        )
        parts.append((source, TRANSFERRED / (1 - TRANSFERRED)))
    return Alternation(parts)


def train_on_eeg(
    simulated: Iterable[EpochedRecording],
    *,
    data: str | Path | None = None,
    leave_out: Collection[str] = (),
    seed: int = 0,
    steps: int = OPTIONS.steps,
) -> BrainMu:
    """One that stages from EEG; see `make_staging_source` for what it learns from."""
    rng = np.random.default_rng(seed)
    source = make_staging_source(simulated, rng=rng, data=data, leave_out=leave_out, modalities=("eeg",))
    return _train(source, ("eeg",), seed=seed, steps=steps)


def train_on_wearables(recordings: Sequence[Recording], *, seed: int = 0, steps: int = OPTIONS.steps) -> BrainMu:
    """One that stages from heart rate and activity, from recordings with stages."""
    nights = [epoch_recording(recording, modalities=WEARABLE) for recording in recordings]
    return _train(RandomCrops(nights), WEARABLE, seed=seed, steps=steps)


def _train(source: Source, modalities: tuple[str, ...], *, seed: int, steps: int) -> BrainMu:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = configure("lite", modalities=modalities, width=64, n_layers=2, window=WINDOW, dropout=0.2)
        model = BrainMu(shape)
    train(model, source, options=replace(OPTIONS, seed=seed, steps=steps), show=False)
    return model.eval()
