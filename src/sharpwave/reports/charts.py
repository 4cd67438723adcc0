"""The charts beside tables: reliability, skill, distributions of events, effects, and averages around events."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.reports import svg
from sharpwave.reports.axes import (
    Box,
    choose_ratios,
    choose_step,
    choose_ticks,
    draw_whisker,
    write,
)


def draw_reliability(reliability: pd.DataFrame, *, summary: str) -> Markup:
    """How often a change came against how probable it was called; the area of a dot is its number of epochs."""
    table = reliability.dropna(subset=["predicted", "observed"])
    top = float(max(table["predicted"].max(), table["observed"].max(), *_column(table, "high"), 0.1))
    top = min(1.0, np.ceil(top * 10 + 1e-9) / 10)
    box = Box(left=46, top=8, width=186, height=186)
    across, up = box.across(0, top), box.up(0, top)
    ticks = (0.0, top / 2, top)
    content = [*box.draw_levels(up, ticks), *box.draw_numbers(across, ticks, gap=15)]
    content.append(svg.line(box.left, box.bottom, box.right, box.top, css="diagonal"))
    biggest = max(float(table["n"].max()), 1.0)
    for row in table.to_dict("records"):
        x, y = across.at(row["predicted"]), up.at(row["observed"])
        content += draw_whisker(row, up, x, upright=True)
        content.append(svg.circle(x, y, 2.5 + 6 * np.sqrt(row["n"] / biggest), css="dot"))
    content.append(svg.text(box.middle, box.bottom + 30, "forecast probability of a change", css="strong"))
    turned = f"translate(9 {svg.number(box.top + box.height / 2)}) rotate(-90)"
    content.append(svg.element("g", svg.text(0, 0, "share that changed", css="strong"), transform=turned))
    return svg.chart(content, width=box.right + 12, height=box.bottom + 36, label=summary)


def draw_skill(skill: pd.DataFrame, *, metric: str, summary: str) -> Markup:
    """One row a method: its value, its interval, and the published reference as a hollow diamond."""
    table = skill.dropna(subset=[metric])
    ends = np.array([*table[metric], *_column(table, "high"), *_column(table, "reference")], dtype=float)
    highest = max(float(np.nanmax(ends)), 1e-3) * 1.02
    box = Box.of_rows(len(table), step=26, left=172, width=262)
    across = box.across(0, highest)
    step = choose_step(highest, (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, highest / 4), most=4)
    ticks = np.arange(0, highest, step).tolist()
    content = box.draw_columns(across, ticks)
    content += box.draw_numbers(across, ticks, [write(tick, ".2g") for tick in ticks])
    names = [str(name) for name in table["method"]]
    content += box.draw_names([name if len(name) < 23 else name[:22] + "…" for name in names], gap=8)
    for y, row in zip(box.rows(len(table)), table.to_dict("records"), strict=True):
        content += draw_whisker(row, across, y)
        reference = row.get("reference", np.nan)
        if isinstance(reference, (int, float)) and np.isfinite(reference):
            corner = f"M{svg.number(across.at(reference))} {svg.number(y - 6)}"
            content.append(svg.path(f"{corner}l5 6l-5 6l-5 -6Z", css="hollow"))
        content.append(svg.circle(across.at(row[metric]), y, 4.5, css="dot"))
    title = metric.upper().replace("_", " ")
    content.append(svg.text(box.middle + 8, box.bottom + 29, title, css="strong"))
    return svg.chart(content, width=box.right + 16, height=box.bottom + 34, label=summary)


def draw_distribution(values: pd.Series, *, name: str, unit: str, summary: str, bins: int = 24) -> Markup:
    """A histogram of one property of one kind of event."""
    finite = values.to_numpy(dtype=float)
    finite = finite[np.isfinite(finite)]
    low, high = np.percentile(finite, [0.5, 99.5])
    counts, edges = np.histogram(finite, bins=bins, range=(low, max(high, low + 1e-9)))
    box = Box(left=10, top=18, width=210, height=96)
    up, step = box.up(0, max(counts.max(), 1)), box.width / bins
    content = [
        svg.rect(box.left + step * bar, y, step - 0.8, box.bottom - y, css="bar")
        for bar, y in enumerate(up.along(counts.astype(float)).tolist())
    ]
    content.append(svg.line(box.left, box.bottom, box.right, box.bottom, css="axis"))
    content.append(svg.text(box.left, 10, name, anchor="start", css="strong"))
    content.append(svg.text(box.right, 10, f"n = {finite.size}", anchor="end"))
    first, middle, last = (f"{write(edge, '.3g')} {unit}" for edge in np.linspace(edges[0], edges[-1], 3))
    content += [*box.draw_ends(first, last), svg.text(box.middle, box.bottom + 14, middle)]
    return svg.chart(content, width=box.right + 10, height=box.bottom + 20, label=summary)


def draw_forest(table: pd.DataFrame, *, title: str, ratio: bool, summary: str) -> Markup:
    """One row an effect: its value and interval against the line of no effect; hollow where it is no rule.

    Args:
        table: name, value, low, high, and shown (True for a rule).
        title: What the axis is, with its unit.
        ratio: True for ratios, on a logarithmic axis with 1 as no effect; else 0 is no effect.
        summary: What the chart shows, in words, for who cannot see it.
    """
    values = table[["value", "low", "high"]].to_numpy(dtype=float)
    ticks = (choose_ratios(values) if ratio else choose_ticks(values)).tolist()
    box = Box.of_rows(len(table), step=26, left=92, width=224, top=22)
    across = box.across(ticks[0], ticks[-1], beyond=0.02, logarithmic=ratio)
    content = [svg.text(0, 12, title, anchor="start", css="strong")]
    content += box.draw_columns(across, ticks, none=1.0 if ratio else 0.0)
    content += box.draw_numbers(across, ticks)
    content += box.draw_names([str(name) for name in table["name"]])
    for y, row in zip(box.rows(len(table)), table.to_dict("records"), strict=True):
        content += draw_whisker(row, across, y)
        content.append(svg.circle(across.at(row["value"]), y, 4.5, css="dot" if row["shown"] else "hollow"))
    return svg.chart(content, width=box.right + 14, height=box.bottom + 20, label=summary)


def draw_peri_event(table: pd.DataFrame, *, title: str, unit: str, limits: tuple[float, float], summary: str) -> Markup:
    """The peri-event average with its interval, and that around control moments as a dashed line.

    Args:
        table: lag (s), value, low, high, control.
        title: Title of the panel.
        unit: Unit of the values.
        limits: Lowest and highest value drawn, the same for panels that are compared.
        summary: What the chart shows, in words, for who cannot see it.
    """
    lags = table["lag"].to_numpy(dtype=float)
    first, last = float(lags[0]), float(lags[-1])
    box = Box(left=40, top=22, width=250, height=120)
    across, up = box.across(first, last, beyond=np.inf), box.up(*limits)
    xs = across.along(lags)
    ys = {name: up.along(table[name].to_numpy(dtype=float)) for name in ("value", "low", "high", "control")}
    content = [svg.text(0, 12, title, anchor="start", css="strong")]
    levels = choose_ticks(np.array(limits)).tolist()
    content += box.draw_levels(up, [level for level in levels if limits[0] <= level <= limits[1]])
    content.append(box.draw_upright(across.at(0), css="diagonal"))
    content.append(svg.path(svg.area_path(xs, ys["low"], ys["high"]), css="depth-area"))
    content.append(svg.path(svg.line_path(xs, ys["control"]), css="control-line"))
    content.append(svg.path(svg.line_path(xs, ys["value"]), css="event-line"))
    content += box.draw_numbers(across, [first, 0.0, last], [write(first), "0", f"{write(last)} s"])
    content.append(svg.text(box.right, 12, unit, anchor="end"))
    return svg.chart(content, width=box.right + 10, height=box.bottom + 20, label=summary)


def _column(table: pd.DataFrame, name: str) -> list[float]:
    if name not in table:
        return []
    return [float(value) for value in pd.to_numeric(table[name], errors="coerce").dropna()]
