"""`sharpwave benchmark replay-null`: sessions without replay that come out at p ≤ .05, and power with a fifth replays.

Each session is drawn afresh in one of two worlds (`worlds`), its bursts are held against every surrogate with every
score, and the epoch after the run is tested. A surrogate is offered alone where the share of null sessions at p ≤ .05
lies within what 5 % gives by chance. Those "alone" are scores against one surrogate, as replay is often tested: they
are the baseline, and not offered. Intervals are exact (Clopper & Pearson 1934).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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

ALONE_PER_SEED = 5
"""Sessions a seed in which what is not offered is tested too, which takes as long again."""

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
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        found = pd.DataFrame([row for rows in pool.map(run_job, jobs, chunksize=4) for row in rows])
    n = seeds * PER_SEED["null"]
    config = {
        "sessions_per_null": n,
        "sessions_with_replay": seeds * PER_SEED["power"],
        "surrogates": N_SURROGATES,
        "binomial_range_of_05": list(compute_range(n)),
        "not_claimed": [world.setting for world in BEYOND],
        "notes": ["All simulated. A share beyond the binomial range of .05 is a surrogate that is not calibrated."],
    }
    return config, compute_rows(found)


def list_jobs(seeds: int) -> list[tuple[int, int, bool]]:
    """Jobs of `run_job`: one session of each kind after the other."""
    return [
        (index, number, what == "null" and number < seeds * ALONE_PER_SEED)
        for number in range(seeds * max(PER_SEED.values()))
        for index, (what, _) in enumerate(WORLDS)
        if number < seeds * PER_SEED[what]
    ]


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


def run_job(job: tuple[int, int, bool]) -> list[dict[str, Any]]:
    """p of one session by every method; the seed is the kind and the number of the session.

    Args:
        job: Which of `WORLDS`, number of the session, and whether what is not offered is tested too.
    """
    index, number, alone = job
    rng = np.random.default_rng(np.random.SeedSequence([2026, index, number]))
    recording, events = WORLDS[index][1].draw(rng)
    experience = find_experience(recording)
    fields = experience.fields
    if events is None:
        spans = pd.DataFrame({"onset": [experience.end + 1], "duration": [recording.duration - experience.end - 2]})
        events = detect_bursts(recording.spikes, spans=spans, min_units=MIN_UNITS)
    events = keep_active(count_activity(recording.spikes, events, units=fields.units), MIN_UNITS)
    p = compare_methods(recording.spikes, events, fields, rng=rng, alone=alone)
    return [{"world": index, "number": number, "n_events": len(events), "method": m, "p": v} for m, v in p.items()]


def compare_methods(
    spikes: Any, events: pd.DataFrame, fields: PlaceFields, *, rng: np.random.Generator, alone: bool = True
) -> dict[str, float]:
    """p of the session by surrogate and score: those offered, and scores against one surrogate alone.

    Args:
        spikes: Trains by unit.
        events: Candidate events.
        fields: Place fields.
        rng: Random generator.
        alone: Whether the surrogates that are not offered alone are tested too.
    """
    found: dict[str, float] = {}
    for statistic in STATISTICS:
        for surrogate in FIELD_SURROGATES:
            chosen: dict[str, Any] = {"statistic": statistic, "surrogate": surrogate, "n_surrogates": N_SURROGATES}
            gains = score_order(spikes, events, fields, **chosen, further=0, rng=rng)
            found[f"{surrogate}, {statistic}"] = assess_session(gains.observed, gains.surrogates).p
        paired = max(found[f"{surrogate}, {statistic}"] for surrogate in FIELD_SURROGATES)
        found[f"place-field and cell-identity, {statistic}"] = paired
    if not alone:
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
