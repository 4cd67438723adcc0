"""The section "Spectra and coupling" of the page of a night."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.night.decoded import DecodedNight
from sharpwave.reports import svg
from sharpwave.reports.axes import Box
from sharpwave.reports.formats import MISSING, STAGE_COLOURS, STAGE_WORDS, order_stages, show, show_interval
from sharpwave.reports.tables import Table

DASHES = {"W": "6 3", "R": "2 2", "N1": "7 2 2 2", "LIGHT": "7 2 2 2"}
"""Dashes of the curves, so that no stage is told by its colour alone."""


def compose_oscillations(night: DecodedNight) -> dict[str, Any] | None:
    """What the template prints of a night's spectra and coupling; None where there are neither.

    Args:
        night: The decoded night.
    """
    found = night.oscillations
    if not (len(found.power) or len(found.coupling)):
        return None
    nrem = [
        name for name in ("N2", "N3", "DEEP", "NREM", "LIGHT") if len(found.power) and name in set(found.power["stage"])
    ]
    return {
        "channel": found.channel,
        "curves": draw_curves(found.curves) if len(found.curves) else None,
        "power": tabulate_power(found.power) if len(found.power) else None,
        "cycles": tabulate_power_by_cycle(found.power, stages=nrem[:2]) if nrem else None,
        "aperiodic": tabulate_aperiodic(found.aperiodic) if len(found.aperiodic) else None,
        "coupling": tabulate_coupling(found.coupling) if len(found.coupling) else None,
        "phases": [
            draw_phases(table, name=str(channel)) for channel, table in found.phases.groupby("channel", sort=False)
        ]
        if len(found.phases)
        else [],
        "notes": found.notes,
    }


def _list_bands(power: pd.DataFrame) -> list[str]:
    return [str(name).removesuffix("_share") for name in power.columns if str(name).endswith("_share")]


def tabulate_power(power: pd.DataFrame) -> Table:
    """Band power of each stage over the night: µV², and per cent of all bands.

    Args:
        power: Of `summarise_spectra`.
    """
    whole = {str(row["stage"]): row for row in power[power["cycle"] == "all"].to_dict("records")}
    bands = _list_bands(power)
    rows = []
    for stage in order_stages(list(whole)):
        row = whole[stage]
        cells = [f"{show(round(float(row[band]), 2))} ({100 * row[f'{band}_share']:.0f} %)" for band in bands]
        rows.append([STAGE_WORDS.get(stage, stage), *cells, str(int(row["epochs"]))])
    return Table(["stage", *[f"{band}, µV²" for band in bands], "epochs"], rows, [False] + [True] * (len(bands) + 1))


def tabulate_power_by_cycle(power: pd.DataFrame, *, stages: list[str]) -> Table | None:
    """Band power of NREM sleep in each sleep cycle; None without cycles.

    Args:
        power: Of `summarise_spectra`.
        stages: Stages to show.
    """
    mine = power[(power["cycle"] != "all") & power["stage"].isin(stages)]
    if not len(mine):
        return None
    bands = _list_bands(power)
    rows = [
        [
            str(row["cycle"]),
            str(row["stage"]),
            *[show(round(float(row[band]), 2)) for band in bands],
            str(row["epochs"]),
        ]
        for row in mine.sort_values(["cycle", "stage"]).to_dict("records")
    ]
    heads = ["cycle", "stage", *[f"{band}, µV²" for band in bands], "epochs"]
    return Table(heads, rows, [False, False] + [True] * (len(bands) + 1))


def tabulate_aperiodic(aperiodic: pd.DataFrame) -> Table:
    """Exponent and offset of the aperiodic part by stage.

    Args:
        aperiodic: Of `fit_aperiodic`.
    """
    table = {str(row["stage"]): row for row in aperiodic.to_dict("records")}
    rows = [
        [
            STAGE_WORDS.get(stage, stage),
            f"{row['exponent']:.2f}",
            show_interval(round(row["low"], 2), round(row["high"], 2), like=[0.55]),
            f"{row['offset']:.2f}".replace("-", "−"),
            f"{row['fit']:.3f}",
            f"{show(row['from_hz'])} to {show(row['to_hz'])}",
            str(int(row["epochs"])),
        ]
        for stage in order_stages(list(table))
        for row in [table[stage]]
    ]
    heads = ["stage", "exponent", "95 % interval", "offset, log10 µV²/Hz", "R² of the line", "fitted, Hz", "epochs"]
    return Table(heads, rows, [False] + [True] * 6)


def tabulate_coupling(coupling: pd.DataFrame) -> Table:
    """Spindles on slow waves by channel, each figure beside chance.

    Args:
        coupling: Rows as `Coupling`.
    """
    rows = []
    for row in coupling.to_dict("records"):
        known = np.isfinite(row["strength"])
        shown = known and row["strength_p"] < 0.05
        interval = show_interval(round(row["phase_low"]), round(row["phase_high"])) if shown else MISSING
        rows.append(
            [
                str(row["channel"]),
                f"{int(row['coupled'])} of {int(row['spindles'])}",
                _percent(row["share"]),
                _percent(row["share_chance"]),
                show(row["share_p"]),
                show(round(row["phase"])) + "°" if shown else MISSING,
                interval,
                show(row["strength"]) if known else MISSING,
                show(row["strength_chance"]) if known else MISSING,
                show(row["strength_p"]) if known else MISSING,
                f"{row['polarity']}{', turned' if row['turned'] else ''}",
            ]
        )
    heads = ["channel", "coupled", "share, %", "by chance, %", "p", "phase", "95 % interval, °", "strength",
             "by chance", "p", "polarity"]  # fmt: skip
    return Table(heads, rows, [False, *[True] * 9, False])


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if np.isfinite(value) else MISSING


def draw_curves(curves: pd.DataFrame) -> Markup:
    """Median spectrum of each stage, in dB over Hz.

    Args:
        curves: Of `summarise_spectra`.
    """
    table = curves[(curves["frequency"] >= 0.5) & (curves["frequency"] <= 30)]
    names = order_stages([str(name) for name in table.columns if name != "frequency"])
    power = {name: 10 * np.log10(np.maximum(table[name].to_numpy(dtype=float), 1e-6)) for name in names}
    values = np.concatenate(list(power.values()))
    low, high = float(np.floor(values.min() / 10) * 10), float(np.ceil(values.max() / 10) * 10)
    box = Box(left=44, top=18, width=420, height=190)
    across, up = box.across(0, 30), box.up(low, max(high, low + 10))
    content = [*box.draw_levels(up, np.arange(low, high + 1, 10).tolist())]
    content += box.draw_numbers(across, [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0])
    xs = across.along(table["frequency"].to_numpy(dtype=float))
    for number, name in enumerate(names):
        colour, dashes = STAGE_COLOURS.get(name, "#1b1f24"), DASHES.get(name)
        style: dict[str, float | str | None] = {
            "stroke": colour,
            "fill": "none",
            "stroke_width": 1.8,
            "stroke_dasharray": dashes,
        }
        content.append(svg.element("path", d=svg.line_path(xs, up.along(power[name])), **style))
        y = box.top + 14 * number + 8
        content.append(svg.element("line", x1=box.right - 74, x2=box.right - 48, y1=y, y2=y, **style))
        content.append(svg.text(box.right - 43, y + 4, STAGE_WORDS.get(name, name), anchor="start"))
    content.append(svg.text(0, 10, "dB, µV²/Hz", anchor="start"))
    content.append(svg.text(box.middle, box.bottom + 30, "frequency, Hz", css="strong"))
    label = "Median power spectrum of " + ", ".join(STAGE_WORDS.get(name, name) for name in names) + ", 0.5 to 30 Hz"
    return svg.chart(content, width=box.right + 10, height=box.bottom + 36, label=label)


def draw_phases(table: pd.DataFrame, *, name: str) -> Markup:
    """Spindles by the phase of the slow wave that they lie on, bars, and by chance, a line.

    Args:
        table: phase (degrees), count, chance.
        name: Name of the channel.
    """
    counts, chance = table["count"].to_numpy(dtype=float), table["chance"].to_numpy(dtype=float)
    box = Box(left=10, top=18, width=210, height=96)
    up, step = box.up(0, max(float(counts.max()), float(chance.max()), 1.0)), box.width / len(table)
    content = [
        svg.rect(box.left + step * bar, y, step - 0.8, box.bottom - y, css="bar")
        for bar, y in enumerate(up.along(counts).tolist())
    ]
    middles = box.left + step * (np.arange(len(table)) + 0.5)
    content.append(svg.path(svg.line_path(middles, up.along(chance)), css="control-line"))
    content.append(svg.line(box.left, box.bottom, box.right, box.bottom, css="axis"))
    content.append(svg.text(box.left, 10, name, anchor="start", css="strong"))
    content.append(svg.text(box.right, 10, f"n = {int(counts.sum())}", anchor="end"))
    content += [*box.draw_ends("down −180°", "180°"), svg.text(box.middle, box.bottom + 14, "0° up")]
    label = f"{name}: spindles by phase of the slow wave, {int(counts.sum())} of them; the line is chance"
    return svg.chart(content, width=box.right + 10, height=box.bottom + 20, label=label)
