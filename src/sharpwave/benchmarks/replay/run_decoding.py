"""`sharpwave benchmark run-decoding`: where a rat runs, from its spikes, on tracks in time that the fields never saw.

Every folder `rat-ca1-*` with spikes and a trajectory on a track is one session, and so are runs of the second world on
a straight track and on a branching maze. A run (while the tracker is on the track) is cut into blocks of time; place
fields come from all blocks but one, whose bins of 0.25 s are decoded. The truth is the position in the middle of the
bin, the error a share of the track's length (of all arms together), measured along the track, and bins count where the
rat moves. All methods but the smoother use only spikes up to the end of the bin. "sharpwave" tells running directions
apart and has learnt from the other blocks how this rat runs, rests and turns, and how much its cells fire at each pace;
"random-walk" knows neither. Last come the events of rest and sleep around the run, and in folders `rat-ca1-*` of events
alone, beside their surrogates (`recorded_replay`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.benchmarks.replay.recorded import assess_sessions, find_folders
from sharpwave.benchmarks.rows import Row, estimate_row, to_row
from sharpwave.benchmarks.second_world.mazes import draw_maze_run
from sharpwave.benchmarks.second_world.mazes import to_recording as record_maze
from sharpwave.benchmarks.second_world.options import SessionOptions
from sharpwave.benchmarks.second_world.sessions import draw_session, to_recording
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.intervals import Estimate, bootstrap_statistic, draw_weights
from sharpwave.reactivation.decoding import (
    Posterior,
    decode_position,
    filter_position,
    learn_running,
    learn_running_walk,
    locate,
    smooth_position,
)
from sharpwave.reactivation.environments import follow
from sharpwave.reactivation.place_fields import PlaceFields, estimate_place_fields
from sharpwave.reactivation.position import Position, get_position, mark_running
from sharpwave.recordings import load_dataset
from sharpwave.recordings.datasets import data_root
from sharpwave.recordings.datasets.rat_ca1 import subjects

BIN = 0.25
N_BLOCKS = 10
N_SECOND_WORLD = 3
"""Runs of the second world on each kind of track."""

SECOND_WORLD = 900.0
"""Length of each of these runs, in s."""


@dataclass(frozen=True, eq=False)
class Session:
    """A run to decode.

    Attributes:
        name: Folder and session.
        spikes: Trains by unit.
        position: Along the track.
        truth: Position in the middle of each bin.
        moving: Bins that count.
        block: Block of each bin.
        edges: Starts of the blocks, and the end, in s.
    """

    name: str
    spikes: Any
    position: Position
    truth: Float[np.ndarray, " bin"]
    moving: Bool[np.ndarray, " bin"]
    block: Int[np.ndarray, " bin"]
    edges: Float[np.ndarray, " edge"]

    @property
    def length(self) -> float:
        graph = self.position.graph
        return float(np.ptp(self.position.values)) if graph is None else graph.length

    def measure(self, found: Float[np.ndarray, " bin"]) -> Float[np.ndarray, " bin"]:
        """Distance along the track between places found and the truth, as a share of the track."""
        graph = self.position.graph
        return (np.abs(found - self.truth) if graph is None else graph.measure(found, self.truth)) / self.length


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Decode every session under `data`.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds the bootstrap over blocks; nothing else is random.
        train: Not used: fields are estimated in each fold.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If there is no session on a straight track.
    """
    rng = np.random.default_rng(seeds)
    sessions, notes = load_sessions(data)
    n_recorded = len(sessions)
    if not sessions:
        raise SharpwaveError(
            "a folder rat-ca1-* with spikes.mat and a trajectory on a track",
            got="; ".join(notes) or f"none under {data or data_root()}",
            fix="pass the folder of data sets",
        )
    sessions += draw_sessions(seeds)
    rows: list[Row] = []
    summary: dict[str, list[float]] = {}
    for session in sessions:
        for method, errors in decode_session(session).items():
            error = estimate_error(session, errors, rng=rng)
            rows.append(to_row(session.name, SETTING, method, "median_error", error))
            if not session.name.startswith("second world"):
                summary.setdefault(method, []).append(error.value)
    if n_recorded > 1:
        rows += [
            estimate_row("all sessions", SETTING, method, "median_error", values, rng=rng)
            for method, values in summary.items()
        ]
    replayed, silent = assess_sessions(data, rng=rng)
    rows += replayed
    config = {
        "bin_s": BIN,
        "blocks": N_BLOCKS,
        "sessions": [session.name for session in sessions],
        "parameters": "defaults of the functions, the same in every session; they were looked at on "
        "rat-ca1-linear-track/session alone, where others near them give .029 to .034 for sharpwave and .040 to .045 "
        "for the walk by direction",
        "second_world": f"{N_SECOND_WORLD} runs of {SECOND_WORLD:g} s on each track, 45 bursting, drifting cells; "
        "shares no code with sharpwave.simulation; four settings of pace were looked at on other runs of it",
        "interval": "95 %, bootstrap over blocks; over sessions where they are pooled",
        "replay": "defaults of `sharpwave replay`: correlation, 500 cell-identity surrogates",
        "notes": notes + silent,
    }
    return config, rows


SETTING = f"past only, {BIN:g} s, blocks of time held out; share of the track"


