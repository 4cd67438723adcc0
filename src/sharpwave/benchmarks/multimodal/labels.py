"""How many labels pretraining saves: pretrained without labels and fine-tuned, against random weights."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.multimodal.learning import Budget, fit, judge_forecasts, judge_staging, make_model
from sharpwave.benchmarks.multimodal.scores import Score, tabulate
from sharpwave.benchmarks.multimodal.splits import Split, hide_labels, load_splits
from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu.training.objective import Objective

SHARES = (0.01, 0.05, 0.2, 1.0)
PRETRAINING = Budget(steps=120)
FINETUNING = Budget(steps=60)
WITHOUT_LABELS = Objective(next_step=1.0, stage=0.0, change=0.0, depth=0.0, drop_modality=0.3, drop_channel=0.0)
WITH_LABELS = Objective(next_step=0.0, stage=1.0, change=1.0, depth=0.0, drop_modality=0.0, drop_channel=0.0)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Both kinds of weights at 1, 5, 20 and 100 % of the labels, from signals alone, on people not trained on.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds of weights, of the labelled nights and of the learners; at most three are used.
        train: No meaning here.
    """
    rows: list[Row] = []
    n_seeds = min(seeds, 3)
    for split in load_splits(data, rng=np.random.default_rng(0)):
        rows += compare_labels(split, seeds=n_seeds)
    config = {
        "task": "stage now (kappa, macro_f1) and change within 30 s (auprc_change), signal-only, causal",
        "shares": list(SHARES),
        "updates": {"pretraining": PRETRAINING.steps, "fine-tuning": FINETUNING.steps},
        "pretraining": "next step of each modality, on all training nights, without labels",
        "labels_to_match": "smallest share at which pretrained reaches the κ of random-init with all labels",
        "shape": FINETUNING.shape,
        "seeds": n_seeds,
        "interval": "95 %, bootstrap over tested subjects, 200 resamples",
    }
    return config, rows


def compare_labels(
    split: Split, *, seeds: int, pretraining: Budget = PRETRAINING, finetuning: Budget = FINETUNING
) -> list[Row]:
    """Rows at every share, and the share of labels that is enough."""
    staging: dict[tuple[float, str], list[Score]] = {}
    changes: dict[tuple[float, str], list[Score]] = {}
    signals = tuple(name for name in split.modalities if name != "stages")
    nights = [paired.windowed.only(signals) for paired in split.training]
    for seed in range(seeds):
        fresh = make_model(signals, finetuning, seed=seed)
        pretrained = fit(deepcopy(fresh), nights, pretraining, seed=seed, objective=WITHOUT_LABELS)
        for share in SHARES:
            labelled = hide_labels(nights, share, rng=np.random.default_rng([seed, round(1000 * share)]))
            for method, start in (("pretrained", pretrained), ("random-init", fresh)):
                model = fit(deepcopy(start), labelled, finetuning, seed=seed, objective=WITH_LABELS)
                stages = judge_staging(model, split.testing, modalities=signals)
                change = judge_forecasts(model, split.training, split.testing, modalities=signals)
                staging.setdefault((share, method), []).append(stages)
                changes.setdefault((share, method), []).append(change)
    rows = []
    for share in SHARES:
        for scores in (staging, changes):
            runs = {method: scores[share, method] for method in ("pretrained", "random-init")}
            rows += tabulate(split.data, f"{share:.0%} of labels", runs, against=("random-init",))
    return [*rows, _find_match(split, rows)]


def _find_match(split: Split, rows: list[Row]) -> Row:
    """Row of the smallest share of labels at which pretrained is as good as random weights with all."""
    kappa = {(row.method, row.setting): row.value for row in rows if row.metric == "kappa"}
    wanted = kappa["random-init", f"{1:.0%} of labels"]
    enough = [share for share in SHARES if kappa["pretrained", f"{share:.0%} of labels"] >= wanted]
    n = len({paired.night.subject for paired in split.testing})
    value = enough[0] if enough else float("nan")
    return Row(split.data, "all shares", "pretrained", "labels_to_match", value, n=n)
