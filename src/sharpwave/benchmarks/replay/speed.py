"""`sharpwave benchmark replay-speed`: decoding beside the libraries that do the same, on the same model.

State-space decoding of simulated events stands beside replay_trajectory_classification and non_local_detector with the
same places, rates and transitions, event by event as they are used; place fields and Bayesian decoding beside pynapple.
The first two run in a Python of their own, which the variable `SHARPWAVE_PEER_PYTHON` names; without it, or where a
library is not there, its rows are left out and the notes say so. Everything is done once before it is timed. On a busy
machine the ratios of processor seconds say more than those of the clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.benchmarks.replay import other_libraries
from sharpwave.benchmarks.replay.session import measure_session
from sharpwave.benchmarks.rows import Row, range_row
from sharpwave.reactivation.counts import BinnedEvents
from sharpwave.reactivation.decoding import decode_position
from sharpwave.reactivation.place_fields import PlaceFields, estimate_place_fields
from sharpwave.reactivation.position import Position
from sharpwave.reactivation.state_space import Dynamics, decode_events, decode_posteriors

PEER_VARIABLE = "SHARPWAVE_PEER_PYTHON"
N_EVENTS, N_BINS, BIN = 50, 50, 0.002
N_UNITS, N_PLACES = 100, 50
CONTENTS = ("a", "b")
TRACK = 2.0
MINUTES = 30.0
RATE = 30.0


@dataclass(frozen=True)
class Timing:
    """Seconds by the clock and of the processor."""

    wall_s: float
    cpu_s: float


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Time everything on `seeds` simulated sessions.

    Args:
        data: Not used: sessions are simulated.
        seeds: Number of sessions.
        train: Not used.

    Returns:
        Configuration and rows; intervals are the smallest and largest of the sessions.
    """
    notes: list[str] = []
    measured: dict[tuple[str, str, str], list[float]] = {}
    libraries = find_libraries(notes)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        fields = simulate_fields(rng)
        for part in (compare_state_space(fields, libraries, notes, rng=rng), compare_pynapple(fields, rng=rng)):
            for key, value in part.items():
                measured.setdefault(key, []).append(value)
    rows = [range_row("simulated", *key, values) for key, values in measured.items()]
    rows += measure_session()
    config = {
        "events": N_EVENTS,
        "bins_per_event": N_BINS,
        "bin_s": BIN,
        "units": N_UNITS,
        "places": 2 * len(CONTENTS) * N_PLACES,
        "run_minutes": MINUTES,
        "sessions": seeds,
        "peers": [library for library, _ in libraries],
        "ratios": "time of the other over ours",
        "tolerance": "largest difference of two posteriors' probabilities",
        "notes": notes,
    }
    return config, rows


def find_libraries(notes: list[str]) -> list[tuple[str, str]]:
    """Libraries that can be run, with the interpreter that has them; the others are noted."""
    python = os.environ.get(PEER_VARIABLE, sys.executable)
    found = []
    for library in other_libraries.LIBRARIES:
        command = [python, "-c", f"import importlib.util as u; raise SystemExit(u.find_spec('{library}') is None)"]
        try:
            here = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            here = False
        if here:
            found.append((library, python))
        else:
            notes.append(f"{library} left out: not installed; {PEER_VARIABLE} may name a Python that has it")
    return found


def simulate_fields(rng: np.random.Generator) -> PlaceFields:
    """Place fields of two tracks in two directions, one field per unit and map, 10 Hz, 20 cm wide."""
    middles = (np.arange(N_PLACES) + 0.5) * TRACK / N_PLACES
    n_tracks = len(CONTENTS)
    centres = rng.uniform(0, TRACK, (N_UNITS, 2 * n_tracks, 1))
    rates = 0.1 + 10 * np.exp(-0.5 * ((middles - centres) / 0.1) ** 2)
    return PlaceFields(
        tuple(range(N_UNITS)),
        rates.reshape(N_UNITS, -1),
        CONTENTS,
        np.repeat(np.arange(n_tracks), 2 * N_PLACES),
        np.tile(np.repeat([0, 1], N_PLACES), n_tracks),
        np.tile(middles, 2 * n_tracks)[:, None],
        np.ones(2 * n_tracks * N_PLACES),
        TRACK / N_PLACES,
    )


