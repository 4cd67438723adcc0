"""Online elastic weight consolidation: important weights are held near where they were.

Kirkpatrick et al. 2017 (doi:10.1073/pnas.1611835114); one running Fisher as in Schwarz et al. 2018 (arXiv:1805.06370).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.streams import Inputs, Task, take
from sharpwave.consolidation.significance import compute_fisher

FISHER_SAMPLES = 128
"""Samples per task of which the Fisher information is the mean; their gradients are counted."""


class OnlineEWC(Learner):
    """Cross-entropy plus strength / 2 · Σ F (θ − θ*)².

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size.
        strength: Of the penalty; held below 1 / lr where the Fisher is largest, so that steps do not overshoot.
        decay: Of the Fisher of earlier tasks, at each new one.
    """

    n_buffer_bytes = 0

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, strength: float, decay: float = 1.0) -> None:
        super().__init__(model, setting, lr=lr)
        self.strength, self.decay, self.limit = strength, decay, 0.5 / lr
        self.fisher: dict[str, Tensor] = {}
        self.anchors: dict[str, Tensor] = {}

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        loss = cross_entropy(self.model(x), y)
        for name, parameter in self.model.named_parameters() if self.fisher else ():
            weight = (self.strength * self.fisher[name]).clamp(max=self.limit)
            loss = loss + 0.5 * (weight * (parameter - self.anchors[name]) ** 2).sum()
        self.update(loss, len(y))

    def end_task(self, task: Task, index: int) -> None:
        rows = torch.randperm(len(task.y_train), generator=self.generator)[:FISHER_SAMPLES]
        fisher = compute_fisher(self.model, {"x": take(task.x_train, rows), "y": task.y_train[rows]})
        self.n_gradient_samples += len(rows)
        for name, value in fisher.items():
            self.fisher[name] = value + self.decay * self.fisher.get(name, torch.zeros(()))
        self.anchors = {name: p.detach().clone() for name, p in self.model.named_parameters()}
