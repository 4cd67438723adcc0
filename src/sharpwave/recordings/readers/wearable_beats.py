"""Tables of heart beats: intervals between them, or their times, with or without a clock of their own.

An interval becomes a heart rate at the time of the beat that ends it, which is how every reader of beats gives them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.readers.wearable_columns import find_interval_unit, find_time_columns, find_time_unit

BEAT_NAMES = re.compile(
    r"(heart[ _-]?)?(beats?|r[ _-]?(peaks?|waves?))([ _-]?(times?|onsets?))?"
    r"([ _]?[\[(]?(s|secs?|seconds|ms|msecs?|milliseconds)[\])]?)?",
    re.IGNORECASE,
)
"""Headers of a column of the times of beats."""
LEAST_BEATS = 100
"""Rows from which a lone column of times is looked at as one of beats."""
USUAL_GAP = (0.3, 2.0)
"""Seconds between beats."""
MOST_STEP = 0.2
"""Share of an interval by which the next one usually differs, at most: numbers at random differ by more."""
LONGEST = 4 * 86_400.0
"""Seconds that a file of bare intervals may last: counts of a converter, hundreds a second, would be weeks."""
INTERVALS = "beat to beat (s)"
"""Header of the column of intervals that is made from times."""


def complete_beats(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with what a table of beats leaves out: times of intervals, or intervals of times; declared.

    Args:
        table: Rows as they stand in the file, with their headers.

    >>> table, said = complete_beats(pd.DataFrame({"rr_ms": [800, 900, 850]}))
    >>> table["time"].round(2).tolist(), said
    ([0.8, 1.7, 2.55], ["times are the sums of 'rr_ms': where beats are missing, the clock runs late"])
    """
    names = [str(name) for name in table.columns]
    clock = find_time_columns(table)
    if clock is not None:
        alone = len(names) == 1 and len(table) >= LEAST_BEATS
        seconds = _to_seconds(table[clock[0]], clock[0]) if alone else np.zeros(0)
        return _add_intervals(table, seconds, clock[0]) if _are_beats(seconds) else (table, [])
    units = {name: find_interval_unit(name, _to_numbers(table[name])) for name in names}
    interval = next((name for name in names if units[name] is not None), None)
    if interval is not None:
        gaps = _to_numbers(table[interval]) * float(units[interval] or 1.0)
        told = f"times are the sums of {interval!r}: where beats are missing, the clock runs late"
        return table.assign(time=np.cumsum(np.where(np.isfinite(gaps), gaps, np.nanmedian(gaps)))), [told]
    beats = next((name for name in names if BEAT_NAMES.fullmatch(name.strip())), None)
    if beats is None or not _are_beats(seconds := _to_seconds(table[beats], beats)):
        return table, []
    return _add_intervals(table.drop(columns=beats).assign(time=seconds), seconds, beats)


def name_lone_intervals(lines: Sequence[str]) -> str | None:
    """The header that intervals between beats lack where a file holds nothing but them, one a line; None elsewhere.

    Args:
        lines: Lines of the file that are not empty.

    >>> name_lone_intervals(["812", "790", "805", "801"] * 30), name_lone_intervals(["-3.1", "2.0"] * 60)
    ('rr_ms', None)
    """
    try:
        values = np.array([float(line) for line in lines])
    except ValueError:
        return None
    if len(values) < LEAST_BEATS or not np.isfinite(values).all():
        return None
    for name, seconds in (("rr_ms", 1e-3), ("rr_s", 1.0)):
        usual = (values * seconds >= USUAL_GAP[0]) & (values * seconds <= USUAL_GAP[1])
        steady = np.median(np.abs(np.diff(values))) < MOST_STEP * np.median(values)
        if usual.mean() > 0.9 and steady and values.sum() * seconds < LONGEST:
            return name
    return None


def _add_intervals(table: pd.DataFrame, seconds: np.ndarray, label: str) -> tuple[pd.DataFrame, list[str]]:
    gaps = np.r_[np.nan, np.diff(seconds)]
    usual = (gaps >= USUAL_GAP[0]) & (gaps <= USUAL_GAP[1])
    odd = int((~usual[1:]).sum())
    said = [f"{label!r} holds the times of heart beats; heart rate is that from beat to beat"]
    said += [f"{odd} of {len(gaps) - 1} intervals between beats are implausible and missing"] if odd else []
    return table.assign(**{INTERVALS: np.where(usual, gaps, np.nan)}), said


def _are_beats(seconds: Float[np.ndarray, " row"]) -> bool:
    """Whether times rise by what is usual between beats, and not in even steps."""
    gaps = np.diff(seconds)
    if len(gaps) < 3 or not np.isfinite(gaps).all() or (gaps <= 0).any():
        return False
    usual = (gaps >= USUAL_GAP[0]) & (gaps <= USUAL_GAP[1])
    return bool(usual.mean() > 0.8 and np.std(gaps[usual]) > 1e-3)


def _to_numbers(column: pd.Series) -> Float[np.ndarray, " row"]:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)


def _to_seconds(column: pd.Series, label: str) -> Float[np.ndarray, " row"]:
    return _to_numbers(column) * find_time_unit(label)
