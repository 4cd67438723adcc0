"""Are explanations and stated uncertainty to be trusted: occlusion curves, named directions, coverage, abstention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.benchmarks.explanations.abstention import judge_abstention, judge_coverage
from sharpwave.benchmarks.explanations.occlusion import SHUFFLED, compare_occlusion
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.explanation.attribution import ATTRIBUTIONS
from sharpwave.brainmu.explanation.latents import Directions, fit_directions, load_directions
from sharpwave.brainmu.explanation.occlusion import RecordingPass, pass_over_night
from sharpwave.brainmu.explanation.out_of_distribution import load_out_of_distribution
from sharpwave.brainmu.model import BrainMu
from sharpwave.recipes.files_beside_weights import (
    MODALITIES,
    MeasuredRecording,
    simulate_measured,
    write_files_beside_weights,
)

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
        write_files_beside_weights(folder, data=data)
    model, _ = load_brainmu(folder)
    rng = np.random.default_rng(SEED)
    n = max(FEWEST_NIGHTS, NIGHTS_PER_SEED * seeds)
    nights = list(simulate_measured(n, rng=rng, precursor=PRECURSOR))
    passed = [pass_over_night(model, night.piece) for night in nights]
    torch.manual_seed(SEED)
    blank = BrainMu(model.config).eval()
    pieces = [night.piece for night in nights]
    rows = judge_occlusion(model, pieces, rng=rng)
    rows += judge_occlusion(blank, pieces, rng=rng, name="random-init")
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


def judge_occlusion(
    model: BrainMu, pieces: Sequence[EpochedRecording], *, rng: np.random.Generator, name: str = ""
) -> list[Row]:
    """How far the log-odds move when what is named is occluded, beyond occluding as much at random."""
    methods: tuple[str, ...] = ("spans",) if name else (*ATTRIBUTIONS, SHUFFLED)
    rows = []
    for found in compare_occlusion(model, pieces, rng=rng, methods=methods, n_forecasts=N_FORECASTS).to_dict("records"):
        setting = f"deletion of {100 * found['share']:g} %"
        method, n = ", ".join(part for part in (name, found["method"]) if part), found["n"]
        ahead = (found["difference"], found["low"], found["high"])
        rows.append(Row("simulated", setting, method, "log_odds_above_random", *ahead, n))
        rows.append(Row("simulated", setting, method, "log_odds", found["named"], n=n))
        if found["method"] == "spans":
            chance = ", ".join(part for part in (name, "random") if part)
            rows.append(Row("simulated", setting, chance, "log_odds", found["random"], n=n))
    return rows


def judge_directions(
    passed: Sequence[RecordingPass],
    blank: Sequence[RecordingPass],
    nights: Sequence[MeasuredRecording],
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
            numbers = (found["correlation"], found["low"], found["high"], found["n"])
            rows.append(Row("simulated", setting, "random-init", "correlation", *numbers))
    return rows


def _correlate(first: Float[np.ndarray, " step"], second: Float[np.ndarray, " step"]) -> float:
    known = np.isfinite(first) & np.isfinite(second)
    return float(np.corrcoef(first[known], second[known])[0, 1]) if known.sum() > 2 else float("nan")
