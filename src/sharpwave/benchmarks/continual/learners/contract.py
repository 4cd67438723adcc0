"""What a continual learner promises, and what all of them are given alike: budget, store, and how much is drawn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sharpwave.consolidation import ReplayBuffer
from sharpwave.consolidation.batches import Batch, move
from sharpwave.demonstrations.streams import Inputs, Task

WAKE_REPLAY = 2.0
"""Replayed samples per new sample while awake, in the recipe that sleeps."""
SLEEP_SHARE = 0.1
"""Gradient samples of all sleep over those of all wake. Learners that do not sleep replay as much more while awake."""
REPLAY = WAKE_REPLAY + SLEEP_SHARE * (1 + WAKE_REPLAY)
"""Replayed samples per new sample that every learner with a buffer may take a gradient from, sleep included."""


@dataclass(frozen=True)
class Setting:
    """What is equal for all learners of a run.

    Attributes:
        n_tasks: Tasks in the stream.
        n_classes: Size of the answer.
        batch: New samples per step.
        n_steps: Steps per task.
        buffer_bytes: Bytes that stored samples may take, labels and logits included.
        seed: Seed of everything that a learner draws.
        replay: Replayed samples per new sample.
        images: Whether the inputs are images, which are stored as `uint8`; tokens are stored as they are.
    """

    n_tasks: int
    n_classes: int
    batch: int
    n_steps: int
    buffer_bytes: int
    seed: int
    replay: float = REPLAY
    images: bool = True


class Learner(ABC):
    """Learns from a stream, a batch at a time, by plain stochastic gradient descent.

    Args:
        model: The network; trained in place.
        setting: Setting that is equal for all learners.
        lr: Step size.
        anneal: Share of each task, its last part, over which the step size falls to nothing along half a cosine, as it
            does in the nights of ours; default 0, the same step size throughout.

    Attributes:
        deployed: (inputs, index of the task) → logits; most ignore the task.
        progress: Share of the task that is over, from 0 to 1, which whoever calls `observe` keeps.
        n_gradient_samples: Samples of which a gradient was taken so far.
        knows_task: Whether `deployed` has to know the task.
    """

    knows_task = False

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, anneal: float = 0.0) -> None:
        self.model, self.setting = model, setting
        self.lr, self.anneal, self.progress = lr, anneal, 0.0
        self.optimiser = torch.optim.SGD(model.parameters(), lr=lr)
        self.generator = torch.Generator().manual_seed(setting.seed)
        self.deployed: Callable[[Inputs, int], Tensor] = lambda x, index: self.model(x)
        self.n_gradient_samples = 0

    @abstractmethod
    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        """Learn from one batch of the task with this index."""

    @abstractmethod
    def end_task(self, task: Task, index: int) -> None:
        """The task is over; what is kept of its training data is the learner's choice, and counted."""

    @property
    @abstractmethod
    def n_buffer_bytes(self) -> int:
        """Bytes of stored samples now."""

    @torch.no_grad()
    def predict(self, x: Inputs, index: int) -> Tensor:
        """Logits of a batch, with every module in evaluation mode meanwhile.

        Args:
            x: Inputs.
            index: Index of the task; only learners that need it look.
        """
        modes = [(module, module.training) for module in self.networks for module in module.modules()]
        for network in self.networks:
            network.eval()
        logits = self.deployed(x, index)
        for module, training in modes:
            module.training = training
        return logits

    @property
    def networks(self) -> list[nn.Module]:
        """Every network that is kept."""
        return list({id(each): each for each in vars(self).values() if isinstance(each, nn.Module)}.values())

    def update(self, loss: Tensor, n_samples: int) -> None:
        """One step of the optimiser on a loss of so many samples."""
        self.optimiser.zero_grad()
        loss.backward()
        self.step(n_samples)

    def step(self, n_samples: int) -> None:
        """A step along gradients that are there, of so many samples, with the rate of this part of the task."""
        if self.anneal:
            falling = max(0.0, self.progress - (1 - self.anneal)) / self.anneal
            for group in self.optimiser.param_groups:
                group["lr"] = self.lr * (1 + math.cos(math.pi * falling)) / 2
        self.optimiser.step()
        self.n_gradient_samples += n_samples


DRAWS = 2


def make_buffer(setting: Setting, generator: torch.Generator) -> ReplayBuffer:
    """A reservoir of the setting's bytes; images are stored as `uint8`."""
    storage = {"x": "uint8"} if setting.images else {}
    return ReplayBuffer(n_bytes=setting.buffer_bytes, storage=storage, generator=generator)


def count_draw(setting: Setting) -> int:
    """Samples in each of the `DRAWS` draws that make up the replay of one step."""
    return round(setting.replay * setting.batch / DRAWS)


def draw_replay(buffer: ReplayBuffer, setting: Setting, *, device: torch.device) -> Iterator[Batch]:
    """The replay of one step, on a device; nothing while the buffer is empty."""
    for _ in range(DRAWS if len(buffer) else 0):
        yield move(buffer.sample(count_draw(setting)), device)
