"""Are explanations and doubts to be trusted: deletion curves, named directions, coverage of sets, abstention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.benchmarks.deletion_curves import SHUFFLED, compare_deletion
from sharpwave.benchmarks.explanation_doubts import judge_abstention, judge_coverage
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.explanation.attribution import ATTRIBUTIONS
from sharpwave.brainmu.explanation.latents import Directions, fit_directions, load_directions
from sharpwave.brainmu.explanation.occlusion import RecordingPass, pass_over_night
from sharpwave.brainmu.explanation.out_of_distribution import load_out_of_distribution
from sharpwave.brainmu.model import BrainMu
from sharpwave.recipes.companions import MODALITIES, MeasuredNight, simulate_measured, write_companions

SEED = 4_100
"""Of the simulated nights; what lies beside the weights is fitted on others."""
PRECURSOR = 1.0
NIGHTS_PER_SEED = 2
FEWEST_NIGHTS = 6
N_FORECASTS = 6
"""Explained per night."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Judge the explanations of the shipped weights on simulated nights that they never saw.

    Args:
        data: Folder of data sets, for abstention on real EEG; `data_root()` where omitted.
        seeds: Two simulated nights each, six at least.
        train: Fit directions and novelty again first.

    Returns:
        Configuration and rows.
    """
    folder = WEIGHTS / "lite"
    if train:
        write_companions(folder, data=data)
    model, _ = load_brainmu(folder)
    rng = np.random.default_rng(SEED)
    n = max(FEWEST_NIGHTS, NIGHTS_PER_SEED * seeds)
    nights = list(simulate_measured(n, rng=rng, precursor=PRECURSOR))
    passed = [pass_over_night(model, night.piece) for night in nights]
    torch.manual_seed(SEED)
    blank = BrainMu(model.config).eval()
    pieces = [night.piece for night in nights]
    rows = judge_deletion(model, pieces, rng=rng)
    rows += judge_deletion(blank, pieces, rng=rng, name="random-init")
    untrained = [pass_over_night(blank, piece) for piece in pieces]
    rows += judge_directions(passed, untrained, nights, load_directions(folder), rng=rng)
    rows += judge_coverage(passed, nights, rng=rng)
    rows += judge_abstention(load_out_of_distribution(folder), nights, data, rng=rng)
    config = {
        "nights": n,
        "hours": nights[0].piece.grid.n_steps * nights[0].piece.grid.step / 3600,
        "precursor": PRECURSOR,
        "modalities": list(MODALITIES),
        "interval": "95 %, bootstrap over nights",
        "notes": ["Signals alone, no stage history. Simulated nights of people whom nobody trained on."],
    }
    return config, rows


def judge_deletion(
    model: BrainMu, pieces: Sequence[EpochedRecording], *, rng: np.random.Generator, name: str = ""
) -> list[Row]:
    """How far the log-odds move when what is named is deleted, beyond deleting as much at random."""
    methods: tuple[str, ...] = ("spans",) if name else (*ATTRIBUTIONS, SHUFFLED)
    rows = []
    for found in compare_deletion(model, pieces, rng=rng, methods=methods, n_forecasts=N_FORECASTS).to_dict("records"):
        row = {"data": "simulated", "setting": f"deletion of {100 * found['share']:g} %", "n": found["n"]}
        row |= {"method": ", ".join(part for part in (name, found["method"]) if part)}
        edges = {"low": found["low"], "high": found["high"]}
        rows.append(row | {"metric": "log_odds_above_random", "value": found["difference"]} | edges)
        empty = {"low": float("nan"), "high": float("nan")}
        rows.append(row | {"metric": "log_odds", "value": found["named"]} | empty)
        if found["method"] == "spans":
            chance = {"method": ", ".join(part for part in (name, "random") if part)}
            rows.append(row | chance | {"metric": "log_odds", "value": found["random"]} | empty)
    return rows


def judge_directions(
    passed: Sequence[RecordingPass],
    blank: Sequence[RecordingPass],
    nights: Sequence[MeasuredNight],
    directions: Directions,
    *,
    rng: np.random.Generator,
) -> list[Row]:
    """Correlation of the shipped directions with what they are named after, of other nights, of a random model's."""
    measures = [night.measures for night in nights]
    untrained = fit_directions([night.latents for night in blank], measures, rng=rng).table.set_index("name")
    readings = [directions.read(night.latents, named=False) for night in passed]
    rows = []
    for name, named in zip(directions.names, directions.table["named"], strict=True):
        if not all(name in night for night in measures):
            continue
        read = [reading[name].to_numpy() for reading in readings]
        own = [_correlate(reading, night[name]) for reading, night in zip(read, measures, strict=True)]
        other = [
            float(np.nanmean([_correlate(reading, night[name]) for j, night in enumerate(measures) if j != i]))
            for i, reading in enumerate(read)
        ]
        setting = f"direction: {name}" + ("" if named else " (not named)")
        rows.append(estimate_row("simulated", setting, "brainmu-lite", "correlation", own, rng=rng))
        rows.append(estimate_row("simulated", setting, "other subjects' nights", "correlation", other, rng=rng))
        if name in untrained.index:
            found = untrained.loc[[name]].to_dict("records")[0]
            row = {"data": "simulated", "setting": setting, "method": "random-init", "metric": "correlation"}
            row |= {"value": found["correlation"], "low": found["low"], "high": found["high"], "n": found["n"]}
            rows.append(row)
    return rows


def _correlate(first: Float[np.ndarray, " step"], second: Float[np.ndarray, " step"]) -> float:
    known = np.isfinite(first) & np.isfinite(second)
    return float(np.corrcoef(first[known], second[known])[0, 1]) if known.sum() > 2 else float("nan")
