"""rsleep's example files: scoring exports of whole nights in French and UTF-16, and a short polysomnography (MIT)."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.recordings.datasets.files import require_subject
from sharpwave.recordings.recording import Recording

PREFIX = "noxturnal_events_example_"


def subjects(folder: Path) -> list[str]:
    """Names of the scoring exports and of the EDF files."""
    return sorted(path.stem for path in [*folder.glob("*.csv"), *folder.glob("*.edf")])


def load(folder: Path, subject: str) -> Recording:
    """One export as hypnogram and events, without signals; or one EDF.

    Raises:
        SharpwaveError: If the file is damaged.
    """
    require_subject(subject, subjects(folder), dataset="rsleep")
    recording_file = folder / f"{subject}.edf"
    if recording_file.is_file():
        from sharpwave.recordings.readers.edf import read_edf

        return replace(read_edf(recording_file), source=f"rsleep/{subject}", species="human")
    from sharpwave.recordings.readers.hypnogram_files import read_scoring

    path = folder / f"{subject}.csv"
    scoring = read_scoring(path)
    return Recording(
        hypnogram=scoring.hypnogram,
        events=_read_events(path),
        subject=subject.removeprefix(PREFIX),
        species="human",
        start=scoring.clock,
        source=f"rsleep/{subject}",
        repairs=scoring.repairs,
    )


def _read_events(path: Path) -> pd.DataFrame:
    """Every row of the export that is no sleep stage, in seconds from the first stage; labels as written."""
    from sharpwave.recordings.clock import parse_times
    from sharpwave.recordings.readers.files import read_text
    from sharpwave.recordings.readers.scoring import name_stage

    rows = [row for row in csv.reader(io.StringIO(read_text(path))) if len(row) >= 4][2:]
    onset, _, _ = parse_times([row[0] for row in rows])
    duration = pd.to_numeric(pd.Series([row[3] for row in rows]), errors="coerce").to_numpy(dtype=float)
    is_stage = np.array([name_stage(row[2]) not in (None, "?") for row in rows], dtype=bool)
    if is_stage.any():
        onset = onset - onset[np.flatnonzero(is_stage)[0]]
    keep = np.flatnonzero(~is_stage & np.isfinite(onset))
    labels = [rows[index][2] for index in keep]
    return pd.DataFrame({"onset": onset[keep], "duration": duration[keep], "label": labels})
