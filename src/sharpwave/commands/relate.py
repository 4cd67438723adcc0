"""`sharpwave causality`: nights in; what reactivation does to sleep out, as rules, tables and a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave.commands.batch import NightOutcome, name_source, unique_names
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.night.courses import OpenedNight
    from sharpwave.night.options import DecodeOptions

PAGE = "report.html"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class RelatedOutcome:
    """What became of the nights, and what was found.

    Attributes:
        nights: One outcome a night.
        words: The answer, in sentences.
        page: The page; None where no night could be used.
    """

    nights: list[NightOutcome]
    words: list[str]
    page: Path | None


def relate_to_folder(
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
    progress: Progress | None = None,
) -> RelatedOutcome:
    """Pool nights, estimate what reactivations do to sleep, and write tables and a page.

    Args:
        sources: Recordings, data sets by name, or folders written by `decode`, `simulate` (`.truth`) or `replay`.
        output: Folder for the results.
        seed: Of matching and surrogates.
        cues: Table of randomised cues: onset, condition ("cue", "sham"), content, and night where there are several.
        memory: Table of task scores: night, before, after (percent).
        surrogate: "linear", "session" or "circular"; see `check_association`.
        stages: "any" (all NREM), "each" (all, and each of them), or names with commas between them.
        halves: Ask of the early and the late half of each night's sleep as well.
        overwrite: Replace earlier results.
        options: What is known of recordings.
        progress: Called with (what, number done, number in all).

    Returns:
        What became of each night, the answer in words, and the page.

    Raises:
        SharpwaveError: If the folder has results already, or a table given cannot be read.
    """
    from sharpwave.causality.estimates import PERIODS
    from sharpwave.commands.related_nights import attach_cues, open_night
    from sharpwave.night.options import DecodeOptions

    if (output / PAGE).exists() and not overwrite:
        raise SharpwaveError("a folder without results", got=str(output), fix="give another --output, or --overwrite")
    names = unique_names([name_source(source) for source in sources])
    opened, outcomes = [], []
    for index, (source, name) in enumerate(zip(sources, names, strict=True)):
        if progress is not None:
            progress(name, index, len(sources) + 1)
        begin = time.perf_counter()
        try:
            opened.append(open_night(source, name, options or DecodeOptions(), rng=np.random.default_rng(seed)))
            outcomes.append(NightOutcome(name, "done", opened[-1].origin, None, time.perf_counter() - begin))
        except SharpwaveError as error:
            outcomes.append(NightOutcome(name, "failed", str(error), None, time.perf_counter() - begin))
    if not opened:
        return RelatedOutcome(outcomes, [], None)
    if progress is not None:
        progress("effects", len(sources), len(sources) + 1)
    opened = attach_cues(opened, cues)
    sessions = tabulate_sessions(opened, memory)
    refusals = [f"{outcome.identifier}: {outcome.message}" for outcome in outcomes if outcome.status == "failed"]
    asked: dict[str, Any] = {
        "stages": stages if stages in ("any", "each") else [name.strip() for name in stages.split(",")],
        "periods": PERIODS if halves else PERIODS[:1],
    }
    words, page = _write(opened, sessions, output, asked, seed=seed, surrogate=surrogate, refusals=refusals)
    return RelatedOutcome(outcomes, words, page)


def relate_with_progress(sources: Sequence[str], **options: Any) -> RelatedOutcome:
    """`relate_to_folder` with what is under way on stderr."""
    from rich.console import Console

    from sharpwave.commands.batch import expand_sources, quieten

    quieten()
    with Console(stderr=True).status("Opening nights ...") as status:

        def report(what: str, done: int, total: int) -> None:
            status.update(f"Relating: {what} ({done + 1} of {total}) ...")

        return relate_to_folder(expand_sources(sources), progress=report, **options)


def tabulate_sessions(opened: Sequence[OpenedNight], path: Path | None) -> pd.DataFrame:
    """One row a session with a score before and after sleep: night, before, after, and what its reactivations are like.

    Raises:
        SharpwaveError: If the table of scores cannot be read or lacks a column.
    """
    from sharpwave.causality.memory import measure_session
    from sharpwave.recordings import Hypnogram

    scores = {night.course.night: dict(night.memory) for night in opened if night.memory}
    if path is not None:
        scores |= _read_scores(path)
    rows = []
    for night in opened:
        course = night.course
        if course.night in scores:
            hypnogram = Hypnogram(course.stage, 1.0, course.n_stages, float(course.time[0]))
            measures = measure_session(course.reactivations, hypnogram, coupling=night.coupling)
            rows.append({"night": course.night, **scores[course.night], **measures})
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


def _write(
    opened: Sequence[OpenedNight],
    sessions: pd.DataFrame,
    output: Path,
    asked: dict[str, Any],
    *,
    seed: int,
    surrogate: str,
    refusals: Sequence[str],
) -> tuple[list[str], Path]:
    from sharpwave.causality import estimate_effects
    from sharpwave.causality.memory import correlate_with_memory, describe_memory
    from sharpwave.causality.peri_event import compute_peri_event
    from sharpwave.causality.rules import describe_rules, extract_rules
    from sharpwave.causality.surrogates import check_association
    from sharpwave.night.methods import read_versions
    from sharpwave.reports.archive import to_json
    from sharpwave.reports.causality_page import CausalityPage, write_causality_page
    from sharpwave.reports.effects_section import RelatedNights
    from sharpwave.reports.files import records, write_table

    rng = np.random.default_rng(seed)
    courses = [night.course for night in opened]
    effects = estimate_effects(courses, rng=rng, **asked)
    rules = extract_rules(effects)
    peri_event = compute_peri_event(courses, rng=rng)
    association = check_association(courses, rng=rng, method=surrogate)
    words = [describe_rules(rules)]
    warnings = [association.describe(), *[association.warning] * bool(association.warning)]
    relation = pd.DataFrame()
    if len(sessions):
        try:
            relation = correlate_with_memory(sessions, rng=rng)
            words.append(describe_memory(relation))
        except SharpwaveError as error:
            warnings.append(f"Memory was not related: {error}")
    output.mkdir(parents=True, exist_ok=True)
    tables = {"effects": effects, "rules": rules, "peri_event": peri_event, "memory": relation, "sessions": sessions}
    for name, table in tables.items():
        if len(table):
            write_table(table, output / f"{name}.tsv")
    nights = tabulate_nights(opened)
    page = CausalityPage(
        related=RelatedNights(rules=rules, peri_event=peri_event, memory_relation=relation),
        effects=effects,
        nights=nights,
        answer=words,
        refusals=refusals,
        warnings=warnings,
        versions=read_versions(("numpy", "scipy", "pandas", "statsmodels")),
        simulated=sum(night.simulated for night in opened),
    )
    summary: dict[str, Any] = {
        "answer": words,
        "nights": records(nights),
        "refusals": list(refusals),
        "warnings": warnings,
        "rules": records(rules),
        "memory": records(relation),
        "seed": seed,
        "asked": {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()},
        "association": {"surrogate": surrogate, "p": association.p, "n_nights": association.n_nights},
        "versions": dict(page.versions),
    }
    (output / "summary.json").write_text(to_json(summary), encoding="utf-8")
    return words, write_causality_page(page, output / PAGE)


def tabulate_nights(opened: Sequence[OpenedNight]) -> pd.DataFrame:
    """One row a night: hours of usable NREM sleep, reactivations, contents, what else is known, and its origin."""
    rows = []
    for night in opened:
        course = night.course
        asleep = np.isin(course.stage, course.nrem) & course.usable
        rows.append(
            {
                "night": course.night,
                "nrem_hours": asleep.sum() / 3600,
                "reactivations": len(course.reactivations),
                "contents": ", ".join(course.contents),
                "infraslow_known": course.infraslow is not None,
                "cues": 0 if course.cues is None else len(course.cues),
                "simulated": night.simulated,
                "origin": night.origin,
            }
        )
    return pd.DataFrame(rows)
