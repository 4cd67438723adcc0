"""The network that learns and sleeps, and what it does so with; and how far it has moved from what it stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.consolidation.batches import Batch, Objective, move
from sharpwave.consolidation.modules import average, evaluating, unwrap
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.buffer import ReplayBuffer

N_SAMPLED = 128
"""Items of the buffer that statistics are taken of, and of a step of sleep before any step of wake."""


@dataclass(eq=False)
class Learner:
    """A network in training.

    Attributes:
        model: Any module; DistributedDataParallel around it or not.
        buffer: Replay buffer; None where nothing is stored.
        optimiser: Optimiser of the model's parameters.
        objective: How a batch goes through the model.
        generator: Random generator of all of sleep.
        accumulate: Number of batches per optimiser step; default 1.
        autocast: Lower precision of the passes, such as torch.bfloat16; None for full precision.
        scaler: Scaler of gradients, for torch.float16; None for none.
        wake_items: Number of items that a wake step passes through the network, new and replayed; a step of sleep takes
            as many.
    """

    model: nn.Module
    buffer: ReplayBuffer | None
    optimiser: torch.optim.Optimizer
    objective: Objective
    generator: torch.Generator
    accumulate: int = 1
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None
    wake_items: int = N_SAMPLED

    @property
    def module(self) -> nn.Module:
        """The user's module."""
        return unwrap(self.model)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def get_buffer(self) -> ReplayBuffer:
        """The buffer.

        Raises:
            SharpwaveError: If there is none, or nothing in it to replay.
        """
        if self.buffer is None or len(self.buffer) <= self.buffer.n_held_out:
            raise SharpwaveError(
                "a buffer with something to replay",
                got="no buffer" if self.buffer is None else "an empty one",
                fix="give Sleep a ReplayBuffer and call Sleep.wake on the batches it learns from, before it sleeps",
            )
        return self.buffer

    def sample(self, n_items: int = N_SAMPLED, *, balanced: bool = True) -> Batch:
        """A batch from the buffer, on the network's device.

        Args:
            n_items: Number of items; default 128.
            balanced: Whether there are as many of each class; default true.
        """
        return move(self.get_buffer().sample(n_items, generator=self.generator, balanced=balanced), self.device)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (item, ..., class) of a batch, in the chosen precision."""
        with self.precision():
            return self.objective.forward(self.model, batch)

    def precision(self) -> AbstractContextManager:
        """Lower precision where it is asked for."""
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)

    @contextmanager
    def learning_rate(self, rate: float | None, *, factor: float = 1.0) -> Iterator[None]:
        """Another learning rate for a while.

        Args:
            rate: Learning rate; the optimiser's own where it is None.
            factor: What the rate is multiplied by; default 1.
        """
        groups = self.optimiser.param_groups
        own = [group["lr"] for group in groups]
        for group, value in zip(groups, own, strict=True):
            group["lr"] = factor * (value if rate is None else rate)
        try:
            yield
        finally:
            for group, value in zip(groups, own, strict=True):
                group["lr"] = value

    def descend(self, compute_loss: Callable[[], Tensor], *, around: AbstractContextManager | None = None) -> float:
        """One step down a loss, over `accumulate` batches.

        Args:
            compute_loss: Function that samples a batch and gives its loss.
            around: Context that is entered for the passes and left before the step, as by noise in the weights.

        Returns:
            The mean loss, over processes too; where it is not finite, no step is taken.
        """
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        with around or nullcontext():
            for _ in range(self.accumulate):
                loss = compute_loss() / self.accumulate
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()
                total += float(loss.detach())
        (total,) = average([total], self.device)
        if math.isfinite(total):
            if self.scaler is None:
                self.optimiser.step()
            else:
                self.scaler.step(self.optimiser)
                self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        return total


def compute_annealing(position: int, n_steps: int) -> float:
    """Factor of the learning rate at a step of a night: half a cosine, from 1 to nothing."""
    return (1 + math.cos(math.pi * position / n_steps)) / 2


@torch.no_grad()
def measure_drift_and_forgetting(learner: Learner, *, n_items: int = 64) -> tuple[float, float]:
    """Drift and forgetting since the items' logits were stored, in evaluation mode: what sleep pressure is made of.

    Args:
        learner: Network with a buffer that holds logits.
        n_items: Number of items sampled from its buffer; default 64.

    Returns:
        Drift: mean squared change of the logits over their variance. Forgetting: mean rise of the loss in nats, falls
        counted as 0.

    Raises:
        SharpwaveError: If the buffer holds no logits.
    """
    items = learner.sample(n_items, balanced=False)
    if "logits" not in items:
        raise SharpwaveError(
            "a buffer that holds logits, to measure drift and forgetting",
            got=f"entries {', '.join(items)}",
            fix="use wake method 'der++', or schedule=FixedRatio()",
        )
    with evaluating(learner.model):
        now, then = learner.forward(items).float(), items["logits"].float()
    drift = (now - then).square().mean() / then.var().clamp(min=torch.finfo(then.dtype).tiny)
    rise: Tensor = learner.objective.loss(now, items) - learner.objective.loss(then, items)
    drift_mean, forgetting = average([float(drift), float(rise.clamp(min=0).mean())], learner.device)
    return drift_mean, forgetting


__getattr__ = moved.rename(__name__, {"Body": "Learner", "measure_strain": "measure_drift_and_forgetting"})
