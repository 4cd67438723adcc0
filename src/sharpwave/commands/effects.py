"""The effects of reactivations over nights, for `sharpwave causality`: nights in; rules, tables and a page out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.causality.estimates import PERIODS
from sharpwave.causality.series_files import CANDIDATES, REACTIVATIONS, read_events
from sharpwave.causality.surrogates import Association, check_association
from sharpwave.commands.batch import NightOutcome, attempt, quieten
from sharpwave.commands.inputs import name_sources
from sharpwave.commands.sources import expand_sources, open_session
from sharpwave.commands.tasks import check_results
from sharpwave.errors import SharpwaveError
from sharpwave.executors import Executor, open_executor
from sharpwave.night.decoded import ReactivationEffects
from sharpwave.night.effects import SUMMARY, EffectData, attach_cues, holds_series, open_folder, open_recording
from sharpwave.night.options import DecodeOptions, open_source
from sharpwave.outputs import check_folder, replace_folder

PAGE = "report.html"
TABLES = ("effects", "rules", "peri_event", "memory", "sessions")
FILES = (PAGE, "summary.json", *(f"{name}.tsv" for name in TABLES))
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class EffectsOutcome:
    """What became of the nights, and what was found.

    Attributes:
        nights: One outcome a night.
        words: The answer, in sentences.
        page: Path of the page; None where no night could be used.
    """

    nights: list[NightOutcome]
    words: list[str]
    page: Path | None


@dataclass(frozen=True)
class Question:
    """What is asked of the nights.

    Attributes:
        stages: "any" (all NREM), "each" (all, and each of them), or names of stages.
        periods: Parts of the night, among `PERIODS`.
        surrogate: "linear", "session" or "circular"; see `check_association`.
        seed: Seed of matching and surrogates.
    """

    stages: str | list[str] = "any"
    periods: tuple[str, ...] = PERIODS[:1]
    surrogate: str = "linear"
    seed: int = 0

    @property
    def asked(self) -> dict[str, Any]:
        """The part of it that `estimate_effects` takes."""
        return {"stages": self.stages, "periods": self.periods}


def estimate_to_folder(
    sources: Sequence[str],
    *,
    output: Path,
    seed: int = 0,
    cues: Path | None = None,
    memory: Path | None = None,
    surrogate: str = "linear",
    stages: str = "any",
    halves: bool = False,
    overwrite: bool = False,
    options: DecodeOptions | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> EffectsOutcome:
    """Pool nights, estimate what reactivations do to sleep, and write tables and a page.

    Args:
        sources: Recordings, data sets by name, or folders written by `decode`, `simulate` (`.truth`) or `replay`.
        output: Folder for the results.
        seed: Seed of matching and surrogates.
        cues: Table of randomised cues: onset, condition ("cue", "sham"), content, and night where there are several.
        memory: Table of task scores: night, before, after (percent).
        surrogate: "linear", "session" or "circular"; see `check_association`.
        stages: "any" (all NREM), "each" (all, and each of them), or names with commas between them.
        halves: Ask of the early and the late half of each night's sleep as well.
        overwrite: Replace earlier results.
        options: Known facts about the recordings.
        jobs: Nights opened at once, each in a process of its own.
        scheduler: Where nights are opened; this machine where omitted (see `open_executor`).
        progress: Called with (what, number done, number in all).

    Returns:
        What became of each night, the answer in words, and the page.

    Raises:
        SharpwaveError: If the folder has results already or something else in it, or a table given cannot be read.
    """
    if (output / PAGE).exists() and not overwrite:
        raise SharpwaveError("a folder without results", got=str(output), fix="give another --output, or --overwrite")
    check_folder(output, known=FILES)
    progress = progress or (lambda what, done, total: None)
    with open_executor(jobs, scheduler, say=partial(print, file=sys.stderr)) as executor:
        opened, outcomes = open_nights(sources, options or DecodeOptions(), seed=seed, progress=progress, on=executor)
    if not opened:
        return EffectsOutcome(outcomes, [], None)
    progress("effects", len(sources), len(sources) + 1)
    opened = attach_cues(opened, cues)
    sessions = tabulate_sessions(opened, memory)
    refusals = [f"{outcome.identifier}: {outcome.message}" for outcome in outcomes if outcome.status == "failed"]
    question = Question(
        stages=stages if stages in ("any", "each") else [name.strip() for name in stages.split(",")],
        periods=PERIODS if halves else PERIODS[:1],
        surrogate=surrogate,
        seed=seed,
    )
    found = estimate(opened, sessions, question)
    page = write_effects(found, opened, sessions, output, question, refusals=refusals)
    return EffectsOutcome(outcomes, found.words, page)


def estimate_with_progress(sources: Sequence[str], **options: Any) -> EffectsOutcome:
    """`estimate_to_folder` with what is under way on stderr."""
    from rich.console import Console

    quieten()
    with Console(stderr=True).status("Opening nights ...") as status:

        def report(what: str, done: int, total: int) -> None:
            status.update(f"Estimating effects: {what} ({done + 1} of {total}) ...")

        return estimate_to_folder(expand_sources(sources, folders=False), progress=report, **options)


def open_nights(
    sources: Sequence[str], options: DecodeOptions, *, seed: int, progress: Progress, on: Executor
) -> tuple[list[EffectData], list[NightOutcome]]:
    """The nights that can be used, and what became of each; one that cannot be opened leaves the others."""
    names, found = name_sources(sources), dict[int, Any]()
    for finished in on.run(partial(_open_named, options=options, seed=seed), [*zip(sources, names, strict=True)]):
        name = names[finished.index]
        progress(name, len(found), len(sources) + 1)
        found[finished.index] = finished.value or (None, NightOutcome(name, "failed", finished.error))
    each = [found[index] for index in range(len(sources))]
    return [night for night, _ in each if night is not None], [outcome for _, outcome in each]


def _open_named(named: tuple[str, str], options: DecodeOptions, seed: int) -> tuple[EffectData | None, NightOutcome]:
    quieten()
    opened: list[EffectData] = []

    def act() -> tuple[str, None]:
        opened.append(open_night(*named, options, rng=np.random.default_rng(seed)))
        return opened[0].origin, None

    outcome = attempt(named[1], act)
    return (opened[0] if opened else None), outcome


def open_night(source: str, name: str, options: DecodeOptions, *, rng: np.random.Generator) -> EffectData:
    """A night whose effects can be estimated: from a folder of results, else prepared from its recording.

    Args:
        source: Folder, recording, or data set by name.
        name: Name of the night.
        options: Known facts about the recordings.
        rng: Random generator of the shuffles.

    Raises:
        SharpwaveError: If it has no reactivations, or nothing that depth can be measured on.
    """
    folder = Path(source)
    if holds_series(folder):
        check_results(folder / SUMMARY)
        night = open_folder(folder, night=name)
    elif (folder / REACTIVATIONS).is_file():
        options = replace(options, reactivations=folder / REACTIVATIONS)
        given = folder / CANDIDATES
        known = read_events(given, ("onset",)) if given.is_file() else None
        night = open_recording(open_session(_read_source(folder / SUMMARY)), name, options, rng=rng, candidates=known)
    elif (folder / SUMMARY).is_file():
        raise SharpwaveError(
            f"a night with reactivations in {folder.name}",
            got="a decoded night without any",
            fix="decode a recording that has spikes and a track, or with --reactivations FILE",
        )
    else:
        night = open_recording(open_source(source, options), name, options, rng=rng)
    if not len(night.series.reactivations):
        raise SharpwaveError("a night with reactivations", got=f"none in {name}", fix="leave this night out")
    return night


def _read_source(summary: Path) -> str:
    """The recording that a folder of results was made from."""
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SharpwaveError(
            "a folder whose summary.json names its recording",
            got=f"{summary.parent.name}: {type(error).__name__}",
            fix="give the recording with `sharpwave decode --reactivations`, or add hypnogram.tsv and depth.tsv",
        ) from error


def tabulate_sessions(opened: Sequence[EffectData], path: Path | None) -> pd.DataFrame:
    """One row a session with a score before and after sleep: night, before, after, and what its reactivations are like.

    Raises:
        SharpwaveError: If the table of scores cannot be read or lacks a column.
    """
    from sharpwave.causality.memory import measure_session
    from sharpwave.recordings import Hypnogram

    scores = {night.series.night: dict(night.memory) for night in opened if night.memory}
    if path is not None:
        scores |= _read_scores(path)
    rows = []
    for night in opened:
        series = night.series
        if series.night in scores:
            hypnogram = Hypnogram(series.stage, 1.0, series.n_stages, float(series.time[0]))
            measures = measure_session(series.reactivations, hypnogram, coupling=night.coupling)
            rows.append({"night": series.night, **scores[series.night], **measures})
    return pd.DataFrame(rows)


def _read_scores(path: Path) -> dict[str, dict[str, float]]:
    try:
        table = pd.read_csv(path, sep=None, engine="python", dtype={"night": str})
        return {str(row["night"]): {n: float(row[n]) for n in ("before", "after")} for row in table.to_dict("records")}
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise SharpwaveError(
            "a table of scores with columns night, before, after",
            got=f"{path.name}: {type(error).__name__}: {error}",
            fix="write one row a night, scores in percent",
        ) from error


@dataclass(frozen=True, eq=False)
class Found:
    """What the nights together say.

    Attributes:
        estimates: Every estimate, one row each.
        effects: The same as rules in words, with depth around reactivations.
        memory: Association of reactivations with memory over sessions.
        association: Whether reactivation and depth go together more than surrogates do.
        words: The answer, in sentences.
        warnings: Sentences on what to be careful about.
    """

    estimates: pd.DataFrame
    effects: ReactivationEffects
    memory: pd.DataFrame
    association: Association
    words: list[str]
    warnings: list[str]


def estimate(opened: Sequence[EffectData], sessions: pd.DataFrame, question: Question) -> Found:
    """Estimate the effects of reactivations over several nights.

    Args:
        opened: The nights.
        sessions: One row a session with scores; see `tabulate_sessions`.
        question: The question asked of them.

    Raises:
        SharpwaveError: If a stage that is asked for does not exist.
    """
    from sharpwave.causality import estimate_effects
    from sharpwave.causality.input_limits import describe_controls, describe_inputs
    from sharpwave.causality.memory import correlate_with_memory, describe_memory
    from sharpwave.causality.peri_event import compute_peri_event
    from sharpwave.causality.rules import describe_rules, extract_rules

    rng = np.random.default_rng(question.seed)
    series = [night.series for night in opened]
    estimates = estimate_effects(series, rng=rng, **question.asked)
    rules = extract_rules(estimates)
    peri_event = compute_peri_event(series, rng=rng)
    association = check_association(series, rng=rng, method=question.surrogate)
    words = [describe_rules(rules)]
    warnings = [*describe_inputs(series), *describe_controls(estimates), association.describe()]
    warnings += [association.warning] * bool(association.warning)
    memory = pd.DataFrame()
    if len(sessions):
        try:
            memory = correlate_with_memory(sessions, rng=rng)
            words.append(describe_memory(memory))
        except SharpwaveError as error:
            warnings.append(f"The association with memory was not estimated: {error}")
    effects = ReactivationEffects(rules=rules, peri_event=peri_event)
    return Found(estimates, effects, memory, association, words, warnings)


def write_effects(
    found: Found,
    opened: Sequence[EffectData],
    sessions: pd.DataFrame,
    output: Path,
    question: Question,
    *,
    refusals: Sequence[str],
) -> Path:
    """Write tables, `summary.json` and the page; returns the path of the page.

    Args:
        found: Results of all nights together.
        opened: The nights.
        sessions: One row a session with scores.
        output: Folder for the results.
        question: The question that was asked.
        refusals: Nights left out, and why.
    """
    from sharpwave.night.methods import read_versions
    from sharpwave.reports.archive import to_json
    from sharpwave.reports.causality_page import CausalityPage, write_causality_page
    from sharpwave.reports.files import records, write_table

    tables = {"effects": found.estimates, "rules": found.effects.rules, "peri_event": found.effects.peri_event}
    tables |= {"memory": found.memory, "sessions": sessions}
    nights = tabulate_nights(opened)
    page = CausalityPage(
        effects=found.effects,
        estimates=found.estimates,
        nights=nights,
        answer=found.words,
        refusals=refusals,
        warnings=found.warnings,
        versions=read_versions(("numpy", "scipy", "pandas")),
        simulated=sum(night.simulated for night in opened),
        memory=found.memory,
    )
    association = found.association
    summary: dict[str, Any] = {
        "answer": found.words,
        "nights": records(nights),
        "refusals": list(refusals),
        "warnings": found.warnings,
        "rules": records(found.effects.rules),
        "memory": records(found.memory),
        "seed": question.seed,
        "asked": {name: list(value) if isinstance(value, tuple) else value for name, value in question.asked.items()},
        "association": {"surrogate": question.surrogate, "p": association.p, "n_nights": association.n_nights},
        "versions": dict(page.versions),
    }
    with replace_folder(output, known=FILES) as partial:
        for name in TABLES:
            if len(tables[name]):
                write_table(tables[name], partial / f"{name}.tsv")
        (partial / "summary.json").write_text(to_json(summary), encoding="utf-8")
        write_causality_page(page, partial / PAGE)
    return output / PAGE


def tabulate_nights(opened: Sequence[EffectData]) -> pd.DataFrame:
    """One row a night: hours of usable NREM sleep, reactivations, contents, what else is known, and its origin."""
    rows = []
    for night in opened:
        series = night.series
        asleep = np.isin(series.stage, series.nrem) & series.usable
        rows.append(
            {
                "night": series.night,
                "nrem_hours": asleep.sum() / 3600,
                "reactivations": len(series.reactivations),
                "contents": ", ".join(series.contents),
                "infraslow_known": series.infraslow is not None,
                "cues": 0 if series.cues is None else len(series.cues),
                "simulated": night.simulated,
                "origin": night.origin,
            }
        )
    return pd.DataFrame(rows)


__getattr__ = moved.rename(
    __name__,
    {
        "RelatedOutcome": "EffectsOutcome",
        "relate_to_folder": "estimate_to_folder",
        "relate_with_progress": "estimate_with_progress",
    },
)
