"""Charts of a network's run: lines against steps or doses, a matrix of accuracies, and the loss below the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from markupsafe import Markup, escape

from sharpwave.reports import svg
from sharpwave.reports.axes import Box, Scale, write
from sharpwave.reports.formats import show, tint
from sharpwave.reports.timeline import Timeline, downsample_line
from sharpwave.reports.tracks import Track, compose_track, draw_curve, draw_label

N_COLOURS = 8
"""Colours of lines in `page.css`: classes `line-0` to `line-7`."""

DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 3", "10 4", "4 2 1 2", "12 3 3 3")
"""Lines differ in dashes too, so that colour never stands alone."""


class Style(NamedTuple):
    """How a line is drawn: the number of its colour, and its dashes."""

    colour: int
    dash: str


def list_styles(names: Sequence[str]) -> dict[str, Style]:
    """Colour and dashes of each line, in order; no two of the first 64 lines are alike.

    >>> list_styles(["sleep", "replay"])["replay"]
    Style(colour=1, dash='6 3')
    """
    many = len(DASHES)
    return {name: Style(i % N_COLOURS, DASHES[(i + i // N_COLOURS) % many]) for i, name in enumerate(names)}


def draw_key(styles: Mapping[str, Style]) -> Markup:
    """Which line is which."""
    parts = []
    for name, style in styles.items():
        sample = svg.line(0, 5, 30, 5, css=f"line line-{style.colour}", stroke_dasharray=style.dash or None)
        picture = svg.element("svg", sample, width=30, height=10, aria_hidden="true")
        parts.append(f"<span>{picture} {escape(name)}</span>")
    return Markup(f'<p class="legend">{"".join(parts)}</p>')


def draw_line(
    xs: Float[np.ndarray, " point"], up: Scale, rows: pd.DataFrame, style: Style, *, y: str, spread: bool
) -> tuple[list[str], list[str]]:
    """The band between `low` and `high` of a table's rows, where it has them, and the line through the values."""
    band = []
    if spread and {"low", "high"} <= set(rows.columns):
        ends = [up.along(rows[name].to_numpy(dtype=float)) for name in ("high", "low")]
        band = [svg.path(svg.area_path(xs, *ends), css=f"spread spread-{style.colour}")]
    path = svg.line_path(xs, up.along(rows[y].to_numpy(dtype=float)))
    line = [svg.path(path, css=f"line line-{style.colour}", stroke_dasharray=style.dash or None)] if path else []
    return band, line


def draw_lines(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    line: str,
    styles: Mapping[str, Style],
    title: str,
    below: str,
    summary: str,
) -> Markup:
    """One line for each value of a column, from 0 to 1 along the side, with its band over seeds.

    Args:
        table: A long table: one row a point; `low` and `high` are the band, where there.
        x: Column along the bottom.
        y: Column up the side, 0 to 1.
        line: Column that tells the lines apart.
        styles: Colour and dashes of each line, from `list_styles`.
        title: Above the chart.
        below: What is along the bottom.
        summary: What the chart shows, in words, for who cannot see it.
    """
    low, high = float(table[x].min()), float(table[x].max())
    box = Box(left=34, top=20, width=306, height=130)
    across, up = box.across(low, high, beyond=np.inf), box.up(0, 1)
    content = [svg.text(box.left, 11, title, anchor="start", css="strong"), *box.draw_levels(up, (0.0, 0.5, 1.0))]
    bands, lines = [], []
    for name, style in styles.items():
        mine = table[table[line] == name].dropna(subset=[y]).sort_values(x)
        band, path = draw_line(across.along(mine[x].to_numpy(dtype=float)), up, mine, style, y=y, spread=True)
        bands += band
        lines += path
    content += [*bands, *lines, *box.draw_ends(write(low), write(high))]
    content.append(svg.text(box.middle, box.bottom + 14, below))
    return svg.chart(content, width=box.right + 10, height=box.bottom + 20, label=summary)


def draw_accuracy(
    table: pd.DataFrame,
    line: Timeline,
    styles: Mapping[str, Style],
    *,
    name: str,
    ceiling: float | None,
    summary: str,
) -> Track:
    """Accuracy on one task over the run, on the axis of the stages: one line a method, with its band over seeds.

    Args:
        table: method, step, accuracy, [low, high], of one task.
        line: The axis of the run.
        styles: Colour and dashes of each method, from `list_styles`.
        name: What the row is called.
        ceiling: Accuracy of a network that learned all tasks together, to the end; None where it was not trained.
        summary: What the row shows, in a sentence.
    """
    height = 58.0
    up = Scale(0.0, 1.0, height - 2, 2)
    bands, lines = [], []
    for method, style in styles.items():
        mine = table[table["method"] == method].dropna(subset=["accuracy"]).sort_values("step")
        xs = np.array([10 * line.percent(step) for step in mine["step"]])
        band, path = draw_line(xs, up, mine, style, y="accuracy", spread=True)
        bands += band
        lines += path
    content = [svg.horizontal(up.at(level), css="rule") for level in (0.0, 0.5, 1.0)]
    if ceiling is not None and np.isfinite(ceiling):
        content.append(svg.horizontal(up.at(ceiling), css="ceiling"))
    content.append(svg.stretch("".join([*bands, *lines]), y=0, width=1000, height=height))
    labels = [draw_label(10, "1"), draw_label(height / 2 + 4, name, css="strong"), draw_label(height, "0")]
    return compose_track(name, labels, content, height=height + 8, summary=summary)


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
