"""Which part of the objective and of the model carries the benefit: each is left out in turn, on simulated nights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sharpwave.benchmarks.multimodal.learning import Budget, fit, judge_forecasts, make_model
from sharpwave.benchmarks.multimodal.nights import PRECURSORS
from sharpwave.benchmarks.multimodal.scores import Score, tabulate
from sharpwave.benchmarks.multimodal.splits import Split, simulate_once, split_subjects
from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu.epochs import Batch
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.brainmu.training.objective import Objective

BUDGET = Budget(steps=100)
WHOLE = Objective(next_step=0.3, stage=0.3, depth=0.0, drop_modality=0.3, drop_channel=0.0)
OBJECTIVES = {
    "brainmu-lite": WHOLE,
    "without dropping": replace(WHOLE, drop_modality=0.0),
    "masked, not next-step": replace(WHOLE, masked=True),
    "without the label-free part": replace(WHOLE, next_step=0.0),
    "without cross-modal attention": WHOLE,
}


class LateFusion(BrainMu):
    """Each modality attends to itself alone; the states that it leads to are averaged before the heads."""

    def forward(self, batch: Batch, caches: Any = None, **_: Any) -> Output:
        parts = [replace(batch, modalities={name: part}) for name, part in batch.modalities.items()]
        before = caches or (None,) * len(parts)
        passes = [self.align(self.encode(part), cache) for part, cache in zip(parts, before, strict=True)]
        states = [latents[:, -batch.times.shape[1] :] for latents, *_ in passes]
        present = torch.stack([batch.modalities[name].any_present for name in batch.modalities]).unsqueeze(3)
        latents = self.norm((torch.stack(states) * present).sum(dim=0) / present.sum(dim=0).clamp(min=1))
        kept: Any = tuple(cache for _, cache, _ in passes)
        return Output(latents, self.heads(latents), kept)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Every variant with the same budget, shown all modalities or some.

    Args:
        data: No meaning here: the nights are simulated.
        seeds: Seeds of the learners; at most two are used.
        train: No meaning here.
    """
    n_seeds = min(seeds, 2)
    nights = simulate_once(1.0)
    split = split_subjects("simulated, precursor on", nights, rng=np.random.default_rng(0))
    rows = compare_variants(split, BUDGET, seeds=n_seeds)
    config = {
        "task": "change within 30 s, stages up to now observed",
        "updates": BUDGET.steps,
        "shape": BUDGET.shape,
        "seeds": n_seeds,
        "interval": "95 %, bootstrap over tested subjects, 200 resamples",
    }
    return config, rows


def compare_variants(split: Split, budget: Budget, *, seeds: int) -> list[Row]:
    """Rows of each variant by what it is shown."""
    shown = {"all modalities": split.modalities}
    for what, names in PRECURSORS.items():
        shown[f"without {what}"] = tuple(name for name in split.modalities if name not in names)
    runs: dict[str, dict[str, list[Score]]] = {setting: {} for setting in shown}
    for variant, objective in OBJECTIVES.items():
        for seed in range(seeds):
            model = make_model(split.modalities, budget, seed=seed)
            if variant == "without cross-modal attention":
                fused = LateFusion(model.config)
                fused.load_state_dict(model.state_dict())
                model = fused
            fit(model, [paired.windowed for paired in split.training], budget, seed=seed, objective=objective)
            for setting, modalities in shown.items():
                score = judge_forecasts(model, split.training, split.testing, modalities=modalities)
                runs[setting].setdefault(variant, []).append(score)
    return [
        row
        for setting, scores in runs.items()
        for row in tabulate(split.data, setting, scores, against=("brainmu-lite",))
    ]
