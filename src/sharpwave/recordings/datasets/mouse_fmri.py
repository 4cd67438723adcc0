"""Mouse sleep fMRI (TrangeTung/Mouse_Sleep_fMRI): BOLD of three regions with states, and means round transitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import require_subject
from sharpwave.recordings.datasets.spreadsheet import read_sheets
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

REPETITION_TIME = 2.0
SESSION = "session"
BOLD_FILE, STATE_FILE, TRANSITION_FILE = "example_BOLD_timeseries.xlsx", "state_label.xlsx", "tran_30s_raw.xlsx"
STATES = {1: 0, 3: 1, 4: 2}
"""Values of the states as 3-stage codes: 1 wake, 3 NREM, 4 REM. Presumed: the legend says 1, 2 and 3."""


def subjects(folder: Path) -> list[str]:
    """ "session", and each type of transition ("awake_nrem" …) where its table is there."""
    found = [SESSION] if (folder / BOLD_FILE).is_file() else []
    if (folder / TRANSITION_FILE).is_file():
        found += [name for name, _ in _read_transitions(folder)]
    return found


def load(folder: Path, subject: str) -> Recording:
    """The session of 4 h, or the mean BOLD of each region from 30 s before to 30 s after one type of transition.

    Returns:
        One signal "bold" with regions as channels; for the session, a hypnogram of 3 stages with epochs of 1 s.

    Raises:
        SharpwaveError: If a file is missing or damaged.
    """
    if subject == SESSION and (folder / BOLD_FILE).is_file():
        return _load_session(folder)
    transitions = dict(_read_transitions(folder)) if (folder / TRANSITION_FILE).is_file() else {}
    require_subject(subject, list(transitions), dataset="mouse-fmri")
    return _load_transition(transitions[subject], subject)


def _load_session(folder: Path) -> Recording:
    rows = next(iter(read_sheets(folder / BOLD_FILE).values()))
    regions = tuple(str(row[0]) for row in rows if row)
    bold = _to_numbers([row[1:] for row in rows if row], BOLD_FILE).T
    states = np.array([row[1] for row in next(iter(read_sheets(folder / STATE_FILE).values()))], dtype=np.float64)
    codes = np.array([STATES.get(int(state), UNSCORED) if np.isfinite(state) else UNSCORED for state in states])
    absent = tuple(path.name for path in sorted(folder.glob("*.xls")))
    return Recording(
        signals={"bold": Signal("bold", bold, 1 / REPETITION_TIME, MODALITIES["bold"], channels=regions)},
        hypnogram=Hypnogram(codes, 1.0, n_stages=3, scorer="authors"),
        subject="mouse",
        species="mouse",
        source="mouse-fmri/session",
        absent=absent,
        repairs=(
            "states 1, 3 and 4 are presumed to be wake, NREM and REM: the source's legend says 1, 2 and 3",
            *(f"{name} is not read: the place of its 64 s of ECoG in the session is not given" for name in absent),
        ),
        metadata={"repetition_time": REPETITION_TIME},
    )


def _load_transition(rows: list, subject: str) -> Recording:
    regions = tuple(str(row[0]).strip("'") for row in rows[1:])
    systems = [str(row[1]).strip("'") for row in rows[1:]]
    bold = _to_numbers([row[2:] for row in rows[1:]], TRANSITION_FILE).T
    middle = REPETITION_TIME * (len(bold) // 2)
    return Recording(
        signals={"bold": Signal("bold", bold, 1 / REPETITION_TIME, MODALITIES["bold"], channels=_distinct(regions))},
        events=pd.DataFrame({"onset": [middle], "duration": [0.0], "label": [subject]}),
        subject="mouse",
        species="mouse",
        source=f"mouse-fmri/{subject}",
        repairs=(
            "means over all transitions of this type, from 30 s before to 30 s after: not a continuous recording",
        ),
        metadata={"repetition_time": REPETITION_TIME, "systems": systems},
    )


def _read_transitions(folder: Path) -> list[tuple[str, list]]:
    """Each sheet by the name in its first cell (one sheet is called "Sheet3")."""
    sheets = read_sheets(folder / TRANSITION_FILE).values()
    return [(str(rows[0][0]), [row for row in rows if row and row[0]]) for rows in sheets if rows and rows[0]]


def _to_numbers(rows: list[list], name: str) -> np.ndarray:
    try:
        values = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SharpwaveError(
            f"rows of numbers in {name}", got=str(error)[:120], fix="fetch the data set again"
        ) from error
    if values.ndim != 2 or not values.size:
        raise SharpwaveError(f"rows of numbers in {name}", got=f"shape {values.shape}", fix="fetch the data set again")
    return values


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name if names.index(name) == index else f"{name}-{index}" for index, name in enumerate(names))
