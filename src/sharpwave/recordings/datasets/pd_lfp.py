"""Subthalamic LFP power of people with Parkinson's disease, in sleep: UH3-RestoreSleepPD, `summaryLFP_v2` (MIT).

`summaryLFP_<site>_<nn>.mat`: `m` and `s`, power and its deviation, (epoch, 6 bands, 3 contacts); `sl`, the stage; 30 s.
Only *v2* has rows and labels aligned; *v3* deleted artefact epochs per contact and padded the end.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import require_subject
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 30.0
STAGES = ("W", "N1", "N2", "N3", "R")


def subjects(folder: Path) -> list[str]:
    """Nights in `folder`, as "Minn_01"."""
    return sorted(path.stem.removeprefix("summaryLFP_") for path in folder.glob("summaryLFP_*.mat"))


def load(folder: Path, subject: str) -> Recording:
    """One night of band power per contact with its expert hypnogram.

    Args:
        folder: Folder of the data set.
        subject: Name of the subject, as `subjects` lists it.

    Returns:
        A recording with signals `power` and `power_sd`, shape (epoch, band × contact), without unit, 1/30 Hz.

    Raises:
        SharpwaveError: If the night is unknown, the file cannot be read, or rows and labels differ in number.
    """
    from scipy.io import loadmat

    require_subject(subject, subjects(folder), dataset="pd-lfp")
    path = folder / f"summaryLFP_{subject}.mat"
    try:
        content = loadmat(path)
        labels = [str(np.ravel(cell)[0]).strip() if np.size(cell) else "?" for cell in np.ravel(content["sl"])]
        power, deviation = (np.asarray(content[name], dtype=np.float64) for name in ("m", "s"))
    except Exception as error:  # scipy raises many kinds on a damaged file
        raise SharpwaveError(
            f"a MATLAB 5 file with m, s and sl in {path.name}",
            got=f"{type(error).__name__}: {error}"[:160],
            fix="fetch it again",
        ) from error
    if power.ndim != 3 or power.shape != deviation.shape or len(labels) != len(power):
        raise SharpwaveError(
            "m and s of one shape (epoch, band, contact) and a label per epoch",
            got=f"{power.shape}, {deviation.shape}, {len(labels)} labels",
            fix="use the upstream version summaryLFP_v2",
        )
    channels = tuple(f"band{b + 1}_contact{c + 1}" for b in range(power.shape[1]) for c in range(power.shape[2]))
    signals = {
        name: Signal(name, values.reshape(len(values), -1), 1 / EPOCH, MODALITIES["features"], channels=channels)
        for name, values in (("power", power), ("power_sd", deviation))
    }
    known = [label if label in STAGES else "?" for label in labels]
    return Recording(
        signals=signals,
        hypnogram=Hypnogram.from_labels(known, epoch_length=EPOCH, scorer="expert"),
        subject=subject,
        species="human",
        source=f"pd-lfp/{subject}",
        metadata={"cohort": "pd-lfp"},
    )
