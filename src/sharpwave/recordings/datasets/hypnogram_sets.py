"""Sets of hypnograms alone: Sleep-EDF (`hypnograms.npz`, 44 nights) and stages in an EEG–fMRI scanner (`stages.tsv`).

A folder holds one of the two; each is known by its file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, read_table, require_subject
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording

EPOCH = 30.0
SCANNED = {"W": 0, "1": 1, "2": 2, "3": 3}
"""Stages in the scanner; those that the scorer called uncertain or unscorable are unscored."""
COLUMNS = ("subject", "run", "onset", "stage")
LONGEST = 10_000


def subjects(folder: Path) -> list[str]:
    """Nights ("SC4001EC") or runs ("2-task-sleep_run-1") in `folder`."""
    path = folder / "hypnograms.npz"
    if path.is_file():
        return sorted(read_archive(path))
    return sorted({f"{row['subject']}-{row['run']}" for row in read_table(folder / "stages.tsv", COLUMNS)})


def load(folder: Path, subject: str) -> Recording:
    """One night or run, without signals.

    Args:
        folder: Folder of the data set.
        subject: Name of the night or run, as `subjects` lists it.

    Returns:
        A recording whose `subject` is the person: "SC400" of Sleep-EDF, "sub-2" of the scanner.

    Raises:
        SharpwaveError: If it is unknown, or holds something else than stages.
    """
    whole = (folder / "hypnograms.npz").is_file()
    require_subject(subject, subjects(folder), dataset="sleep-edf-hypnograms" if whole else "fmri-sleep-stages")
    if whole:
        codes = np.asarray(read_archive(folder / "hypnograms.npz")[subject])
        name, person, scorer = "sleep-edf-hypnograms", subject[:5], "expert (R&K)"
    else:
        codes = _read_run(folder, subject)
        name, person, scorer = "fmri-sleep-stages", f"sub-{subject.partition('-')[0]}", "expert"
    if codes.ndim != 1 or codes.dtype.kind not in "iu" or (len(codes) and not -1 <= codes.min() <= codes.max() <= 4):
        raise SharpwaveError(
            f"stages from -1 to 4 for {subject}",
            got=f"shape {codes.shape}, {codes.dtype}",
            fix="use the data set's own file",
        )
    return Recording(
        hypnogram=Hypnogram(codes.astype(np.int8), EPOCH, scorer=scorer),
        subject=person,
        species="human",
        source=f"{name}/{subject}",
        metadata={"cohort": name.removesuffix("-hypnograms").removesuffix("-stages")},
    )


def _read_run(folder: Path, subject: str) -> np.ndarray:
    rows = [row for row in read_table(folder / "stages.tsv", COLUMNS) if f"{row['subject']}-{row['run']}" == subject]
    places = np.array([int(float(row["onset"]) // EPOCH) for row in rows])
    if places.min() < 0 or places.max() > LONGEST:
        raise SharpwaveError(
            f"onsets from 0 to {LONGEST * EPOCH:g} s",
            got=f"epochs {places.min()} to {places.max()}",
            fix="check the table",
        )
    codes = np.full(int(places.max()) + 1, UNSCORED, dtype=np.int8)
    codes[places] = [SCANNED.get(row["stage"], UNSCORED) for row in rows]
    return codes
