"""Branching ratio and avalanches of a population of units, beside the same units shifted against each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sharpwave.benchmarks.rows import Row
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import load_dataset
from sharpwave.recordings.datasets import list_subjects
from sharpwave.resilience.criticality import compute_branching_ratio, find_avalanches, fit_avalanches

BIN, LONGEST = 0.02, 1.0
"""Bins and longest lag in s."""


def compare_spiking(data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    """Rows for every session with spikes under `data`: measured, and with each unit shifted round by its own time.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        rng: Random generator of shifts and samples.
    """
    rows: list[Row] = []
    for subject in list_subjects("rat-ca1", data, required=False):
        spikes = load_dataset(f"rat-ca1/{subject}", data).spikes
        if spikes is None:
            continue
        trains = [np.asarray(spikes[unit].times(), dtype=float) for unit in spikes.index]
        counts = count_spikes(trains)
        shifted = np.stack(
            [
                np.roll(row, shift)
                for row, shift in zip(counts, rng.integers(len(counts[0]), size=len(counts)), strict=True)
            ]
        )
        for method, table in (("measured", counts), ("units shifted", shifted)):
            for metric, value in _describe(table.sum(axis=0), rng=rng):
                setting = f"spikes of {subject}, bins of {BIN * 1e3:g} ms"
                rows.append(Row("rat-ca1-linear-track", setting, method, metric, value))
    return rows


def count_spikes(trains: list[Float[np.ndarray, " spike"]]) -> Float[np.ndarray, "unit bin"]:
    """Spikes of each unit per bin, from the first spike of any to the last."""
    first, last = min(train[0] for train in trains if train.size), max(train[-1] for train in trains if train.size)
    edges = np.arange(first, last + BIN, BIN)
    return np.stack([np.histogram(train, edges)[0] for train in trains]).astype(float)


def _describe(activity: Float[np.ndarray, " bin"], *, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    branching = compute_branching_ratio(activity, bin_length=BIN, longest=LONGEST)
    yield "branching_ratio", branching.ratio
    yield "branching_ratio_one_step", branching.ratio_regression
    sizes, _ = find_avalanches(activity)
    try:
        fit = fit_avalanches(sizes, rng=rng, n_samples=20)
    except SharpwaveError:
        return
    yield "size_exponent", fit.exponent
    yield "size_p_fit", fit.p_fit
    yield "size_against_lognormal", fit.against_lognormal
    yield "size_p_lognormal", fit.p_lognormal
