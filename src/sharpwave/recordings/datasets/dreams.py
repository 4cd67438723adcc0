"""DREAMS Sleep Spindles Database: 30 min of EEG, stages and spindles (Devuyst et al. 2011; CC BY-NC-ND 3.0).

For evaluation only: nothing derived from it is shipped. `excerpt<k>.txt` (µV), `Hypnogram_excerpt<k>.txt` (every 5 s:
5 W, 4 REM, 3 S1, 2 S2, 1 S3, 0 S4) and `Visual_scoring{1,2}_excerpt<k>.txt` (onset and duration of spindles, s).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_columns, require_subject
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 5.0
RATES = (50, 100, 200)
STAGES = {5: 0, 4: 4, 3: 1, 2: 2, 1: 3, 0: 3}
UNFIT_FOR_STAGING = {"excerpt7": "its hypnogram contradicts its EEG"}


def subjects(folder: Path) -> list[str]:
    """Excerpts in `folder`, as "excerpt1"."""
    return sorted(path.stem for path in folder.glob("excerpt[0-9]*.txt"))


def load(folder: Path, subject: str) -> Recording:
    """One excerpt with its hypnogram and each expert's spindles.

    Args:
        folder: Folder of the data set.
        subject: Name of the subject, as `subjects` lists it.

    Returns:
        A recording with one EEG signal in volts; `events` holds the spindles (label "spindle", channel, and `scorer`:
        "expert_1" or "expert_2"); `metadata["unfit_for_staging"]` says why where the hypnogram is not to be trusted.

    Raises:
        SharpwaveError: If the excerpt is unknown or its length fits none of the data set's sampling rates.
    """
    require_subject(subject, subjects(folder), dataset="dreams")
    path = folder / f"{subject}.txt"
    channel = _read_header(path)
    samples = read_columns(path, skip=1)
    codes = read_columns(folder / f"Hypnogram_{subject}.txt", skip=1)
    rate = round(samples.size / (codes.size * EPOCH)) if codes.size else 0
    if samples.ndim != 1 or rate not in RATES or abs(samples.size / rate - codes.size * EPOCH) > EPOCH:
        raise SharpwaveError(
            f"{codes.size * EPOCH:g} s of EEG at 50, 100 or 200 Hz",
            got=f"{samples.size} samples",
            fix="fetch the excerpt again",
        )
    stages = np.array([STAGES.get(int(code), UNSCORED) for code in codes])
    return Recording(
        signals={channel: Signal(channel, samples.astype(np.float32), float(rate), MODALITIES["eeg"], scale=1e-6)},
        hypnogram=Hypnogram(stages, EPOCH, scorer="expert"),
        events=_read_spindles(folder, subject, channel),
        subject=subject,
        species="human",
        source=f"dreams/{subject}",
        metadata={"cohort": "dreams", "unfit_for_staging": UNFIT_FOR_STAGING.get(subject)},
    )


def _read_header(path: Path) -> str:
    with path.open(encoding="latin-1") as file:
        first = file.readline().strip()
    return first.strip("[]") or "EEG"


def _read_spindles(folder: Path, subject: str, channel: str) -> pd.DataFrame:
    tables = []
    for expert in (1, 2):
        path = folder / f"Visual_scoring{expert}_{subject}.txt"
        if not path.is_file():
            continue
        rows = read_columns(path, skip=1).reshape(-1, 2)
        tables.append(
            pd.DataFrame({"onset": rows[:, 0], "duration": rows[:, 1]}).assign(
                label="spindle", channel=channel, scorer=f"expert_{expert}"
            )
        )
    if not tables:
        return pd.DataFrame({"onset": [], "duration": [], "label": [], "channel": [], "scorer": []})
    return pd.concat(tables, ignore_index=True)
