"""The page over many nights: a table to sort, small hypnograms, distributions beside published slopes, outliers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.disk import show_path
from sharpwave.outputs import write_file
from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.reports import svg
from sharpwave.reports.actogram import Actogram, describe_actogram, draw_watch_actogram
from sharpwave.reports.axes import Box, choose_ticks
from sharpwave.reports.formats import MISSING, order_stages, show, show_duration, show_interval, show_name
from sharpwave.reports.nights_table import (
    DAMAGED,
    NOT_USABLE,
    estimate_slope,
    find_missing_sessions,
    find_outliers,
    list_statistics,
)
from sharpwave.reports.nights_table import MISSING as NO_RESULTS
from sharpwave.reports.raster import encode_png
from sharpwave.reports.tables import Table
from sharpwave.reports.templates import render

SHOWN: dict[str, str] = {
    "total_sleep_time": "min",
    "sleep_efficiency": "%",
    "sleep_latency": "min",
    "wake_after_sleep_onset": "min",
    "rem_latency": "min",
    "awakenings": "n",
    "cycles": "n",
    "N1_share": "%",
    "N2_share": "%",
    "N3_share": "%",
    "R_share": "%",
    "arousal_index": "1/h",
    "apnea_hypopnea_index": "1/h",
    "kappa": "",
}
"""Columns of the page with their unit, where any night has them; all others are in the files beside it."""

PUBLISHED: dict[str, float | None] = {
    "total_sleep_time": -10.1,
    "sleep_efficiency": -2.1,
    "wake_after_sleep_onset": 9.7,
    "sleep_latency": 1.1,
    "arousal_index": 2.1,
    "N1_share": 0.5,
    "N3_share": None,
    "R_share": None,
}
"""Change per decade of age in healthy adults (Boulos et al. 2019, 10.1016/S2213-2600(19)30057-8); None where it is not
significant."""

_PALETTE = np.array(
    [
        [255, 255, 255],
        [0xB6, 0x74, 0x16],
        [0x38, 0x9B, 0xD0],
        [0x29, 0x60, 0xAD],
        [0x05, 0x17, 0x38],
        [0x93, 0x17, 0x55],
    ],
    dtype=np.uint8,
)
_COLOURS = {"W": 1, "N1": 2, "LIGHT": 2, "N2": 3, "NREM": 3, "S": 3, "N3": 4, "DEEP": 4, "R": 5}
MOST_SHOWN = 60
FIRST_ROWS = 100
"""Nights in the table at first; the rest is laid out when the reader asks for it, or has no scripts, or prints."""


class Cell(NamedTuple):
    """A cell of the table: what is read, and the number it is sorted by ("" sorts last)."""

    text: str
    key: str = ""


class Row(NamedTuple):
    """A row of the table: its address, its words, the picture and the cells."""

    address: str
    name: str
    simulated: bool
    verdict: str
    reasons: str
    picture: str
    cells: list[Cell]


def write_nights_page(table: pd.DataFrame, path: Path, *, actograms: Sequence[Actogram] = ()) -> Path:
    """Write the page over many nights.

    Args:
        table: Of `tabulate_nights`, with the addresses of the nights' pages relative to the folder of `path`.
        path: File to write; its folder must exist.
        actograms: Of the watches that recorded several of the nights; none by default.

    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.reports.nights_table import NightResult, tabulate_nights
    >>> with TemporaryDirectory() as folder:
    ...     nights = tabulate_nights([NightResult("a", reason="the file is empty")])
    ...     "the file is empty" in write_nights_page(nights, Path(folder, "index.html")).read_text(encoding="utf-8")
    True
    """
    return write_file(
        path, show_path(render("nights.html", **compose_nights(table), actograms=_draw_actograms(actograms)))
    )


def _draw_actograms(actograms: Sequence[Actogram]) -> list[tuple[str, Markup, str]]:
    return [(one.name, draw_watch_actogram(one), describe_actogram(one)) for one in actograms[:MOST_SHOWN]]


def compose_nights(table: pd.DataFrame) -> dict[str, Any]:
    """What the template prints.

    Args:
        table: Of `tabulate_nights`.
    """
    shown = [name for name in SHOWN if name in table and np.isfinite(table[name].to_numpy(dtype=float)).any()]
    people = {
        name: title for name, title in (("age", "age"), ("sex", "sex"), ("session", "session")) if _has(table, name)
    }
    heads = [*people.values(), "length", *[_head(name) for name in shown]]
    columns: list[list[Cell]] = [[_cell(value) for value in table[name].tolist()] for name in people]
    columns.append(
        [Cell(show_duration(3600 * hours) if hours > 0 else MISSING, f"{hours:g}") for hours in table["hours"]]
    )
    columns += [_cells(table[name]) for name in shown]
    plain = table[["page", "night", "simulated", "verdict", "reasons", "stages"]]
    rows = [
        Row(
            quote(os.fsencode(page)),
            night,
            bool(simulated),
            verdict,
            reasons,
            draw_stages(stages),
            [column[index] for column in columns],
        )
        for index, (page, night, simulated, verdict, reasons, stages) in enumerate(plain.itertuples(index=False))
    ]
    known = table[~table["verdict"].isin([NOT_USABLE, DAMAGED, NO_RESULTS])]
    outliers = find_outliers(known, [name for name in shown if name != "kappa"])
    return {
        "rows": rows,
        "first": FIRST_ROWS,
        "heads": heads,
        "numeric": [name != "sex" for name in people] + [True] * (1 + len(shown)),
        "verdicts": Counter(table["verdict"]),
        "charts": [draw_values(known, name) for name in shown if known[name].notna().sum() >= 3],
        "by_age": any(_spans_ages(known, name) for name in shown),
        "norms": tabulate_norms(known, [name for name in shown if name in PUBLISHED]),
        "sexes": tabulate_sexes(known, [name for name in shown if name != "kappa"]),
        "outliers": tabulate_outliers(outliers),
        "more_outliers": max(len(outliers) - MOST_SHOWN, 0),
        "missing": _list_missing(table),
        "several": sorted(set(table["definitions"]) - {""}) if len(set(table["definitions"]) - {""}) > 1 else [],
        "further": len(list_statistics(table)),
    }  # fmt: skip


def _list_missing(table: pd.DataFrame) -> list[str]:
    absent = table[table["verdict"].isin([DAMAGED, NO_RESULTS])]
    words = absent[["night", "verdict", "reasons"]].itertuples(index=False)
    return [*(f"{night}: {verdict}. {reason}" for night, verdict, reason in words), *find_missing_sessions(table)]


def _has(table: pd.DataFrame, name: str) -> bool:
    return bool(np.isfinite(table[name]).any() if name == "age" else (table[name] != "").any())


def _head(name: str) -> str:
    unit = SHOWN[name]
    return show_name(name) + (f", {unit}" if unit else "")


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return Cell(show(value), f"{value:g}") if np.isfinite(value) else Cell(MISSING)
    return Cell(str(value) or MISSING, str(value))


def _cells(column: pd.Series) -> list[Cell]:
    values = column.to_numpy(dtype=float)
    finite = values[np.isfinite(values)]
    whole = bool((finite == np.round(finite)).all())
    digits = 0 if whole else 2 if np.abs(finite).max(initial=0) <= 2 else 1
    return [
        Cell(f"{value:.{digits}f}".replace("-", "−"), f"{value:.6g}") if np.isfinite(value) else Cell(MISSING)
        for value in values
    ]


def draw_stages(stages: str) -> str:
    """A small hypnogram as a `data:` address of a PNG; "" without stages.

    Args:
        stages: Of the table: number of stages, step in seconds, and a letter a step, with colons between.

    >>> draw_stages("5:30:0224")[:22]
    'data:image/png;base64,'
    """
    if not stages:
        return ""
    n, _, codes = stages.split(":", 2)
    names = STAGE_SETS[int(n)]
    place = {name: row for row, name in enumerate(order_stages(names))}
    picture = np.zeros((len(names), max(len(codes), 1)), dtype=np.uint8)
    for column, code in enumerate(codes):
        if code != "?" and int(code) < len(names):
            name = names[int(code)]
            picture[place[name], column] = _COLOURS[name]
    return encode_png(picture, _PALETTE)


def draw_values(table: pd.DataFrame, name: str) -> Markup:
    """Every night's value of one statistic, against age where that is known, else as a histogram.

    Args:
        table: Of `tabulate_nights`.
        name: The statistic.
    """
    values, ages = table[name].to_numpy(dtype=float), table["age"].to_numpy(dtype=float)
    known = np.isfinite(values)
    title = _head(name)
    if not _spans_ages(table, name):
        return _draw_histogram(values[known], title)
    known &= np.isfinite(ages)
    x, y = ages[known], values[known]
    ticks = choose_ticks(y).tolist() if np.ptp(y) > 0 else [float(np.floor(y[0])) - 1, float(np.ceil(y[0])) + 1]
    box = Box(left=40, top=20, width=190, height=110)
    across, up = box.across(float(x.min()) - 1, float(x.max()) + 1), box.up(ticks[0], ticks[-1], beyond=0.02)
    content = [
        svg.text(0, 10, title, anchor="start", css="strong"),
        svg.text(box.right, 10, f"n = {len(x)}", anchor="end"),
    ]
    content += box.draw_levels(up, ticks)
    dots = zip(across.along(x).tolist(), up.along(y).tolist(), strict=True)
    content.append(svg.path("".join(f"M{svg.number(px, 1)} {svg.number(py, 1)}h0" for px, py in dots), css="dots"))
    slope = PUBLISHED.get(name)
    if slope is not None:
        ends = np.array([max(float(x.min()), 18.0), float(x.max())])
        line = np.median(y) + slope * (ends - np.median(x)) / 10
        content.append(svg.path(svg.line_path(across.along(ends), up.along(line)), css="control-line"))
    content += box.draw_ends(f"{x.min():.0f}", f"{x.max():.0f} years")
    return svg.chart(content, width=box.right + 10, height=box.bottom + 20, label=f"{title} by age, {len(x)} nights")


def _spans_ages(table: pd.DataFrame, name: str) -> bool:
    ages = table.loc[np.isfinite(table[name].to_numpy(dtype=float)), "age"].to_numpy(dtype=float)
    ages = ages[np.isfinite(ages)]
    return len(ages) >= 3 and bool(np.ptp(ages) >= 5)


def _draw_histogram(values: np.ndarray, title: str) -> Markup:
    counts, edges = np.histogram(values, bins=min(24, max(5, int(np.sqrt(len(values))))))
    box = Box(left=40, top=20, width=190, height=110)
    up, step = box.up(0, max(int(counts.max()), 1)), box.width / len(counts)
    content = [
        svg.rect(box.left + step * bar, y, step - 0.8, box.bottom - y, css="bar")
        for bar, y in enumerate(up.along(counts.astype(float)).tolist())
    ]
    content.append(svg.line(box.left, box.bottom, box.right, box.bottom, css="axis"))
    content += [
        svg.text(0, 10, title, anchor="start", css="strong"),
        svg.text(box.right, 10, f"n = {len(values)}", anchor="end"),
    ]
    content += box.draw_ends(f"{edges[0]:.3g}", f"{edges[-1]:.3g}")
    return svg.chart(content, width=box.right + 10, height=box.bottom + 20, label=f"{title}, {len(values)} nights")


def tabulate_norms(table: pd.DataFrame, names: list[str]) -> Table | None:
    """Change per decade of age beside the published one; None where the ages of these nights tell none.

    Args:
        table: Of `tabulate_nights`.
        names: Statistics that have a published slope.
    """
    rows = []
    for name in names:
        slope, low, high, n = estimate_slope(table, name)
        if np.isfinite(slope):
            published = PUBLISHED[name]
            rows.append(
                [_head(name), show(round(slope, 2), like=[0.55]), show_interval(round(low, 2), round(high, 2)),
                 "not significant" if published is None else f"{published:+.1f}".replace("-", "−"), str(n)]
            )  # fmt: skip
    heads = ["per decade of age", "in these nights", "95 % interval", "published", "adults"]
    return Table(heads, rows, [False, True, True, True, True]) if rows else None


def tabulate_sexes(table: pd.DataFrame, names: list[str]) -> Table | None:
    """Median and quartiles of women and men; None where fewer than 3 nights of either are known.

    Args:
        table: Of `tabulate_nights`.
        names: Statistics.
    """
    groups = {sex: table[table["sex"] == sex] for sex in ("female", "male")}
    if min(len(group) for group in groups.values()) < 3:
        return None
    rows = []
    for name in names:
        cells = []
        for group in groups.values():
            values = group[name].dropna()
            if len(values) < 3:
                cells += [MISSING, str(len(values))]
                continue
            low, middle, high = values.quantile([0.25, 0.5, 0.75])
            cells += [f"{show(round(middle, 1))} ({show_interval(round(low, 1), round(high, 1))})", str(len(values))]
        rows.append([_head(name), *cells])
    return Table(["median (quartiles)", "women", "n", "men", "n"], rows, [False, True, True, True, True])


def tabulate_outliers(outliers: pd.DataFrame) -> Table | None:
    """The nights that lie far from the others; None without any.

    Args:
        outliers: Of `find_outliers`.
    """
    if not len(outliers):
        return None
    rows = [
        [str(row["night"]), _head(str(row["statistic"])), show(round(row["value"], 2)), show(round(row["median"], 2)),
         f"{row['distance']:+.1f}".replace("-", "−")]
        for row in outliers.head(MOST_SHOWN).to_dict("records")
    ]  # fmt: skip
    heads = ["night", "statistic", "value", "median of all", "robust standard deviations away"]
    return Table(heads, rows, [False, False, True, True, True])
