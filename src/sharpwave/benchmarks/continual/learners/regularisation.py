"""Learners that store no data: online EWC, synaptic intelligence, learning without forgetting."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.consolidation.significance import compute_fisher
from sharpwave.demonstrations.streams import Inputs, Task, take

FISHER_SAMPLES = 128
"""Samples per task of which the Fisher information is the mean; their gradients are counted."""


class OnlineEWC(Learner):
    """Online EWC: important weights are held near where they were (Kirkpatrick et al. 2017).

    doi:10.1073/pnas.1611835114. Cross-entropy plus strength / 2 · Σ F (θ − θ*)², with one running Fisher as in
    Schwarz et al. 2018 (arXiv:1805.06370).

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        strength: Strength of the penalty; held below 1 / lr where the Fisher is largest: steps must not overshoot.
        decay: Decay of the Fisher of earlier tasks, at each new one.
        anneal: As for `Learner`.
    """

    n_buffer_bytes = 0

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        *,
        lr: float,
        strength: float,
        decay: float = 1.0,
        anneal: float = 0.0,
    ) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
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


class SynapticIntelligence(Learner):
    """Synaptic intelligence: how much each weight did for the loss, gathered on the way (Zenke et al. 2017, ICML).

    Cross-entropy plus strength · Σ Ω (θ − θ*)².

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        strength: Strength of the penalty; each weight's share is held below 1 / lr, so that steps do not overshoot.
        damping: Added to the squared way of a weight, so that weights that did not move do not matter.
        anneal: As for `Learner`.
    """

    n_buffer_bytes = 0

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        *,
        lr: float,
        strength: float,
        damping: float = 1e-3,
        anneal: float = 0.0,
    ) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
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
        self.step(len(y))
        for path, gradient, parameter, old in zip(self.path, gradients, self.parameters, before, strict=True):
            path -= gradient * (parameter.detach() - old)

    def end_task(self, task: Task, index: int) -> None:
        for importance, path, parameter, anchor in zip(
            self.importance, self.path, self.parameters, self.anchors, strict=True
        ):
            importance += (path / ((parameter.detach() - anchor) ** 2 + self.damping)).clamp(min=0)
            path.zero_()
            anchor.copy_(parameter.detach())


class LearningWithoutForgetting(Learner):
    """The network of before teaches the one of now, on new inputs (Li & Hoiem 2017).

    Cross-entropy plus strength · KL(before ‖ now) over the classes seen before.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        strength: Strength of the distillation.
        temperature: Temperature of both softmaxes.
        anneal: As for `Learner`.
    """

    n_buffer_bytes = 0

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        *,
        lr: float,
        strength: float,
        temperature: float = 2.0,
        anneal: float = 0.0,
    ) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
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
