"""`sharpwave benchmark sleep-budget`: what a network still knows against what replay and nights may cost.

The same streams and networks as in `sharpwave benchmark continual`, at one plain learning rate that nobody tuned: plain
training, sleep within budgets from 5 % to 300 %, and sleep as it is without one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.benchmarks.continual.harness import Outcome
from sharpwave.benchmarks.continual.learners.bounds import Finetune
from sharpwave.benchmarks.continual.learners.contract import Learner, Setting, make_buffer
from sharpwave.benchmarks.continual.protocols import PROTOCOLS, Protocol
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.consolidation import Sleep, SleepReport
from sharpwave.demonstrations.streams import Inputs, Task
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import data_root

BUFFER = 200
SHARES: dict[str, tuple[float | None, ...]] = {
    "split-mnist": (0.05, 0.15, 0.5, 3.0, None),
    "permuted-mnist": (0.15,),
    "split-cifar10": (0.15,),
}
"""Budgets by stream; None is sleep without one. On two cores the larger streams have the budget that is asked about."""
RATES = {"split-mnist": 0.1, "permuted-mnist": 0.1, "split-cifar10": 0.05}


class BudgetLearner(Learner):
    """`Sleep` as it ships, within a budget.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        share: The budget; None, the default, for none.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, share: float | None = None) -> None:
        super().__init__(model, setting, lr=lr)
        self.buffer = make_buffer(setting, self.generator)
        self.sleep = Sleep(model, self.buffer, self.optimiser, generator=self.generator, budget=share)
        self.reports: list[SleepReport] = []

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.update(self.sleep.wake({"x": x, "y": y}), len(y))

    def end_task(self, task: Task, index: int) -> None:
        self.reports.append(self.sleep.night())

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes

    def count_passes(self) -> float:
        """Passes of the whole run over those of plain training."""
        new = sum(report.cost["new"] for report in self.reports)
        return 1 + sum(report.cost["added_passes"] for report in self.reports) / new


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Accuracy, forgetting and cost of every budget.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Streams, networks and learners, drawn anew for each.
        train: No meaning here.
    """
    root = data or data_root()
    if root is None:
        raise SharpwaveError("the folder of our data sets", got="none", fix="name it with --data")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [row for name in SHARES for row in measure_protocol(PROTOCOLS[name], root, seeds=seeds)]
    finally:
        torch.set_num_threads(threads)
    config = {
        "buffer": BUFFER,
        "shares": {name: list(shares) for name, shares in SHARES.items()},
        "learning_rates": RATES,
        "seeds": seeds,
        "interval": "95 %, bootstrap over seeds; ratios are paired by seed",
        "notes": [
            "time_ratio is processor time of one thread over that of plain training beside it, data included.",
            "passes: an item forward and backward through the whole network is 1, forward alone a third.",
        ],
    }
    return config, rows


def measure_protocol(protocol: Protocol, root: Path, *, seeds: int) -> list[Row]:
    """Rows of one stream.

    Args:
        protocol: What is learned, and by which network.
        root: Folder of data sets.
        seeds: Number of seeds.
    """
    images = protocol.load(root)
    shares = {"no budget" if share is None else f"budget {share:g}": share for share in SHARES[protocol.name]}
    runs: dict[str, list[Outcome]] = {"finetune": [], **{name: [] for name in shares}}
    passes: dict[str, list[float]] = {name: [] for name in shares}
    rate = RATES[protocol.name]
    for seed in range(seeds):
        stream = protocol.make_stream(images, seed=seed)
        plain = partial(Finetune, lr=rate)
        runs["finetune"].append(protocol.run(stream, plain, seed=seed, buffer_items=BUFFER))
        for name, share in shares.items():
            made: list[BudgetLearner] = []

            def make(model: nn.Module, setting: Setting, share=share, made=made) -> BudgetLearner:  # type: ignore[no-untyped-def]
                made.append(BudgetLearner(model, setting, lr=rate, share=share))
                return made[-1]

            runs[name].append(protocol.run(stream, make, seed=seed, buffer_items=BUFFER))
            passes[name].append(made[-1].count_passes())
    return [row for name, mine in runs.items() for row in tabulate(protocol.name, name, mine, runs, passes)]


def tabulate(
    data: str, name: str, mine: Sequence[Outcome], runs: dict[str, list[Outcome]], passes: dict[str, list[float]]
) -> list[Row]:
    """Rows of one way to learn.

    Args:
        data: Name of the stream.
        name: Name of the way.
        mine: Its runs, one a seed.
        runs: Those of all ways, `finetune` among them.
        passes: Passes over those of plain training, by way.
    """
    lost = [each.compute_forgetting() for each in runs["finetune"]]
    measured = {
        "accuracy": [each.compute_accuracy() for each in mine],
        "forgetting": [each.compute_forgetting() for each in mine],
    }
    if name != "finetune":
        measured["forgetting_cut"] = [
            1 - forgotten / whole if whole > 0 else math.nan
            for forgotten, whole in zip(measured["forgetting"], lost, strict=True)
        ]
        measured["time_ratio"] = [
            each.seconds / plain.seconds for each, plain in zip(mine, runs["finetune"], strict=True)
        ]
        measured["passes"] = passes[name]
    rng = np.random.default_rng(0)
    return [
        estimate_row(data, f"buffer {BUFFER}", name, metric, values, rng=rng) for metric, values in measured.items()
    ]
