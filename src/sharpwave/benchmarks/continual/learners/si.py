"""Synaptic intelligence: how much each weight did for the loss, gathered on the way (Zenke et al. 2017, ICML)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.streams import Inputs, Task


class SynapticIntelligence(Learner):
    """Cross-entropy plus strength · Σ Ω (θ − θ*)².

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size.
        strength: Of the penalty; each weight's share is held below 1 / lr, so that steps do not overshoot.
        damping: Added to the squared way of a weight, so that weights that did not move do not matter.
    """

    n_buffer_bytes = 0

    def __init__(
        self, model: nn.Module, setting: Setting, *, lr: float, strength: float, damping: float = 1e-3
    ) -> None:
        super().__init__(model, setting, lr=lr)
        self.strength, self.damping, self.limit = strength, damping, 0.25 / lr
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.anchors = [p.detach().clone() for p in self.parameters]
        self.path = [torch.zeros_like(p) for p in self.parameters]
        self.importance = [torch.zeros_like(p) for p in self.parameters]

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        loss = cross_entropy(self.model(x), y)
        gradients = torch.autograd.grad(loss, self.parameters)
        before = [p.detach().clone() for p in self.parameters]
        self.optimiser.zero_grad()
        for parameter, gradient, importance, anchor in zip(
            self.parameters, gradients, self.importance, self.anchors, strict=True
        ):
            weight = (self.strength * importance).clamp(max=self.limit)
            parameter.grad = gradient + 2 * weight * (parameter.detach() - anchor)
        self.optimiser.step()
        self.n_gradient_samples += len(y)
        for path, gradient, parameter, old in zip(self.path, gradients, self.parameters, before, strict=True):
            path -= gradient * (parameter.detach() - old)

    def end_task(self, task: Task, index: int) -> None:
        for importance, path, parameter, anchor in zip(
            self.importance, self.path, self.parameters, self.anchors, strict=True
        ):
            importance += (path / ((parameter.detach() - anchor) ** 2 + self.damping)).clamp(min=0)
            path.zero_()
            anchor.copy_(parameter.detach())
