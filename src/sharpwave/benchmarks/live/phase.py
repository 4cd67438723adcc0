"""`sharpwave benchmark live-phase`: is a cue heard at the phase that was asked for?

People that no weight and no constant was chosen on (eight of UCDDB, upright; four of DREAMS, another amplifier, country
and rate). A cue is heard where the predicted phase passes the target, `lead` seconds ahead, if the oscillation is
larger than `gate` times its running mean, and 2.5 s after the one before. Where it was heard is held against filters
that hear the future: four definitions, since at low amplitude the truth itself is uncertain. All methods share the gate
of amplitude, so they are cued in the same minutes; differences are paired by person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.live.cost import measure_cost
from sharpwave.benchmarks.live.phase_runs import (
    MAIN,
    MOST_MINUTES,
    TRUTHS,
    Run,
    load_people,
    load_second_world,
    mix_all,
)
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.errors import SharpwaveError
from sharpwave.live.phase import GRID, TAPS, compute_undeclared_latency, load_predictor
from sharpwave.live.phase_methods import METHODS, find_delayed
from sharpwave.recipes.phase_predictor import TESTED_ON, TRAINED_ON

OURS = "learned predictor"
DELAYED = "trough and a fixed delay"
TARGET = -45.0
LEAD = 0.05
APART = 2.5
EDGE = 3.0
"""Seconds at either end of a run in which nothing is scored: the truths' filters settle there."""
UNDECLARED = (0.0, 0.03, 0.08)
SAME_RATE = 10.0
"""Cues a minute at which methods are compared whatever their gates."""


def find_cues(
    now: np.ndarray, following: np.ndarray, ratio: np.ndarray, *, target: float, gate: float, lead: float
) -> np.ndarray:
    """Times of cues in seconds: where the predicted phase passes the target between one value of the grid and the next.

    Args:
        now: Analytic signal as predicted `lead` seconds ahead of each value.
        following: The same, one value of the grid later.
        ratio: Amplitude over its running mean.
        target: Phase in radians.
        gate: Least ratio.
        lead: Seconds.
    """
    turn = np.exp(-1j * target)
    with np.errstate(invalid="ignore"):
        before = np.angle(now * turn)
        moved = np.angle(following / now)
        passes = np.flatnonzero((before <= 0) & (before + moved > 0) & (ratio > gate))
    return keep_apart(passes / GRID + lead - before[passes] / moved[passes] / GRID)


def keep_apart(times: np.ndarray) -> np.ndarray:
    """Times without those that come less than 2.5 s after the one before."""
    kept: list[float] = []
    for time in times.tolist():
        if not kept or time - kept[-1] >= APART:
            kept.append(time)
    return np.array(kept)


