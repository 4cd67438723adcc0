"""Rows of a table from runs of several learners on the same seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sharpwave.benchmarks.continual.harness import Outcome
from sharpwave.benchmarks.continual.learners import OURS, UNEQUAL
from sharpwave.benchmarks.rows import Row, estimate_row

Runs = Mapping[str, Sequence[Outcome]]
"""Outcomes by method, one per seed, seeds in the same order."""


def tabulate(data: str, setting: str, runs: Runs, *, told: bool = False) -> list[Row]:
    """Accuracy, forgetting, cost, and paired differences by seed.

    Args:
        data: Name of the stream.
        setting: What was asked.
        runs: At least `finetune`, `wake` and `der++` for what is measured against them.
        told: Whether the learner is told the task.
    """
    rows: list[Row] = []
    best = find_best_peer(runs, told=told)
    for method, outcomes in runs.items():
        accuracy = [each.compute_accuracy(told=told) for each in outcomes]
        if not all(map(math.isfinite, accuracy)):
            continue
        measured = {"accuracy": accuracy}
        if method != "joint":
            forgotten = measured["forgetting"] = [each.compute_forgetting(told=told) for each in outcomes]
            if method != "finetune" and "finetune" in runs:
                lost = [each.compute_forgetting(told=told) for each in runs["finetune"]]
                measured["forgetting_cut"] = [
                    1 - mine / whole if whole > 0 else math.nan for mine, whole in zip(forgotten, lost, strict=True)
                ]
        for other, metric in (("der++", "accuracy_minus_der++"), (best, "accuracy_minus_best_peer")):
            if other in runs and method in OURS:
                measured[metric] = _subtract(accuracy, [each.compute_accuracy(told=told) for each in runs[other]])
        if method == "sleep" and "wake" in runs:
            pairs = zip(outcomes, runs["wake"], strict=True)
            measured["time_ratio"] = [mine.seconds / awake.seconds for mine, awake in pairs]
        if "finetune" in runs:
            pairs = zip(outcomes, runs["finetune"], strict=True)
            measured["gradient_samples"] = [each.n_gradient_samples / new.n_gradient_samples for each, new in pairs]
        measured["buffer_kilobytes"] = [each.n_buffer_bytes / 1000 for each in outcomes]
        measured["thousand_parameters"] = [each.n_parameters / 1000 for each in outcomes]
        rows += [
            estimate_row(data, setting, method, metric, values, rng=np.random.default_rng(0))
            for metric, values in measured.items()
        ]
    return rows


def find_best_peer(runs: Runs, *, told: bool = False) -> str:
    """The peer of equal parameters with the highest mean accuracy on these very seeds; "" if there is none."""
    peers = {
        method: float(np.mean([each.compute_accuracy(told=told) for each in outcomes]))
        for method, outcomes in runs.items()
        if method not in OURS and method not in UNEQUAL
    }
    return max(peers, key=lambda method: peers[method]) if peers else ""


def _subtract(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [mine - other for mine, other in zip(ours, theirs, strict=True)]
