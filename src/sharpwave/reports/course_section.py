"""The section "Cycles and transitions" of the page of a night."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sharpwave.night.decoded import DecodedNight
from sharpwave.reports.formats import MISSING, STAGE_WORDS, order_stages, show
from sharpwave.reports.tables import Table
from sharpwave.reports.timeline import Timeline


def compose_course(night: DecodedNight) -> dict[str, Any] | None:
    """What the template prints of a night's cycles and transitions; None where there is nothing to say.

    Args:
        night: The decoded night.
    """
    course = night.architecture
    if not (course.note or len(course.cycles) or len(course.transitions)):
        return None
    return {
        "note": course.note,
        "cycles": tabulate_cycles(course.cycles, Timeline.of(night)) if len(course.cycles) else None,
        "transitions": tabulate_transitions(course.transitions) if len(course.transitions) else None,
    }


def tabulate_cycles(cycles: pd.DataFrame, line: Timeline) -> Table:
    """One row a sleep cycle, in minutes.

    Args:
        cycles: Of `find_sleep_cycles`.
        line: Writes the time at which a cycle begins.
    """
    minutes = [name for name in ("length", "nrem", "rem", "wake", "deep") if cycles[name].notna().any()]
    minutes += ["unscored"] * bool(cycles["unscored"].any())
    words = {"length": "whole, min", "nrem": "NREM, min", "rem": "REM, min", "wake": "wake, min", "deep": "deep, min"}
    rows = [
        [str(int(row["cycle"])), line.write(row["onset"]), *[f"{row[name]:.1f}" for name in minutes],
         "" if row["complete"] else "no REM followed"]
        for row in cycles.to_dict("records")
    ]  # fmt: skip
    heads = ["cycle", "begins", *[words.get(name, f"{name}, min") for name in minutes], "complete"]
    whole = cycles[cycles["complete"].astype(bool)]
    if len(whole) > 1:
        means = [show(round(float(whole[name].mean()), 1), like=[0.5]) for name in minutes]
        rows.append(["mean", f"of {len(whole)} complete", *means, ""])
    if cycles["complete"].all():
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return Table(heads, rows, [False, False, *[True] * len(minutes), *[False] * (len(heads) - 2 - len(minutes))])


def tabulate_transitions(transitions: pd.DataFrame) -> Table:
    """Which stage follows which, in per cent of the epochs of the first.

    Args:
        transitions: Of `count_transitions`.
    """
    names = order_stages(list(dict.fromkeys(transitions["stage"])))
    shares = transitions.set_index(["stage", "next_stage"])["share"]
    counts = transitions.groupby("stage")["count"].sum()
    rows = []
    for first in names:
        values = [shares[(first, second)] for second in names]
        cells = [MISSING if not np.isfinite(value) else f"{100 * value:.1f}" for value in values]
        rows.append([STAGE_WORDS.get(first, first), *cells, str(int(counts[first]))])
    heads = ["from ↓ to →, %", *[STAGE_WORDS.get(name, name) for name in names], "n"]
    return Table(heads, rows, [False] + [True] * (len(heads) - 1))
