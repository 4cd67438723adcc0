"""Learning without forgetting: the network of before teaches the one of now, on new inputs (Li & Hoiem 2017)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.streams import Inputs, Task


class LearningWithoutForgetting(Learner):
    """Cross-entropy plus strength · KL(before ‖ now) over the classes seen before.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size.
        strength: Of the distillation.
        temperature: Of both softmaxes.
    """

    n_buffer_bytes = 0

    def __init__(
        self, model: nn.Module, setting: Setting, *, lr: float, strength: float, temperature: float = 2.0
    ) -> None:
        super().__init__(model, setting, lr=lr)
        self.strength, self.temperature = strength, temperature
        self.before: nn.Module | None = None
        self.seen: list[int] = []

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        logits = self.model(x)
        loss = cross_entropy(logits, y)
        if self.before is not None:
            with torch.no_grad():
                taught = log_softmax(self.before(x)[:, self.seen] / self.temperature, dim=1)
            said = log_softmax(logits[:, self.seen] / self.temperature, dim=1)
            apart = kl_div(said, taught, log_target=True, reduction="batchmean")
            loss = loss + self.strength * self.temperature**2 * apart
        self.update(loss, len(y))

    def end_task(self, task: Task, index: int) -> None:
        self.seen = sorted({*self.seen, *task.classes})
        self.before = copy.deepcopy(self.model).eval().requires_grad_(False)
