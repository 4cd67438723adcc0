"""Heart beats and stages of the MIT-BIH Polysomnographic Database (`slpdb.npz`); PhysioNet `slpdb` 1.0.0.

For each recording: `_beats` (s), `_onset` (s), `_stage` (0 W … 4 REM), `_rk` and `_aux` of each 30 s, the last as
marked by the scorer: apnoeas, arousals and leg movements.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, require_subject
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 30.0
PLAUSIBLE = (0.3, 2.5)
"""Seconds between beats that a heart can have: outside lies a missed beat, or one too many."""
LONGEST = 7 * 86400.0
MARKS = {
    "H": "hypopnoea",
    "HA": "hypopnoea with arousal",
    "OA": "obstructive apnoea",
    "X": "obstructive apnoea with arousal",
    "CA": "central apnoea",
    "CAA": "central apnoea with arousal",
    "L": "leg movement",
    "LA": "leg movement with arousal",
    "A": "arousal",
    "MT": "movement",
}


def subjects(folder: Path) -> list[str]:
    """Recordings in `folder`, as "slp03"."""
    path = folder / "slpdb.npz"
    names = read_archive(path) if path.is_file() else ()
    return sorted(name.removesuffix("_beats") for name in names if name.endswith("_beats"))


def load(folder: Path, subject: str) -> Recording:
    """One recording: heart rate from beat to beat, stages on their clock, and what the scorer marked.

    Args:
        folder: Folder of the data set.
        subject: Name of the recording, as `subjects` lists it.

    Returns:
        A recording with the signal `heart_rate` (1/min) at the time of each beat, `metadata["beats"]` (s), and events
        of 30 s. slp01a and slp01b are one person, slp02a and slp02b another.

    Raises:
        SharpwaveError: If the recording is unknown, or its arrays do not fit each other.
    """
    require_subject(subject, subjects(folder), dataset="slpdb-beats")
    names = tuple(f"{subject}_{name}" for name in ("beats", "onset", "stage", "aux"))
    beats, onsets, codes, marks = map(read_archive(folder / "slpdb.npz", names).__getitem__, names)
    beats = np.asarray(beats, dtype=np.float64)
    if not (len(onsets) == len(codes) == len(marks)) or len(beats) < 3 or not (np.diff(beats) > 0).all():
        raise SharpwaveError(
            f"beats of {subject} in order, and an onset, a stage and a mark per epoch",
            got=f"{len(beats)} beats, {len(onsets)} onsets, {len(codes)} stages, {len(marks)} marks",
            fix="use the data set's own file",
        )
    rows = np.rint(np.asarray(onsets, dtype=np.float64) / EPOCH).astype(int)
    if len(rows) == 0 or rows[0] < 0 or (np.diff(rows) <= 0).any() or max(rows[-1] * EPOCH, beats[-1]) > LONGEST:
        raise SharpwaveError(
            f"onsets of {subject} that increase by 30 s", got="onsets that do not", fix="use the data set's own file"
        )
    stages = np.full(int(rows[-1]) + 1, UNSCORED, dtype=np.int8)
    stages[rows] = codes
    gaps = np.diff(beats)
    usual = (gaps >= PLAUSIBLE[0]) & (gaps <= PLAUSIBLE[1])
    rate = Signal(
        "heart_rate",
        np.where(usual, 60 / gaps, np.nan).astype(np.float32),
        float(1 / np.median(gaps)),
        MODALITIES["heart_rate"],
        start=float(beats[1]),
        times=beats[1:],
    )
    odd = int((~usual).sum())
    return Recording(
        signals={"heart_rate": rate},
        hypnogram=Hypnogram(stages, EPOCH, scorer="expert (R&K)"),
        events=_list_marks(rows, marks),
        subject=subject.removesuffix("x")[:5],
        species="human",
        source=f"slpdb-beats/{subject}",
        repairs=(f"{odd} of {len(gaps)} intervals between beats are implausible and NaN",) if odd else (),
        metadata={"cohort": "slpdb", "beats": beats, "population": "men with sleep apnoea, some under CPAP"},
    )


def _list_marks(rows: np.ndarray, marks: np.ndarray) -> pd.DataFrame:
    """What was marked beside the stage, a row for each mark of an epoch."""
    found = [
        (float(row) * EPOCH, EPOCH, MARKS[word])
        for row, mark in zip(rows, marks, strict=True)
        for word in str(mark).split()[1:]
        if word in MARKS
    ]
    return pd.DataFrame(found, columns=["onset", "duration", "label"])
