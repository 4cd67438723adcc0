"""The run on the page of a session's replays: was it decoded, its place fields and clocks, in words and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.reports import svg
from sharpwave.reports.axes import Box, choose_ticks, list_ticks, write
from sharpwave.reports.raster import compute_viridis, encode_png

if TYPE_CHECKING:
    from sharpwave.reactivation.place_fields import PlaceFields
    from sharpwave.reactivation.run_check import RunCheck, RunError

_HEADINGS = {0: "outbound", 1: "inbound", -1: ""}
_MOST_CELLS = 12
"""Cells whose map is drawn where maps have two dimensions."""

ERRORS: Mapping[str, str] = {
    "past_only": "past spikes only",
    "smoothed": "all spikes",
    "exchanged": "cells exchanged",
    "most_occupied": "most occupied place",
}
"""What each error of a run is called."""


def describe_check(check: RunCheck) -> list[str]:
    """Whether the run was decoded, and whether the clocks agree, in sentences; warnings first."""
    return warn_of_run(check) + describe_run(check)


def describe_run(check: RunCheck) -> list[str]:
    """The error on each track beside chance, and the best lag, in sentences."""
    if not check.errors:
        return ["There are too few traversals to check by cross-validation whether the run can be decoded."]
    words = [_describe_error(error) for error in check.errors]
    if len(check.lags) and not check.clocks_apart:
        as_it_should = ", as it should be." if abs(check.best_lag) < 0.5 else ", hardly better than none."
        words.append(
            "The clocks of spikes and position: the best lag between −15 and 15 s is "
            f"{_seconds(check.best_lag)}{as_it_should}"
        )
    return words


def warn_of_run(check: RunCheck) -> list[str]:
    """What stands above everything: that no replay can be read, that the clocks disagree; empty where neither."""
    words = []
    if check.decoded is False:
        hint = "" if check.clocks_apart else " Check that units and position belong together, and --run."
        words.append(
            "No replay can be read from this session: from the spikes of the run the animal's place cannot be decoded "
            f"above chance, so that what events decode to means nothing.{hint}"
        )
    if check.clocks_apart:
        late = "late" if check.best_lag > 0 else "early"
        words.append(
            f"The clocks of spikes and position seem to be {_seconds(abs(check.best_lag))} apart, the position's "
            f"running {late}: with this taken off, the error of decoding is {_percent(check.best_error)} of the track, "
            f"without {_percent(check.error_without_lag)}. Place fields and events below suffer from it; run again "
            f"with `--lag {check.best_lag:g}`."
        )
    return words


def _describe_error(error: RunError) -> str:
    verdict = "" if error.decoded else " That is no better than chance."
    return (
        f"On {error.content} the decoding error of the run is {_percent(error.past_only)} of the track "
        f"({error.past_only * error.length:.3g} {error.unit}; median, past spikes only, cross-validated over "
        f"{error.n_folds} folds of traversals), {_percent(error.smoothed)} with all spikes. Chance: cells exchanged "
        f"{_percent(error.exchanged)} (at best {_percent(error.exchanged_least)}), always the most occupied place "
        f"{_percent(error.most_occupied)}.{verdict}"
    )


def tabulate_errors(check: RunCheck) -> pd.DataFrame:
    """One row per track: its length, and the errors as shares of it."""
    rows = []
    for error in check.errors:
        shares = {words: _percent(asdict(error)[name]) for name, words in ERRORS.items()}
        rows.append(
            {"track": error.content, "length": f"{error.length:.3g} {error.unit}", **shares, "bins": error.n_bins}
        )
    return pd.DataFrame(rows)


def draw_errors(check: RunCheck) -> Markup | None:
    """Errors of the run by track beside what knows nothing; None without any."""
    if not check.errors:
        return None
    rows = [(error, name) for error in check.errors for name in ERRORS]
    several = len(check.errors) > 1
    names = [f"{error.content}: {ERRORS[name]}" if several else ERRORS[name] for error, name in rows]
    values = [asdict(error)[name] for error, name in rows]
    box = Box.of_rows(len(rows), step=24, left=210 if several else 150, width=300)
    across = box.across(0, max(*values, 0.05) * 1.08)
    ticks = [tick for tick in (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8) if tick <= across.high]
    if across.high > 0.3:
        ticks = [tick for tick in ticks if tick != 0.05]
    content = box.draw_columns(across, ticks)
    content += box.draw_numbers(across, ticks, [f"{100 * tick:.0f} %" for tick in ticks])
    content += box.draw_names(names)
    for y, value, (_, name) in zip(box.rows(len(rows)), values, rows, strict=True):
        css = "ours" if name in ("past_only", "smoothed") else "chance"
        content.append(svg.circle(across.at(value), y, 5, css=css))
    content.append(svg.text(box.middle, box.bottom + 31, "median error, share of the track"))
    return svg.chart(content, width=box.right + 24, height=box.bottom + 38, label=" ".join(describe_check(check)))


def draw_lags(check: RunCheck) -> Markup | None:
    """Error of decoding by the lag between the clocks; None where it was not scanned."""
    if not len(check.lags):
        return None
    box = Box(left=48, top=18, width=460, height=130)
    highest = max(float(check.lag_errors.max()), 0.05) * 1.1
    across, up = box.across(float(check.lags[0]), float(check.lags[-1])), box.up(0, highest)
    levels = [tick for tick in choose_ticks(np.array([0.0, highest])).tolist() if 0 <= tick <= highest]
    content = [svg.line(box.left, up.at(tick), box.right, up.at(tick), css="rule") for tick in levels]
    content += [svg.text(box.left - 6, up.at(tick) + 4, f"{100 * tick:.0f} %", anchor="end") for tick in levels]
    ticks = list_ticks(float(check.lags[0]), float(check.lags[-1]), 5.0).tolist()
    content += box.draw_columns(across, ticks, none=0.0)
    content += box.draw_numbers(across, ticks, [write(tick) for tick in ticks], gap=17)
    curve = svg.line_path(across.along(check.lags), up.along(check.lag_errors))
    content.append(svg.path(curve, css="ours-line"))
    content.append(svg.circle(across.at(check.best_lag), up.at(check.best_error), 4.5, css="ours"))
    side = "start" if check.best_lag < 8 else "end"
    x = across.at(check.best_lag) + (9 if side == "start" else -9)
    content.append(
        svg.text(x, up.at(check.best_error) + 4, f"best at {_seconds(check.best_lag)}", anchor=side, css="strong")
    )
    content.append(svg.text(box.middle, box.bottom + 34, "lag of the position behind the spikes, s"))
    label = f"Error of decoding by lag; the best is at {_seconds(check.best_lag)}"
    return svg.chart(content, width=box.right + 16, height=box.bottom + 38, label=label)


def draw_fields(fields: PlaceFields) -> list[Markup]:
    """Place fields: on tracks one picture a map, cells sorted by the place of their peak; else a picture a cell."""
    if fields.position.shape[1] > 1:
        return _draw_planes(fields)
    return [_draw_map(fields, places) for places in fields.maps]


def _draw_map(fields: PlaceFields, places: np.ndarray) -> Markup:
    content, heading = fields.contents[fields.content[places[0]]], _HEADINGS[int(fields.direction[places[0]])]
    places = places[np.argsort(fields.position[places, 0], kind="stable")]
    rates = fields.rates[:, places]
    active = rates.max(axis=1) >= 1.0
    shown = rates[active][np.argsort(rates[active].argmax(axis=1), kind="stable")]
    box = Box(left=14, top=34, width=230, height=150)
    title = f"{content} {heading}".strip()
    words = f"{len(shown)} cells, peaks {shown.max():.0f} Hz at most" if len(shown) else "no cell above 1 Hz"
    drawn = [svg.text(box.left, 12, title, anchor="start", css="strong"), svg.text(box.left, 27, words, anchor="start")]
    if len(shown):
        drawn.append(_draw_image(shown / shown.max(axis=1, keepdims=True), box))
    along = fields.position[places, 0]
    drawn += box.draw_ends(f"{along[0]:.3g}", f"{along[-1]:.3g} {fields.unit}")
    drawn.append(svg.text(box.middle, box.bottom + 14, "place on the track"))
    return svg.chart(drawn, width=box.right + 14, height=box.bottom + 20, label=f"Place fields, {title}: {words}")


def _draw_planes(fields: PlaceFields) -> list[Markup]:
    from sharpwave.reactivation.place_fields import compute_information

    drawn = []
    for unit in np.argsort(-compute_information(fields), kind="stable")[:_MOST_CELLS].tolist():
        own = fields.content == fields.content[int(fields.rates[unit].argmax())]
        cell = np.rint((fields.position[own] - fields.position[own].min(axis=0)) / fields.bin_size).astype(int)
        image = np.zeros(cell.max(axis=0) + 1)
        image[tuple(cell.T)] = fields.rates[unit, own]
        size = 130 / max(image.shape)
        box = Box(left=4, top=20, width=size * image.shape[0], height=size * image.shape[1])
        title = f"cell {fields.units[unit]}, {fields.rates[unit].max():.0f} Hz"
        content = [svg.text(box.left, 13, title, anchor="start"), _draw_image(image.T[::-1] / image.max(), box)]
        drawn.append(svg.chart(content, width=142, height=box.bottom + 6, label=f"Place field of {title} at its peak"))
    return drawn


def _draw_image(shares: np.ndarray, box: Box) -> str:
    address = encode_png(np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8), compute_viridis(256))
    return svg.image(box.left, box.top, box.width, box.height, address=address, css="pixels")


def _seconds(lag: float) -> str:
    return f"{lag:.1f} s".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
