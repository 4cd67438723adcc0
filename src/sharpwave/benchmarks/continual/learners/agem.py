"""Averaged gradient episodic memory: no step that raises the mean loss of what is stored.

Chaudhry et al. 2019, ICLR (arXiv:1812.00420).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.learners.stored import DRAWS, draw_replay, make_buffer
from sharpwave.benchmarks.continual.streams import Inputs, Task


class AveragedGEM(Learner):
    """The gradient of the new samples, without its part against the gradient of stored ones.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float) -> None:
        super().__init__(model, setting, lr=lr)
        self.buffer = make_buffer(setting, self.generator)
        self.parameters = [p for p in model.parameters() if p.requires_grad]

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        gradient, n_samples = self._differentiate(cross_entropy(self.model(x), y)), len(y)
        reference = torch.zeros_like(gradient)
        for old in draw_replay(self.buffer, self.setting) if index else ():
            reference += self._differentiate(cross_entropy(self.model(old["x"]), old["y"])) / DRAWS
            n_samples += len(old["y"])
        against = torch.dot(gradient, reference)
        if against < 0:
            gradient -= against / torch.dot(reference, reference) * reference
        for parameter, part in zip(self.parameters, gradient.split([p.numel() for p in self.parameters]), strict=True):
            parameter.grad = part.view_as(parameter)
        self.optimiser.step()
        self.n_gradient_samples += n_samples
        self.buffer.add({"x": x, "y": y})

    def end_task(self, task: Task, index: int) -> None:
        """The buffer was filled on the way."""

    def _differentiate(self, loss: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, self.parameters)])

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes
