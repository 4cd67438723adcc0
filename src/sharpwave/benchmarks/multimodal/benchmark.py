"""Simulated nights with a precursor in three places: the part of `forecast` that needs several modalities, alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sharpwave.benchmarks.multimodal.learning import Budget
from sharpwave.benchmarks.multimodal.nights import SIMULATED
from sharpwave.benchmarks.multimodal.simulated_forecast import HOURS, N_NIGHTS, N_TRAINING, run_multimodal


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Forecast simulated nights 30 s ahead, with the precursor planted and with it switched off.

    Args:
        data: No meaning here: the nights are simulated.
        seeds: Seeds of the learners; at most two are used.
        train: No meaning here: every method is trained on the simulated training nights.
    """
    budget = Budget()
    config = {
        "nights": {"training": N_TRAINING, "tested": N_NIGHTS - N_TRAINING, "hours": HOURS, "stages": "the true ones"},
        "modalities": list(SIMULATED),
        "brainmu-lite": {"updates": budget.steps, "pieces": budget.batch, "steps": budget.piece, **budget.shape},
        "balanced_accuracy_change": "mean of the shares of changes with an alarm and of other epochs without one",
        "balanced_accuracy_destination": "of the epochs whose stage changes: mean share of right destinations by stage",
        "seeds": min(seeds, 2),
        "interval": "95 %, bootstrap over tested subjects, 200 resamples",
    }
    return config, run_multimodal(seeds)
