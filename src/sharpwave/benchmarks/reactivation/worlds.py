"""The same question under one assumption after the other, in two worlds that share no code.

The first world is `sharpwave.simulation`, by which the head and its judge were trained; the second is
`benchmarks/second_world`, by which nothing was. Spikes and places are given, no LFP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.reactivation.oracle import find_best, weigh_bursts
from sharpwave.benchmarks.rows import Row, estimate_row, resampled_row
from sharpwave.benchmarks.second_world.sessions import Session, SessionOptions, draw_session, to_recording
from sharpwave.brainmu.reactivation.reactivation_head import (
    ShippedHead,
    compute_reactivation_probability,
    find_events,
    judge_bursts,
    keep_replays,
    load_reactivation_head,
)
from sharpwave.brainmu.reactivation.reactivation_places import PlaceFields
from sharpwave.evaluation.events import EventScores, score_events
from sharpwave.night.reactivations import PLACE, SMOOTHING, convert_fields
from sharpwave.reactivation import place_fields as maps
from sharpwave.reactivation.candidates import detect_bursts
from sharpwave.reactivation.counts import bin_events
from sharpwave.reactivation.position import get_position
from sharpwave.reactivation.state_space import decode_events
from sharpwave.recipes.difficulty import ASSUMPTIONS, EMPTY, IOU, simulate_assumed_night
from sharpwave.recordings.recording import Recording

SEED = 2026
FIRST, SECOND = "first world", "second world"
ORACLE, PRECISION, N_ORACLE = "knows fields, edges and kinds", 0.91, 2
"""An observer of the second world (`oracle`), the precision at which its recall is told, and the sessions it sees."""
AGREE = 0.5
"""Least share of an event's time in which one place explains the next: stationary and continuous dynamics together."""
_FIFTH = {"replay": 0.2, "random": 0.8}
_CALM: dict[str, Any] = {"bursting": 0.0, "drift": 0.0, "second_field": 0.0, "jump": 0.0}
SECOND_ASSUMPTIONS: dict[str, dict[str, Any]] = {
    "plain": _CALM,
    "stationary decoys": {"mix": {"replay": 0.2, "stationary": 0.8}},
    "assembly decoys": {"mix": {"replay": 0.2, "assembly": 0.8}},
    "bursting": _CALM | {"bursting": 0.3},
    "drift": _CALM | {"drift": 0.4},
    "jumps": {"mix": {"replay": 0.2, "jumping": 0.8}, "jump": 0.5},
    "slow": {"speed": (3.0, 5.0)},
    "fast": {"speed": (12.0, 20.0)},
    "few units": {"n_cells": 20},
    "many units": {"n_cells": 150},
    "all together": {
        "mix": {"replay": 0.2, "random": 0.2, "stationary": 0.15, "jumping": 0.15, "assembly": 0.15, "remapped": 0.15}
    },
}  # fmt: skip
"""Options of the second world by assumption: what is not named has that world's defaults, among them 45 cells, a third
of spikes that begin complex spikes, drift, second fields, and one replay in seven with a jump."""
SECOND_EMPTY = {
    "cells at random": "random", "one place": "stationary", "places at random": "jumping", "an assembly": "assembly",
    "remapped fields": "remapped", "Poisson": "poisson",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """One session.

    Attributes:
        recording: Spikes and position.
        maps: Place fields that were estimated from the run.
        replays: Planted replays after the run: onset, duration.
        start: End of the run, in s; what is found before is not counted.
        session: The session of the second world with its truth; none of a night of the first.
        options: How it was drawn.
    """

    recording: Recording
    maps: maps.PlaceFields
    replays: pd.DataFrame
    start: float
    session: Session | None = None
    options: SessionOptions | None = None

    @property
    def fields(self) -> PlaceFields:
        """As the head takes them."""
        return convert_fields(self.maps)

    @property
    def duration(self) -> float:
        """Seconds that are searched."""
        return self.recording.duration - self.start


def draw_first(name: str, *, rng: np.random.Generator, hours: float = 0.75) -> Case:
    """A night of the first world under one of its assumptions, or one without replay."""
    night = simulate_assumed_night(name, rng=rng, hours=hours)
    laps = night.recording.events
    return Case(night.recording, night.maps, night.replays, float((laps["onset"] + laps["duration"]).max()))


def draw_second(name: str, *, rng: np.random.Generator, minutes: float = 15.0, **more: Any) -> Case:
    """A session of the second world under one of its assumptions, or one without replay.

    Args:
        name: Key of `SECOND_ASSUMPTIONS` or `SECOND_EMPTY`.
        rng: Random generator.
        minutes: Length of the rest after the run.
        more: Options of the session that are other than those of the assumption.
    """
    if name in SECOND_ASSUMPTIONS:
        options = {"mix": _FIFTH} | SECOND_ASSUMPTIONS[name]
    else:
        options = {"mix": {SECOND_EMPTY[name]: 1.0}}
    how = SessionOptions(before=10.0, after=60 * minutes, **(options | more))
    session = draw_session(how, rng=rng)
    recording = to_recording(session)
    fields = maps.estimate_place_fields(recording.spikes, get_position(recording), bin_size=PLACE, smoothing=SMOOTHING)
    events = session.events
    replays = events[(events["kind"] == "replay") & (events["onset"] > session.task[1])].reset_index(drop=True)
    return Case(recording, fields, replays, session.task[1], session, how)


def detect_in_case(case: Case, shipped: ShippedHead) -> dict[str, pd.DataFrame]:
    """What each detector finds after the run: onset, duration."""
    probability = compute_reactivation_probability(shipped.head, case.recording, fields=case.fields)
    judged = judge_bursts(case.recording, fields=case.fields, shipped=shipped, probability=probability)
    alone = float(shipped.card.get("threshold of the frames alone", 0.6))
    found = {
        "brainmu-lite": judged[keep_replays(judged, shipped, least=shipped.thresholds["spikes+places"])],
        "frames alone": find_events(probability, threshold=alone),
    }
    bursts = detect_bursts(case.recording.spikes)[["onset", "duration"]]
    bursts = bursts[bursts["onset"] > case.start].reset_index(drop=True)
    found |= {"bursts": bursts, "bursts whose places agree": keep_agreeing(case, bursts)}
    return {name: table[table["onset"] > case.start].reset_index(drop=True) for name, table in found.items()}


def keep_agreeing(case: Case, bursts: pd.DataFrame) -> pd.DataFrame:
    """Bursts in which the decoded place of one bin is that of the next, for at least `AGREE` of the time."""
    if not len(bursts):
        return bursts
    binned = bin_events(case.recording.spikes, bursts, bin_size=0.005, units=case.maps.units)
    table = decode_events(binned, case.maps).table
    return bursts[(table["p_stationary"] + table["p_continuous"]).to_numpy() >= AGREE].reset_index(drop=True)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """`sharpwave benchmark reactivation-worlds`: the shipped head and its baselines, on sessions drawn anew.

    Args:
        data: Not used: replays are known in simulated sessions alone.
        seeds: Sessions of each assumption, and of each kind without replay, in each world.
        train: No meaning here; `sharpwave benchmark reactivation --train` trains.
    """
    shipped = load_reactivation_head()
    rows = list(iter_world_rows(shipped, sessions=seeds, rng=np.random.default_rng([SEED, 1])))
    config = {
        "iou": IOU,
        "seed": SEED,
        "thresholds": shipped.thresholds,
        "assumptions": {name: str(assumption) for name, assumption in ASSUMPTIONS.items()},
        "assumptions of the second world": {name: str(options) for name, options in SECOND_ASSUMPTIONS.items()},
        "sessions of each assumption": seeds,
        "notes": ["All sessions are simulated, in two worlds that share no code."],
    }
    return config, rows


def iter_world_rows(shipped: ShippedHead, *, sessions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Rows of every assumption and every kind of night without replay, in both worlds.

    Args:
        shipped: Head that is scored.
        sessions: Sessions of each.
        rng: Random generator of sessions and bootstrap.
    """
    worlds = (
        (FIRST, draw_first, (*ASSUMPTIONS, *EMPTY)), (SECOND, draw_second, (*SECOND_ASSUMPTIONS, *SECOND_EMPTY)),
    )  # fmt: skip
    for world, draw, names in worlds:
        for name in names:
            scores: list[dict[str, EventScores]] = []
            seen: list[pd.DataFrame] = []
            for stream in rng.spawn(sessions):
                case = draw(name, rng=stream)
                scores.append(_score(case, shipped))
                if case.session is not None and len(seen) < N_ORACLE:
                    seen.append(_weigh(case, rng=stream))
            yield from to_world_rows(world, name, scores, rng=rng)
            if seen:
                yield from to_oracle_rows(name, seen)


def _weigh(case: Case, *, rng: np.random.Generator) -> pd.DataFrame:
    """What an observer who knows the second world says of each burst; of one without replay it expects a fifth."""
    assert case.session is not None
    assert case.options is not None
    mix = dict(case.options.mix)
    if "replay" not in mix:
        mix = {"replay": 0.2} | {kind: 0.8 * share for kind, share in mix.items()}
    weighed = weigh_bursts(case.session, case.options, mix, rng=rng)
    weighed.attrs["minutes"] = case.duration / 60
    return weighed


def to_oracle_rows(name: str, seen: Sequence[pd.DataFrame]) -> list[Row]:
    """The largest recall at `PRECISION` that is in the spikes; and what seems replay rather than not where none is.

    Args:
        name: Assumption, or what bursts hold where nothing is replayed.
        seen: From `weigh_bursts`, for each session.
    """
    together, n = pd.concat(seen), len(seen)
    likely = together["probability"] >= 0.5
    true = together["kind"] == "replay"
    if not true.any():
        false = float(likely.sum()) / sum(table.attrs["minutes"] for table in seen)
        return [Row(SECOND, name, ORACLE, "false_positives_per_minute", false, n=n)]
    recall, _ = find_best(together, precision=PRECISION)
    values = {
        f"recall at precision {PRECISION}": recall,
        "precision": float(true[likely].mean()),
        "recall": float(likely[true].mean()),
    }
    return [Row(SECOND, name, ORACLE, metric, value, n=n) for metric, value in values.items()]


def _score(case: Case, shipped: ShippedHead) -> dict[str, EventScores]:
    return {
        method: score_events(case.replays, found, iou=IOU, duration=case.duration)
        for method, found in detect_in_case(case, shipped).items()
    }


def to_world_rows(
    world: str, name: str, scores: Sequence[Mapping[str, EventScores]], *, rng: np.random.Generator
) -> list[Row]:
    """Precision, recall and F1 of all events together, with intervals over sessions; false events a minute.

    Args:
        world: Which world.
        name: Assumption, or what bursts hold where nothing is replayed.
        scores: By method, for each session.
        rng: Random generator of the bootstrap.
    """
    rows, n = [], len(scores)
    some = any(session["brainmu-lite"].n_truth for session in scores)
    draws = np.vstack([np.ones(n), rng.multinomial(n, np.ones(n) / n, size=1000)])
    for method in scores[0]:
        each = [session[method] for session in scores]
        if some:
            matched, found, true = (
                draws @ np.array([getattr(s, field) for s in each], float)
                for field in ("n_matched", "n_found", "n_truth")
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                values = {"precision": matched / found, "recall": matched / true, "f1": 2 * matched / (found + true)}
            rows += [resampled_row(world, name, method, metric, value, n=n) for metric, value in values.items()]
        false = [s.false_per_minute for s in each]
        rows.append(estimate_row(world, name, method, "false_positives_per_minute", false, rng=rng))
    return rows
