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
from sharpwave.reports.axes import Box, choose_step, list_ticks, write
from sharpwave.reports.raster import compute_viridis, encode_png

if TYPE_CHECKING:
    from sharpwave.reactivation.session import ReplaySession

_MARK, _BAND = "#931755", "#c9d3de"


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
    map_box, spike_box = Box(left=44, top=34, width=230, height=120), Box(left=44, top=160, width=230, height=90)
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
    sides = [(up.at(value) + 4, f"{value:.3g}") for value in (low, high)]
    sides += [(map_box.top + map_box.height / 2 + 4, event.unit)]
    sides += [(spike_box.top + spike_box.height / 2 + 4, "cells")]
    content += [svg.text(map_box.left - 5, y, words, anchor="end") for y, words in sides]
    across = spike_box.across(0, event.duration)
    step = spike_box.height / max(event.n_rows, 1)
    for x, row in zip(across.along(event.spike_times).tolist(), event.spike_rows.tolist(), strict=True):
        y = spike_box.bottom - step * (row + 1)
        content.append(svg.rect(x - 0.7, y, 1.4, max(step * 0.85, 2), fill="#1b1f24"))
    content.append(svg.line(spike_box.left, spike_box.bottom, spike_box.right, spike_box.bottom, css="axis"))
    content += spike_box.draw_ends("0", f"{1000 * event.duration:.0f} ms")
    words = f"{event.title}. {event.words}"
    return svg.chart(content, width=map_box.right + 8, height=spike_box.bottom + 20, label=words)


def draw_shares(tests: pd.DataFrame, *, summary: str) -> Markup:
    """One row an epoch: the share of events beyond chance (dot), and 95 % of the surrogates' shares (band)."""
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
        content.append(svg.rect(low, y - 7, max(high - low, 1), 14, fill=_BAND))
        content.append(svg.circle(across.at(row["share"]), y, 5, fill=_MARK))
    content.append(svg.text(box.middle + 10, box.bottom + 31, "share of events beyond chance"))
    return svg.chart(content, width=box.right + 20, height=box.bottom + 38, label=summary)


def _draw_posterior(posterior: Float[np.ndarray, "bin place"], box: Box) -> str:
    scaled = np.sqrt(np.clip(posterior / max(float(posterior.max()), 1e-12), 0, 1)).T[::-1]
    address = encode_png(np.round(255 * scaled).astype(np.uint8), compute_viridis(256))
    style = "image-rendering:pixelated"
    return svg.image(box.left, box.top, box.width, box.height, address=address, style=style)
