"""Scorings as tables: BIDS `_hypnogram.tsv` and `_events.tsv`, Noxturnal-like exports with translated headers.

A text has one of four shapes: a table with a header, lines of time and stage, numbered epochs, or plain labels.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.clock import parse_times
from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.recordings.readers.scoring import Scoring, fill_epochs, name_stage, names_of_codes

HEADERS: dict[str, str] = {
    "onset": "onset|start|start time|starttime|begin|time|time stamp|timestamp|epoch start|heure de debut|debut"
    "|startzeit|beginn|inicio|inizio",
    "end": "end|end time|stop|stop time|heure de fin|fin|endzeit|ende|fine",
    "duration": "duration|length|duree|dauer|duracion|durata",
    "event": "event|evenement|ereignis|evento",
    "label": "stage|sleep stage|stages|hypnogram|stade|schlafstadium|label|event|evenement|ereignis|evento|description"
    "|annotation|trial type|name|type|score|value",
}
"""Role → headers, without accents, units and underscores; the first one present is taken."""

_PREAMBLE = 50
_TIMED = re.compile(r"\s*((?:[\d/.\-]{6,10}[ T])?\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)\s*[;,\t ]\s*([^;,\t]+?)\s*")


def find_table(text: str) -> str | None:
    """The text from its header row on, where it is a table of stages and times; None where it is not.

    A preamble before the header (as RemLogic writes it) is dropped; lines of time and stage without a header (as DOMINO
    writes them) get one.
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines[:_PREAMBLE]):
        columns = find_columns(next(csv.reader([line], delimiter=find_delimiter(line))))
        if "label" in columns and "onset" in columns:
            return "\n".join(lines[number:])
    timed = [match for match in map(_TIMED.fullmatch, lines) if match]
    if len(timed) >= 2 and len(timed) >= len(lines) - _PREAMBLE and len(timed) > len(lines) / 2:
        return "\n".join(["onset\tstage", *(f"{match.group(1)}\t{match.group(2)}" for match in timed)])
    return None


def stage_column(text: str) -> str | None:
    """The stages of a two-column list (epoch number, stage), one a line, with its comments; None if it is not one."""
    lines = [line for line in text.split("\n") if line.strip()]
    comments = [line for line in lines if line.startswith("#")]
    rows = [
        [cell.strip() for cell in re.split(r"[\t,;]|\s+", line.strip(), maxsplit=1)]
        for line in lines
        if not line.startswith("#")
    ]
    if rows and len(rows[0]) == 2 and plain_name(rows[0][0]) in ("epoch", "epochs", "number", "index", "n"):
        rows = rows[1:]
    if not rows or any(len(row) != 2 or not re.fullmatch(r"\d{1,9}", row[0]) for row in rows):
        return None
    if any(int(later[0]) - int(earlier[0]) != 1 for earlier, later in pairwise(rows)):
        return None
    return "\n".join([*comments, *(row[1] for row in rows)])


def find_columns(header: Sequence[str]) -> dict[str, int]:
    """Position of each role (onset, end, duration, label, event) that a header names."""
    keys = [plain_name(name) for name in header]
    found = {}
    for role, aliases in HEADERS.items():
        positions = [keys.index(alias) for alias in aliases.split("|") if alias in keys]
        if positions:
            found[role] = positions[0]
    return found


