"""Band power of 40 h of one mouse with expert stages per 4 s (`mouse.npz`): baseline, and after sleep deprivation.

`bandsD` (epoch, 6): delta, theta, alpha, beta and gamma power, and the integral of the EMG; `epochsLinked[:, 2]`:
1 wake, 2 NREM, 3 REM; `epochTime` (place, session, day).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, require_subject
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 4.0
SESSIONS = {"baseline": 1, "recovery": 2}
MEASURES = ("delta", "theta", "alpha", "beta", "gamma", "emg")
KEYS = ("bandsD", "epochsLinked", "epochTime")


def subjects(folder: Path) -> list[str]:
    """Sessions in `folder`: "baseline" and "recovery", both of one mouse."""
    return list(SESSIONS) if (folder / "mouse.npz").is_file() else []


def load(folder: Path, subject: str) -> Recording:
    """One session of the mouse: log10 of band power and EMG (units not stated) on the clock of its epochs.

    Args:
        folder: Folder of the data set.
        subject: "baseline" or "recovery".

    Returns:
        A recording with the signal `bands`, shape (epoch, measure), 1/4 Hz, and a hypnogram of three stages.

    Raises:
        SharpwaveError: If the session is unknown, or arrays do not fit each other.
    """
    require_subject(subject, subjects(folder), dataset="mouse-bands")
    bands, linked, clock = map(read_archive(folder / "mouse.npz", KEYS).__getitem__, KEYS)
    if bands.shape != (len(linked), len(MEASURES)) or len(clock) != len(linked) or linked.shape[1:] != (4,):
        raise SharpwaveError(
            f"bandsD (epoch, {len(MEASURES)}), epochsLinked (epoch, 4) and epochTime of one length",
            got=f"{bands.shape}, {linked.shape}, {clock.shape}",
            fix="use the data set's own file",
        )
    rows = clock[:, 1] == SESSIONS[subject]
    place = clock[rows, 0].astype(int)
    place = place - place.min() if len(place) else place
    if (np.diff(place) <= 0).any() or len(place) == 0 or place[-1] > 10**6:
        raise SharpwaveError(
            f"places of the epochs of {subject} in order", got="places that are not", fix="use the data set's own file"
        )
    values = np.full((int(place[-1]) + 1, len(MEASURES)), np.nan, dtype=np.float32)
    values[place] = np.log10(np.maximum(bands[rows], 1e-6))
    stages = np.full(len(values), UNSCORED, dtype=np.int8)
    stages[place] = linked[rows, 2] - 1
    gaps = len(values) - len(place)
    return Recording(
        signals={"bands": Signal("bands", values, 1 / EPOCH, MODALITIES["features"], channels=MEASURES)},
        hypnogram=Hypnogram(stages, EPOCH, 3, scorer="expert"),
        subject="mouse",
        species="mouse",
        source=f"mouse-bands/{subject}",
        repairs=(f"{gaps} epochs that the source leaves out are gaps",) if gaps else (),
        metadata={"cohort": "mouse-bands", "unit": "log10 of a unit that is not stated"},
    )
