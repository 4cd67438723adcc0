"""Nights to learn staging from EEG: simulated people made as different as real ones, and what UCDDB has of raw EEG.

UCDDB's EEG exists for wake and deep sleep only (subject 022 apart): it serves under a loss over those two stages, and
its contrast between them gives simulated people theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.epochs import UNSCORED, EpochedRecording, EpochGrid, ModalityEpochs, epoch_recording
from sharpwave.brainmu.training.augmentation import compute_contrast, vary_person, vary_recording
from sharpwave.brainmu.training.spectral_transfer import BandNight, lend_contrasts
from sharpwave.recordings.datasets import list_subjects, load_dataset

WHOLE = ("ucddb022",)
"""Subjects of UCDDB with EEG in all stages."""
FIVE_STAGES = 0.5
"""Share of the simulated people who get all five spectra of a real one."""


def load_raw_ucddb(root: str | Path | None = None, *, leave_out: Collection[str] = ()) -> list[EpochedRecording]:
    """UCDDB's EEG cut into epochs, scaled to the amplitude of a usual night; steps without EEG are unscored.

    Args:
        root: Folder of data sets.
        leave_out: Subjects ("ucddb022") that are kept for testing.
    """
    nights = []
    for name in list_subjects("ucddb", root):
        recording = load_dataset(f"ucddb/{name}", root)
        if recording.subject in leave_out or not recording.of("eeg"):
            continue
        scorable = None if recording.subject in WHOLE else (0, 3)
        night = epoch_recording(recording, modalities=["eeg"], scorable=scorable, cohort="ucddb", every_channel=True)
        nights.append(hide_unrecorded(night))
    return nights


def hide_unrecorded(night: EpochedRecording) -> EpochedRecording:
    """Without the stages of steps that have no EEG."""
    there = np.asarray(night.epochs["eeg"].present.any(axis=1), dtype=bool)
    return replace(
        night, stages=np.where(there, night.stages, UNSCORED).astype(np.int8), votes=night.votes * there[:, None]
    )


def join_recorded(night: EpochedRecording) -> EpochedRecording:
    """The steps with EEG end to end, so that no gap tells a stage; what follows what is then unknown."""
    part = night.epochs["eeg"]
    rows = np.flatnonzero(np.asarray(part.present).any(axis=1))
    joined = ModalityEpochs(part.values[rows], part.present[rows], part.channels)
    return replace(
        night,
        grid=EpochGrid(0.0, night.grid.step, len(rows)),
        epochs={"eeg": joined},
        stages=np.full(len(rows), UNSCORED, dtype=np.int8),
        votes=night.votes[rows],
    )


def collect_contrasts(nights: Sequence[EpochedRecording]) -> Float[np.ndarray, "person band"]:
    """Contrast of wake and deep sleep of each night that has both."""
    found = [contrast for night in nights if (contrast := compute_contrast(night)) is not None]
    return np.array(found)


def simulate_people(
    nights: Sequence[EpochedRecording],
    *,
    contrasts: Float[np.ndarray, "person band"],
    rng: np.random.Generator,
    copies: int = 2,
    people: Sequence[BandNight] = (),
) -> Iterator[EpochedRecording]:
    """Simulated human nights, each slept by `copies` others and recorded elsewhere; stages are never shown as history.

    Args:
        nights: Simulated nights with EEG, cut into epochs.
        contrasts: From `collect_contrasts`.
        rng: Random generator.
        copies: Number of copies of each night.
        people: Nights of real people with all five stages; half of the copies, where there are any, get the contrasts
            of one of them in place of those of wake and deep sleep alone.
    """
    for night in nights:
        signals = night.only([name for name in night.epochs if name != "stages"])
        for _ in range(copies):
            if len(people) and rng.random() < FIVE_STAGES:
                lent = lend_contrasts(signals, people[int(rng.integers(len(people)))])
                other = vary_person(lent, rng=rng)
            else:
                other = vary_person(signals, contrasts=contrasts, rng=rng)
            yield vary_recording(other, rng=rng)


def vary_recordings(
    nights: Sequence[EpochedRecording], *, rng: np.random.Generator, copies: int = 2
) -> Iterator[EpochedRecording]:
    """What was recorded of real nights, joined, each as if by `copies` other amplifiers; stages without changes."""
    for night in nights:
        for _ in range(copies):
            yield vary_recording(join_recorded(night), rng=rng)
