"""What the forecasts depend on: sentences, pictures and tables, for the page of a night and for a page of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.disk import show_path
from sharpwave.night.decoded import DecodedNight, ForecastExplanation
from sharpwave.outputs import write_file
from sharpwave.reports import tables, tracks
from sharpwave.reports.explanation_figures import describe_directions, draw_directions, draw_parts, show_modality
from sharpwave.reports.formats import show
from sharpwave.reports.templates import render
from sharpwave.reports.timeline import Timeline

LIMITS = (
    "This says what the model used, not what the brain did: a part can be used because it goes along with the cause.",
    "Only the last ten minutes are left out; what the model remembers of earlier times stays.",
    "Two parts that say the same can each be missed little. Then no part is named.",
)


_AMOUNTS = ((0.8, "Nearly all"), (0.5, "Most"), (0.3, "A good part"), (0.0, "A small part"))
"""Least share of the distance from the usual log-odds, and its words."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ExplanationPage:
    """An explanation and the night that it is of. Times are seconds from the start of the recording.

    Attributes:
        identifier: Short name of the night.
        source: How the user named it.
        duration: Length of the recording, in seconds.
        simulated: Whether its signals are simulated.
        start: Clock time of the start, or None.
        model: Name of the model that is explained.
        tables: The explanation.
    """

    identifier: str
    source: str
    duration: float
    simulated: bool = False
    start: datetime | None = None
    model: str = "Brainµ"
    tables: ForecastExplanation = field(default_factory=ForecastExplanation)

    @classmethod
    def of(cls, night: DecodedNight) -> Self:
        """The explanation that a decoded night carries."""
        return cls(
            identifier=night.identifier,
            source=night.source,
            duration=night.duration,
            simulated=night.simulated,
            start=night.start,
            tables=night.explanation,
        )


def write_explanation(page: ExplanationPage, path: str | Path) -> Path:
    """Write an explanation as a self-contained HTML page.

    Args:
        page: The explanation and the night that it is of.
        path: File to write; its folder must exist.
    """
    path = Path(path)
    content = compose_explanation(page)
    write_file(path, show_path(render("explanation.html", page=page, explained=content)))
    return path


def compose_explanation(page: ExplanationPage) -> dict[str, Any] | None:
    """Everything that the section prints; None where nothing was explained."""
    found = page.tables
    if not (len(found.forecasts) or len(found.modalities)):
        return None
    line = Timeline(0.0, max(page.duration, 1.0), page.start)
    forecasts = []
    for row in found.forecasts.to_dict("records"):
        mine = found.parts[found.parts["onset"] == row["onset"]] if len(found.parts) else found.parts
        words = describe_forecast(row, line)
        forecasts.append({"words": words, "chart": draw_parts(mine, summary=words) if len(mine) else None})
    names = [str(name) for name in found.latents.columns if name != "onset"]
    return {
        "overall": describe_modalities(found.modalities),
        "modalities": _tabulate_modalities(found.modalities),
        "forecasts": forecasts,
        "latents": draw_directions(found.latents, found.out_of_distribution, line),
        "latents_words": describe_directions(names, pd.DataFrame()),
        "axis": tracks.draw_axis(line, marks={}),
        "directions": _tabulate_directions(found.directions),
        "out_of_distribution": describe_out_of_distribution(found.out_of_distribution),
        "limits": list(LIMITS),
    }


def describe_forecast(row: dict[Any, Any], line: Timeline) -> str:
    """One forecast in words: how sure, what made it so, and what it would have been without that.

    >>> row = {"onset": 60.0, "horizon": 30.0, "p_change": 0.62, "p_typical": 0.1, "modality": "eeg"}
    >>> row |= {"channel": "C4-M1", "reach": 90.0, "share": 0.7, "p_without": 0.21}
    >>> print(describe_forecast(row, Timeline(0, 3600)))
    At 0:01 h the model gave 62 % for a change of stage within 30 s (10 % is usual in this night). Most of the rise came
    from the EEG (C4-M1) of the last 90 s: without that it would have given 21 %.
    """
    head = (
        f"At {line.write(row['onset'])} the model gave {_percent(row['p_change'])} for a change of stage within "
        f"{_write_span(row['horizon'])} ({_percent(row['p_typical'])} is usual in this night)."
    )
    if not row["modality"]:
        return f"{head} No single modality carried it: without the last ten minutes of any one, it stays much the same."
    known = {row["modality"], show_modality(row["modality"]), row["modality"].replace("_", " ")}
    channel = f" ({row['channel']})" if row["channel"] and row["channel"] not in known else ""
    side = "rise" if row["p_change"] >= row["p_typical"] else "fall"
    part = next((words for least, words in _AMOUNTS if row["share"] >= least), _AMOUNTS[-1][1])
    return (
        f"{head} {part} of the {side} came from the {show_modality(row['modality'])}{channel} of the last "
        f"{_write_span(row['reach'])}: without that it would have given {_percent(row['p_without'])}."
    )


def describe_modalities(modalities: pd.DataFrame) -> str:
    """Which modality matters most over the night, in a sentence."""
    if not len(modalities):
        return ""
    first = modalities.sort_values("effect", ascending=False).iloc[0]
    return (
        f"Over the night the forecast leans most on the {show_modality(str(first['modality']))}: without its last ten "
        f"minutes the log-odds of a change move by {show(float(first['effect']))} on average "
        f"({_percent(first['share'])} of what all modalities move)."
    )


def describe_out_of_distribution(steps: pd.DataFrame) -> str:
    """Where the model should not be asked, and what made it strange."""
    if not len(steps):
        return ""
    flagged = steps[steps["abstain"].astype(bool)]
    if not len(flagged):
        return "No step of this night is unlike what the model was trained on."
    named = flagged[flagged["channel"].astype(str) != ""]
    worst = named["channel"].value_counts()
    tail = f", mostly because of {str(worst.index[0]).replace('_', ' ')}" if len(worst) else ""
    return (
        f"{_percent(len(flagged) / len(steps))} of the steps are unlike what the model was trained on{tail}: do not "
        "lean on stages and forecasts there."
    )


def _tabulate_modalities(modalities: pd.DataFrame) -> tables.Table:
    if not len(modalities):
        return tables.arrange(modalities)
    table = modalities.assign(modality=[show_modality(str(name)) for name in modalities["modality"]])
    percent = {name: (100 * table[name]).round() for name in ("share", "present") if name in table}
    heads = {"effect": "change of the log-odds without it", "share": "share, %", "present": "recorded, % of the night"}
    return tables.arrange(table.assign(**percent).drop(columns="n", errors="ignore"), heads)


def _tabulate_directions(directions: pd.DataFrame) -> tables.Table:
    if not len(directions):
        return tables.arrange(directions)
    order = ["name", "correlation", "low", "high", "null_correlation", "null_high", "n", "named"]
    heads = {
        "name": "tracks",
        "value": "correlation, nights left out",
        "null_correlation": "with other subjects' nights",
        "null_high": "95 % of those below",
        "n": "nights",
    }
    table = directions[[name for name in order if name in directions]].rename(columns={"correlation": "value"})
    return tables.arrange(table, heads)


def _percent(share: float) -> str:
    return "–" if share is None or not np.isfinite(share) else f"{100 * share:.0f} %"


def _write_span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 120 and seconds % 60 == 0 else f"{seconds:g} s"


__getattr__ = moved.rename(
    __name__,
    {"ExplainedNight": "ExplanationPage", "describe_doubts": "describe_out_of_distribution"},
)
