"""What five experts say of one night: how far they differ on each statistic, and whether our intervals hold them.

Measured on the hypnograms of the Dreem Open Datasets. The held-out expert's stages are predicted from the other four
(how often an expert differs from a majority of two, three or four), hypnograms are drawn from that, and the share of
nights in which the 80 % interval holds the expert's own value is counted.

Half of the nights chooses how long errors last and learns how experts dissent; coverage is reported on the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.evaluation.sleep_statistics import (
    LEVEL,
    MEMORY,
    NIGHT_SHARE,
    compute_interval,
    measure_stages,
    sample_hypnograms,
)
from sharpwave.recordings.datasets import find_dataset, list_subjects, load_dataset
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus

Scorings = Sequence[Hypnogram]

CANDIDATES = tuple(product((0.2, 0.4, 0.6), (120.0, 600.0, 1800.0)))
"""Night shares and memories (s) among which `choose_persistence` chooses."""
WITHOUT_INTERVAL = ("stage_shifts",)


def measure_experts(data_root: Path | None, rng: np.random.Generator) -> dict[str, Any]:
    """Spread between experts by statistic, and the coverage of the intervals on nights that chose nothing.

    Args:
        data_root: Folder of data sets, with DOD.
        rng: Splits the nights in two and draws hypnograms.
    """
    nights = [
        list(load_dataset(f"dod/{name}", data_root).metadata["scorers"].values())
        for name in list_subjects("dod", data_root)
    ]
    order = rng.permutation(len(nights))
    choosing, reporting = ([nights[index] for index in order[first::2]] for first in (0, 1))
    night_share, memory = choose_persistence(choosing, rng=rng)
    dissent = fit_dissent(choosing)
    coverage = {
        name: measure_coverage(reporting, dissent, rng=rng, night_share=share, memory=lasting)
        for name, share, lasting in (
            ("coverage", night_share, memory),
            ("coverage_as_shipped", NIGHT_SHARE, MEMORY),
            ("coverage_if_epochs_erred_alone", 0.0, 0.0),
        )
    }
    return {
        "median": {name: round(value, 3) for name, value in measure_spread(nights).items()},
        "nights": len(nights),
        "experts": 5,
        **{kind: {name: round(value, 3) for name, value in values.items()} for kind, values in coverage.items()},
        "coverage_nights": len(reporting),
        "night_share": night_share,
        "memory": memory,
        "source": find_dataset("dod").source,
    }


def choose_persistence(
    nights: Sequence[Scorings],
    *,
    rng: np.random.Generator,
    candidates: Sequence[tuple[float, float]] = CANDIDATES,
    n_samples: int = 50,
) -> tuple[float, float]:
    """Night share and memory (s) whose coverage is nearest to `LEVEL`, on average over the statistics with an interval.

    Dissent is learnt on every other night and coverage measured on the rest.

    Args:
        nights: Experts' hypnograms; nights that report coverage must not be among them.
        rng: Draws hypnograms.
        candidates: Pairs to choose from.
        n_samples: Hypnograms drawn per held-out expert.
    """
    dissent = fit_dissent(nights[::2])
    misses = []
    for night_share, memory in candidates:
        coverage = measure_coverage(
            nights[1::2], dissent, rng=rng, n_samples=n_samples, night_share=night_share, memory=memory
        )
        shown = [value for name, value in coverage.items() if name not in (*WITHOUT_INTERVAL, "level")]
        misses.append(np.abs(np.array(shown) - LEVEL).mean())
    return candidates[int(np.argmin(misses))]


def measure_spread(nights: Sequence[Scorings]) -> dict[str, float]:
    """Largest minus smallest value over the experts, median over the nights where two experts or more have one."""
    spreads: dict[str, list[float]] = {}
    for experts in nights:
        for name, values in _measure(np.stack([expert.stages for expert in experts])).items():
            values = values[np.isfinite(values)]
            if len(values) > 1 and name != "time_in_bed":
                spreads.setdefault(name, []).append(float(np.ptp(values)))
    return {name: float(np.median(values)) for name, values in spreads.items()}


def fit_dissent(nights: Sequence[Scorings]) -> Float[np.ndarray, "stage votes stage"]:
    """Probability of an expert's stage given the majority of the four others and how many of them it has."""
    counts = np.full((5, 5, 5), 1e-3)
    for experts in nights:
        for held_out, majority, votes in _leave_one_out(experts):
            both = (held_out.stages >= 0) & (majority.stages >= 0)
            np.add.at(counts, (majority.stages[both], votes[both], held_out.stages[both]), 1)
    return np.asarray(counts / counts.sum(axis=2, keepdims=True))


def measure_coverage(
    nights: Sequence[Scorings],
    dissent: Float[np.ndarray, "stage votes stage"],
    *,
    rng: np.random.Generator,
    n_samples: int = 100,
    night_share: float = NIGHT_SHARE,
    memory: float = MEMORY,
) -> dict[str, float]:
    """Share of held-out experts whose value lies in the interval, by statistic; `LEVEL` where calibrated."""
    held: dict[str, list[bool]] = {}
    for experts in nights:
        for held_out, majority, votes in _leave_one_out(experts):
            probable = Hypnogram(majority.stages, 30.0, probabilities=dissent[majority.stages, votes])
            drawn = _measure(
                sample_hypnograms(probable, rng=rng, n_samples=n_samples, night_share=night_share, memory=memory)
            )
            ours, theirs = _measure(majority.stages[None]), _measure(held_out.stages[None])
            for name, values in drawn.items():
                low, high = compute_interval(values, float(ours[name][0]))
                value = float(theirs[name][0])
                if name != "time_in_bed" and np.isfinite([low, high, value]).all():
                    held.setdefault(name, []).append(low - 1e-9 <= value <= high + 1e-9)
    return {name: float(np.mean(values)) for name, values in held.items()} | {"level": LEVEL}


def _leave_one_out(experts: Scorings) -> list[tuple[Hypnogram, Hypnogram, np.ndarray]]:
    """For each expert: their hypnogram, the majority of the others, and that majority's number of votes."""
    triples = []
    for index, held_out in enumerate(experts):
        majority = compute_consensus([expert for other, expert in enumerate(experts) if other != index])
        shares = np.nan_to_num(np.asarray(majority.probabilities)).max(axis=1)
        triples.append((held_out, majority, np.rint(shares * (len(experts) - 1)).astype(int)))
    return triples


def _measure(stages: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics as if lights were off during what was scored."""
    length = stages.shape[1] * 30.0
    return measure_stages(stages, n_stages=5, epoch_length=30.0, lead=0.0, in_bed=length, to_lights_on=True)