def simulate_events(fields: PlaceFields, *, rng: np.random.Generator) -> BinnedEvents:
    """Events of equal length that sweep along one map at 5–15 m/s, either way, at five times the rates."""
    start, sign = rng.uniform(0, TRACK, (N_EVENTS, 1)), rng.choice([-1, 1], (N_EVENTS, 1))
    path = np.clip(start + sign * rng.uniform(5, 15, (N_EVENTS, 1)) * BIN * np.arange(N_BINS), 0, TRACK - 1e-9)
    place = (path / TRACK * N_PLACES).astype(int) + N_PLACES * rng.integers(0, 2 * len(CONTENTS), (N_EVENTS, 1))
    counts = rng.poisson(5 * BIN * fields.rates[:, place.ravel()]).T.astype(np.int16)
    return BinnedEvents(counts, np.arange(N_EVENTS + 1) * N_BINS, BIN, np.arange(N_EVENTS, dtype=float))


def compare_state_space(
    fields: PlaceFields, libraries: list[tuple[str, str]], notes: list[str], *, rng: np.random.Generator
) -> dict[tuple[str, str, str], float]:
    """Seconds per 1000 events, ratios, and how far posteriors agree, by setting, method and metric.

    A library that fails is noted.
    """
    setting = f"state space, {N_EVENTS} events of {N_BINS} bins, {len(fields.content)} places"
    binned, dynamics = simulate_events(fields, rng=rng), Dynamics()
    table_time, _ = measure(lambda: decode_events(binned, fields, dynamics=dynamics))
    whole_time, posteriors = measure(lambda: decode_posteriors(binned, fields, dynamics=dynamics))
    ours = {"sharpwave": table_time, "sharpwave, whole posteriors": whole_time}
    found = {(setting, name, metric): value for name, time_ in ours.items() for metric, value in _per_1000(time_)}
    for library, python in libraries:
        try:
            their_time, theirs = run_library(library, python, binned, fields, dynamics)
        except subprocess.CalledProcessError as error:
            notes.append(f"{library} left out: it stopped with {error.stderr.strip().splitlines()[-1:]}")
            continue
        found |= {(setting, library, metric): value for metric, value in _per_1000(their_time)}
        for name, time_ in ours.items():
            found[setting, f"{library} / {name}", "time_ratio"] = their_time.wall_s / time_.wall_s
            found[setting, f"{library} / {name}", "cpu_ratio"] = their_time.cpu_s / time_.cpu_s
        difference = float(np.abs(np.concatenate(posteriors) - theirs).max())
        found[setting, f"sharpwave, whole posteriors / {library}", "largest_difference"] = difference
    return found


def run_library(
    library: str, python: str, binned: BinnedEvents, fields: PlaceFields, dynamics: Dynamics
) -> tuple[Timing, Float[np.ndarray, "bin 3 place"]]:
    """One library in its own process on our model: seconds and posterior."""
    n = len(fields.content)
    walk, rest, jump = dynamics.compute_walk(fields, binned.bin_size), np.eye(n), np.full((n, n), 1 / n)
    moves = np.array([[rest, walk, jump], [rest, walk, jump], [jump, jump, jump]])
    with tempfile.TemporaryDirectory() as folder:
        model, posterior = Path(folder) / "model.npz", Path(folder) / "posterior.npz"
        np.savez(
            model,
            counts=binned.counts.astype(np.float32),
            offsets=binned.offsets,
            rates=fields.rates,
            bin_size=binned.bin_size,
            switch=dynamics.compute_switch(binned.bin_size),
            moves=moves,
        )
        command = [python, "-W", "ignore", other_libraries.__file__, library, str(model), str(posterior)]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        with np.load(posterior, allow_pickle=False) as content:
            return Timing(**json.loads(finished.stdout.splitlines()[-1])), content["posterior"]


