"""Where the channels of an electrical series lie: their names, their regions, and which of them are marked as bad."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from sharpwave.recordings.readers.nwb_inside import InsideArray, InsideGroup

NAMES = ("label", "channel_name", "name", "electrode_name")
PLACES = ("location", "brain_area", "region", "brain_region", "area", "hemisphere_region", "group_name")
BAD = r"(is_)?(bad|noisy|dead|broken|excluded?)(_?(channels?|electrodes?|chan))?"
"""Columns in which "true" marks a channel that is of no use."""
GOOD = r"(is_)?(good|valid|valid_data|usable|include[ds]?|functional)(_?(channels?|electrodes?))?"
"""Columns in which "false" does."""
QUALITY = r"(channel_|electrode_)?(quality|status)(_label)?"
BAD_WORDS = ("bad", "noise", "noisy", "dead", "broken", "excluded", "out", "unusable")
TRUE, FALSE = ("true", "1", "1.0", "yes", "t", "y"), ("false", "0", "0.0", "no", "f", "n")


@dataclass(frozen=True)
class Electrodes:
    """Channels of a series, in order; empty where it names no electrodes.

    Attributes:
        labels: Names of the channels.
        locations: Where each lies, in the words of the file; empty where it does not say.
        bad: Whether each is marked as of no use.
    """

    labels: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    bad: tuple[bool, ...] = ()

    def to_dict(self) -> dict[str, list]:
        """Plain lists, for a recording's metadata."""
        return {"locations": list(self.locations), "bad": list(self.bad)}


def read_electrodes(group: InsideGroup) -> Electrodes:
    """The electrodes that a series names.

    Args:
        group: Group of the series.
    """
    rows = group.array("electrodes")
    if rows is None or len(rows.shape) != 1 or not 0 < rows.size <= 10**5 or rows.kind not in "iu":
        return Electrodes()
    index = rows.read().astype(np.int64)
    plain = Electrodes(tuple(str(row) for row in index))
    table = group.root.child("general/extracellular_ephys/electrodes")
    identifiers = None if table is None else table.array("id")
    if table is None or identifiers is None or len(identifiers.shape) != 1:
        return plain
    n_rows = identifiers.size
    if index.min() < 0 or index.max() >= n_rows:
        return plain
    bad = _mark_bad(table, n_rows)[index]
    columns = {name: _read_texts(table.array(name), index, n_rows) for name in (*NAMES, *PLACES)}
    locations = tuple(_join_places([columns[name] for name in PLACES if columns[name]]))
    candidates = [columns[name] for name in NAMES] + [columns["location"]]
    numbers = identifiers.read()
    fallback = [str(numbers[row]) for row in index]
    labels = next((v for v in candidates if v and len(set(v)) == len(v) and all(v)), fallback)
    return Electrodes(tuple(labels), locations, tuple(bad.tolist()))


def _join_places(columns: list[list[str]]) -> list[str]:
    """The region of each channel, from every column that may name it; without those that say "unknown"."""
    empty = ("", "unknown", "none", "nan", "n/a", "?")
    joined = [[text for text in dict.fromkeys(row) if text.lower() not in empty] for row in zip(*columns, strict=True)]
    return [", ".join(row) for row in joined] if any(joined) else []


def _read_texts(array: InsideArray | None, index: np.ndarray, n_rows: int) -> list[str]:
    texts = [] if array is None else array.read_texts()
    return [texts[row] for row in index] if len(texts) == n_rows else []


def _mark_bad(table: InsideGroup, n_rows: int) -> np.ndarray:
    """Which rows a column of the table marks as bad; none where it would be all of them."""
    bad = np.zeros(n_rows, dtype=bool)
    for name, array in table.arrays():
        word = name.lower()
        if len(array.shape) != 1 or array.size != n_rows or not re.fullmatch(f"{BAD}|{GOOD}|{QUALITY}", word):
            continue
        plain = [str(v) for v in array.read().tolist()] if array.kind in "biuf" else array.read_texts()
        values = [text.strip().lower() for text in plain]
        if len(values) != n_rows:
            continue
        if re.fullmatch(QUALITY, word):
            bad |= np.array([value in BAD_WORDS for value in values])
        else:
            marks = TRUE if re.fullmatch(BAD, word) else FALSE
            bad |= np.array([value in marks or (marks is TRUE and value in BAD_WORDS) for value in values])
    return np.zeros(n_rows, dtype=bool) if bad.all() else bad
