"""The table of effects: every estimand by every estimator, one row each, with its control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.causality.directions import estimate_reverse
from sharpwave.causality.effects_table import (
    EFFECT_COLUMNS,
    Asked,
    Question,
    adjust,
    describe_difference,
    describe_hazard,
    describe_reverse,
)
from sharpwave.causality.exposure_control import check_exposure
from sharpwave.causality.hazards import estimate_hazards
from sharpwave.causality.matching import estimate_matched
from sharpwave.causality.outcomes import TRANSITIONS
from sharpwave.causality.randomised import estimate_randomised
from sharpwave.causality.series import NightSeries
from sharpwave.errors import SharpwaveError

HORIZONS = (5, 15, 30, 60)
SHORTEST_TRANSITION = 30
"""Stage transitions are asked for within at least so many seconds; depth within every horizon."""

COMPARATORS = ("auto", "events", "moments", "others")
PERIODS = ("any", "early", "late")


@moved.rename_keywords(courses="nights")
def estimate_effects(
    nights: Sequence[NightSeries],
    *,
    rng: np.random.Generator,
    contents: Sequence[str] | None = None,
    horizons: Sequence[int] = HORIZONS,
    stages: str | Sequence[str] = "any",
    periods: Sequence[str] = ("any",),
    outcomes: Sequence[str] = ("depth", *TRANSITIONS),
    comparator: str = "auto",
) -> pd.DataFrame:
    """Estimate what reactivation does to sleep, and what depth does to reactivation, over several nights.

    Args:
        nights: Time series of each night, all with one set of stages. With fewer than three nights the units are
            stretches of half an hour, and the intervals hold for these nights alone.
        rng: Random generator, which draws the permutations of randomised cues and the lots of the control that sees
            hidden causes.
        contents: Names of the contents to look at, beside all together; every content that occurs by default.
        horizons: Lengths of the time after a reactivation that counts, in s; 5, 15, 30 and 60 s by default. Stage
            transitions are asked for within 30 s and more.
        stages: "any" (all NREM, the default), "each" (all, and each of them), or names of stages.
        periods: Parts of each night's sleep, any of "any", "early", "late" (its halves); "any" by default.
        outcomes: Outcomes, any of "depth", "lighter", "deeper", "wake"; all by default.
        comparator: Moments that reactivations are compared with: "events" (candidates that carried none: safe from
            whatever drives both), "moments" (without a reactivation: adjusted only for what is measured), "others"
            (reactivations of other contents), or "auto", the default: events where every night knows its candidates,
            else moments.

    Returns:
        `EFFECT_COLUMNS`.

    Raises:
        SharpwaveError: If there is no night, stage sets differ, or a name is unknown.

    >>> rng = np.random.default_rng(0)
    >>> stage, depth = np.repeat(rng.choice([1, 0], 200, p=[0.8, 0.2]), 30), rng.normal(size=6000)
    >>> maze = pd.DataFrame({"onset": rng.uniform(0, 6000, 120), "content": "maze"})
    >>> night = NightSeries("first", np.arange(6000.0), stage, 2, depth, None, None, maze, np.ones(6000, bool))
    >>> estimate_effects([night], rng=rng, horizons=(30,))["outcome"].tolist()
    ['depth', 'wake', 'wake', 'rate']
    """
    nights = _harmonise(nights, comparator)
    names = sorted({name for series in nights for name in series.contents})
    names = names if contents is None else [name for name in contents if name in names]
    wanted: list[str | None] = list(names) if comparator == "others" else [None, *(names if len(names) > 1 else [])]
    rows: list[dict[str, Any]] = []
    for stage, codes in _choose_stages(nights[0], stages):
        for period in periods:
            question = Question(
                stage=stage, codes=codes, period=period, comparator=_name_comparator(nights, comparator)
            )
            rows += _ask(nights, wanted, question, horizons=horizons, outcomes=outcomes, rng=rng)
            rows += _ask_randomised(nights, question, horizons=horizons, outcomes=outcomes, rng=rng)
    return adjust(pd.DataFrame(rows, columns=list(EFFECT_COLUMNS)))


def _ask(
    nights: Sequence[NightSeries],
    contents: Sequence[str | None],
    question: Question,
    *,
    horizons: Sequence[int],
    outcomes: Sequence[str],
    rng: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    place: dict[str, Any] = {"stages": question.codes, "period": question.period}
    groups: list[list[str | None]] = [[None], [c for c in contents if c is not None]]
    if question.comparator == "others":
        groups = [[content] for content in contents]
    for group in filter(None, groups):
        compared = (
            [_against_others(series, group[0]) for series in nights] if question.comparator == "others" else nights
        )
        seen = {content: check_exposure(compared, content=content, rng=rng, **place) for content in group}
        for outcome, horizon in _pairs(outcomes, horizons, nights[0], question.codes):
            asked: dict[str | None, Asked] = {}
            for content in group:
                options = {"outcome": outcome, "content": content, "horizon": horizon, **place}
                forward = estimate_matched(compared, **options)
                if forward is None:
                    continue
                control = estimate_matched(compared, backwards=True, **options)
                p = np.nan if control is None else control.difference.p
                asked[content] = Asked(question, outcome, horizon, content, len(nights), p, seen[content])
                yield describe_difference(forward, asked[content])
            if outcome == "depth" or not asked:
                continue
            hazards = estimate_hazards(compared, outcome=outcome, contents=list(asked), horizon=horizon, **place)
            for row, hazard in zip(asked.values(), hazards or (), strict=False):
                yield describe_hazard(hazard, row)
        for content in group:
            reverse = estimate_reverse(nights, content=content, **place)
            if reverse is not None:
                yield describe_reverse(reverse, Asked(question, "rate", 1, content, len(nights)))


def _ask_randomised(
    nights: Sequence[NightSeries],
    question: Question,
    *,
    horizons: Sequence[int],
    outcomes: Sequence[str],
    rng: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    cued = [series for series in nights if series.cues is not None]
    names = sorted({str(name) for series in cued if series.cues is not None for name in series.cues["content"]})
    contents: list[str | None] = [None, *(names if len(names) > 1 else [])]
    place: dict[str, Any] = {"stages": question.codes, "period": question.period}
    for outcome, horizon in _pairs(outcomes, horizons, nights[0], question.codes) if cued else ():
        for content in contents:
            options: dict[str, Any] = {"outcome": outcome, "content": content, "horizon": horizon, "rng": rng, **place}
            forward = estimate_randomised(cued, **options)
            if forward is None:
                continue
            control = estimate_randomised(cued, backwards=True, **options)
            p = np.nan if control is None else control.difference.p
            yield describe_difference(forward, Asked(question, outcome, horizon, content, len(cued), p))


def _pairs(
    outcomes: Sequence[str], horizons: Sequence[int], series: NightSeries, codes: Sequence[int]
) -> list[tuple[str, int]]:
    """Outcomes that these stages can have, each with its horizons; wake alone where nothing else is lighter."""
    possible = {"depth", "lighter", "wake", "deeper"}
    if max(codes) == 1:
        possible.discard("lighter" if "wake" in outcomes else "wake")
    if min(codes) == series.nrem[-1]:
        possible.discard("deeper")
    return [
        (outcome, int(horizon))
        for outcome in outcomes
        if outcome in possible
        for horizon in horizons
        if outcome == "depth" or horizon >= SHORTEST_TRANSITION
    ]


def _harmonise(nights: Sequence[NightSeries], comparator: str) -> list[NightSeries]:
    if not nights:
        raise SharpwaveError("at least one night", got="none", fix="give the time series of some nights")
    if len({series.n_stages for series in nights}) > 1:
        raise SharpwaveError("nights with one set of stages", got="several", fix="merge the hypnograms first")
    if comparator not in COMPARATORS:
        raise SharpwaveError(
            f"a comparator among {', '.join(COMPARATORS)}", got=repr(comparator), fix="choose one of these"
        )
    known = all(series.candidates is not None for series in nights)
    if comparator == "events" and not known:
        raise SharpwaveError(
            "the candidate events of every night",
            got="nights without",
            fix="pass candidates to compute_night_series, or compare with 'moments' or 'others'",
        )
    return list(nights) if known and comparator != "moments" else [replace(c, candidates=None) for c in nights]


def _name_comparator(nights: Sequence[NightSeries], comparator: str) -> str:
    return comparator if comparator == "others" else "moments" if nights[0].candidates is None else "events"


def _against_others(series: NightSeries, content: str | None) -> NightSeries:
    """The reactivations of one content among all reactivations as candidates."""
    table = series.reactivations
    onsets = np.sort(table["onset"].to_numpy(dtype=float))
    mine = table[table["content"].astype(str) == content].reset_index(drop=True)
    return replace(series, reactivations=mine, candidates=onsets)


def _choose_stages(series: NightSeries, stages: str | Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    each = [(series.names[code], (code,)) for code in series.nrem]
    if stages == "any":
        return [("any", series.nrem)]
    if stages == "each":
        return [("any", series.nrem), *(each if len(each) > 1 else [])]
    names = [stages] if isinstance(stages, str) else list(stages)
    known = {"any": series.nrem, **dict(each)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SharpwaveError(f"stages among {', '.join(known)}", got=", ".join(unknown), fix="choose among these")
    return [(name, known[name]) for name in names]
