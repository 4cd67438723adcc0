"""Charts of effects: one row a content with its interval, and the course around events beside control moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from markupsafe import Markup

from sharpwave.reports.charts import draw_figure, draw_line, draw_text
from sharpwave.reports.svg import area_path, line_path, number

_RATIOS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_NEAR = (0.8, 0.9, 1.0, 1.1, 1.25)
_FARTHEST = 10.0
"""Ratio beyond which an interval is cut at the edge of the chart."""


def draw_forest(table: pd.DataFrame, *, title: str, ratio: bool, summary: str) -> Markup:
    """One row an effect: its value and interval against the line of no effect; hollow where it is no rule.

    Args:
        table: name, value, low, high, and shown (True for a rule).
        title: What the axis is, with its unit.
        ratio: True for ratios, on a logarithmic axis with 1 as no effect; else 0 is no effect.
        summary: For who cannot see it.
    """
    values = table[["value", "low", "high"]].to_numpy(dtype=float)
    ticks = _choose_ratios(values) if ratio else _choose_ticks(values)
    width, left, step, top = 330.0, 92.0, 26.0, 22.0
    bottom = top + step * len(table) + 4
    ends = np.log(ticks[[0, -1]]) if ratio else ticks[[0, -1]]

    def place(value: float) -> float:
        at = np.log(value) if ratio else value
        share = (at - ends[0]) / (ends[1] - ends[0])
        return float(left + (width - left - 14) * np.clip(share, -0.02, 1.02))

    content = [draw_text(0, 12, title, anchor="start", css="strong")]
    for tick in ticks.tolist():
        css = "diagonal" if tick == (1.0 if ratio else 0.0) else "rule"
        content.append(draw_line(place(tick), top, place(tick), bottom, css))
        content.append(draw_text(place(tick), bottom + 14, f"{tick:g}".replace("-", "−")))
    for index, row in enumerate(table.to_dict("records")):
        y = top + step * index + step / 2 + 2
        content.append(draw_text(left - 10, y + 4, row["name"], anchor="end"))
        if np.isfinite([row["low"], row["high"]]).all():
            content.append(draw_line(place(row["low"]), y, place(row["high"]), y, "whisker"))
        css = "dot" if row["shown"] else "hollow"
        content.append(f'<circle cx="{number(place(row["value"]))}" cy="{number(y)}" r="4.5" class="{css}"/>')
    return draw_figure(content, width=width, height=bottom + 20, label=summary)


def draw_peri_event(table: pd.DataFrame, *, title: str, unit: str, limits: tuple[float, float], summary: str) -> Markup:
    """The mean course around events with its interval, and that around control moments as a dashed line.

    Args:
        table: lag (s), value, low, high, control.
        title: Of the panel.
        unit: Of the values.
        limits: Lowest and highest value drawn, the same for panels that are compared.
        summary: For who cannot see it.
    """
    width, height, left, top = 300.0, 120.0, 40.0, 22.0
    lags = table["lag"].to_numpy(dtype=float)
    span = max(lags[-1] - lags[0], 1e-9)

    def across(values: Float[np.ndarray, " point"]) -> Float[np.ndarray, " point"]:
        return left + (width - left - 10) * (values - lags[0]) / span

    def down(column: str) -> Float[np.ndarray, " point"]:
        share = (table[column].to_numpy(dtype=float) - limits[0]) / max(limits[1] - limits[0], 1e-9)
        return top + height * (1 - np.clip(share, 0, 1))

    content = [draw_text(0, 12, title, anchor="start", css="strong")]
    for level in _choose_ticks(np.array(limits)).tolist():
        share = (level - limits[0]) / max(limits[1] - limits[0], 1e-9)
        if 0 <= share <= 1:
            y = top + height * (1 - share)
            content.append(draw_line(left, y, width - 10, y, "rule"))
            content.append(draw_text(left - 5, y + 4, f"{level:g}".replace("-", "−"), anchor="end"))
    middle = float(across(np.zeros(1))[0])
    content.append(draw_line(middle, top, middle, top + height, "diagonal"))
    xs = across(lags)
    content.append(f'<path d="{area_path(xs, down("low"), down("high"))}" class="depth-area"/>')
    content.append(f'<path d="{line_path(xs, down("control"))}" class="control-line"/>')
    content.append(f'<path d="{line_path(xs, down("value"))}" class="event-line"/>')
    for tick in (lags[0], 0.0, lags[-1]):
        words = f"{tick:g}".replace("-", "−") + (" s" if tick == lags[-1] else "")
        content.append(draw_text(float(across(np.array([tick]))[0]), top + height + 14, words))
    content.append(draw_text(width - 10, 12, unit, anchor="end"))
    return draw_figure(content, width=width, height=top + height + 20, label=summary)


def _choose_ratios(values: Float[np.ndarray, "row part"]) -> Float[np.ndarray, " tick"]:
    """Ticks that hold all ratios: from a half to two or wider, or the small ones where all lie near 1."""
    finite = values[np.isfinite(values) & (values > 0)]
    if finite.size and _NEAR[0] <= finite.min() and finite.max() <= _NEAR[-1]:
        return np.array(_NEAR)
    low = max(min(float(finite.min(initial=0.5)), 0.5), 1 / _FARTHEST)
    high = min(max(float(finite.max(initial=2.0)), 2.0), _FARTHEST)
    inside = [tick for tick in _RATIOS if low / 2.5 < tick < high * 2.5]
    first = max((tick for tick in inside if tick <= low), default=inside[0])
    last = min((tick for tick in inside if tick >= high), default=inside[-1])
    return np.array([tick for tick in _RATIOS if first <= tick <= last])


def _choose_ticks(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, " tick"]:
    """Three to seven round ticks around zero that hold all values."""
    finite = values[np.isfinite(values)]
    low, high = min(float(finite.min(initial=0.0)), 0.0), max(float(finite.max(initial=0.0)), 0.0)
    span = max(high - low, 1e-6)
    sizes: Sequence[float] = [digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5)]
    step = next(size for size in sizes if span / size <= 4)
    return np.arange(np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9) + 1) * step
