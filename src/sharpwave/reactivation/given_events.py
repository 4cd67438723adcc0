"""The user's own candidate events: tables as laboratories write them, and whether they are of this session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.recordings.readers.files import check_file, guarded, read_text
from sharpwave.recordings.readers.hypnogram_shapes import find_columns, find_delimiter, find_unit

SHORTEST, LONGEST = 0.02, 5.0
"""Seconds that events usually last; where they seem to last longer, their durations are in another unit."""
UNITS = (("milliseconds", 1e-3), ("microseconds", 1e-6))
LEAST_INSIDE, MOST_INSIDE = 0.5, 0.9
"""Share of events within the session below which their unit is doubted, and from which another unit is believed."""
_NUMBERED = {"t start": "onset", "tstart": "onset", "t end": "end", "tend": "end", "t stop": "end", "tstop": "end"}


def read_events(path: Path) -> pd.DataFrame:
    """The user's candidate events: onset and duration in seconds; what was found out is in `attrs["notes"]`.

    Read are tables with columns of onsets (or starts) and durations or ends, in seconds or what their names say, and
    bare numbers: onset and duration, start and end, or start, peak and end.

    Args:
        path: Text file, separated by tabs, commas, semicolons or spaces.

    Raises:
        SharpwaveError: If the file is no such table.
    """
    with guarded(check_file(path, "a table of events"), "a table of events"):
        lines = [line for line in read_text(path).split("\n") if line.strip() and not line.startswith(("#", "%"))]
    mark = find_delimiter(lines[0]) if lines else ","
    split = [[cell.strip("\"' ") for cell in (line.split(mark) if mark in line else line.split())] for line in lines]
    headed = bool(split) and not all(np.isfinite([_number(cell, mark) for cell in split[0]]))
    head, rows = (split[0], split[1:]) if headed else ([], split)
    roles, notes = _find_roles(head, rows, mark)
    if "onset" not in roles or not {"duration", "end"} & set(roles):
        raise SharpwaveError(
            "a table of events with columns onset and duration in seconds, or start and end",
            got=f"{path.name}: columns {', '.join(head) or 'without names'}"[:200],
            fix="write one row an event, tab- or comma-separated",
        )
    columns = {
        role: np.array([_number(row[k], mark) if k < len(row) else np.nan for row in rows])
        * (find_unit(head[k]) if headed else 1.0)
        for role, k in roles.items()
    }
    lasting = columns["duration"] if "duration" in columns else columns["end"] - columns["onset"]
    table = pd.DataFrame({"onset": columns["onset"], "duration": lasting}).astype(float)
    good = np.isfinite(table["onset"]) & (table["duration"] > 0)
    if not good.all():
        notes.append(f"{int((~good).sum())} of {len(good)} given events have no onset or no duration; left out.")
    repeated = table[good].duplicated()
    if repeated.any():
        notes.append(f"{int(repeated.sum())} given events stand twice in the table; taken once.")
    kept = table[good][~repeated].reset_index(drop=True)
    kept.attrs["notes"] = notes
    return kept


def _number(cell: str, mark: str) -> float:
    try:
        return float(cell if mark == "," else cell.replace(",", "."))
    except ValueError:
        return np.nan


def _find_roles(head: list[str], rows: list[list[str]], mark: str) -> tuple[dict[str, int], list[str]]:
    """Column of each role, and a sentence where it was found by its numbers."""
    if head:
        found = {role: k for role, k in find_columns(head).items() if role in ("onset", "end", "duration")}
        plain = [name.lower().replace("_", " ").strip() for name in head]
        return found | {_NUMBERED[name]: k for k, name in enumerate(plain) if name in _NUMBERED}, []
    width = min(map(len, rows), default=0)
    numbers = np.array([[_number(cell, mark) for cell in row[:width]] for row in rows])
    if width not in (2, 3) or not len(numbers):
        return {}, []
    rising = bool((np.diff(numbers, axis=1) >= 0).all())
    if rising:
        said = "start and end" if width == 2 else "start, peak and end"
        return {"onset": 0, "end": width - 1}, [f"Columns of the given events without names are taken as {said}."]
    said = "Columns of the given events without names are taken as onset and duration."
    return ({"onset": 0, "duration": 1}, [said]) if width == 2 else ({}, [])


def fit_events(events: pd.DataFrame, recording: Recording) -> tuple[pd.DataFrame, list[str]]:
    """Given events on the clock of a session, and what was found out.

    Args:
        events: onset and duration, as the user has them.
        recording: Recording with spikes.

    Raises:
        SharpwaveError: If a column is missing, or none of them lies within the session.

    >>> import pynapple as nap
    >>> session = Recording(spikes=nap.TsGroup({0: nap.Ts(np.arange(1000.0))}))
    >>> table = pd.DataFrame({"onset": [2e5, 4e5, 9e5], "duration": [90.0, 120.0, 150.0]})
    >>> fit_events(table, session)[0].to_numpy().tolist()
    [[200.0, 0.09], [400.0, 0.12], [900.0, 0.15]]
    """
    missing = [name for name in ("onset", "duration") if name not in events]
    if missing:
        raise SharpwaveError(
            "events with columns onset and duration in s", got=f"no {', '.join(missing)}", fix="name them so"
        )
    offset = float(recording.metadata.get("clock_offset_s", 0.0))
    onset, lasting = events["onset"].to_numpy(float), events["duration"].to_numpy(float)
    notes = list(events.attrs.get("notes", []))
    if offset > 0 and len(onset) and onset.min() >= offset:  # what was taken off all times of the file
        onset = onset - offset
    support = recording.spikes.time_support
    start, end = min(0.0, float(support.start[0])), max(float(support.end[-1]), recording.duration)
    usual = float(np.median(lasting)) if len(lasting) else 0.0

    def share(factor: float) -> float:
        return float(np.mean((onset * factor >= start) & (onset * factor <= end))) if len(onset) else 1.0

    name, factor = "", 1.0
    if share(1.0) < LEAST_INSIDE:
        fits = [
            unit
            for unit in UNITS
            if share(unit[1]) >= MOST_INSIDE and any(SHORTEST <= usual * scale <= LONGEST for scale in (1.0, unit[1]))
        ]
        name, factor = next(iter(fits), ("", 1.0))
    if name:
        notes.append(f"Onsets of the given events are in {name}, by which they lie within the session.")
    inside, where = share(factor), f"{start:.0f} to {end:.0f} s"
    onset = onset * factor
    if not inside:
        raise SharpwaveError(
            f"events within the session, {where}",
            got=f"{len(onset)} events from {onset.min():g} to {onset.max():g}, none within it",
            fix="give onsets in seconds on the clock of the spikes, not in samples",
        )
    if inside < 1:
        notes.append(
            f"{round((1 - inside) * len(onset))} of {len(onset)} given events lie outside the session, {where}."
        )
    name, factor = next((unit for unit in UNITS if usual > LONGEST and SHORTEST <= usual * unit[1] <= LONGEST), ("", 1))
    if name:
        notes.append(f"Durations of the given events are in {name}: {usual:.4g} would be too long as seconds.")
    return events.assign(onset=onset, duration=lasting * factor), notes
