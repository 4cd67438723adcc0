"""The page of a long recording: actogram, circadian profile, and its days one by one, each linked to its own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from markupsafe import Markup

from sharpwave.disk import show_path
from sharpwave.outputs import write_file
from sharpwave.reports import svg
from sharpwave.reports.axes import Box
from sharpwave.reports.formats import show, show_name
from sharpwave.reports.raster import compute_viridis, encode_png
from sharpwave.reports.templates import render

MISSING = 255
ROW, LEAST, MOST = 7.0, 90.0, 900.0
"""Pixels of a day in the actogram, and of all of it."""
LINES = ("#c26a00", "#7fa7c9", "#3a78a8", "#17406b", "#a3326b")
"""Colours of the stages in the profile, from wake to REM."""
SHOWN = ("recorded", "missing", "sleep", "cycles", "depth")
"""Statistics of a day in the table of days; `days.parquet` holds all."""


@dataclass(frozen=True, eq=False)
class LongRecording:
    """What the page shows.

    Attributes:
        name: Name of the recording.
        simulated: Whether its signals are simulated.
        notes: Sentences on how it was cut and whose clock it is.
        days: One row a day, phase and statistic: day, phase, name, value, unit, verdict.
        profile: The circadian profile; see `compute_profile`.
        actogram: Share of sleep, shape (day, bin); NaN where nothing was scored.
        addresses: Address of each day's page, relative to this one.
        schedule: Hours of lights on and off; None where there is no schedule.
        clock: Whether the time of day is known, by default; otherwise hours count from the start.
    """

    name: str
    simulated: bool
    notes: Sequence[str]
    days: pd.DataFrame
    profile: pd.DataFrame
    actogram: Float[np.ndarray, "day bin"]
    addresses: Mapping[str, str]
    schedule: tuple[float, float] | None = None
    clock: bool = True

    @property
    def zero(self) -> str:
        """Where the hours of the actogram and of the profile count from."""
        return "lights on" if self.schedule is not None else "midnight" if self.clock else "the start"


def write_days_page(recording: LongRecording, path: str | Path) -> Path:
    """Write the page of a long recording.

    Args:
        recording: What it shows.
        path: File to write; its folder must exist.

    >>> from tempfile import TemporaryDirectory
    >>> days = pd.DataFrame({"day": ["1"], "phase": "day", "name": "sleep", "value": 400.0, "unit": "min"})
    >>> profile = pd.DataFrame({"zt": range(24), "stage": "W", "share": 0.5, "low": 0.4, "high": 0.6, "n": 3})
    >>> shown = LongRecording("rat", False, [], days, profile, np.full((2, 144), 0.5), {"1": "1/report.html"})
    >>> with TemporaryDirectory() as folder:
    ...     'href="1/report.html"' in write_days_page(shown, Path(folder) / "days.html").read_text(encoding="utf-8")
    True
    """
    whole = recording.days[recording.days["phase"] == "day"]
    heads = [name for name in SHOWN if name in set(whole["name"])]
    units = dict(zip(whole["name"], whole["unit"], strict=True))
    cells = {(row["day"], row["name"]): row["value"] for row in whole.to_dict("records")}
    phases = recording.days[recording.days["phase"] != "day"]
    content = render(
        "days.html",
        recording=recording,
        heads=[f"{show_name(head)}{f' ({units[head]})' if units[head] else ''}" for head in heads],
        rows=[
            (day, recording.addresses.get(day), [show(cells.get((day, head), np.nan)) for head in heads])
            for day in dict.fromkeys(whole["day"])
        ],
        phases=_summarise_phases(phases),
        actogram=draw_actogram(recording.actogram, recording.schedule),
        profile=draw_profile(recording.profile, recording.schedule, title=_name_hours(recording.zero)),
        hours=_name_hours(recording.zero),
    )
    return write_file(path, show_path(content))


def _name_hours(zero: str) -> str:
    return "hour of the day" if zero == "midnight" else f"hours since {zero}"


def _summarise_phases(phases: pd.DataFrame) -> list[tuple[str, str, str, str, int]]:
    """Phase, statistic, mean with its unit, standard deviation over days, and days."""
    kept = phases[phases["name"].isin(["sleep_share", "missing", "depth", "NREM", "REM", "N3", "R", "W"])]
    rows = []
    for (phase, name, unit), part in kept.groupby(["phase", "name", "unit"], sort=False):
        values = part["value"].dropna()
        if len(values):
            spread = show(values.std()) if len(values) > 1 else "–"
            rows.append(
                (str(phase), show_name(str(name)), f"{show(values.mean())} {unit}".strip(), spread, len(values))
            )
    return rows


def draw_actogram(shares: Float[np.ndarray, "day bin"], schedule: tuple[float, float] | None) -> Markup:
    """Share of sleep through the days, each row a day and the next one beside it (double plotted).

    >>> "image/png" in draw_actogram(np.array([[0.0, 1.0], [np.nan, 0.5]]), (7.0, 19.0))
    True
    """
    if not len(shares):
        return Markup("")
    after = np.vstack([shares[1:], np.full((1, shares.shape[1]), np.nan)])
    double = np.hstack([shares, after])
    with np.errstate(invalid="ignore"):
        levels = np.where(np.isfinite(double), np.round(np.nan_to_num(double) * (MISSING - 1)), MISSING)
    palette = np.vstack([compute_viridis(MISSING), np.array([[225, 228, 232]], dtype=np.uint8)])
    height = float(np.clip(ROW * len(shares), LEAST, MOST))
    content = [
        svg.image(
            0, 16, "100%", height, address=encode_png(levels.astype(np.uint8), palette), image_rendering="pixelated"
        )
    ]
    if schedule is not None:
        light = (schedule[1] - schedule[0]) % 24 / 24 * 50
        for begin in (0.0, 50.0):
            content.append(svg.rect(svg.percent(begin), 6, svg.percent(light), 8, fill="#f0d264"))
            content.append(svg.rect(svg.percent(begin + light), 6, svg.percent(50 - light), 8, fill="#3c4250"))
    for hour in range(0, 49, 6):
        anchor = "start" if hour == 0 else "end" if hour == 48 else "middle"
        content.append(svg.text(svg.percent(hour / 48 * 100), height + 32, str(hour % 24), anchor=anchor))
    label = f"Actogram of {len(shares)} days: share of sleep in ten minutes, two days a row"
    return svg.plot(content, height=height + 36, label=label)


def draw_profile(profile: pd.DataFrame, schedule: tuple[float, float] | None, *, title: str) -> Markup:
    """Share of each stage by the hour, with its interval over days; `title` says where hours count from."""
    if not len(profile):
        return Markup("")
    box = Box(left=46, top=10, width=520, height=170)
    across, up = box.across(0, 24), box.up(0, 1)
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    content = [*box.draw_levels(up, ticks), *box.draw_numbers(across, [0.0, 6.0, 12.0, 18.0, 24.0], gap=15)]
    if schedule is not None:
        light = (schedule[1] - schedule[0]) % 24
        content.append(svg.rect(across.at(light), box.bottom + 1, across.at(24) - across.at(light), 4, fill="#3c4250"))
    names = list(dict.fromkeys(profile["stage"]))
    ends: list[tuple[float, float, str]] = []
    for name, colour in zip(names, LINES if len(names) == 5 else (LINES[0], LINES[2], LINES[4]), strict=False):
        part = profile[profile["stage"] == name]
        xs = np.array([across.at(hour + 0.5) for hour in part["zt"]])
        low, share, high = (np.array([up.at(v) for v in part[key]]) for key in ("low", "share", "high"))
        content.append(svg.path(svg.area_path(xs, high, low), fill=colour, fill_opacity=0.18))
        content.append(svg.path(svg.line_path(xs, share), fill="none", stroke=colour, stroke_width=2))
        last = np.flatnonzero(np.isfinite(share))
        if last.size:
            ends.append((float(share[last[-1]]), float(xs[last[-1]]), str(name)))
    below = np.inf
    for y, x, name in sorted(ends, reverse=True):  # names from the bottom up, none upon another
        below = min(y + 4, below - 12)
        content.append(svg.text(x + 6, below, name, anchor="start", css="strong"))
    content.append(svg.text(box.middle, box.bottom + 30, title, css="strong"))
    return svg.chart(content, width=box.right + 50, height=box.bottom + 36, label=f"Share of each stage by {title}")