def compare_pynapple(fields: PlaceFields, *, rng: np.random.Generator) -> dict[tuple[str, str, str], float]:
    """Tuning curves and memoryless decoding of a run: seconds, ratios, and how far both agree."""
    import pynapple as nap

    spikes, position = simulate_run(fields, rng=rng)
    where = nap.Tsd(t=position.times, d=position.values[:, 0])
    span = nap.IntervalSet(float(position.times[0]), float(position.times[-1]))
    edges = np.linspace(0, TRACK, N_PLACES + 1)
    curve_time, curves = measure(
        lambda: nap.compute_tuning_curves(spikes, where, bins=[edges], epochs=span, feature_names=["place"])
    )
    plain = {"bin_size": TRACK / N_PLACES, "smoothing": 1e-9, "min_speed": -1.0, "min_occupancy": 0.0, "floor": 1e-3}
    fields_time, estimated = measure(
        lambda: estimate_place_fields(spikes, position, directional=False, **plain)  # type: ignore[arg-type]
    )
    curves = curves.copy(data=np.maximum(curves.values, 1e-3))
    their_time, (_, theirs) = measure(lambda: nap.decode_bayes(curves, spikes, epochs=span, bin_size=0.25))
    start, end = float(span.start[0]), float(span.end[0])
    same = PlaceFields(
        estimated.units,
        curves.values,
        ("track",),
        np.zeros(N_PLACES, dtype=int),
        np.full(N_PLACES, -1),
        ((edges[:-1] + edges[1:]) / 2)[:, None],
        np.ones(N_PLACES),
        TRACK / N_PLACES,
    )
    our_time, ours = measure(lambda: decode_position(spikes, same, bin_size=0.25, start=start, end=end))
    n = min(len(ours.probability), len(theirs))
    run_setting = f"{MINUTES:g} min run, {N_UNITS} units, {N_PLACES} places"
    found: dict[tuple[str, str, str], float] = {}
    for what, their, our in (("place fields", curve_time, fields_time), ("bayesian decoding", their_time, our_time)):
        setting = f"{what}, {run_setting}"
        found[setting, "pynapple", "wall_s"], found[setting, "sharpwave", "wall_s"] = their.wall_s, our.wall_s
        found[setting, "pynapple", "cpu_s"], found[setting, "sharpwave", "cpu_s"] = their.cpu_s, our.cpu_s
        found[setting, "pynapple / sharpwave", "time_ratio"] = their.wall_s / our.wall_s
        found[setting, "pynapple / sharpwave", "cpu_ratio"] = their.cpu_s / our.cpu_s
    difference = float(np.abs(ours.probability[:n] - np.asarray(theirs)[:n].reshape(n, -1)).max())
    found[f"bayesian decoding, {run_setting}", "sharpwave / pynapple", "largest_difference"] = difference
    return found


def simulate_run(fields: PlaceFields, *, rng: np.random.Generator) -> tuple[Any, Position]:
    """To and fro on the first track at 0.4 m/s, with Poisson spikes."""
    import pynapple as nap

    times = np.arange(int(MINUTES * 60 * RATE)) / RATE
    phase = (0.4 * times / TRACK) % 2
    values = np.clip(TRACK * np.where(phase < 1, phase, 2 - phase), 0, TRACK - 1e-9)
    place = (values / TRACK * N_PLACES).astype(int) + N_PLACES * (phase >= 1)
    trains = {}
    for unit in range(N_UNITS):
        sample = np.repeat(np.arange(len(times)), rng.poisson(fields.rates[unit, place] / RATE))
        trains[unit] = nap.Ts(np.sort(times[sample] + rng.random(len(sample)) / RATE))
    return nap.TsGroup(trains, time_support=nap.IntervalSet(0, times[-1])), Position(times, values[:, None])


def measure(work: Callable[[], Any]) -> tuple[Timing, Any]:
    """Do it once, then once more with both clocks running."""
    work()
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return Timing(time.perf_counter() - clock, time.process_time() - processor), result


def _per_1000(timing: Timing) -> list[tuple[str, float]]:
    scale = 1000 / N_EVENTS
    return [("s_per_1000_events", timing.wall_s * scale), ("cpu_s_per_1000_events", timing.cpu_s * scale)]
