"""Online elastic weight consolidation: important weights are held near where they were.

Kirkpatrick et al. 2017 (doi:10.1073/pnas.1611835114); one running Fisher as in Schwarz et al. 2018 (arXiv:1805.06370).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from sharpwave.evaluation.continual.learners.contract import Learner, Setting
from sharpwave.evaluation.continual.streams import Inputs, Task, take

FISHER_SAMPLES = 512
"""Samples per task of which the Fisher information is the mean; their gradients are counted."""
CHUNK = 64


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
        fisher = compute_fisher(self.model, take(task.x_train, rows), task.y_train[rows])
        self.n_gradient_samples += len(rows)
        for name, value in fisher.items():
            self.fisher[name] = value + self.decay * self.fisher.get(name, torch.zeros(()))
        self.anchors = {name: p.detach().clone() for name, p in self.model.named_parameters()}


def compute_fisher(model: nn.Module, x: Inputs, y: Tensor) -> dict[str, Tensor]:
    """Mean over samples of the squared gradient of the loss, by name of parameter, in evaluation mode."""
    training = model.training
    model.eval()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def compute_loss(values: dict[str, Tensor], x: Inputs, y: Tensor) -> Tensor:
        one = x[None] if isinstance(x, Tensor) else {name: part[None] for name, part in x.items()}
        return cross_entropy(functional_call(model, (values, buffers), (one,)), y[None])

    per_sample = vmap(grad(compute_loss), in_dims=(None, 0, 0))
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for start in range(0, len(y), CHUNK):
        rows = slice(start, start + CHUNK)
        for name, value in per_sample(parameters, take(x, rows), y[rows]).items():
            total[name] += value.square().sum(0)
    model.train(training)
    return {name: value / len(y) for name, value in total.items()}
