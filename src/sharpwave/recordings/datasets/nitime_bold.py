"""nitime's example BOLD: two small images, a table of region series, and an event-related series (BSD-3-Clause)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import require_subject
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal, empty_events

TABLE_REPETITION_TIMES = {"fmri_timeseries": 1.89, "event_related_fmri": 2.0}
"""Seconds, as in nitime's own examples; the tables do not say."""


def subjects(folder: Path) -> list[str]:
    """Names of the images and tables."""
    files = [*folder.glob("*.nii.gz"), *folder.glob("*.nii"), *folder.glob("*.csv")]
    return sorted(path.name.partition(".")[0] for path in files)


def load(folder: Path, subject: str) -> Recording:
    """One image as volumes, or one table as regions.

    Raises:
        SharpwaveError: If the file is damaged.
    """
    require_subject(subject, subjects(folder), dataset="nitime-bold")
    table = folder / f"{subject}.csv"
    if table.is_file():
        return _load_table(table)
    from sharpwave.recordings.readers.nifti import read_bold

    image = next(path for path in (folder / f"{subject}.nii.gz", folder / f"{subject}.nii") if path.is_file())
    return replace(read_bold(image), subject=subject, species="human", source=f"nitime-bold/{subject}")


def _load_table(path: Path) -> Recording:
    try:
        table = pd.read_csv(path).astype(np.float64)
    except (ValueError, UnicodeDecodeError) as error:
        raise SharpwaveError(
            f"a table of numbers in {path.name}", got=str(error)[:120], fix="fetch it again"
        ) from error
    interval = TABLE_REPETITION_TIMES.get(path.stem, 2.0)
    events = empty_events()
    if "events" in table:
        codes = table.pop("events").to_numpy()
        rows = np.flatnonzero(codes)
        events = pd.DataFrame(
            {"onset": rows * interval, "duration": 0.0, "label": [f"event {codes[row]:g}" for row in rows]}
        )
    regions = tuple(str(name) for name in table.columns)
    return Recording(
        signals={"bold": Signal("bold", table.to_numpy(), 1 / interval, MODALITIES["bold"], channels=regions)},
        events=events,
        subject=path.stem,
        species="human",
        source=f"nitime-bold/{path.stem}",
        repairs=(f"the repetition time is not in the file; {interval:g} s taken, as in nitime's examples",),
        metadata={"repetition_time": interval},
    )