def load_sessions(data: Path | None) -> tuple[list[Session], list[str]]:
    """Sessions on a track under `data`, straight or branching, and why others are left out."""
    sessions, notes = [], []
    for folder in find_folders(data):
        for subject in subjects(folder):
            recording = load_dataset(f"rat-ca1/{subject}", folder)
            name = f"{folder.name}/{subject}"
            if not recording.of("position"):
                notes.append(f"{name}: no trajectory")
                continue
            path, said = follow(get_position(recording))
            notes += [f"{name}: {words}" for words in said]
            if path.dimension == 1:
                sessions.append(cut_session(name, recording.spikes, path))
    return sessions, notes


def draw_sessions(seeds: int) -> list[Session]:
    """Runs of the second world: on a straight track, and on a maze that is found from the movement."""
    sessions = []
    for number in range(N_SECOND_WORLD):
        straight = SessionOptions(before=20.0, run=SECOND_WORLD, after=20.0)
        one = to_recording(draw_session(straight, rng=np.random.default_rng([seeds, number, 0])))
        run = draw_maze_run(SessionOptions(run=SECOND_WORLD), rng=np.random.default_rng([seeds, number, 1]))
        for kind, recording in (("straight track", one), ("branching maze", record_maze(run))):
            path, _ = follow(get_position(recording))
            sessions.append(cut_session(f"second world, {kind} {number + 1}", recording.spikes, path))
    return sessions


def cut_session(name: str, spikes: Any, position: Position) -> Session:
    """Bins of a run with their true position, and the blocks they fall in."""
    start, end = float(position.times[0]), float(position.times[-1])
    middles = start + BIN * (np.arange(int((end - start) / BIN)) + 0.5)
    nearest = np.clip(np.searchsorted(position.times, middles), 1, len(position.times) - 1)
    tracked = position.times[nearest] - position.times[nearest - 1] < BIN
    truth = np.interp(middles, position.times, position.values[:, 0])
    if position.graph is not None:  # its line jumps between arms
        truth = position.values[
            nearest - (middles - position.times[nearest - 1] < position.times[nearest] - middles), 0
        ]
    moving = np.interp(middles, position.times, mark_running(position).astype(float)) > 0.5
    edges = np.linspace(start, end, N_BLOCKS + 1)
    block = np.searchsorted(edges, middles, side="right") - 1
    return Session(name, spikes, position, truth, moving & tracked, block, edges)


def decode_session(session: Session) -> dict[str, Float[np.ndarray, " bin"]]:
    """Error of every method in every bin, as a share of the track."""
    errors: dict[str, np.ndarray] = {}
    for block in range(N_BLOCKS):
        rest = _leave_out(session, block)
        by_direction = estimate_place_fields(session.spikes, session.position, epochs=rest)
        pooled = estimate_place_fields(session.spikes, session.position, epochs=rest, directional=False)
        learnt = learn_running_walk(session.position, by_direction, seconds=BIN, epochs=rest)
        running = learn_running(session.spikes, session.position, by_direction, seconds=BIN, epochs=rest)
        inside = session.block == block
        where = {
            "sharpwave": _locate(session, by_direction, partial(filter_position, running=running)),
            "walk learnt, without pace": _locate(session, by_direction, partial(filter_position, transition=learnt)),
            "random-walk, by direction": _locate(session, by_direction, filter_position),
            "random-walk": _locate(session, pooled, filter_position),
            "memoryless": _locate(session, by_direction, _decode_with_occupancy),
            "smoother (sees the future)": _locate(session, by_direction, partial(smooth_position, running=running)),
            "mean position": np.full(len(session.truth), _find_middle(pooled)),
        }
        for method, found in where.items():
            error = errors.setdefault(method, np.full(len(session.truth), np.nan))
            error[inside] = session.measure(found)[inside]
    return errors


def _find_middle(fields: PlaceFields) -> float:
    """The mean position; where the track branches, the place that is nearest to all on average."""
    if fields.distances is None:
        return float(np.average(fields.position[:, 0], weights=fields.occupancy))
    return float(fields.position[np.argmin(fields.distances @ fields.occupancy), 0])


def estimate_error(session: Session, errors: Float[np.ndarray, " bin"], *, rng: np.random.Generator) -> Estimate:
    """Median over moving bins, with an interval over blocks; n is the number of bins."""
    error, block = errors[session.moving], session.block[session.moving]
    order = np.argsort(error)

    def compute_median(weights: Float[np.ndarray, " block"]) -> float:
        share = np.cumsum(weights[block[order]])
        return float(error[order][np.searchsorted(share, 0.5 * share[-1])])

    estimate = bootstrap_statistic(compute_median, draw_weights(N_BLOCKS, rng=rng, n_resamples=1000))
    return replace(estimate, n=int(session.moving.sum()))


def _leave_out(session: Session, block: int) -> pd.DataFrame:
    """The run but for one block."""
    edges = session.edges
    onset, end = np.array([edges[0], edges[block + 1]]), np.array([edges[block], edges[-1]])
    return pd.DataFrame({"onset": onset, "duration": end - onset})


def _locate(session: Session, fields: PlaceFields, decode: Callable[..., Posterior]) -> Float[np.ndarray, " bin"]:
    start = float(session.edges[0])
    end = start + BIN * len(session.truth)
    return locate(decode(session.spikes, fields, bin_size=BIN, start=start, end=end), fields)[:, 0]


def _decode_with_occupancy(spikes: Any, fields: PlaceFields, *, bin_size: float, start: float, end: float) -> Posterior:
    """Zhang et al.'s one-step method: the time spent at each place is the prior."""
    return decode_position(
        spikes, fields, bin_size=bin_size, start=start, end=end, prior=np.maximum(fields.occupancy, 1e-3)
    )
