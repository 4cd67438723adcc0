"""Pictures of replay: what an event decodes to above the spikes it was decoded from, and shares beyond chance."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from markupsafe import Markup, escape

from sharpwave.reports.colours import compute_viridis
from sharpwave.reports.raster import encode_png
from sharpwave.reports.svg import number

_LEFT, _WIDE, _POSTERIOR, _RASTER = 44.0, 230.0, 120.0, 90.0
_MARK, _BAND = "#931755", "#c9d3de"


@dataclass(frozen=True, eq=False)
class DrawnEvent:
    """One event as drawn.

    Attributes:
        title: First line.
        words: Second line.
        posterior: Probability of each place in each bin.
        places: Position of each row of it.
        unit: Of positions.
        duration: In s.
        spike_times: In s from the onset.
        spike_rows: Row of each spike, cells in the order of their fields.
        n_rows: Number of rows.
        path: Position at the start and at the end, of the straight line through the posterior.
    """

    title: str
    words: str
    posterior: Float[np.ndarray, "bin place"]
    places: Float[np.ndarray, " place"]
    unit: str
    duration: float
    spike_times: Float[np.ndarray, " spike"]
    spike_rows: Int[np.ndarray, " spike"]
    n_rows: int
    path: tuple[float, float]


def draw_event(event: DrawnEvent) -> Markup:
    """The posterior over places (bright is probable) with its straight line, and below it the spikes."""
    top, low = 34.0, float(event.places[0])
    span = max(float(event.places[-1]) - low, 1e-9)

    def place(value: float) -> float:
        return top + _POSTERIOR * (1 - (value - low) / span)

    content = [_text(_LEFT, 12, event.title, css="strong"), _text(_LEFT, 27, event.words)]
    content.append(
        f'<image x="{number(_LEFT)}" y="{number(top)}" width="{number(_WIDE)}" height="{number(_POSTERIOR)}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{_encode(event.posterior)}"/>'
    )
    start, end = event.path
    content.append(
        f'<line x1="{number(_LEFT)}" x2="{number(_LEFT + _WIDE)}" y1="{number(place(start))}" '
        f'y2="{number(place(end))}" stroke="#fff" stroke-width="1.2" stroke-dasharray="4 3"/>'
    )
    for value in (low, low + span):
        content.append(_text(_LEFT - 5, place(value) + 4, f"{value:.3g}", anchor="end"))
    content.append(_text(_LEFT - 5, top + _POSTERIOR / 2 + 4, event.unit, anchor="end"))
    base = top + _POSTERIOR + 6
    step = _RASTER / max(event.n_rows, 1)
    for time, row in zip(event.spike_times.tolist(), event.spike_rows.tolist(), strict=True):
        x, y = _LEFT + _WIDE * min(max(time / event.duration, 0), 1), base + _RASTER - step * (row + 1)
        height = number(max(step * 0.85, 2))
        content.append(f'<rect x="{number(x - 0.7)}" y="{number(y)}" width="1.4" height="{height}" fill="#1b1f24"/>')
    bottom = base + _RASTER
    content.append(_text(_LEFT - 5, base + _RASTER / 2 + 4, "cells", anchor="end"))
    content.append(
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{number(bottom)}" y2="{number(bottom)}" class="axis"/>'
    )
    content.append(_text(_LEFT, bottom + 14, "0"))
    content.append(_text(_LEFT + _WIDE, bottom + 14, f"{1000 * event.duration:.0f} ms", anchor="end"))
    return _figure(content, width=_LEFT + _WIDE + 8, height=bottom + 20, label=f"{event.title}. {event.words}")


def draw_shares(tests: pd.DataFrame, *, summary: str) -> Markup:
    """One row an epoch: the share of events beyond chance (dot), and 95 % of the surrogates' shares (band)."""
    width, left, step = 560.0, 150.0, 34.0
    ends = np.array([*tests["share"], *tests["high"], *tests["low"], 0.0], dtype=float)
    lowest, highest = float(np.nanmin(ends)), max(float(np.nanmax(ends)), 0.1) * 1.05

    def place(value: float) -> float:
        return left + (width - left - 20) * (value - lowest) / (highest - lowest)

    size = next((each for each in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if (highest - lowest) / each <= 6), 0.5)
    bottom = step * len(tests) + 4
    content = []
    for tick in np.arange(np.ceil(lowest / size), np.floor(highest / size) + 1) * size:
        x = number(place(float(tick)))
        content.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{number(bottom)}" class="rule"/>')
        words = f"{round(100 * tick)} %".replace("-", "−")
        content.append(_text(place(float(tick)), bottom + 14, words, anchor="middle"))
    for index, row in enumerate(tests.to_dict("records")):
        y = step * index + step / 2 + 2
        content.append(_text(left - 10, y + 4, str(row["epoch"]), anchor="end", css="strong"))
        band = place(row["high"]) - place(row["low"])
        content.append(
            f'<rect x="{number(place(row["low"]))}" y="{number(y - 7)}" width="{number(max(band, 1))}" height="14" '
            f'fill="{_BAND}"/>'
        )
        content.append(f'<circle cx="{number(place(row["share"]))}" cy="{number(y)}" r="5" fill="{_MARK}"/>')
    content.append(_text((left + width) / 2, bottom + 31, "share of events beyond chance", anchor="middle"))
    return _figure(content, width=width, height=bottom + 38, label=summary)


def _encode(posterior: Float[np.ndarray, "bin place"]) -> str:
    scaled = np.sqrt(np.clip(posterior / max(float(posterior.max()), 1e-12), 0, 1)).T[::-1]
    picture = encode_png(np.round(255 * scaled).astype(np.uint8), compute_viridis(256))
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def _text(x: float, y: float, words: str, *, anchor: str = "start", css: str = "") -> str:
    style = f' class="{css}"' if css else ""
    return f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def _figure(content: list[str], *, width: float, height: float, label: str) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {number(width)} {number(height)}" width="{number(width)}" '
        f'height="{number(height)}" role="img" aria-label="{escape(label)}">{"".join(content)}</svg>'
    )
