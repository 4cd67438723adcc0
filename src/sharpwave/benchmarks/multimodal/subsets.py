"""One model for any subset of modalities, against specialists of one subset each.

The one model takes as many updates as all specialists of a cohort together: it does the work of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.multimodal.learning import Budget, fit, judge_forecasts, make_model
from sharpwave.benchmarks.multimodal.scores import HORIZON, ChangeScore, tabulate
from sharpwave.benchmarks.multimodal.splits import REAL, Split, load_splits
from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.objective import Objective
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.brainmu_forecaster import ShippedBrainMu
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import hide_stages
from sharpwave.forecasting.shipped import load_shipped_forecaster
from sharpwave.recordings.datasets import data_root

BUDGET = Budget(steps=200)
"""Of each specialist; the one model for all subsets has it once for each of them."""
TOGETHER = {"electrophysiology": ("eeg", "spikes"), "behaviour": ("heart_rate", "activity")}
"""Modalities of simulated nights that come and go together."""

ANY = Objective(next_step=0.0, stage=0.3, depth=0.0, drop_modality=0.4, drop_channel=0.0)
SPECIALIST = Objective(next_step=0.0, stage=0.3, depth=0.0, drop_modality=0.0, drop_channel=0.0)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Degradation over all subsets of modalities, on every real cohort with several.

    Models are trained here, on two thirds of the subjects; the shipped weights are tested as they are.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds of the learners; at most two are used.
        train: No meaning here.
    """
    rows: list[Row] = []
    splits = load_splits(data, simulated=False, rng=np.random.default_rng(0))
    if not splits:
        raise SharpwaveError(
            f"a cohort with stages and signals: {', '.join(REAL)}",
            got=f"none under {data or data_root() or 'any folder of data sets'}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    for split in splits:
        rows += degrade(split, BUDGET, seeds=min(seeds, 2))
        rows += score_shipped(split.data, [paired.night for paired in (*split.training, *split.testing)])
    config = {
        "task": "whether, and to which, the stage changes within 30 s; the present stage is known where it is shown",
        "methods": {"brainmu-lite": "one model, modalities dropped at random", "specialist": "one model per subset"},
        "updates": {"specialist": BUDGET.steps, "brainmu-lite": "as many as the specialists of the cohort together"},
        "shape": BUDGET.shape,
        "seeds": min(seeds, 2),
        "interval": "95 %, bootstrap over tested subjects, 200 resamples",
    }
    return config, rows


def degrade(split: Split, budget: Budget, *, seeds: int) -> list[Row]:
    """Rows of both methods on every subset; `budget` is that of one specialist."""
    subsets = name_subsets(split.modalities)
    together = replace(budget, steps=budget.steps * len(subsets))
    general = [_train(split, split.modalities, together, seed, ANY) for seed in range(seeds)]
    rows = []
    for name, modalities in subsets.items():
        runs: dict[str, list[ChangeScore]] = {"brainmu-lite": [], "specialist": []}
        for seed, model in enumerate(general):
            alone = _train(split, modalities, budget, seed, SPECIALIST)
            for method, judged in (("brainmu-lite", model), ("specialist", alone)):
                score = judge_forecasts(judged, split.training, split.testing, modalities=modalities)
                runs[method].append(score)
        rows += tabulate(split.data, name, runs, against=("specialist",))
    return rows


def score_shipped(data: str, nights: Sequence[EpochTable]) -> list[Row]:
    """Rows of the shipped weights on a real cohort with stages and features, or one of them; none where none ship."""
    shipped = ShippedBrainMu().fit([], horizon=HORIZON, rng=np.random.default_rng(0))
    try:
        seen = [shipped.has_seen(night) for night in nights]
    except SharpwaveError:
        return []
    rate = load_shipped_forecaster(HORIZON).persistence
    rows = []
    for how, known in (("held out", False), ("in-sample", True)):
        group = [night for night, each in zip(nights, seen, strict=True) if each == known]
        for name, view in VIEWS.items() if group else ():
            said = [shipped.predict(view(night)) for night in group]
            score = ChangeScore.of(group, said, base_rate=rate, observed=name != "features")
            rows += tabulate(data, f"{name}, shipped, {how}", {"brainmu-lite shipped": [score]})
    return rows


def _hide_features(night: EpochTable) -> EpochTable:
    return replace(night, features=night.features[:, :0], names=())


VIEWS: dict[str, Callable[[EpochTable], EpochTable]] = {
    "stages + features": lambda night: night,
    "stages": _hide_features,
    "features": hide_stages,
}


def name_subsets(modalities: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Every subset that is not empty, from all to one, named by what it holds."""
    groups = dict(_group(modalities))
    return {
        " + ".join(chosen): tuple(name for part in chosen for name in groups[part])
        for size in range(len(groups), 0, -1)
        for chosen in combinations(groups, size)
    }


def _group(modalities: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    together: Mapping[str, tuple[str, ...]] = TOGETHER if len(modalities) > 3 else {}
    members = {name for names in together.values() for name in names}
    yield from ((name, (name,)) for name in modalities if name not in members)
    yield from together.items()


def _train(split: Split, modalities: tuple[str, ...], budget: Budget, seed: int, objective: Objective) -> BrainMu:
    model = make_model(modalities, budget, seed=seed)
    nights = [paired.windowed.only(modalities) for paired in split.training]
    return fit(model, nights, budget, seed=seed, objective=objective)
