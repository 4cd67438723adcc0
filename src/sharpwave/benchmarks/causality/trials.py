"""One simulated data set through every estimator, randomised cues among them: what each said, and what was true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from sharpwave.benchmarks.causality.baselines import estimate_naive
from sharpwave.benchmarks.causality.oracles import compute_oracle_depth, tabulate_oracle_risk
from sharpwave.causality.directions import compute_granger, estimate_reverse
from sharpwave.causality.hazards import estimate_hazards
from sharpwave.causality.intervals import Interval
from sharpwave.causality.matching import estimate_matched
from sharpwave.causality.randomised import estimate_randomised
from sharpwave.causality.series import NightSeries
from sharpwave.night.planted import simulate_night_series
from sharpwave.simulation.dynamics import Dynamics
from sharpwave.simulation.effects import CONTENTS, Effects

HORIZON = 30


QUESTIONS = ("hazard", "moments", "matched", "directions", "naive", "cues")


@dataclass(frozen=True)
class Scenario:
    """What is planted, and how much is simulated.

    Attributes:
        name: Name of the scenario.
        effects: Planted effects.
        n_nights: Nights of a data set.
        hours: Length of each night, in h.
        species: Species of the animal.
        questions: Any of `QUESTIONS`.
        groups: Sizes of the groups into which the nights are split for the hazard regression; all together by default.
    """

    name: str
    effects: Effects = field(default_factory=Effects)
    n_nights: int = 4
    hours: float = 3.0
    species: str = "mouse"
    questions: tuple[str, ...] = QUESTIONS
    groups: tuple[int, ...] = ()


def run_trial(scenario: Scenario, seed: tuple[int, ...]) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Simulate one data set and ask the estimators.

    Args:
        scenario: Scenario to simulate.
        seed: Seed of this data set.

    Returns:
        Rows (scenario, n_nights, method, question, content, value, low, high, p, truth), where truth is NaN if it takes
        many data sets to know it; and the counts of the risk oracle.
    """
    rng = np.random.default_rng(seed)
    nights = [
        simulate_night_series(scenario.species, scenario.hours, rng=stream, effects=scenario.effects, night=str(index))
        for index, stream in enumerate(rng.spawn(scenario.n_nights))
    ]
    all_series = [series for series, _ in nights]
    asked: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "moments": lambda: _ask_hazards_at_moments(nights),
        "matched": lambda: _ask_matched(all_series, scenario.effects),
        "directions": lambda: _ask_directions(all_series, scenario.effects),
        "naive": lambda: _ask_naive(all_series),
        "cues": lambda: _ask_cues(nights, rng),
    }
    rows = [row for question in scenario.questions if question != "hazard" for row in asked[question]()]
    rows = [{"n_nights": len(nights), **row} for row in rows]
    for size in scenario.groups or (len(nights),) if "hazard" in scenario.questions else ():
        for first in range(0, len(nights) - size + 1, size):
            found = _ask_hazards(all_series[first : first + size], scenario.effects)
            rows += [{"n_nights": size, **row} for row in found]
    oracle = pd.DataFrame()
    if "matched" in scenario.questions:
        oracle = pd.concat([tabulate_oracle_risk(series, "aversive", horizon=HORIZON) for series in all_series])
    return [{"scenario": scenario.name, **row} for row in rows], oracle


def _ask_hazards(all_series: list[NightSeries], effects: Effects) -> Iterator[dict[str, Any]]:
    found = estimate_hazards(all_series, outcome="wake", contents=CONTENTS, horizon=HORIZON)
    for content, effect in zip(CONTENTS, found or (), strict=False):
        truth = float(np.log(effects.hazard_ratio.get(content, 1.0)))
        yield _row("hazard", "wake", content, effect.log_ratio, truth)


def _ask_hazards_at_moments(nights: list[tuple[NightSeries, Dynamics]]) -> Iterator[dict[str, Any]]:
    """The same without the ripples that carry nothing: the infraslow phase alone stands against the common cause."""
    for method in ("hazard-moments", "hazard-moments-true-phase"):
        all_series = [replace(series, candidates=None) for series, _ in nights]
        if method.endswith("true-phase"):
            all_series = [
                replace(series, infraslow=np.angle(np.exp(1j * dynamics.infraslow.astype(float))))
                for series, (_, dynamics) in zip(all_series, nights, strict=True)
            ]
        found = estimate_hazards(all_series, outcome="wake", contents=[None], horizon=HORIZON)
        if found:
            yield _row(method, "wake", "any", found[0].log_ratio, np.nan)


