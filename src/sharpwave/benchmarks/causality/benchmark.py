"""`sharpwave benchmark causality`: false positives, coverage and power of the causal estimates, on simulated nights.

Every data set is simulated afresh from its own seed: no night is used twice, but for the power curve, where the twelve
nights of a data set are split into groups of three and of six. The hidden state is that of `simulate_night`, with all
nuisance on (infraslow rhythm, shared drift and trend); what is seen of it is what a laboratory would see
(`benchmarks/causality/nights.py`). Data are not needed: `data` is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.causality.baselines import draw_false_positives
from sharpwave.benchmarks.causality.scores import ALPHA, compute_rows, compute_share
from sharpwave.benchmarks.causality.trials import Scenario, run_trial
from sharpwave.benchmarks.rows import Row
from sharpwave.simulation.effects import Effects

N_NIGHTS, HOURS = 4, 3.0
NIGHTS = (3, 6, 12)
RATIOS = (1.25, 1.5, 2.0, 3.0)
SETS = {"null": 100, "planted": 100, "reverse": 20, "power": 4, "shifts": 200}
"""Data sets a seed."""


def run(data: Path | None, *, seeds: int = 5, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Simulate, estimate and count.

    Args:
        data: Not used.
        seeds: Data sets in units of `SETS`.
        train: Not used.

    Returns:
        What was chosen, and the rows.
    """
    jobs = [
        (index, number)
        for index, scenario in enumerate(make_scenarios())
        for number in range(seeds * SETS[scenario.name.split(" ")[0]])
    ]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        results = list(pool.map(run_job, jobs, chunksize=4))
    trials = pd.DataFrame([row for rows, _ in results for row in rows])
    oracle = pd.concat([counts for _, counts in results])
    rows = compute_rows(trials, oracle) + list(_shift_rows(seeds * SETS["shifts"]))
    config = {
        "seeds": seeds,
        "sets_per_seed": SETS,
        "nights_per_set": N_NIGHTS,
        "hours_per_night": HOURS,
        "species": "mouse",
        "planted": "hazard ratio 2 (aversive), 1 (neutral), 1/2 (rewarding); depth ∓1 dB; reverse: rate +10 % per dB",
        "seen": "infraslow phase estimated from simulated sigma power, past only; depth with 1.2 dB noise per 4 s",
        "notes": ["All simulated. n is the number of data sets."],
    }
    return config, rows


def run_job(job: tuple[int, int]) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """The data set of that number of that scenario (by index: effects do not travel between processes)."""
    scenario = make_scenarios()[job[0]]
    rows, counts = run_trial(scenario, job)
    return rows, counts.assign(scenario=scenario.name)


def make_scenarios() -> Sequence[Scenario]:
    """Null, planted, reverse alone, and one for each hazard ratio of the power curve."""
    both = ("hazard", "matched", "directions")
    power = [
        Scenario(
            f"power {ratio:g}",
            Effects.planted(hazard_ratio=ratio, depth=1.0),
            n_nights=max(NIGHTS),
            hours=HOURS,
            questions=("hazard",),
            groups=NIGHTS,
        )
        for ratio in RATIOS
    ]
    return (
        Scenario("null", n_nights=N_NIGHTS, hours=HOURS),
        Scenario(
            "planted",
            Effects.planted(hazard_ratio=2.0, depth=1.0),
            n_nights=N_NIGHTS,
            hours=HOURS,
            questions=both,
        ),
        Scenario("reverse", Effects(rate_per_db=0.1), n_nights=N_NIGHTS, hours=HOURS, questions=both),
        *power,
    )


def _shift_rows(n: int) -> Iterator[Row]:
    for (signal, method), p in draw_false_positives(n, rng=np.random.default_rng(0)).items():
        share = compute_share((p < ALPHA).tolist())
        yield Row("simulated", f"two unrelated series: {signal}", method, "false_positive_rate", *share, len(p))
