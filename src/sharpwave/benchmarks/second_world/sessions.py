"""Sessions of a rat on a linear track, by a generator that shares nothing with `sharpwave.simulation`.

What differs from that one: cells fire complex spikes and are refractory, each wanders in excitability and all share a
gain, fields may be double and differ in width, theta paces the run, and rest holds population bursts of kinds that are
chosen: replays at 3 to 20 m/s with jumps, and what only looks like them. A session is drawn in a second.

    session = draw_session(SessionOptions(mix={"replay": 0.2, "stationary": 0.8}), rng=np.random.default_rng(0))
    recording = to_recording(session)
    true = session.events[session.events["kind"] == "replay"]  # onset, duration, path_start, path_end, speed ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.benchmarks.second_world.firing import Cells, add_bursts, fire_in_events, fire_in_rest, fire_on_track
from sharpwave.benchmarks.second_world.options import FRAMES, KINDS, STEP, SessionOptions

if TYPE_CHECKING:
    from sharpwave.recordings import Recording

__all__ = ["KINDS", "Session", "SessionOptions", "draw_lfp", "draw_session", "to_recording"]

LFP_RATE = 1250.0


@dataclass(frozen=True, eq=False)
class Session:
    """A session and its truth.

    Attributes:
        spikes: Times of each cell in s, sorted.
        times: Time of each sample of position, in s.
        place: Place on the track at these times, in m.
        speed: Its derivative in m/s, positive outbound.
        events: Population bursts in rest: onset, duration (s), kind, direction (0 outbound, 1 inbound: whose fields;
            -1 where none), path_start, path_end (m), speed (m/s, negative towards 0; NaN where nothing moves), n_jumps.
        fields: True rates in Hz by cell, running direction and place.
        task: Start and end of the run, in s.
        end: End of the session, in s.
        track_length: Length of the track in m.
    """

    spikes: tuple[Float[np.ndarray, " spike"], ...]
    times: Float[np.ndarray, " sample"]
    place: Float[np.ndarray, " sample"]
    speed: Float[np.ndarray, " sample"]
    events: pd.DataFrame
    fields: Float[np.ndarray, "cell 2 place"]
    task: tuple[float, float]
    end: float
    track_length: float


def draw_session(options: SessionOptions | None = None, *, rng: np.random.Generator) -> Session:
    """Draw a session.

    Args:
        options: How it is drawn; `SessionOptions()` where omitted.
        rng: Random generator.

    >>> options = SessionOptions(n_cells=20, before=20, run=60, after=40, mix={"stationary": 1.0})
    >>> session = draw_session(options, rng=np.random.default_rng(0))
    >>> len(session.spikes), sorted(set(session.events["kind"]))
    (20, ['random', 'stationary'])
    """
    options = options or SessionOptions()
    of_cells, of_run, of_rest, of_events, of_spikes = rng.spawn(5)
    cells = Cells.draw(options, of_cells)
    start, end = options.before, options.before + options.run + options.after
    task = (start, start + options.run)
    times, place = _draw_laps(task, options.track_length, of_run)
    speed = np.gradient(place, times)
    events, paths = _draw_events(options, task, end, of_events)
    parts = [
        fire_in_rest(cells, options, task, end, of_rest),
        fire_on_track(cells, options, times, place, speed, of_run),
        fire_in_events(cells, options, events, paths, of_events),
    ]
    spikes = tuple(
        add_bursts(np.sort(np.concatenate(each)), options, end, of_spikes) for each in zip(*parts, strict=True)
    )
    return Session(spikes, times, place, speed, events, cells.fields, task, end, options.track_length)


def to_recording(session: Session, *, lfp: Float[np.ndarray, " sample"] | None = None) -> Recording:
    """The session as a `Recording`: spikes, position (1-D, m), and an LFP where one is given (`draw_lfp`).

    >>> options = SessionOptions(n_cells=20, before=20, run=60, after=40)
    >>> recording = to_recording(draw_session(options, rng=np.random.default_rng(0)))
    >>> sorted(recording.signals), len(recording.spikes)
    (['position'], 20)
    """
    import pynapple as nap

    from sharpwave.recordings import Recording, Signal
    from sharpwave.recordings.modality import MODALITIES

    support = nap.IntervalSet(0, session.end)
    trains = {cell: nap.Ts(train, time_support=support) for cell, train in enumerate(session.spikes) if len(train)}
    signals = {
        "position": Signal(
            "position",
            session.place[:, None].astype(np.float32),
            FRAMES,
            MODALITIES["position"],
            start=float(session.times[0]),
            channels=("x",),
        )
    }
    if lfp is not None:
        signals["lfp"] = Signal("lfp", lfp[:, None].astype(np.float32), LFP_RATE, MODALITIES["lfp"], channels=("lfp",))
    spikes = nap.TsGroup(trains, time_support=support)
    return Recording(signals=signals, spikes=spikes, species="rat", source="simulated: second world")


def draw_lfp(
    session: Session, *, rng: np.random.Generator, share: float = 0.9, stray: float = 0.1
) -> Float[np.ndarray, " sample"]:
    """One channel of LFP in V at `LFP_RATE`: brown noise, and ripples of 140 to 200 Hz in a share of the bursts.

    Args:
        session: The session.
        rng: Random generator.
        share: Share of population bursts with a ripple; 0.9 by default.
        stray: Ripples without a burst, per burst; 0.1 by default.
    """
    from scipy.signal import lfilter

    n = int(session.end * LFP_RATE)
    lfp = lfilter([1.0], [1.0, -0.96], rng.standard_normal(n)) * 7e-6
    chosen = session.events[rng.random(len(session.events)) < share]
    spans = list(zip(chosen["onset"], chosen["duration"], strict=True))
    spans += [(onset, 0.08) for onset in rng.uniform(1, session.end - 1, rng.poisson(stray * len(session.events)))]
    for onset, duration in spans:
        first, size = int(onset * LFP_RATE), max(int(duration * LFP_RATE), 25)
        piece = lfp[first : first + size]
        phase = 2 * np.pi * rng.uniform(140, 200) * np.arange(len(piece)) / LFP_RATE
        piece += rng.lognormal(np.log(110e-6), 0.3) * np.hanning(len(piece)) * np.sin(phase + rng.uniform(0, 6.28))
    return lfp


def _draw_laps(task: tuple[float, float], length: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """To and fro with pauses at the ends, at a speed that changes within a lap."""
    times = np.arange(task[0], task[1], 1 / FRAMES)
    where, pieces, total = 0.0, [], 0
    while total < len(times):
        pause = np.full(int(rng.uniform(1, 4) * FRAMES), where)
        goal = length - where
        pace = np.clip(rng.normal(0.42, 0.1) * (1 + 0.25 * rng.standard_normal(40).cumsum() / 6), 0.15, 0.9)
        steps = np.repeat(pace, 8) / FRAMES
        steps = steps[: np.searchsorted(np.cumsum(steps), length) + 1]
        lap = where + (goal - where) * np.cumsum(steps) / steps.sum()
        where = goal
        pieces += [pause, lap]
        total += len(pause) + len(lap)
    return times, np.concatenate(pieces)[: len(times)]


def _draw_events(
    options: SessionOptions, task: tuple[float, float], end: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """When bursts are, of which kind, and along which path (NaN where there is none)."""
    rows, paths = [], []
    for low, high, mix in ((3.0, task[0] - 3, options.mix_before), (task[1] + 3, end - 3, options.mix)):
        kinds = list(mix)
        chances = np.array([mix[kind] for kind in kinds], float)
        at = low
        while True:
            at += 0.25 + rng.exponential(max(1 / options.event_rate - 0.25, 0.05))
            if at >= high:
                break
            kind = kinds[rng.choice(len(kinds), p=chances / chances.sum())]
            path, n_jumps = draw_path(kind, options, rng)
            duration, known = len(path) * STEP, np.isfinite(path).all()
            paths.append(path)
            moves = kind in ("replay", "remapped")
            speed = float(np.median(np.diff(path)) / STEP) if moves else np.nan
            way = int(rng.integers(2)) if known else -1
            ends = (float(path[0]), float(path[-1]))
            rows.append((at, duration, kind, way, *ends, speed, n_jumps))
            at += duration
    columns = ["onset", "duration", "kind", "direction", "path_start", "path_end", "speed", "n_jumps"]
    return pd.DataFrame(rows, columns=columns), paths


def draw_path(kind: str, options: SessionOptions, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Place at each step of a burst, and how often it jumps."""
    length = options.track_length
    duration = float(np.clip(rng.lognormal(np.log(0.12), 0.35), 0.06, 0.45))
    if kind in ("replay", "remapped"):
        pace = float(np.exp(rng.uniform(*np.log(options.speed))))
        distance = float(np.clip(pace * duration, options.least_distance, 0.95 * length))
        n = max(round(distance / pace / STEP), 10)
        path = rng.uniform(0, length - distance) + pace * STEP * (np.arange(n) + 0.5)
        path = path if rng.random() < 0.5 else path[::-1]
        if rng.random() >= options.jump:
            return path, 0
        at = int(rng.uniform(0.3, 0.7) * n)
        return np.r_[path[:at], (path[at:] + rng.uniform(0.3, 0.7) * length) % length], 1
    n = int(duration / STEP)
    if kind == "stationary":
        return np.full(n, rng.uniform(0, length)), 0
    if kind == "jumping":
        edges = np.cumsum(rng.uniform(0.03, 0.06, n) / STEP).astype(int)
        index = np.searchsorted(edges, np.arange(n), side="right")
        return rng.uniform(0, length, n)[index], int(index[-1])
    return np.full(n, np.nan), 0
