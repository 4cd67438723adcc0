"""The table of effects: every estimand by every estimator, one row each, with its control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.causality.directions import estimate_reverse
from sharpwave.causality.effects_table import (
    EFFECT_COLUMNS,
    Question,
    adjust,
    describe_difference,
    describe_hazard,
    describe_reverse,
)
from sharpwave.causality.hazards import estimate_hazards
from sharpwave.causality.matching import estimate_matched
from sharpwave.causality.outcomes import MOVES
from sharpwave.causality.randomised import estimate_randomised
from sharpwave.causality.series import NightCourse
from sharpwave.errors import SharpwaveError

HORIZONS = (5, 15, 30, 60)
SHORTEST_MOVE = 30
"""Moves are asked for within at least so many seconds; depth within every horizon."""

COMPARATORS = ("auto", "events", "moments", "others")
PERIODS = ("any", "early", "late")


def estimate_effects(
    courses: Sequence[NightCourse],
    *,
    rng: np.random.Generator,
    contents: Sequence[str] | None = None,
    horizons: Sequence[int] = HORIZONS,
    stages: str | Sequence[str] = "any",
    periods: Sequence[str] = ("any",),
    outcomes: Sequence[str] = ("depth", *MOVES),
    comparator: str = "auto",
) -> pd.DataFrame:
    """Estimate what reactivation does to sleep, and what depth does to reactivation, over several nights.

    Args:
        courses: Nights with one set of stages. With fewer than three the units are stretches of half an hour, and the
            intervals speak of these nights alone.
        rng: Draws the permutations of randomised cues.
        contents: Names to look at, beside any content; all that occur by default.
        horizons: In s. Moves are asked for within 30 s and more.
        stages: "any" (all NREM), "each" (all, and each of them), or names.
        periods: Any of "any", "early", "late" (halves of the sleep of each night).
        outcomes: Any of "depth", "lighter", "deeper", "wake".
        comparator: What reactivations are compared with: "events" (candidates that carried none: safe from
            whatever drives both), "moments" (without a reactivation: adjusted for what is measured alone), "others"
            (reactivations of other contents), "auto" (events where every night knows its candidates, else moments).

    Returns:
        `EFFECT_COLUMNS`.

    Raises:
        SharpwaveError: If there is no night, stage sets differ, or a name is unknown.
    """
    courses = _harmonise(courses, comparator)
    names = sorted({name for course in courses for name in course.contents})
    names = names if contents is None else [name for name in contents if name in names]
    wanted: list[str | None] = list(names) if comparator == "others" else [None, *(names if len(names) > 1 else [])]
    rows: list[dict[str, Any]] = []
    for stage, codes in _choose_stages(courses[0], stages):
        for period in periods:
            question = Question(
                stage=stage, codes=codes, period=period, comparator=_name_comparator(courses, comparator)
            )
            rows += _ask(courses, wanted, question, horizons=horizons, outcomes=outcomes)
            rows += _ask_randomised(courses, question, horizons=horizons, outcomes=outcomes, rng=rng)
    return adjust(pd.DataFrame(rows, columns=list(EFFECT_COLUMNS)))


def _ask(
    courses: Sequence[NightCourse],
    contents: Sequence[str | None],
    question: Question,
    *,
    horizons: Sequence[int],
    outcomes: Sequence[str],
) -> Iterator[dict[str, Any]]:
    place: dict[str, Any] = {"stages": question.codes, "period": question.period}
    groups: list[list[str | None]] = [[None], [c for c in contents if c is not None]]
    if question.comparator == "others":
        groups = [[content] for content in contents]
    for group in filter(None, groups):
        nights = (
            [_against_others(course, group[0]) for course in courses] if question.comparator == "others" else courses
        )
        for outcome, horizon in _pairs(outcomes, horizons, courses[0], question.codes):
            past = {}
            for content in group:
                forward = estimate_matched(nights, outcome=outcome, content=content, horizon=horizon, **place)
                if forward is None:
                    continue
                control = estimate_matched(
                    nights, outcome=outcome, content=content, horizon=horizon, backwards=True, **place
                )
                past[content] = np.nan if control is None else control.difference.p
                yield describe_difference(
                    forward, question, "matched", len(courses), outcome, horizon, content, past[content]
                )
            if outcome == "depth" or not past:
                continue
            hazards = estimate_hazards(nights, outcome=outcome, contents=list(past), horizon=horizon, **place)
            for (content, p), hazard in zip(past.items(), hazards or (), strict=False):
                yield describe_hazard(hazard, question, len(courses), outcome, horizon, content, p)
        for content in group:
            reverse = estimate_reverse(courses, content=content, **place)
            if reverse is not None:
                yield describe_reverse(reverse, question, len(courses), content)


def _ask_randomised(
    courses: Sequence[NightCourse],
    question: Question,
    *,
    horizons: Sequence[int],
    outcomes: Sequence[str],
    rng: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    cued = [course for course in courses if course.cues is not None]
    names = sorted({str(name) for course in cued if course.cues is not None for name in course.cues["content"]})
    contents: list[str | None] = [None, *(names if len(names) > 1 else [])]
    place: dict[str, Any] = {"stages": question.codes, "period": question.period}
    for outcome, horizon in _pairs(outcomes, horizons, courses[0], question.codes) if cued else ():
        for content in contents:
            options: dict[str, Any] = {"outcome": outcome, "content": content, "horizon": horizon, "rng": rng, **place}
            forward = estimate_randomised(cued, **options)
            if forward is None:
                continue
            control = estimate_randomised(cued, backwards=True, **options)
            p = np.nan if control is None else control.difference.p
            yield describe_difference(forward, question, "randomised", len(cued), outcome, horizon, content, p)


def _pairs(
    outcomes: Sequence[str], horizons: Sequence[int], course: NightCourse, codes: Sequence[int]
) -> list[tuple[str, int]]:
    """Outcomes that these stages can have, each with its horizons; wake alone where nothing else is lighter."""
    possible = {"depth", "lighter", "wake", "deeper"}
    if max(codes) == 1:
        possible.discard("lighter" if "wake" in outcomes else "wake")
    if min(codes) == course.nrem[-1]:
        possible.discard("deeper")
    return [
        (outcome, int(horizon))
        for outcome in outcomes
        if outcome in possible
        for horizon in horizons
        if outcome == "depth" or horizon >= SHORTEST_MOVE
    ]


def _harmonise(courses: Sequence[NightCourse], comparator: str) -> list[NightCourse]:
    if not courses:
        raise SharpwaveError("at least one night", got="none", fix="give the courses of some nights")
    if len({course.n_stages for course in courses}) > 1:
        raise SharpwaveError("nights with one set of stages", got="several", fix="merge the hypnograms first")
    if comparator not in COMPARATORS:
        raise SharpwaveError(
            f"a comparator among {', '.join(COMPARATORS)}", got=repr(comparator), fix="choose one of these"
        )
    known = all(course.candidates is not None for course in courses)
    if comparator == "events" and not known:
        raise SharpwaveError(
            "the candidate events of every night",
            got="nights without",
            fix="pass candidates to compute_course, or compare with 'moments' or 'others'",
        )
    return list(courses) if known and comparator != "moments" else [replace(c, candidates=None) for c in courses]


def _name_comparator(courses: Sequence[NightCourse], comparator: str) -> str:
    return comparator if comparator == "others" else "moments" if courses[0].candidates is None else "events"


def _against_others(course: NightCourse, content: str | None) -> NightCourse:
    """The reactivations of one content among all reactivations as candidates."""
    table = course.reactivations
    onsets = np.sort(table["onset"].to_numpy(dtype=float))
    mine = table[table["content"].astype(str) == content].reset_index(drop=True)
    return replace(course, reactivations=mine, candidates=onsets)


def _choose_stages(course: NightCourse, stages: str | Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    each = [(course.names[code], (code,)) for code in course.nrem]
    if stages == "any":
        return [("any", course.nrem)]
    if stages == "each":
        return [("any", course.nrem), *(each if len(each) > 1 else [])]
    names = [stages] if isinstance(stages, str) else list(stages)
    known = {"any": course.nrem, **dict(each)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SharpwaveError(f"stages among {', '.join(known)}", got=", ".join(unknown), fix="choose among these")
    return [(name, known[name]) for name in names]
