"""`sharpwave benchmark replay-null`: sessions without replay that come out at p ≤ .05, and power with a fifth replays.

Each session is drawn afresh in one of two worlds (`worlds`), and the epoch after the run is tested: every session by
the default, some of each kind by every surrogate with every score. A surrogate is offered alone where the share of null
sessions at p ≤ .05 lies within what 5 % gives by chance. Those "alone" are scores against one surrogate, as replay is
often tested: they are the baseline, and not offered. Intervals are exact (Clopper & Pearson 1934).

A long run may be stopped: where the variable `SHARPWAVE_REPLAY_NULL` names a file, finished sessions are kept in it,
and the next run of the same code goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.replay.worlds import BEYOND, NULLS, POWER, World
from sharpwave.benchmarks.rows import Row, range_row
from sharpwave.reactivation.candidates import count_activity, detect_bursts, keep_active
from sharpwave.reactivation.counts import bin_events
from sharpwave.reactivation.order import score_order
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.sequence_scores import STATISTICS, score_sequences
from sharpwave.reactivation.session import find_experience
from sharpwave.reactivation.significance import FIELD_SURROGATES, LEVEL, SURROGATES, assess_session

PER_SEED = {"null": 20, "power": 8}
"""Sessions a seed."""

DEFAULT, OFFERED, ALL = 0, 1, 2
"""What a session is tested by: the default, everything that is offered, or what is not offered too."""

OFFERED_PER_SEED = 4
"""Sessions of each kind a seed that are tested by more than the default: nulls by `ALL`, power by `OFFERED`."""

KEPT_VARIABLE = "SHARPWAVE_REPLAY_NULL"

N_SURROGATES, MIN_UNITS = 99, 5

TOGETHER = "all nulls together"

WORLDS: tuple[tuple[str, World], ...] = (
    *(("null", world) for world in (*NULLS, *BEYOND)),
    *(("power", world) for world in POWER),
)


def run(data: Path | None, *, seeds: int = 5, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Draw sessions, test them, and count.

    Args:
        data: Not used: whether there is replay is known in simulated sessions alone.
        seeds: Sessions of each kind in units of `PER_SEED`; 5 by default, 100 of each null.
        train: Not used.

    Returns:
        What was chosen, and rows of the share of sessions at p ≤ .05 with its exact interval; `values` are the p.
    """
    jobs = list_jobs(seeds)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    found = pd.DataFrame([row for rows in _run_jobs(jobs) for row in rows]).sort_values("number", kind="stable")
    n = seeds * PER_SEED["null"]
    config = {
        "sessions_per_null": n,
        "sessions_with_replay": seeds * PER_SEED["power"],
        "sessions_by_other_methods": seeds * OFFERED_PER_SEED,
        "surrogates": N_SURROGATES,
        "binomial_range_of_05": list(compute_range(n)),
        "not_claimed": [world.setting for world in BEYOND],
        "notes": ["All simulated. A share beyond the binomial range of .05 is a surrogate that is not calibrated."],
    }
    return config, compute_rows(found)


def list_jobs(seeds: int) -> list[tuple[int, int, int]]:
    """Jobs of `run_job`: one session of each kind after the other, those of the default alone first."""
    jobs = [
        (index, number, (ALL if what == "null" else OFFERED) if number < seeds * OFFERED_PER_SEED else DEFAULT)
        for number in range(seeds * max(PER_SEED.values()))
        for index, (what, _) in enumerate(WORLDS)
        if number < seeds * PER_SEED[what]
    ]
    return sorted(jobs, key=lambda job: job[2])


def _run_jobs(jobs: list[tuple[int, int, int]]) -> Iterator[list[dict[str, Any]]]:
    """Rows of every job; those that an earlier run of the same code has kept are not run again."""
    path = Path(os.environ[KEPT_VARIABLE]) if KEPT_VARIABLE in os.environ else None
    code, kept = digest_code(), dict[tuple[int, ...], list[dict[str, Any]]]()
    if path is not None and path.exists():
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        known = [(tuple(line["job"]), line["rows"]) for line in lines if line["code"] == code]
        kept = {(*job[:2], depth): rows for job, rows in known for depth in range(job[2] + 1)}
    left = [job for job in jobs if job not in kept]
    yield from (kept[job] for job in jobs if job in kept)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for job, rows in zip(left, pool.map(run_job, left, chunksize=4), strict=True):
            if path is not None:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"code": code, "job": job, "rows": rows}) + "\n")
            yield rows