def _ask_matched(all_series: list[NightSeries], effects: Effects) -> Iterator[dict[str, Any]]:
    for outcome in ("depth", "wake"):
        for content in ("aversive", "neutral"):
            effect = estimate_matched(all_series, outcome=outcome, content=content, horizon=HORIZON)
            gain, truth = effects.depth_gain.get(content, 0.0), np.nan
            if outcome == "depth":
                added = [compute_oracle_depth(series, content, gain=gain, horizon=HORIZON) for series in all_series]
                truth = float(np.concatenate(added).mean())
            elif effects.hazard_ratio.get(content, 1.0) == 1:
                truth = 0.0
            if effect is not None:
                yield _row("matched", outcome, content, effect.difference, truth)
    control = estimate_matched(all_series, outcome="depth", content="aversive", horizon=HORIZON, backwards=True)
    if control is not None:
        yield _row("negative-control", "depth", "aversive", control.difference, 0.0)


def _ask_directions(all_series: list[NightSeries], effects: Effects) -> Iterator[dict[str, Any]]:
    reverse = estimate_reverse(all_series)
    if reverse is not None:
        yield _row("hazard", "rate", "any", reverse.log_ratio, 0.0 if effects.rate_per_db == 0 else np.nan)
    granger = compute_granger(all_series, content="aversive")
    for (direction, question), (_, found) in zip(
        (("forward", "depth"), ("reverse", "rate")), granger.iterrows(), strict=True
    ):
        interval = Interval(*(float(found[name]) for name in ("value", "low", "high", "p")))
        planted = effects.depth_gain.get("aversive", 0.0) if direction == "forward" else effects.rate_per_db
        yield _row("granger", question, "aversive", interval, np.nan if planted else 0.0)


def _ask_naive(all_series: list[NightSeries]) -> Iterator[dict[str, Any]]:
    for outcome in ("depth", "wake"):
        for content in ("aversive", None):
            yield _row(
                "naive", outcome, content or "any", estimate_naive(all_series, outcome=outcome, content=content), np.nan
            )


def _ask_cues(nights: list[tuple[NightSeries, Dynamics]], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for ratio, question in ((1.0, "wake"), (2.0, "wake, cues double the hazard")):
        cued = [add_cues(series, dynamics, hazard_ratio=ratio, rng=rng) for series, dynamics in nights]
        effect = estimate_randomised(cued, outcome="wake", rng=rng, horizon=HORIZON, n_permutations=399)
        if effect is not None:
            yield _row("randomised", question, "any", effect.difference, 0.0 if ratio == 1 else np.nan)


def _row(method: str, question: str, content: str, interval: Interval, truth: float) -> dict[str, Any]:
    return {
        "method": method,
        "question": question,
        "content": content,
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "p": interval.p,
        "truth": truth,
    }


SPACING = (60.0, 120.0)
"""Shortest and longest time between two cues, in seconds."""

AROUSAL = 8
"""Length of an arousal that a cue brings, in seconds."""


class Hazardous(Protocol):
    """What knows the hazard (1/s) of waking without any reactivation, one value a second."""

    @property
    def lightening_hazard(self) -> np.ndarray: ...


def add_cues(
    series: NightSeries,
    dynamics: Hazardous,
    *,
    hazard_ratio: float,
    rng: np.random.Generator,
    window: int = 30,
) -> NightSeries:
    """The night with cues and shams drawn by a coin during NREM sleep.

    For `window` s after a cue, not after a sham, sleep lightens at (ratio - 1) times the hazard that would hold without
    any reactivation, in addition to what it did: an arousal of `AROUSAL` s.

    Args:
        series: The night.
        dynamics: Behind it; gives the hazard.
        hazard_ratio: At least 1; 1 is null.
        rng: Random generator.
        window: Length of the window in s.

    Returns:
        The series with `cues`.
    """
    onsets = np.cumsum(rng.uniform(*SPACING, size=int(len(series.time) / SPACING[0])))
    onsets = onsets[onsets < len(series.time) - 2 * window]
    onsets = onsets[np.isin(series.stage[onsets.astype(int)], series.nrem)]
    cued = rng.random(len(onsets)) < 0.5
    stage = series.stage.copy()
    for second in onsets[cued].astype(int):
        extra = (hazard_ratio - 1) * dynamics.lightening_hazard[second + 1 : second + 1 + window]
        comes = np.flatnonzero(rng.random(window) < -np.expm1(-extra))
        moment = second + 2 + int(comes[0]) if comes.size else 0
        if comes.size and np.isin(stage[second:moment], series.nrem).all():
            stage[moment : moment + AROUSAL] = np.where(
                stage[moment : moment + AROUSAL] > 0, 0, stage[moment : moment + AROUSAL]
            )
    table = pd.DataFrame({"onset": onsets, "condition": np.where(cued, "cue", "sham"), "content": "sound"})
    return replace(series, stage=stage, cues=table)
