"""The page of one night: one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.night.decoded import DecodedNight, Spectrogram
from sharpwave.outputs import write_file
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports import charts, explanations, tables, tracks
from sharpwave.reports.course_section import compose_course
from sharpwave.reports.effects_section import arrange_reactivations, compose_effects
from sharpwave.reports.embedded import encode_downloads, encode_live
from sharpwave.reports.explanation_section import ExplanationPage, compose_explanation
from sharpwave.reports.first_screen import choose_tiles, describe_next_steps, describe_reasons
from sharpwave.reports.formats import (
    MISSING,
    STAGE_WORDS,
    order_stages,
    show,
    show_interval,
    show_name,
    split_sentences,
)
from sharpwave.reports.oscillations_section import compose_oscillations
from sharpwave.reports.raster import compute_limits, encode_scale
from sharpwave.reports.templates import render, render_macro
from sharpwave.reports.timeline import Timeline, downsample_hypnogram

WARN_ABOVE = 10_000_000
"""Bytes of a page above which a warning says so."""

_TRUTH_HEADS = {"planted": "put in"}
_EVENT_HEADS = {"frequency": "frequency, Hz", "duration": "duration, s", "microvolts": "µV"}
_HEADS = {"scorer_spread": "spread of experts", "interval": "80 % interval", "age_band": "age band", "n": "n"}


def write_report(night: DecodedNight, path: str | Path) -> Path:
    """Write one decoded night as a self-contained HTML page.

    Args:
        night: The decoded night to show.
        path: File to write; its folder must exist.

    Returns:
        The path written.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sharpwave.recordings import Hypnogram
    >>> hypnogram = Hypnogram(np.array([0, 1, 2, 3], dtype=np.int8))
    >>> nap = DecodedNight(
    ...     identifier="nap", source="nap.edf", duration=120.0, hypnogram=hypnogram, stager="hand", verdict="usable"
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     "nap.edf" in write_report(nap, Path(folder) / "nap.html").read_text(encoding="utf-8")
    True
    """
    path = Path(path)
    content = render("night.html", **compose(night)).encode("utf-8", "replace")
    if len(content) > WARN_ABOVE:
        warnings.warn(
            f"{path.name} is {len(content) / 1e6:.0f} MB; browsers open pages above 10 MB slowly", stacklevel=2
        )
    return write_file(path, content)


def compose(night: DecodedNight) -> dict[str, Any]:
    """Everything the template prints, as text, tables and pictures."""
    line = Timeline.of(night)
    drawn = downsample_hypnogram(night.hypnogram)
    moments = {"lights off": night.night_start, "lights on": night.night_end}
    marks = {name: time for name, time in moments.items() if time is not None}
    spectrogram = None if night.spectrogram is None else Spectrogram(*night.spectrogram)
    rows = _draw_rows(night, drawn, line)
    return {
        "night": night,
        "span": explanations.describe_span(night),
        "reasons": describe_reasons(night),
        "next": describe_next_steps(night),
        "tiles": [] if night.verdict == "not usable" else choose_tiles(night.statistics),
        "rows": rows,
        "row_names": _join([row.name.lower() for row in rows]),
        "stages": [(name, STAGE_WORDS.get(name, name)) for name in order_stages(night.hypnogram.names)],
        "axis": tracks.draw_axis(line, marks=marks),
        "grid": tracks.draw_grid(line, marks=marks, height=sum(row.height for row in rows)),
        "drawn_epoch": drawn.epoch_length if drawn is not night.hypnogram else None,
        "scale": encode_scale() if spectrogram else None,
        "limits_db": [show(round(level, 1)) for level in compute_limits(spectrogram)] if spectrogram else None,
        "explanations": explanations.EXPLANATIONS,
        "sections": list(_fill_sections(night, line)),
        "live": encode_live(night, drawn, line),
    }


def _join(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


def _draw_rows(night: DecodedNight, drawn: Hypnogram, line: Timeline) -> list[tracks.Track]:
    expert = downsample_hypnogram(_as_coarse(night.expert, drawn)) if night.expert is not None else None
    rows = [
        tracks.draw_hypnogram(
            drawn,
            line,
            expert=expert,
            unclear_below=night.unclear_below,
            summary=explanations.describe_stages(night),
        ),
        tracks.draw_hypnodensity(drawn, line, summary=explanations.describe_probabilities(night.hypnogram)),
    ]
    if night.spectrogram is not None and np.size(night.spectrogram[2]):
        spectrogram = Spectrogram(*night.spectrogram)
        rows.append(tracks.draw_spectrogram(spectrogram, line, summary=explanations.describe_spectrogram(spectrogram)))
    if len(night.depth):
        summary = explanations.describe_depth(night.depth, night.depth_unit)
        rows.append(tracks.draw_depth(night.depth, line, unit=night.depth_unit, summary=summary))
    rows.append(tracks.draw_events(night.events, line, summary=explanations.describe_events(night.events, line)))
    rows.append(
        tracks.draw_quality(night.quality_spans, line, summary=explanations.describe_quality(night.quality_spans))
    )
    return [row for row in rows if row is not None]


def _as_coarse(expert: Hypnogram, drawn: Hypnogram) -> Hypnogram:
    """The expert's stages in the names we drew, where the expert has more of them."""
    return expert.merge(drawn.n_stages) if expert.n_stages > drawn.n_stages else expert


def _compose_numbers(night: DecodedNight, line: Timeline) -> dict[str, Any]:
    """The statistics as a table, and what each of them means."""
    order = ["name", "value", "unit", "low", "high", "scorer_spread", "age_band"]
    known = [column for column in order if column in night.statistics]
    if not known:
        return {"table": tables.arrange(night.statistics), "definitions": []}
    others = [column for column in night.statistics if column not in (*order, "definition")]
    frame = night.statistics[[*known, *others]]
    names = [show_name(str(name)) for name in frame["name"]]
    return {
        "table": tables.arrange(frame.assign(name=names), _HEADS),
        "definitions": list(zip(names, night.statistics["definition"], strict=True)),
    }


def _name_metrics(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(metric=[show_name(str(name)) for name in table["metric"]]) if len(table) else table


def _name_labels(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(label=[str(label).replace("_", " ") for label in table["label"]]) if len(table) else table


def _name_scored(events: pd.DataFrame) -> str:
    """Kinds and numbers of the events that a scorer marked; empty where there are none."""
    if "scored_as" not in events:
        return ""
    counts = events.loc[events["scored_as"].notna(), "label"].value_counts()
    return ", ".join(f"{str(label).replace('_', ' ')} {count}" for label, count in counts.items())


def _compose_forecast(night: DecodedNight, line: Timeline) -> dict[str, Any]:
    drawn = downsample_hypnogram(night.hypnogram)
    changes = drawn.onsets[1:][_find_changes(drawn)]
    exact = int(_find_changes(night.hypnogram).sum())
    summary = explanations.describe_forecast(night.forecast, exact)
    skill, reliability = night.forecast_evaluation.skill, night.forecast_evaluation.reliability
    known = [name for name in ("auprc", "brier", "log_loss") if name in skill and skill[name].notna().any()]
    metric = known[0] if known else None
    said = "as in the table below"
    skill_chart = charts.draw_skill(skill, metric=metric, summary=f"Skill by method, {said}") if metric else None
    reliability_chart = (
        charts.draw_reliability(reliability, summary=f"Reliability, {said}") if len(reliability.dropna()) else None
    )
    return {
        "row": tracks.draw_p_change(night.forecast, changes, line, summary=summary) if len(night.forecast) else None,
        "axis": tracks.draw_axis(line, marks={}),
        "summary": summary,
        "markov": "markov_p_change" in night.forecast
        and not night.forecast["markov_p_change"].equals(night.forecast["p_change"]),
        "skill": tables.arrange(_join_gain(skill), {"auprc": "AUPRC", "brier": "Brier"}),
        "skill_chart": skill_chart,
        "reference": metric is not None and "reference" in skill and skill["reference"].notna().any(),
        "reliability": tables.arrange(reliability),
        "explanation": explanations.EXPLANATIONS["forecast"],
        "reliability_chart": reliability_chart,
    }


def _find_changes(hypnogram: Hypnogram) -> np.ndarray:
    """True where an epoch, from the second one, has another stage than the one before; both must be scored."""
    now, following = hypnogram.stages[:-1], hypnogram.stages[1:]
    return np.asarray((now != following) & (now >= 0) & (following >= 0))


def _join_gain(skill: pd.DataFrame) -> pd.DataFrame:
    """The log-loss saved against persistence and its interval, in one column."""
    if not {"log_loss_gain", "gain_low", "gain_high"} <= set(skill.columns):
        return skill
    rows = skill[["log_loss_gain", "gain_low", "gain_high"]].itertuples(index=False)
    saved = [
        f"{show(gain, like=[low, high])} ({show_interval(low, high, like=[gain])})" if gain else MISSING
        for gain, low, high in rows
    ]
    return skill.drop(columns=["log_loss_gain", "gain_low", "gain_high"]).assign(log_loss_saved=saved)


def _draw_distributions(night: DecodedNight, *, fewest: int = 20, most: int = 4) -> list[Markup]:
    events = night.events
    if "frequency" not in events:
        return []
    drawn: list[Markup] = []
    for label in events["label"].value_counts().index:
        values = pd.to_numeric(events.loc[events["label"] == label, "frequency"], errors="coerce").dropna()
        if len(values) >= fewest and len(drawn) < most:
            name = str(label).replace("_", " ")
            summary = f"Frequency of {name}: median {show(float(values.median()))} Hz, n = {len(values)}"
            drawn.append(charts.draw_distribution(values, name=name, unit="Hz", summary=summary))
    return drawn


def _compose_truth(night: DecodedNight, line: Timeline) -> dict[str, Any] | None:
    if not night.truth:
        return None
    columns = list(dict.fromkeys(key for row in night.truth.values() for key in row))
    rows = [
        [str(label).replace("_", " "), *[show(row.get(column)) for column in columns]]
        for label, row in night.truth.items()
    ]
    heads = ["what", *[_TRUTH_HEADS.get(column, column.replace("_", " ")) for column in columns]]
    return {"table": tables.Table(heads, rows, [False] + [True] * len(columns))}


def _compose_stages(night: DecodedNight, line: Timeline) -> dict[str, Any]:
    return {
        "agreement": tables.arrange(_name_metrics(night.agreement)),
        "commonest": tables.describe_commonest(night.hypnogram, night.expert) if night.expert else "",
        "confusion": tables.tabulate_confusion(night.hypnogram, night.expert) if night.expert else None,
        "evidence": tables.arrange(_name_metrics(night.stager_evidence)),
        "explanation": explanations.EXPLANATIONS["stages"],
    }


def _compose_events(night: DecodedNight, line: Timeline) -> dict[str, Any]:
    return {
        "table": tables.arrange(_name_labels(night.event_summary), _EVENT_HEADS),
        "scored": _name_scored(night.events),
        "distributions": _draw_distributions(night),
        "explanation": explanations.EXPLANATIONS["events"],
    }


def _compose_reactivations(night: DecodedNight, line: Timeline) -> dict[str, Any]:
    said = split_sentences(night.effects.note)
    return {
        "said": said[:3],
        "further": said[3:],
        "table": arrange_reactivations(night.effects.reactivations),
        "effects": compose_effects(night.effects),
        "explanation": explanations.EXPLANATIONS["reactivations"],
    }


def _compose_quality(night: DecodedNight, line: Timeline) -> dict[str, Any]:
    heads = {"usable_fraction": "usable share", "rate": "rate, Hz"}
    return {"table": tables.arrange(night.quality, heads), "explanation": explanations.EXPLANATIONS["quality"]}


def _compose_hours(night: DecodedNight, line: Timeline) -> dict[str, Any] | None:
    return {"table": tables.tabulate_stages(night, line)} if len(night.hypnogram) else None


def _compose_methods(night: DecodedNight, line: Timeline) -> dict[str, Any] | None:
    return {} if night.provenance.methods or night.provenance.citations else None


@dataclass(frozen=True)
class Section:
    """One section of the night page.

    Attributes:
        anchor: Its address in the page, and the name of its macro in the template.
        title: Its heading.
        compose: Everything that its macro prints, from the night and its time axis; None leaves the section out.
        short: Its name in the list of contents; by default the heading.
        wide: True where it needs the page's whole width; by default it stands in one of two columns.
        template: File in `pages/` that holds the macro; by default that of the sections of this file.
    """

    anchor: str
    title: str
    compose: Callable[[DecodedNight, Timeline], dict[str, Any] | None]
    short: str = ""
    wide: bool = False
    template: str = "night_sections.html"


SECTIONS = (
    Section("trust", "How much to trust this", lambda night, line: {}, "Trust"),
    Section("numbers", "Numbers", _compose_numbers),
    Section("course", "Cycles and transitions", lambda night, line: compose_course(night), template="course.html"),
    Section("stages", "How well the stages are known", _compose_stages, "Stages"),
    Section("truth", "Put in and found", _compose_truth),
    Section("forecast", "Forecast: will the next epoch be another stage?", _compose_forecast, "Forecast", wide=True),
    Section(
        "explanation",
        "What moved the forecasts",
        lambda night, line: compose_explanation(ExplanationPage.of(night)),
        wide=True,
    ),
    Section("reactivations", "Reactivations", _compose_reactivations, wide=True),
    Section("events", "Events", _compose_events),
    Section(
        "oscillations",
        "Spectra and coupling",
        lambda night, line: compose_oscillations(night),
        template="oscillations.html",
    ),
    Section("quality", "Quality, repairs and refusals", _compose_quality, "Quality"),
    Section("hours", "The night as a table", _compose_hours, "By the hour"),
    Section("limits", "Limits", lambda night, line: {} if night.limits else None),
    Section("methods", "Methods", _compose_methods),
    Section("files", "Files and versions", lambda night, line: {"downloads": encode_downloads(night)}, "Files"),
)
"""Sections of the night page below its figure, in their order: a new one is one line here and one macro."""


@dataclass(frozen=True)
class FilledSection:
    """A section as one night fills it."""

    anchor: str
    title: str
    short: str
    wide: bool
    content: Markup


def _fill_sections(night: DecodedNight, line: Timeline) -> Iterator[FilledSection]:
    for section in SECTIONS:
        part = section.compose(night, line)
        if part is not None:
            content = render_macro(section.template, section.anchor, night, part)
            yield FilledSection(section.anchor, section.title, section.short or section.title, section.wide, content)
