"""Charts of a network's run: lines against steps or doses, a matrix of accuracies, and the loss below the stages."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from sharpwave.reports import svg
from sharpwave.reports.charts import draw_figure, draw_line, draw_text
from sharpwave.reports.downsample import downsample_line
from sharpwave.reports.formats import show
from sharpwave.reports.svg import number
from sharpwave.reports.timeline import Timeline
from sharpwave.reports.tracks import Track

COLOURS = ("#2960AD", "#B67416", "#8b96a1", "#931755", "#389BD0", "#051738")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 3", "10 4")
"""Lines differ in dashes too, so that colour never stands alone."""

_WIDTH, _HEIGHT, _LEFT, _TOP = 250.0, 128.0, 34.0, 20.0


def list_styles(names: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes of each line, in order."""
    return {name: (COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]) for i, name in enumerate(names)}


def draw_key(styles: dict[str, tuple[str, str]]) -> Markup:
    """Which line is which."""
    parts = [
        f'<span><svg width="30" height="10"><line x1="0" x2="30" y1="5" y2="5" stroke="{colour}" stroke-width="2" '
        f'stroke-dasharray="{dash}"/></svg> {escape(name)}</span>'
        for name, (colour, dash) in styles.items()
    ]
    return Markup(f'<p class="legend">{"".join(parts)}</p>')


def draw_lines(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    line: str,
    styles: dict[str, tuple[str, str]],
    title: str,
    below: str,
    summary: str,
    marks: tuple[float, ...] = (),
) -> Markup:
    """One line for each value of a column, from 0 to 1 along the side.

    Args:
        table: Long table.
        x: Column along the bottom.
        y: Column up the side, 0 to 1.
        line: Column that tells the lines apart.
        styles: From `list_styles`.
        title: Above the chart.
        below: What is along the bottom.
        summary: For who cannot see it.
        marks: Places along the bottom to mark with a vertical line.
    """
    low, high = float(table[x].min()), float(table[x].max())
    wide, tall = _WIDTH - _LEFT - 10, _HEIGHT - _TOP

    def place(values: pd.Series) -> np.ndarray:
        return _LEFT + wide * (values.to_numpy(dtype=float) - low) / max(high - low, 1e-12)

    content = [draw_text(_LEFT, 11, title, anchor="start", css="strong")]
    for level in (0.0, 0.5, 1.0):
        height = _TOP + tall * (1 - level)
        content.append(draw_line(_LEFT, height, _LEFT + wide, height, "rule"))
        content.append(draw_text(_LEFT - 5, height + 4, f"{level:g}", anchor="end"))
    for mark in marks:
        at = _LEFT + wide * (mark - low) / max(high - low, 1e-12)
        content.append(draw_line(at, _TOP, at, _HEIGHT, "grid-line"))
    for name, (colour, dash) in styles.items():
        mine = table[table[line] == name].dropna(subset=[y]).sort_values(x)
        heights = _TOP + tall * (1 - mine[y].to_numpy(dtype=float).clip(0, 1))
        path = svg.line_path(place(mine[x]), heights)
        if path:
            content.append(
                f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dash}"/>'
            )
    for value, anchor in ((low, "start"), (high, "end")):
        at = _LEFT if anchor == "start" else _LEFT + wide
        content.append(draw_text(at, _HEIGHT + 14, f"{value:g}", anchor=anchor))
    content.append(draw_text(_LEFT + wide / 2, _HEIGHT + 14, below))
    return draw_figure(content, width=_WIDTH, height=_HEIGHT + 20, label=summary)


def draw_matrix(matrix: pd.DataFrame, *, summary: str) -> Markup:
    """Accuracy on each task (across) after each was learned (down)."""
    after, tasks = list(dict.fromkeys(matrix["after"])), list(dict.fromkeys(matrix["task"]))
    cell, left, top = 46.0, 96.0, 34.0
    content = [draw_text(left + cell * len(tasks) / 2, 11, "accuracy on task", css="strong")]
    content += [draw_text(left + cell * (i + 0.5), top - 6, str(task)) for i, task in enumerate(tasks)]
    for row, name in enumerate(after):
        y = top + 30 * row
        content.append(draw_text(left - 8, y + 19, f"after task {name}", anchor="end"))
        for column, task in enumerate(tasks):
            found = matrix[(matrix["after"] == name) & (matrix["task"] == task)]["accuracy"]
            if not len(found) or not np.isfinite(found.iloc[0]):
                continue
            value = float(found.iloc[0])
            content.append(
                f'<rect x="{number(left + cell * column)}" y="{number(y)}" width="{cell - 2:g}" height="28" '
                f'fill="#2960AD" fill-opacity="{number(0.08 + 0.92 * value)}"/>'
            )
            css = "on-dark" if value > 0.5 else ""
            content.append(draw_text(left + cell * (column + 0.5) - 1, y + 18, f"{value:.2f}", css=css))
    return draw_figure(content, width=left + cell * len(tasks), height=top + 30 * len(after), label=summary)


def draw_loss(losses: pd.DataFrame, line: Timeline, *, summary: str) -> Track:
    """Loss of each step as a line, on the axis of the stages."""
    height = 60.0
    times, values = downsample_line(
        losses["step"].to_numpy(dtype=float), losses["loss"].to_numpy(dtype=float), most=400
    )
    finite = values[np.isfinite(values)]
    top = float(np.percentile(finite, 99)) if finite.size else 1.0
    ys = height - 2 - (height - 4) * np.clip(values / max(top, 1e-12), 0, 1)
    xs = np.array([10 * line.percent(time) for time in times])
    curve = f'<path d="{svg.line_path(xs, ys)}" class="depth-line"/>'
    labels = [
        svg.text("100%", 10, show(top), anchor="end"),
        svg.text("100%", height / 2 + 4, "Loss", css="strong", anchor="end"),
        svg.text("100%", height, "0", anchor="end"),
    ]
    content = [svg.horizontal(height - 0.5, css="rule"), svg.stretch(curve, y=0, width=1000, height=height)]
    left = svg.plot(labels, height=height + 8, label="Loss", css="labels")
    return Track("Loss", left, svg.plot(content, height=height + 8, label=f"Loss. {summary}"), height + 8, summary)