def digest_code() -> str:
    """Digest of the code that a session's p depends on."""
    root = Path(__file__).parents[2]
    rooms = ("reactivation", "simulation", "benchmarks/replay", "benchmarks/second_world")
    files = sorted(file for room in rooms for file in (root / room).glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def compute_rows(found: pd.DataFrame) -> list[Row]:
    """A row for each kind of session and method, from one line a session and method: world, number, n_events, p."""
    rows = []
    for index, (what, world) in enumerate(WORLDS):
        own = found[found["world"] == index]
        if not len(own):
            continue
        metric = "share_at_05" if what == "null" else "power"
        for method, group in own.groupby("method", sort=False):
            rows.append(make_row(world, str(method), metric, group["p"].to_list()))
        counts = own.drop_duplicates("number")["n_events"].astype(float).to_list()
        rows.append(range_row(world.data, world.setting, "candidates", "n_events", counts))
    return rows + _pool_nulls(found)


def _pool_nulls(found: pd.DataFrame) -> list[Row]:
    """Over all kinds of null sessions of each world for which calibration is claimed."""
    rows = []
    for data in dict.fromkeys(world.data for world in NULLS):
        claimed = [index for index, (_, world) in enumerate(WORLDS) if world in NULLS and world.data == data]
        for method, group in found[found["world"].isin(claimed)].groupby("method", sort=False):
            together = World(data, TOGETHER, WORLDS[claimed[0]][1].draw)
            rows.append(make_row(together, str(method), "share_at_05", group["p"].to_list()))
    return rows


def run_job(job: tuple[int, int, int]) -> list[dict[str, Any]]:
    """p of one session by every method; the seed is the kind and the number of the session.

    Args:
        job: Which of `WORLDS`, number of the session, and what it is tested by (`DEFAULT`, `OFFERED` or `ALL`).
    """
    index, number, depth = job
    rng = np.random.default_rng(np.random.SeedSequence([2026, index, number]))
    recording, events = WORLDS[index][1].draw(rng)
    experience = find_experience(recording)
    fields = experience.fields
    if events is None:
        spans = pd.DataFrame({"onset": [experience.end + 1], "duration": [recording.duration - experience.end - 2]})
        events = detect_bursts(recording.spikes, spans=spans, min_units=MIN_UNITS)
    events = keep_active(count_activity(recording.spikes, events, units=fields.units), MIN_UNITS)
    p = compare_methods(recording.spikes, events, fields, rng=rng, depth=depth)
    return [{"world": index, "number": number, "n_events": len(events), "method": m, "p": v} for m, v in p.items()]


def compare_methods(
    spikes: Any, events: pd.DataFrame, fields: PlaceFields, *, rng: np.random.Generator, depth: int = ALL
) -> dict[str, float]:
    """p of the session by surrogate and score: those offered, and scores against one surrogate alone.

    Args:
        spikes: Trains by unit.
        events: Candidate events.
        fields: Place fields.
        rng: Random generator.
        depth: `DEFAULT`, `OFFERED` or `ALL`; what is tested first is the same in each.
    """
    found: dict[str, float] = {}
    for statistic in reversed(STATISTICS):
        for surrogate in FIELD_SURROGATES:
            chosen: dict[str, Any] = {"statistic": statistic, "surrogate": surrogate, "n_surrogates": N_SURROGATES}
            gains = score_order(spikes, events, fields, **chosen, further=0, rng=rng)
            found[f"{surrogate}, {statistic}"] = assess_session(gains.observed, gains.surrogates).p
            if depth == DEFAULT:
                return found
        paired = max(found[f"{surrogate}, {statistic}"] for surrogate in FIELD_SURROGATES)
        found[f"place-field and cell-identity, {statistic}"] = paired
    if depth == OFFERED:
        return found
    binned = bin_events(spikes, events, bin_size=0.02, units=fields.units)
    for surrogate in SURROGATES:
        scores = score_sequences(binned, fields, surrogate=surrogate, n_surrogates=N_SURROGATES, rng=rng)
        for statistic in STATISTICS:
            p = assess_session(*scores.of(statistic)).p
            found[f"{surrogate} alone, {statistic}"] = p
            if surrogate not in FIELD_SURROGATES:
                paired = max(p, found[f"cell-identity, {statistic}"])
                found[f"{surrogate} and cell-identity, {statistic}"] = paired
    return found


def make_row(world: World, method: str, metric: str, p: Sequence[float]) -> Row:
    """The share of sessions at p ≤ .05, with its exact interval."""
    from scipy.stats import binomtest

    hits = int(np.sum(np.asarray(p) <= LEVEL + 1e-9))
    interval = binomtest(hits, len(p)).proportion_ci(method="exact")
    ends = (float(interval.low), float(interval.high))
    return Row(world.data, world.setting, method, metric, hits / len(p), *ends, len(p), tuple(map(float, p)))


def compute_range(n: int) -> tuple[float, float]:
    """Shares of n sessions between which 95 % fall, or more, where p is uniform.

    >>> compute_range(100)
    (0.01, 0.1)
    """
    from scipy.stats import binom

    low, high = binom.interval(0.95, n, LEVEL)
    return float(low) / n, float(high) / n
