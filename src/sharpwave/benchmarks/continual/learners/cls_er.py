"""CLS-ER: two slow copies of the network, a faster and a slower one, teach it on what is stored.

Arani et al. 2022, ICLR (arXiv:2201.12604). The slower copy answers. Three networks are kept, so its memory is not that
of its peers, though what answers is as large.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.learners.stored import DRAWS, draw_replay, make_buffer
from sharpwave.benchmarks.continual.streams import Inputs, Task

PLASTIC_RATE, STABLE_RATE = 0.9, 0.7
"""How often each copy moves (the published values for class-incremental streams are of this size)."""


class ComplementaryReplay(Learner):
    """Cross-entropy of new and replayed samples, plus strength times how far logits are from the better teacher's.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size.
        strength: Of the teaching.
        horizon: Steps over which the slower copy averages, as a share of a task; the faster one takes half.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, strength: float, horizon: float) -> None:
        super().__init__(model, setting, lr=lr)
        self.strength, self.n_moves = strength, 0
        self.buffer = make_buffer(setting, self.generator)
        self.plastic, self.stable = (copy.deepcopy(model).requires_grad_(False) for _ in range(2))
        steps = max(horizon * setting.n_steps, 2.0)
        self.rates = {id(self.plastic): 2 / steps, id(self.stable): 1 / steps}
        self.deployed = lambda x, index: self.stable(x)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        loss, n_samples = cross_entropy(self.model(x), y), len(y)
        for old in draw_replay(self.buffer, self.setting):
            logits = self.model(old["x"])
            apart = mse_loss(logits, self._teach(old["x"], old["y"]))
            loss = loss + (cross_entropy(logits, old["y"]) + self.strength * apart) / DRAWS
            n_samples += len(old["y"])
        self.update(loss, n_samples)
        self.buffer.add({"x": x, "y": y})
        for network, often in ((self.plastic, PLASTIC_RATE), (self.stable, STABLE_RATE)):
            if torch.rand((), generator=self.generator) < often:
                self._follow(network, self.rates[id(network)] / often)

    def end_task(self, task: Task, index: int) -> None:
        """The copies moved on the way."""

    @torch.no_grad()
    def _teach(self, x: Inputs, y: Tensor) -> Tensor:
        """For each sample, the logits of the copy that is surer of its class."""
        plastic, stable = self.plastic(x), self.stable(x)
        sure = [logits.softmax(dim=1).gather(1, y[:, None]) for logits in (plastic, stable)]
        return torch.where(sure[1] > sure[0], stable, plastic)

    @torch.no_grad()
    def _follow(self, network: nn.Module, rate: float) -> None:
        """Move a copy towards the network; faster at first, so that it forgets its random start."""
        self.n_moves += 1
        rate = max(rate, 1 / (self.n_moves + 1))
        for slow, fast in zip(network.state_dict().values(), self.model.state_dict().values(), strict=True):
            if slow.is_floating_point():
                slow.lerp_(fast, min(rate, 1.0))
            else:
                slow.copy_(fast)

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes
