"""Numbers as words and tables as rows, the same way everywhere on the page."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports.colours import STAGE_WORDS, order_stages
from sharpwave.reports.night import DecodedNight
from sharpwave.reports.timeline import Timeline
from sharpwave.reports.tracks import find_unclear

MISSING = "–"


class Table(NamedTuple):
    """A table ready to print: its heads, its rows, and which columns hold numbers."""

    heads: list[str]
    rows: list[list[str]]
    numeric: list[bool]


def show(value: Any) -> str:
    """A value in few digits; an en dash where it is undefined.

    >>> show(412.5), show(0.7634), show(3.0), show(float("nan")), show(True)
    ('412.5', '0.76', '3', '–', 'yes')
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return _show_float(float(value))
    return str(value) or MISSING


def _show_float(value: float) -> str:
    if not np.isfinite(value):
        return MISSING
    if value == round(value) and abs(value) < 1e6:
        return str(round(value)).replace("-", "−")
    size = abs(value)
    if size >= 1000:
        text = f"{value:.0f}"
    elif size >= 10:
        text = f"{value:.1f}"
    else:
        text = f"{value:.2f}" if size >= 0.1 else f"{value:.2g}"
    return text.replace("-", "−")


def show_interval(low: Any, high: Any) -> str:
    """Both ends of an interval, or an en dash where there is none."""
    low, high = show(low), show(high)
    return MISSING if MISSING in (low, high) else f"{low} to {high}"


def show_duration(seconds: float) -> str:
    """A length of time in hours and minutes.

    >>> show_duration(27000), show_duration(600), show_duration(7 * 86400)
    ('7 h 30 min', '10 min', '7 d 0 h')
    """
    minutes = round(seconds / 60)
    if minutes >= 48 * 60:
        return f"{minutes // 1440} d {minutes % 1440 // 60} h"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def arrange(frame: pd.DataFrame, heads: dict[str, str] | None = None, *, most: int = 60) -> Table:
    """A data frame as a table: `low` and `high` become one interval, empty columns go.

    Args:
        frame: Any table.
        heads: Titles by column; other columns are named after themselves.
        most: Highest number of rows.
    """
    heads = heads or {}
    columns = [column for column in frame.columns if column not in ("low", "high") and not frame[column].isna().all()]
    interval = "low" in frame and "high" in frame and not frame["low"].isna().all()
    titles, cells, numeric = [], [], []
    for column in columns:
        titles.append(heads.get(str(column), str(column).replace("_", " ")))
        cells.append([show(value) for value in frame[column].head(most)])
        numeric.append(bool(pd.api.types.is_numeric_dtype(frame[column])))
        if interval and column == _before_interval(columns):
            titles.append(heads.get("interval", "interval"))
            ends = zip(frame["low"].head(most), frame["high"].head(most), strict=True)
            cells.append([show_interval(low, high) for low, high in ends])
            numeric.append(True)
    return Table(titles, [list(row) for row in zip(*cells, strict=True)], numeric)


def _before_interval(columns: list[Any]) -> Any:
    return next((c for c in ("value", "effect", "auprc", "observed", "usable_fraction") if c in columns), columns[-1])


def tabulate_stages(night: DecodedNight, line: Timeline) -> Table:
    """What the night's figure shows, in words: minutes per stage, depth and events in each hour or longer block."""
    step = next(
        (step for step in (1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0) if line.span / step <= 12), 86400.0
    )
    hypnogram = night.hypnogram
    names = order_stages(hypnogram.names)
    unclear = find_unclear(hypnogram, night.unclear_below)
    labels = [str(label) for label in night.events["label"].value_counts().head(4).index] if len(night.events) else []
    heads = ["from", *[f"{STAGE_WORDS.get(name, name)}, min" for name in names]]
    heads += ["unclear, min"] * (hypnogram.probabilities is not None) + ["depth, median"] * bool(len(night.depth))
    heads += [f"{label}, n" for label in labels]
    rows = []
    for begin in np.arange(line.start, line.end - 1e-6, step):
        inside = (hypnogram.onsets >= begin) & (hypnogram.onsets < begin + step)
        minutes = [_minutes(hypnogram, inside & (hypnogram.stages == hypnogram.names.index(name))) for name in names]
        row = [line.write(begin), *minutes]
        if hypnogram.probabilities is not None:
            row.append(_minutes(hypnogram, inside & unclear))
        if len(night.depth):
            here = night.depth["depth"][night.depth["onset"].between(begin, begin + step, inclusive="left")]
            row.append(show(float(here.median())) if here.notna().any() else MISSING)
        for label in labels:
            mine = night.events["onset"][night.events["label"].astype(str) == label]
            row.append(str(int(mine.between(begin, begin + step, inclusive="left").sum())))
        rows.append(row)
    return Table(heads, rows, [False] + [True] * (len(heads) - 1))


def _minutes(hypnogram: Hypnogram, mask: np.ndarray) -> str:
    return show(float(mask.sum() * hypnogram.epoch_length / 60))


def tabulate_confusion(hypnogram: Hypnogram, expert: Hypnogram) -> Table:
    """Minutes the expert gave to each stage (rows), by what we gave them (columns)."""
    ours, theirs = _aligned(hypnogram, expert)
    names = order_stages(ours.names)
    codes = theirs.at(ours.onsets + ours.epoch_length / 2)
    heads = ["expert ↓ decoded →", *[STAGE_WORDS.get(name, name) for name in names], "agree, %"]
    rows = []
    for name in names:
        mine = codes == ours.names.index(name)
        minutes = [
            float((mine & (ours.stages == ours.names.index(other))).sum() * ours.epoch_length / 60) for other in names
        ]
        total = sum(minutes)
        agree = MISSING if total == 0 else show(100 * minutes[names.index(name)] / total)
        rows.append([STAGE_WORDS.get(name, name), *[show(m) for m in minutes], agree])
    return Table(heads, rows, [False] + [True] * (len(heads) - 1))


def compute_share_agreed(hypnogram: Hypnogram, expert: Hypnogram) -> float:
    """Share of the epochs scored by both in which both say the same; NaN where there are none."""
    ours, theirs = _aligned(hypnogram, expert)
    codes = theirs.at(ours.onsets + ours.epoch_length / 2)
    both = (codes >= 0) & ours.scored
    return float((codes[both] == ours.stages[both]).mean()) if both.any() else float("nan")


def _aligned(hypnogram: Hypnogram, expert: Hypnogram) -> tuple[Hypnogram, Hypnogram]:
    fewest = min(hypnogram.n_stages, expert.n_stages)
    return hypnogram.merge(fewest), expert.merge(fewest)
