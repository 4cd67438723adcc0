"""Which shape a text scoring has: a table with a header, lines of time and stage, numbered epochs, or plain labels."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

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
