"""Data frames as tables to print, and the tables that stand for figures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports.formats import MISSING, STAGE_WORDS, is_number, order_stages, show, show_interval
from sharpwave.reports.timeline import Timeline
from sharpwave.reports.tracks import find_unclear


class Table(NamedTuple):
    """A table ready to print: its heads, its rows, and which columns hold numbers."""

    heads: list[str]
    rows: list[list[str]]
    numeric: list[bool]


def arrange(frame: pd.DataFrame, heads: dict[str, str] | None = None, *, most: int = 60) -> Table:
    """A data frame as a table: `low` and `high` become one interval, empty columns go.

    Args:
        frame: Any table.
        heads: Titles by column; other columns are named after themselves.
        most: Highest number of rows.
    """
    heads = heads or {}
    frame = frame.head(most)
    filled = [str(column) for column in frame.columns if not _is_blank(frame[column]).all()]
    columns = [column for column in filled if column not in ("low", "high")]
    interval = "low" in frame and "high" in frame and not frame["low"].isna().all()
    estimate = next((column for column in _ESTIMATES if column in columns), None) if interval else None
    titles, cells, numeric = [], [], []
    for column in columns:
        titles.append(heads.get(column) or _title(column))
        numeric.append(bool(pd.api.types.is_numeric_dtype(frame[column])))
        beside = ["low", "high", estimate] if interval and estimate and column in (estimate, *_SAME_UNIT) else []
        cells.append(_show_column(frame, column, beside=beside))
        if interval and column == _place_interval(columns, estimate):
            titles.append(heads.get("interval", "95 % interval"))
            numeric.append(True)
            values = frame[estimate] if estimate else frame["low"]
            ends = zip(frame["low"], frame["high"], values, strict=True)
            cells.append([show_interval(low, high, like=[value]) for low, high, value in ends])
    return Table(titles, [list(row) for row in zip(*cells, strict=True)], numeric)


_ESTIMATES = ("value", "effect", "auprc", "observed", "usable_fraction")
"""Columns that an interval may belong to, the first one present."""

_SAME_UNIT = ("scorer_spread",)
"""Columns in the unit of the estimate, printed with its decimals."""


def _is_blank(column: pd.Series) -> pd.Series:
    return column.isna() | (column.astype(object) == "")


def _title(column: str) -> str:
    unit = ", µV" if column.endswith("_uv") else ""
    return column.removesuffix("_uv").replace("_", " ") + unit


def _show_column(frame: pd.DataFrame, column: str, *, beside: list[str]) -> list[str]:
    values = frame[column].tolist()
    neighbours = zip(*[frame[other] for other in beside], strict=True) if beside else [()] * len(values)
    whole = all(isinstance(value, (int, np.integer)) or value == round(value) for value in values if is_number(value))
    padding = [] if whole else [0.5]
    return [show(value, like=[*near, *padding * (value != 0)]) for value, near in zip(values, neighbours, strict=True)]


def _place_interval(columns: list[str], estimate: str | None) -> str:
    if estimate is None:
        return columns[-1]
    following = columns[columns.index(estimate) + 1 :]
    return "unit" if following[:1] == ["unit"] else estimate


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
    heads += [f"{label.replace('_', ' ')}, n" for label in labels]
    rows = []
    for begin in np.arange(line.start, line.end - 1e-6, step):
        inside = (hypnogram.onsets >= begin) & (hypnogram.onsets < begin + step)
        if not inside.any():
            continue
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
    return f"{mask.sum() * hypnogram.epoch_length / 60:.1f}"


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
        agree = MISSING if total == 0 else f"{100 * minutes[names.index(name)] / total:.1f}"
        rows.append([STAGE_WORDS.get(name, name), *[f"{m:.1f}" for m in minutes], agree])
    return Table(heads, rows, [False] + [True] * (len(heads) - 1))


def compute_share_agreed(hypnogram: Hypnogram, expert: Hypnogram) -> float:
    """Share of the epochs scored by both in which both say the same; NaN where there are none."""
    ours, theirs = _aligned(hypnogram, expert)
    codes = theirs.at(ours.onsets + ours.epoch_length / 2)
    both = (codes >= 0) & ours.scored
    return float((codes[both] == ours.stages[both]).mean()) if both.any() else float("nan")


def describe_commonest(hypnogram: Hypnogram, expert: Hypnogram) -> str:
    """What is reached by calling every epoch what the expert calls most: the accuracy that ours stands beside.

    >>> describe_commonest(Hypnogram(np.array([0, 2, 2, 2])), Hypnogram(np.array([0, 0, 2, 2])))
    'Wake in every epoch, the commonest stage by the expert: accuracy 0.50, κ 0.'
    """
    ours, theirs = _aligned(hypnogram, expert)
    codes = theirs.at(ours.onsets + ours.epoch_length / 2)
    counts = np.bincount(codes[(codes >= 0) & ours.scored], minlength=ours.n_stages)
    if not counts.any():
        return ""
    name, share = ours.names[int(counts.argmax())], counts.max() / counts.sum()
    word = STAGE_WORDS.get(name, name)
    return f"{word} in every epoch, the commonest stage by the expert: accuracy {share:.2f}, κ 0."


def _aligned(hypnogram: Hypnogram, expert: Hypnogram) -> tuple[Hypnogram, Hypnogram]:
    fewest = min(hypnogram.n_stages, expert.n_stages)
    return hypnogram.merge(fewest), expert.merge(fewest)
