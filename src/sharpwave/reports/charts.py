"""Small charts beside their tables: reliability, skill, and distributions of events."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from sharpwave.reports.svg import number

_SIZE = 244.0
_LEFT, _BOTTOM = 46.0, 34.0


def draw_figure(content: list[str], *, width: float, height: float, label: str) -> Markup:
    """A chart from pieces of SVG; `label` is for who cannot see it."""
    return Markup(
        f'<svg class="chart" viewBox="0 0 {number(width)} {number(height)}" width="{number(width)}" '
        f'height="{number(height)}" role="img" aria-label="{escape(label)}">{"".join(content)}</svg>'
    )


def draw_text(x: float, y: float, words: object, *, anchor: str = "middle", css: str = "") -> str:
    """Escaped text at a point, in pixels."""
    style = f' class="{css}"' if css else ""
    return f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def draw_line(x0: float, y0: float, x1: float, y1: float, css: str) -> str:
    """A straight line between two points, in pixels."""
    return f'<line x1="{number(x0)}" y1="{number(y0)}" x2="{number(x1)}" y2="{number(y1)}" class="{css}"/>'


def draw_reliability(reliability: pd.DataFrame, *, summary: str) -> Markup:
    """How often a change came against how probable it was called; the area of a dot is its number of epochs."""
    table = reliability.dropna(subset=["predicted", "observed"])
    top = float(max(table["predicted"].max(), table["observed"].max(), *_column(table, "high"), 0.1))
    top = min(1.0, np.ceil(top * 10 + 1e-9) / 10)
    side = _SIZE - _LEFT - 12

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + side * min(x, top) / top, 8 + side * (1 - min(y, top) / top)

    content = []
    for tick in (0.0, top / 2, top):
        x, y = place(tick, tick)
        content += [
            draw_line(_LEFT, y, _LEFT + side, y, "rule"),
            draw_text(_LEFT - 5, y + 4, f"{tick:.2g}", anchor="end"),
        ]
        content.append(draw_text(x, 8 + side + 15, f"{tick:.2g}"))
    content.append(draw_line(*place(0, 0), *place(top, top), "diagonal"))
    biggest = max(float(table["n"].max()), 1.0)
    for row in table.to_dict("records"):
        x, y = place(row["predicted"], row["observed"])
        if np.isfinite(row.get("low", np.nan)) and np.isfinite(row.get("high", np.nan)):
            content.append(draw_line(x, place(0, row["low"])[1], x, place(0, row["high"])[1], "whisker"))
        radius = 2.5 + 6 * np.sqrt(row["n"] / biggest)
        content.append(f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" class="dot"/>')
    content.append(draw_text(_LEFT + side / 2, 8 + side + 30, "forecast probability of a change", css="strong"))
    turned = f"translate(9 {number(8 + side / 2)}) rotate(-90)"
    content.append(f'<g transform="{turned}">{draw_text(0, 0, "share that changed", css="strong")}</g>')
    return draw_figure(content, width=_SIZE, height=8 + side + _BOTTOM + 2, label=summary)


def draw_skill(skill: pd.DataFrame, *, metric: str, summary: str) -> Markup:
    """One row a method: its value, its interval, and the published reference as a hollow diamond."""
    table = skill.dropna(subset=[metric])
    width, left, step = 450.0, 172.0, 26.0
    ends = np.array([*table[metric], *_column(table, "high"), *_column(table, "reference")], dtype=float)
    highest = max(float(np.nanmax(ends)), 1e-3) * 1.02
    tick_step = next((size for size in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0) if highest / size <= 4), highest / 4)
    ticks = np.arange(0, highest, tick_step)
    top = max(highest, float(ticks[-1]))

    def place(value: float) -> float:
        return left + (width - left - 16) * min(max(value / top, 0), 1)

    content = []
    bottom = step * len(table) + 4
    for tick in ticks:
        content += [
            draw_line(place(tick), 0, place(tick), bottom, "rule"),
            draw_text(place(tick), bottom + 14, f"{tick:.2g}"),
        ]
    for index, row in enumerate(table.to_dict("records")):
        y = step * index + step / 2 + 2
        words = str(row["method"])
        content.append(draw_text(left - 8, y + 4, words if len(words) < 23 else words[:22] + "…", anchor="end"))
        if np.isfinite(row.get("low", np.nan)) and np.isfinite(row.get("high", np.nan)):
            content.append(draw_line(place(row["low"]), y, place(row["high"]), y, "whisker"))
        reference = row.get("reference", np.nan)
        if isinstance(reference, (int, float)) and np.isfinite(reference):
            x = place(reference)
            content.append(f'<path d="M{number(x)} {number(y - 6)}l5 6l-5 6l-5 -6Z" class="hollow"/>')
        content.append(f'<circle cx="{number(place(row[metric]))}" cy="{number(y)}" r="4.5" class="dot"/>')
    content.append(draw_text((left + width) / 2, bottom + 29, metric.upper().replace("_", " "), css="strong"))
    return draw_figure(content, width=width, height=bottom + 34, label=summary)


def draw_distribution(values: pd.Series, *, name: str, unit: str, summary: str, bins: int = 24) -> Markup:
    """A histogram of one property of one kind of event."""
    finite = values.to_numpy(dtype=float)
    finite = finite[np.isfinite(finite)]
    low, high = np.percentile(finite, [0.5, 99.5])
    counts, edges = np.histogram(finite, bins=bins, range=(low, max(high, low + 1e-9)))
    width, height = 230.0, 96.0
    step = (width - 20) / bins
    bars = [
        f'<rect x="{number(10 + step * i)}" y="{number(18 + height * (1 - count / max(counts.max(), 1)))}" '
        f'width="{number(step - 0.8)}" height="{number(height * count / max(counts.max(), 1))}" class="bar"/>'
        for i, count in enumerate(counts.tolist())
    ]
    content = [*bars, draw_line(10, 18 + height, width - 10, 18 + height, "axis")]
    content.append(draw_text(10, 10, name, anchor="start", css="strong"))
    content.append(draw_text(width - 10, 10, f"n = {finite.size}", anchor="end"))
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        value = edges[0] + share * (edges[-1] - edges[0])
        content.append(draw_text(10 + share * (width - 20), 18 + height + 14, f"{value:.3g} {unit}", anchor=anchor))
    return draw_figure(content, width=width, height=height + 38, label=summary)


def _column(table: pd.DataFrame, name: str) -> list[float]:
    if name not in table:
        return []
    return [float(value) for value in pd.to_numeric(table[name], errors="coerce").dropna()]
