"""Charts of a network's run: lines against steps or doses, a matrix of accuracies, and the loss below the stages."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from sharpwave.reports import svg
from sharpwave.reports.axes import Box, Scale, write
from sharpwave.reports.formats import show, tint
from sharpwave.reports.timeline import Timeline, downsample_line
from sharpwave.reports.tracks import Track, compose_track, draw_curve, draw_label

COLOURS = ("#2960AD", "#B67416", "#8b96a1", "#931755", "#389BD0", "#051738")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 3", "10 4")
"""Lines differ in dashes too, so that colour never stands alone."""


def list_styles(names: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes of each line, in order."""
    return {name: (COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]) for i, name in enumerate(names)}


def draw_key(styles: dict[str, tuple[str, str]]) -> Markup:
    """Which line is which."""
    parts = []
    for name, (colour, dash) in styles.items():
        sample = svg.line(0, 5, 30, 5, stroke=colour, stroke_width=2, stroke_dasharray=dash)
        parts.append(f"<span>{svg.element('svg', sample, width=30, height=10)} {escape(name)}</span>")
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
        table: A long table: one row a point.
        x: Column along the bottom.
        y: Column up the side, 0 to 1.
        line: Column that tells the lines apart.
        styles: Colour and dashes of each line, from `list_styles`.
        title: Above the chart.
        below: What is along the bottom.
        summary: What the chart shows, in words, for who cannot see it.
        marks: Places along the bottom to mark with a vertical line.
    """
    low, high = float(table[x].min()), float(table[x].max())
    box = Box(left=34, top=20, width=206, height=108)
    across, up = box.across(low, high, beyond=np.inf), box.up(0, 1)
    content = [svg.text(box.left, 11, title, anchor="start", css="strong")]
    content += box.draw_levels(up, (0.0, 0.5, 1.0))
    content += [box.draw_upright(across.at(mark), css="grid-line") for mark in marks]
    for name, (colour, dash) in styles.items():
        mine = table[table[line] == name].dropna(subset=[y]).sort_values(x)
        xs, ys = (scale.along(mine[part].to_numpy(dtype=float)) for scale, part in ((across, x), (up, y)))
        if path := svg.line_path(xs, ys):
            content.append(svg.path(path, fill="none", stroke=colour, stroke_width=1.6, stroke_dasharray=dash))
    content += box.draw_ends(write(low), write(high))
    content.append(svg.text(box.middle, box.bottom + 14, below))
    return svg.chart(content, width=box.right + 10, height=box.bottom + 20, label=summary)


def draw_matrix(matrix: pd.DataFrame, *, summary: str) -> Markup:
    """Accuracy on each task (across) after each was learned (down)."""
    after, tasks = list(dict.fromkeys(matrix["after"])), list(dict.fromkeys(matrix["task"]))
    cell, left, top = 46.0, 96.0, 34.0
    content = [svg.text(left + cell * len(tasks) / 2, 11, "accuracy on task", css="strong")]
    content += [svg.text(left + cell * (i + 0.5), top - 6, task) for i, task in enumerate(tasks)]
    for row, name in enumerate(after):
        y = top + 30 * row
        content.append(svg.text(left - 8, y + 19, f"after task {name}", anchor="end"))
        for column, task in enumerate(tasks):
            found = matrix[(matrix["after"] == name) & (matrix["task"] == task)]["accuracy"]
            if not len(found) or not np.isfinite(found.iloc[0]):
                continue
            x, value = left + cell * column, float(found.iloc[0])
            fill, css = tint("#2960AD", 0.08 + 0.92 * value)
            content.append(svg.rect(x, y, cell - 2, 28, fill=fill))
            content.append(svg.text(x + cell / 2 - 1, y + 18, write(value, ".2f"), css=css))
    return svg.chart(content, width=left + cell * len(tasks), height=top + 30 * len(after), label=summary)


def draw_loss(losses: pd.DataFrame, line: Timeline, *, summary: str) -> Track:
    """Loss of each step as a line, on the axis of the stages."""
    height = 60.0
    times, values = downsample_line(
        losses["step"].to_numpy(dtype=float), losses["loss"].to_numpy(dtype=float), most=400
    )
    finite = values[np.isfinite(values)]
    top = float(np.percentile(finite, 99)) if finite.size else 1.0
    curve = draw_curve(times, values, line, Scale(0, top, height - 2, 2), height=height, css="depth-line")
    labels = [draw_label(10, show(top)), draw_label(height / 2 + 4, "Loss", css="strong"), draw_label(height, "0")]
    content = [svg.horizontal(height - 0.5, css="rule"), curve]
    return compose_track("Loss", labels, content, height=height + 8, summary=summary)
