"""Pictures of replay: what an event decodes to above the spikes it was decoded from, and shares beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from markupsafe import Markup

from sharpwave.reports import svg
from sharpwave.reports.axes import Box, Scale, choose_step, list_ticks, write
from sharpwave.reports.raster import compute_viridis, encode_png

if TYPE_CHECKING:
    from sharpwave.reactivation.session import ReplaySession


@dataclass(frozen=True, eq=False)
class DrawnEvent:
    """One event as drawn.

    Attributes:
        title: First line above the picture.
        words: Second line above the picture.
        posterior: Probability of each place in each bin.
        places: Position of each row of it.
        unit: Unit of positions.
        duration: Length of the event in s.
        spike_times: Time of each spike in s from the onset of the event.
        spike_rows: Row of each spike, cells in the order of their fields.
        n_rows: Number of rows of spikes: one a cell.
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


def take_events(session: ReplaySession, chosen: Sequence[int]) -> list[DrawnEvent]:
    """Some events with their posterior over the places of their content, and their spikes."""
    from sharpwave.reactivation.state_space import decode_posteriors

    fields, binned = session.experience.fields, session.binned
    drawn = []
    for event, posterior in zip(chosen, decode_posteriors(binned, fields, events=chosen), strict=True):
        row = session.events.iloc[event]
        own = fields.content == fields.contents.index(row["content"])
        along = fields.position[own, 0]
        places = np.arange(along.min(), along.max() + fields.bin_size / 2, fields.bin_size)
        nearest = np.clip(np.rint((along - along.min()) / fields.bin_size).astype(int), 0, len(places) - 1)
        image = np.zeros((len(places), len(posterior)))
        np.add.at(image, nearest, posterior.sum(axis=1)[:, own].T)
        counts = binned.of(event)
        bins, unit = np.nonzero(counts)
        rank = np.empty(len(fields.units), dtype=int)
        rank[np.argsort(along[fields.rates[:, own].argmax(axis=1)], kind="stable")] = np.arange(len(fields.units))
        suffix = "" if "path_start" in row else "_x"
        drawn.append(
            DrawnEvent(
                title=f"{row['onset']:.2f} s · {row['content']} {row['run_direction']}".strip(),
                words=f"p = {row['p']:.3g}, q = {row['q']:.2g}, z = {row['z']:.1f}, {row['epoch']}",
                posterior=image.T,
                places=places,
                unit=fields.unit,
                duration=float(row["duration"]),
                spike_times=(bins + 0.5) * binned.bin_size,
                spike_rows=rank[unit],
                n_rows=len(fields.units),
                path=(float(row[f"path_start{suffix}"]), float(row[f"path_end{suffix}"])),
            )
        )
    return drawn


def draw_event(event: DrawnEvent) -> Markup:
    """The posterior over places (bright is probable) with its straight line, and below it the spikes."""
    map_box, spike_box = Box(left=58, top=34, width=230, height=120), Box(left=58, top=160, width=230, height=90)
    low, high = float(event.places[0]), float(event.places[-1])
    up = map_box.up(low, high, beyond=np.inf)
    content = [
        svg.text(map_box.left, 12, event.title, anchor="start", css="strong"),
        svg.text(map_box.left, 27, event.words, anchor="start"),
        _draw_posterior(event.posterior, map_box),
    ]
    start, end = map(up.at, event.path)
    content.append(
        svg.line(map_box.left, start, map_box.right, end, stroke="#fff", stroke_width=1.2, stroke_dasharray="4 3")
    )
    content += _draw_places(up, low, high, event.unit, map_box)
    content.append(svg.text(spike_box.left - 5, spike_box.top + spike_box.height / 2 + 4, "cells", anchor="end"))
    across = spike_box.across(0, event.duration)
    step = spike_box.height / max(event.n_rows, 1)
    for x, row in zip(across.along(event.spike_times).tolist(), event.spike_rows.tolist(), strict=True):
        y = spike_box.bottom - step * (row + 1)
        content.append(svg.rect(x - 0.7, y, 1.4, max(step * 0.85, 2), css="spike"))
    content.append(svg.line(spike_box.left, spike_box.bottom, spike_box.right, spike_box.bottom, css="axis"))
    content += _draw_times(spike_box, event.duration)
    words = f"{event.title}. {event.words}"
    return svg.chart(content, width=map_box.right + 20, height=spike_box.bottom + 20, label=words)


