"""Apple Watch features with polysomnography: Walch et al. 2019, PhysioNet `sleep-accel` 1.0.0 (ODC-By 1.0).

Text files `<subject>_{hr,count,time,circadian,cosine}_feature.out` and `<subject>_psg_labels.out`, a row per 30 s.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_columns, require_subject
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 30.0
FEATURES = {
    "heart_rate": ("hr", "heart_rate"),
    "activity": ("count", "activity"),
    "circadian": ("circadian", "features"),
}
STAGES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4}


def subjects(folder: Path) -> list[str]:
    """Subjects in `folder` that have labels and a time feature."""
    found = [path.name.removesuffix("_psg_labels.out") for path in folder.glob("*_psg_labels.out")]
    return sorted(subject for subject in found if (folder / f"{subject}_time_feature.out").is_file())


def load(folder: Path, subject: str) -> Recording:
    """One night on its 30 s grid, which the published rows lack: unscored gaps were cut out of them.

    The grid is rebuilt from the time feature; gaps are NaN in the signals and unscored in the hypnogram.
    **The features look ahead**: they were smoothed over up to 7 minutes to either side. They are handed out as
    published; for a forecast delay heart rate by 15 epochs, activity by 10, and leave `circadian` out.

    Args:
        folder: Folder of the data set.
        subject: Name of the subject, as `subjects` lists it.

    Returns:
        A recording with signals `heart_rate`, `activity`, `circadian` (published features, without unit, 1/30 Hz).

    Raises:
        SharpwaveError: If the subject is unknown, rows of the files do not match, or times do not increase.
    """
    require_subject(subject, subjects(folder), dataset="walch")
    hours = read_columns(folder / f"{subject}_time_feature.out")
    labels = read_columns(folder / f"{subject}_psg_labels.out")
    columns = {
        name: read_columns(folder / f"{subject}_{stem}_feature.out")
        for name, (stem, _) in FEATURES.items()
        if (folder / f"{subject}_{stem}_feature.out").is_file()
    }
    lengths = {len(labels), len(hours), *(len(column) for column in columns.values())}
    if len(lengths) != 1 or hours.ndim != 1:
        raise SharpwaveError(
            f"files of {subject} with the same number of rows",
            got=f"{sorted(lengths)} rows",
            fix="fetch the data set again",
        )
    rows = np.rint(np.nan_to_num(hours, nan=-1.0) * 3600 / EPOCH).astype(int)
    if rows.size == 0 or rows[0] < 0 or np.any(np.diff(rows) <= 0) or rows[-1] > 10_000:
        raise SharpwaveError(
            f"times of {subject} that increase by 30 s or more, in hours",
            got="times that do not",
            fix="check the time feature",
        )
    n_epochs = int(rows[-1]) + 1
    stages = np.full(n_epochs, UNSCORED)
    stages[rows] = [STAGES.get(int(label), UNSCORED) for label in labels]
    signals = {}
    for name, column in columns.items():
        grid = np.full(n_epochs, np.nan)
        grid[rows] = column
        signals[name] = Signal(name, grid, 1 / EPOCH, MODALITIES[FEATURES[name][1]])
    gaps = n_epochs - len(rows)
    return Recording(
        signals=signals,
        hypnogram=Hypnogram(stages, EPOCH, scorer="psg"),
        subject=subject,
        species="human",
        source=f"walch/{subject}",
        repairs=(f"30 s grid rebuilt from the time feature: {gaps} epochs are gaps",) if gaps else (),
        metadata={"cohort": "walch", "look_ahead": "published features are smoothed over up to 7 min to either side"},
    )