def measure(cues: np.ndarray, run: Run, truth: str, *, late: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Phase at which each cue was heard, by a definition of the truth, and the frequency there.

    Args:
        cues: Times in seconds from the beginning of the run.
        run: The run.
        truth: Key of `TRUTHS`.
        late: Seconds by which every cue was later than anybody declared.
    """
    heard = cues + late
    heard = heard[(heard > EDGE + TAPS / GRID) & (heard < run.seconds - EDGE)]
    analytic, times = run.truths[truth], np.arange(run.truths[truth].size) / run.rate

    def at(moments: np.ndarray) -> np.ndarray:
        return np.interp(moments, times, analytic.real) + 1j * np.interp(moments, times, analytic.imag)

    step = 0.05
    frequency = np.angle(at(heard + step) / at(heard - step)) / (4 * np.pi * step)
    return np.angle(at(heard)), frequency


@dataclass(frozen=True)
class PhaseScores:
    """How well cues were timed in one person, in degrees, shares and cues a minute."""

    bias: float
    spread: float
    within_45: float
    upper_half: float
    per_minute: float


def score(phases: np.ndarray, *, target: float, minutes: float) -> PhaseScores:
    """Scores of one person.

    Args:
        phases: Phases at which cues were heard, in radians.
        target: Phase that was asked for, in radians.
        minutes: Minutes of deep sleep.
    """
    if not phases.size:
        return PhaseScores(math.nan, math.nan, math.nan, math.nan, 0.0)
    errors = np.angle(np.exp(1j * (phases - target)))
    mean = np.exp(1j * errors).mean()
    spread = math.degrees(math.sqrt(-2 * math.log(max(abs(mean), 1e-12))))
    within = float((np.abs(errors) <= np.pi / 4).mean())
    upper = float((np.cos(phases) > 0).mean())
    return PhaseScores(math.degrees(np.angle(mean)), spread, within, upper, phases.size / minutes)


Ahead = tuple[np.ndarray, np.ndarray]
"""Of a run: the analytic signal as predicted for each value, and for the one after."""


def predict_runs(runs: Sequence[Run], method: str, *, lead: float) -> list[Ahead]:
    """What a method predicts `lead` seconds ahead, in each run.

    Args:
        runs: Runs of a person.
        method: `OURS`, or a key of `METHODS`.
        lead: Seconds.
    """

    def predict(one: Run, ahead: float) -> np.ndarray:
        if method == OURS:
            return mix_all(load_predictor(), one.components, ahead)
        return METHODS[method](one.plain, ahead)

    return [(predict(one, lead), predict(one, lead + 1 / GRID)) for one in runs]


def cue_runs(
    runs: Sequence[Run], ahead: Sequence[Ahead] | None, *, target: float, gate: float, lead: float, delay: float
) -> list[np.ndarray]:
    """Times of cues in each run, in seconds.

    Args:
        runs: Runs of a person.
        ahead: From `predict_runs`; None for a fixed delay after each trough.
        target: Phase in radians.
        gate: Least amplitude over its running mean.
        lead: Seconds ahead.
        delay: Seconds after a trough.
    """
    if ahead is None:
        return [keep_apart(find_delayed(one.plain, one.ratio > gate, delay=delay, lead=lead)[0]) for one in runs]
    both = zip(runs, ahead, strict=True)
    return [find_cues(*pair, one.ratio, target=target, gate=gate, lead=lead) for one, pair in both]


def learn_delay(people: Sequence[Sequence[Run]], *, target: float, gate: float) -> float:
    """The delay after a trough is told that meets the target best, in people of the development."""
    best, found = -2.0, 0.5
    for delay in np.arange(0.1, 1.2, 0.025):
        phases = []
        for runs in people:
            for run in runs:
                times, _ = find_delayed(run.plain, run.ratio > gate, delay=float(delay), lead=0.0)
                phases.append(measure(keep_apart(times), run, MAIN)[0])
        close = float(np.cos(np.concatenate(phases) - target).mean())
        if close > best:
            best, found = close, float(delay)
    return found


METRICS = ("within_45", "spread", "bias", "upper_half", "per_minute")


@dataclass(frozen=True)
class Setting:
    """What is asked of every method.

    Attributes:
        target: Phase in degrees.
        gate: Least amplitude over its running mean; None takes for each method the one that gives `SAME_RATE`.
        truths: Keys of `TRUTHS`.
    """

    target: float = TARGET
    gate: float | None = 1.0
    truths: tuple[str, ...] = (MAIN,)


def compare(
    data: str, people: dict[str, list[Run]], settings: Sequence[Setting], *, lead: float, methods: Sequence[str],
    delays: dict[float, float], rng: np.random.Generator,
) -> list[Row]:  # fmt: skip
    """Every method in every setting: means over people, the worst person, and differences paired by person."""
    ahead: dict[str, dict[str, list[Ahead] | None]] = {
        method: {
            name: None if method == DELAYED else predict_runs(runs, method, lead=lead) for name, runs in people.items()
        }
        for method in methods
    }
    rows: list[Row] = []
    for setting in settings:
        within: dict[tuple[str, str], np.ndarray] = {}
        for method in methods:
            scores = _score_people(people, ahead[method], setting, lead=lead, delay=delays[setting.target])
            for truth in setting.truths:
                gate = f"{SAME_RATE:g} a minute" if setting.gate is None else f"gate {setting.gate:g}"
                name = f"target {setting.target:g}, {gate}, {lead * 1e3:.0f} ms ahead, truth {truth}"
                for metric in METRICS:
                    values = [getattr(each, metric) for each in scores[truth]]
                    rows.append(estimate_row(data, name, method, metric, values, rng=rng))
                within[method, truth] = np.array([each.within_45 for each in scores[truth]])
                worst = float(np.nanmin(within[method, truth]))
                rows.append(Row(data, name, method, "within_45_worst_person", worst, n=len(people)))
                if method != methods[0]:
                    paired = within[methods[0], truth] - within[method, truth]
                    title = f"{methods[0]} minus {method}"
                    rows.append(estimate_row(data, name, title, "within_45", paired.tolist(), rng=rng))
    return rows


def _score_people(
    people: dict[str, list[Run]], ahead: dict[str, list[Ahead] | None], setting: Setting, *, lead: float, delay: float
) -> dict[str, list[PhaseScores]]:
    """Scores of one method by definition of the truth, one for each person."""
    aim = math.radians(setting.target)
    minutes = {
        name: sum(max(run.seconds - 2 * EDGE - TAPS / GRID, 1.0) for run in runs) / 60 for name, runs in people.items()
    }

    def cue(gate: float) -> dict[str, list[np.ndarray]]:
        return {
            name: cue_runs(runs, ahead[name], target=aim, gate=gate, lead=lead, delay=delay)
            for name, runs in people.items()
        }

    gate = setting.gate
    if gate is None:  # the gate at which this method cues as often as the others
        low, high, gate = 0.3, 3.0, 1.0
        for _ in range(12):
            gate = (low + high) / 2
            rate = np.mean([sum(map(len, each)) / minutes[name] for name, each in cue(gate).items()])
            low, high = (gate, high) if rate > SAME_RATE else (low, gate)
    cues = cue(gate)
    scores: dict[str, list[PhaseScores]] = {}
    for truth in setting.truths:
        for name, runs in people.items():
            phases = [measure(each, run, truth)[0] for each, run in zip(cues[name], runs, strict=True)]
            one = score(np.concatenate(phases), target=aim, minutes=minutes[name])
            scores.setdefault(truth, []).append(one)
    return scores


def find_latencies(data: str, people: dict[str, list[Run]], *, rng: np.random.Generator) -> list[Row]:
    """What a latency that nobody declared does to cues, what calibration finds, and what that mends."""
    rows: list[Row] = []
    aim = math.radians(TARGET)
    for late in UNDECLARED:
        before, found, after = [], [], []
        for runs in people.values():
            ahead = predict_runs(runs, OURS, lead=LEAD)
            cues = cue_runs(runs, ahead, target=aim, gate=1.0, lead=LEAD, delay=0.0)
            told = [measure(each, run, MAIN, late=late) for each, run in zip(cues, runs, strict=True)]
            phases, speeds = (np.concatenate(part) for part in zip(*told, strict=True))
            errors = np.angle(np.exp(1j * (phases - aim)))
            latency = compute_undeclared_latency(errors, speeds)
            declared = min(LEAD + max(latency, -LEAD), 0.25)
            ahead = predict_runs(runs, OURS, lead=declared)
            again = cue_runs(runs, ahead, target=aim, gate=1.0, lead=declared, delay=0.0)
            shift = LEAD + late - declared
            mended = [measure(each, run, MAIN, late=shift)[0] for each, run in zip(again, runs, strict=True)]
            before.append(score(phases, target=aim, minutes=1.0).within_45)
            after.append(score(np.concatenate(mended), target=aim, minutes=1.0).within_45)
            found.append(1e3 * latency)
        setting = f"{late * 1e3:.0f} ms undeclared"
        for metric, values in (("within_45", before), ("found_ms", found), ("within_45_once_declared", after)):
            rows.append(estimate_row(data, setting, OURS, metric, values, rng=rng))
    return rows


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Score the predictor and its baselines on people of UCDDB and DREAMS that nothing was chosen on.

    Args:
        data: Folder of data sets; the usual one where omitted.
        seeds: Not used: nothing but the bootstrap is random.
        train: Not used: the weights are made by `sharpwave.recipes.phase_predictor`.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If there is nobody to score.
    """
    rng = np.random.default_rng(0)
    people, others = load_people(data, TESTED_ON), load_second_world(data)
    if not people and not others:
        raise SharpwaveError("people of UCDDB or DREAMS", got="none", fix="set SHARPWAVE_DATA, or pass --data")
    development = load_people(data, TRAINED_ON, most=10.0)
    everyone = (OURS, *METHODS, DELAYED)
    delays = {
        target: learn_delay(list(development.values()), target=math.radians(target), gate=1.0)
        for target in (TARGET, 0.0)
    }
    asked = (
        Setting(truths=tuple(TRUTHS)),
        Setting(gate=1.5),
        Setting(gate=None),
        Setting(target=0.0),
        Setting(target=0.0, gate=None),
    )
    rows: list[Row] = []
    for name, group in (("ucddb", people), ("dreams", others)):
        if not group:
            continue
        rows += compare(name, group, asked, lead=LEAD, methods=everyone, delays=delays, rng=rng)
        for lead in (0.0, 0.08, 0.2):
            rows += compare(name, group, [Setting()], lead=lead, methods=(OURS, "ecHT"), delays=delays, rng=rng)
        rows += find_latencies(name, group, rng=rng)
    rows += measure_cost(rng=rng)
    config = {
        "trained_on": [f"ucddb/{one}" for one in TRAINED_ON],
        "people": {"ucddb": list(people), "dreams": list(others)},
        "most_minutes": MOST_MINUTES,
        "apart_seconds": APART,
        "delay_after_trough": {f"{target:g}": delay for target, delay in delays.items()},
        "truths": list(TRUTHS),
        "interval": "95 %, bootstrap over people",
        "notes": [
            "UCDDB is turned upright: as stored, its slow waves are inverted in all of its people.",
            *(f"{name} left out: not here" for name, group in (("ucddb", people), ("dreams", others)) if not group),
        ],
    }
    return config, rows