def _draw_places(up: Scale, low: float, high: float, unit: str, box: Box) -> list[str]:
    """Round places along the side, the unit with the uppermost."""
    step = choose_step(high - low, (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500), most=4)
    ticks = list_ticks(low, high, step).tolist()
    words = [write(tick, ".4g") for tick in ticks]
    words[-1:] = [f"{words[-1]} {unit}"] if len(words) else []
    drawn = [
        svg.text(box.left - 5, up.at(tick) + 4, said, anchor="end") for tick, said in zip(ticks, words, strict=True)
    ]
    return drawn + [svg.line(box.left - 3, up.at(tick), box.left, up.at(tick), css="axis") for tick in ticks]


def _draw_times(box: Box, duration: float) -> list[str]:
    """Round times since the onset of the event along the bottom, in milliseconds."""
    length = 1000 * duration
    ticks = list_ticks(0.0, length, choose_step(length, (10, 20, 50, 100, 200, 500, 1000), most=5)).tolist()
    across = box.across(0, length)
    words = [f"{tick:g}" for tick in ticks]
    words[-1] += " ms"
    marks = [svg.line(across.at(tick), box.bottom, across.at(tick), box.bottom + 4, css="axis") for tick in ticks]
    return [*marks, *box.draw_numbers(across, ticks, words, gap=16)]


def draw_shares(tests: pd.DataFrame, *, summary: str) -> Markup:
    """One row an epoch: events beyond chance (dot, with their number), and 95 % of what surrogates give (band)."""
    ends = np.array([*tests["share"], *tests["high"], *tests["low"], 0.0], dtype=float)
    lowest, highest = float(np.nanmin(ends)), max(float(np.nanmax(ends)), 0.1) * 1.05
    box = Box.of_rows(len(tests), step=34, left=150, width=390)
    across = box.across(lowest, highest)
    step = choose_step(highest - lowest, (0.02, 0.05, 0.1, 0.2, 0.25, 0.5), most=6)
    ticks = list_ticks(lowest, highest, step).tolist()
    content = box.draw_columns(across, ticks)
    content += box.draw_numbers(across, ticks, [f"{write(round(100 * tick), 'd')} %" for tick in ticks])
    content += box.draw_names([str(epoch) for epoch in tests["epoch"]], css="strong")
    for y, row in zip(box.rows(len(tests)), tests.to_dict("records"), strict=True):
        low, high = across.at(row["low"]), across.at(row["high"])
        content.append(svg.rect(low, y - 7, max(high - low, 1), 14, css="band"))
        content.append(svg.circle(across.at(row["share"]), y, 5, css="ours"))
        words = count_events(row["share"], row.get("n_events", np.nan))
        content.append(svg.text(box.right + 14, y + 4, words, anchor="start", css="strong"))
    content.append(svg.text(box.middle + 10, box.bottom + 31, "share of events beyond chance"))
    return svg.chart(content, width=box.right + 120, height=box.bottom + 38, label=summary)


def count_events(share: float, n: float, *, word: str = "") -> str:
    """A share as a number of events; with the share beside it where there are many; empty where it is of none.

    Args:
        share: Share of the events, 0 to 1.
        n: Number of all events.
        word: What they are called; by default nothing.

    >>> count_events(1 / 15, 15), count_events(0.2, 180), count_events(0.0, 0)
    ('1 of 15', '36 of 180 (20 %)', '')
    """
    if not np.isfinite(n) or n < 1 or not np.isfinite(share):
        return ""
    counted = f"{round(share * n)} of {round(n)} {word}".rstrip()
    return f"{counted} ({100 * share:.0f} %)" if n >= _MANY else counted


_MANY = 50
"""Events from which on a share is said in per cent as well."""


def _draw_posterior(posterior: Float[np.ndarray, "bin place"], box: Box) -> str:
    scaled = np.sqrt(np.clip(posterior / max(float(posterior.max()), 1e-12), 0, 1)).T[::-1]
    address = encode_png(np.round(255 * scaled).astype(np.uint8), compute_viridis(256))
    return svg.image(box.left, box.top, box.width, box.height, address=address, css="pixels")
