"""What the staging benchmark stages: real and simulated nights, as recordings and as features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.staging.baselines import StagedFeatures
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.recording import Recording
from sharpwave.staging.boosted import add_context
from sharpwave.staging.eeg_features import FEATURES, compute_eeg_features
from sharpwave.staging.yasa_stager import resample_signal

Fold = tuple[Sequence[StagedFeatures], Sequence[tuple[StagedFeatures, Recording]]]
"""Training nights, and test nights with their recordings."""

LOW_RATE = 50.0
CUT = 2 * 3600.0
"""Seconds that are cut off the beginning of a night."""
WHOLE = 0.8
"""Share of scored epochs with EEG from which a night counts as whole."""
_WINDOWS = (5, 21)


def load_recordings(cohort: str, data: Path | None) -> list[Recording]:
    """Recordings of a cohort that are fit for staging; none where the folder lacks it.

    Raises:
        SharpwaveError: If one of them is damaged.
    """
    subjects = list_subjects(cohort, data, required=False)
    recordings = [load_dataset(f"{cohort}/{subject}", data) for subject in subjects]
    return [
        recording
        for recording in recordings
        if recording.hypnogram is not None and not recording.metadata.get("unfit_for_staging")
    ]


def is_whole(recording: Recording) -> bool:
    """Whether the EEG covers most of the scored night; of UCDDB's compact files only subject 022 does."""
    gaps = sum(end - start for start, end in recording.metadata.get("gaps", ()))
    return gaps < (1 - WHOLE) * recording.duration


def take_down(recording: Recording, *, rate: float = LOW_RATE) -> Recording:
    """The picked EEG channel alone, resampled to a low rate."""
    name = pick_channels(recording)["eeg"]
    signal = recording[name]
    lowered = signal if signal.rate <= rate else resample_signal(signal, rate=rate)
    return replace(recording, signals={name: lowered})


def has_eeg(recording: Recording) -> bool:
    """Whether an EEG channel is recognised in it."""
    return "eeg" in pick_channels(recording)


def cut_start(night: Recording, seconds: float = CUT) -> Recording:
    """The recording without its first seconds, on a clock that begins anew, as another file would hold it."""
    signals = {
        name: replace(signal, samples=signal.read(seconds, signal.end), start=0.0, scale=1.0, offset=0.0)
        for name, signal in night.signals.items()
    }
    return forget_clock(replace(night, signals=signals, hypnogram=None))


def forget_clock(recording: Recording) -> Recording:
    """The recording without its time of day and its lights off and on, which simulated nights know."""
    metadata = {name: value for name, value in recording.metadata.items() if not name.startswith("lights_")}
    return replace(recording, metadata=metadata, start=None)


def only_lfp(recording: Recording) -> Recording:
    """Without its EEG: LFP and EMG stay."""
    return replace(recording, signals={**recording.of("lfp"), **recording.of("emg")})


def only_eeg(recording: Recording) -> Recording:
    """The picked EEG channel alone."""
    name = pick_channels(recording)["eeg"]
    return replace(recording, signals={name: recording[name]})


def to_features(recording: Recording) -> StagedFeatures:
    """One EEG channel as features with context, 30 s epochs from the start of the recording."""
    name = pick_channels(recording)["eeg"]
    features = compute_eeg_features(recording[name])
    middle = recording[name].start + 30.0 * np.arange(len(features)) + 15.0
    assert recording.hypnogram is not None  # `load_recordings` saw to it
    stages = recording.hypnogram.resample(30.0).at(middle).astype(int)
    table = add_context(features, FEATURES, windows=_WINDOWS)
    return StagedFeatures(recording.subject, table, len(FEATURES), stages)


def simulate_recordings(
    species: str, *, n: int, hours: float, seed: int = 0, modalities: Sequence[str] | None = None
) -> list[Recording]:
    """Simulated nights with their consensus hypnograms."""
    from sharpwave.simulation import simulate_night

    chosen = {} if modalities is None else {"modalities": modalities}

    streams = np.random.default_rng(seed).spawn(n)
    names = [f"{species}-{index}" for index in range(n)]
    return [
        simulate_night(species, hours, rng=stream, subject=name, **chosen)[0]
        for name, stream in zip(names, streams, strict=True)
    ]


def leave_out(
    tested: Sequence[tuple[StagedFeatures, Recording]], others: Sequence[StagedFeatures], *, n_folds: int, seed: int
) -> list[Fold]:
    """Folds in which every tested night is left out once, and what is left of them trains together with the others.

    Args:
        tested: Nights with their recordings; one subject's nights are left out together.
        others: Nights that are never tested.
        n_folds: Number of folds, if there are so many subjects.
        seed: Seed of the split.
    """
    names = sorted({night.subject for night, _ in tested})
    folds = []
    for chosen in split_folds(len(names), n_folds=n_folds, rng=np.random.default_rng(seed)):
        out = {names[index] for index in chosen}
        training = [*(night for night, _ in tested if night.subject not in out), *others]
        folds.append((training, [pair for pair in tested if pair[0].subject in out]))
    return [fold for fold in folds if fold[0]]


def split_folds(n: int, *, n_folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Indices of the test nights of each fold; every night is in one."""
    order = rng.permutation(n)
    return [order[fold::n_folds] for fold in range(min(n_folds, n))]