def plain_name(name: str) -> str:
    """A header in lower case without accents, units and underscores."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"\s+", " ", re.sub(r"[\[(].*?[\])]", "", text).replace("_", " ")).strip()


def find_delimiter(line: str) -> str:
    """Tab, comma or semicolon, whichever is most frequent."""
    return max("\t,;", key=line.count)


_PROBABILITY = re.compile(r"p[ _](.+)", re.IGNORECASE)


def read_table(
    text: str, path: Path, *, epoch_length: float | None = None, convention: str | Mapping[int, str] | None = None
) -> Scoring:
    """Read a table of scored intervals; rows that name no stage (arousals, respiratory events) are passed over.

    Args:
        text: From its header row on, see `find_table`.
        path: The file, for messages.
        epoch_length: Seconds; found from the rows if None.
        convention: Meaning of integer stages, see `read_hypnogram`.

    Raises:
        SharpwaveError: If no row names a stage, or times cannot be read.
    """
    rows = list(csv.reader(io.StringIO(text), delimiter=find_delimiter(text.partition("\n")[0])))
    header, rows = rows[0], [row for row in rows[1:] if not _is_units(row)]
    columns = find_columns(header)
    if "event" in columns and any(_cell(row, columns["event"]).upper().startswith("SLEEP-") for row in rows):
        columns["label"] = columns["event"]  # RemLogic repeats the current stage beside every event
    names, kept = _stage_names([_cell(row, columns["label"]) for row in rows], convention, path)
    times, clock, dated = parse_times([_cell(rows[index], columns["onset"]) for index in kept])
    readable = np.isfinite(times)
    if not readable.any():
        raise SharpwaveError(
            f"times in the column {header[columns['onset']]!r} of {path.name}",
            got="none that can be read",
            fix="use seconds, hh:mm:ss, or dates",
        )
    repairs = (
        [] if readable.all() else [f"{int((~readable).sum())} scored rows have no readable time and were left out"]
    )
    rows = [rows[index] for index, good in zip(kept, readable, strict=True) if good]
    names = [name for name, good in zip(names, readable, strict=True) if good]
    times = times[readable]
    hypnogram, filled = fill_epochs(
        times,
        _durations(rows, columns, times),
        names,
        epoch_length=epoch_length,
        probabilities=_probabilities(header, rows),
    )
    return Scoring(hypnogram, clock, dated, placed=clock is None, repairs=(*repairs, *filled))


def _is_units(row: Sequence[str]) -> bool:
    return all(re.fullmatch(r"(\[.*\])?", cell.strip()) for cell in row)


def _cell(row: Sequence[str], column: int) -> str:
    return row[column].strip() if column < len(row) else ""


def _stage_names(
    labels: Sequence[str], convention: str | Mapping[int, str] | None, path: Path
) -> tuple[list[str], list[int]]:
    if labels and all(re.fullmatch(r"-?\d{1,3}(\.0*)?|n/a|", label) for label in labels) and any(labels):
        codes = [-1 if label in ("n/a", "") else int(float(label)) for label in labels]
        if any(code >= 0 for code in codes):
            return names_of_codes(codes, convention=convention), list(range(len(codes)))
    named = [(index, name_stage(label)) for index, label in enumerate(labels)]
    kept = [(index, name) for index, name in named if name is not None]
    if not any(name != "?" for _, name in kept) and not (kept and len(kept) == len(labels)):
        raise SharpwaveError(
            f"rows that name a sleep stage in {path.name}",
            got=f"labels such as {', '.join(sorted(set(labels))[:5])!r}"[:200],
            fix="name stages W, N1, N2, N3, R (or as Rechtschaffen & Kales), or pass a convention for integers",
        )
    if len(kept) < len(labels):  # among other events, an artefact is an event and not an unscored epoch
        kept = [(index, name) for index, name in kept if name != "?"]
    return [name for _, name in kept], [index for index, _ in kept]


def _durations(rows: Sequence[Sequence[str]], columns: Mapping[str, int], times: np.ndarray) -> np.ndarray:
    if "duration" in columns:
        seconds, _, _ = parse_times([_cell(row, columns["duration"]) or "nan" for row in rows])
        return seconds
    if "end" in columns:
        both = [_cell(row, columns[role]) for row in rows for role in ("onset", "end")]
        seconds, _, _ = parse_times(both)
        return seconds[1::2] - seconds[::2]
    return np.full(len(times), np.nan)


def _probabilities(header: Sequence[str], rows: Sequence[Sequence[str]]) -> np.ndarray | None:
    found = {
        match.group(1): column for column, name in enumerate(header) if (match := _PROBABILITY.fullmatch(name.strip()))
    }
    stage_set = next((stages for stages in STAGE_SETS.values() if set(stages) == set(found)), None)
    if stage_set is None:
        return None
    values = [[_cell(row, found[name]) for name in stage_set] for row in rows]
    return np.array([[float("nan") if cell in ("n/a", "") else float(cell) for cell in row] for row in values])
