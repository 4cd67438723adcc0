"""Bitbrain Open Access Sleep: hypnograms of experts, of a network on the PSG and of one on a headband (ds005555).

`boas.npz`: for each night (3, epoch) stages per 30 s; `participants.tsv`: age, sex, bmi and `pid`, the person.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, read_table, require_subject
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording

EPOCH = 30.0
ROWS = ("experts", "psg_network", "headband_network")
"""What each row is: the consensus of three experts, a published network on the PSG, the same on two channels."""


def subjects(folder: Path) -> list[str]:
    """Nights in `folder`, as "sub-3"; several may be one person's."""
    path = folder / "boas.npz"
    names = read_archive(path) if path.is_file() else ()
    return sorted(names, key=lambda name: (len(name), name))


def load(folder: Path, subject: str) -> Recording:
    """One night: the experts' consensus, and what two machines said of the same epochs.

    Args:
        folder: Folder of the data set.
        subject: Name of the night, as `subjects` lists it.

    Returns:
        A recording without signals whose `subject` is the person; `metadata["machines"]` maps "psg_network" and
        "headband_network" to their `Hypnogram`. Epochs without contact or score are unscored.

    Raises:
        SharpwaveError: If the night is unknown, or has not three rows.
    """
    require_subject(subject, subjects(folder), dataset="boas")
    rows = np.asarray(read_archive(folder / "boas.npz")[subject])
    if rows.ndim != 2 or len(rows) != len(ROWS) or rows.dtype.kind not in "iu":
        raise SharpwaveError(
            f"three rows of integers ({', '.join(ROWS)}) for {subject}",
            got=f"shape {rows.shape}, {rows.dtype}",
            fix="use the data set's own file",
        )
    known = (rows >= 0) & (rows <= 4)
    said = {
        name: Hypnogram(codes.astype(np.int8), EPOCH, scorer=name)
        for name, codes in zip(ROWS, np.where(known, rows, UNSCORED), strict=True)
    }
    table = {row["participant_id"]: row for row in read_table(folder / "participants.tsv", ("participant_id", "pid"))}
    person = table.get(subject, {})
    repair = () if person else (f"no person in participants.tsv: {subject} is taken for a person of its own",)
    return Recording(
        hypnogram=said[ROWS[0]],
        subject=f"pid-{person['pid']}" if person else subject,
        species="human",
        source=f"boas/{subject}",
        repairs=repair,
        metadata={
            "cohort": "boas",
            "machines": {name: said[name] for name in ROWS[1:]},
            **{name: person[name] for name in ("age", "sex", "bmi") if name in person},
        },
    )
