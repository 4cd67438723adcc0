"""openspindlenet's example signals: 30 s of scalp and of intracranial EEG at 250 Hz (MIT)."""

from __future__ import annotations

from pathlib import Path

from sharpwave.recordings.datasets.files import read_columns, require_subject
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

RATE = 250.0
SUFFIX = "_sample"


def subjects(folder: Path) -> list[str]:
    """Names of the samples: "eeg", "ieeg"."""
    return sorted(path.stem.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}.txt"))


def load(folder: Path, subject: str) -> Recording:
    """One sample, taken to be in µV.

    Raises:
        SharpwaveError: If the file is damaged.
    """
    require_subject(subject, subjects(folder), dataset="openspindlenet")
    samples = read_columns(folder / f"{subject}{SUFFIX}.txt")
    modality = MODALITIES["lfp" if subject.startswith("ieeg") else "eeg"]
    name = "iEEG" if subject.startswith("ieeg") else "EEG"
    return Recording(
        signals={name: Signal(name, samples, RATE, modality, scale=1e-6)},
        subject=f"openspindlenet-{subject}",
        species="human",
        source=f"openspindlenet/{subject}",
        repairs=("the file states no unit; µV taken",),
    )
