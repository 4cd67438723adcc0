"""Raw Fpz-Cz of one Sleep-EDF night, 233 consecutive epochs with stages (`sc4001.npz`), 100 Hz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, require_subject
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 30.0
KEYS = ("eeg", "scale_uv", "rate", "stage", "channel", "subject")
RATES = (10.0, 1000.0)


def subjects(folder: Path) -> list[str]:
    """Nights in `folder`, as "SC4001"."""
    return sorted(path.stem.upper() for path in folder.glob("sc*.npz"))


def load(folder: Path, subject: str) -> Recording:
    """Part of one night.

    Args:
        folder: Folder of the data set.
        subject: Name of the night, as `subjects` lists it.

    Returns:
        A recording with one EEG channel in V.

    Raises:
        SharpwaveError: If the night is unknown, or samples and stages do not fit each other.
    """
    require_subject(subject, subjects(folder), dataset="sleep-edf-sc4001-raw")
    arrays = read_archive(folder / f"{subject.lower()}.npz", KEYS)
    samples, stages, rate = arrays["eeg"], arrays["stage"], float(arrays["rate"])
    if not RATES[0] <= rate <= RATES[1] or samples.shape != (len(stages), round(EPOCH * rate)):
        raise SharpwaveError(
            f"eeg (epoch, sample) with a stage per epoch of {EPOCH:g} s",
            got=f"{samples.shape} at {rate:g} Hz, {len(stages)} stages",
            fix="use the data set's own file",
        )
    name = str(arrays["channel"])
    scale = float(arrays["scale_uv"]) * 1e-6
    return Recording(
        signals={name: Signal(name, samples.reshape(-1), rate, MODALITIES["eeg"], scale=scale)},
        hypnogram=Hypnogram(np.asarray(stages, dtype=np.int8), EPOCH, scorer="expert (R&K)"),
        subject=subject[:5],
        species="human",
        source=f"sleep-edf-sc4001-raw/{subject}",
        metadata={"cohort": "sleep-edf"},
    )
