"""The network that sleeps, and what it sleeps with."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, move
from sharpwave.consolidation.buffer import ReplayBuffer
from sharpwave.consolidation.distributed import average, unwrap
from sharpwave.consolidation.objective import Objective
from sharpwave.errors import SharpwaveError


@dataclass(frozen=True, eq=False)
class Body:
    """A network in training.

    Attributes:
        model: Any module; DistributedDataParallel around it or not.
        buffer: What it remembers; None where nothing is stored.
        optimiser: Of its parameters.
        objective: How a batch goes through it.
        generator: Of all randomness in sleep.
        accumulate: Batches per step.
        autocast: Lower precision of the passes, such as torch.bfloat16.
        scaler: Of gradients, for torch.float16.
    """

    model: nn.Module
    buffer: ReplayBuffer | None
    optimiser: torch.optim.Optimizer
    objective: Objective
    generator: torch.Generator
    accumulate: int = 1
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None

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

    def draw(self, n_items: int, *, balanced: bool) -> Batch:
        """Items of the buffer, on the network's device."""
        return move(self.get_buffer().sample(n_items, generator=self.generator, balanced=balanced), self.device)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (item, ..., class) of a batch, in the chosen precision."""
        with self.precision():
            return self.objective.forward(self.model, batch)

    def precision(self) -> AbstractContextManager:
        """Lower precision where it is asked for."""
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)

    def descend(self, compute_loss: Callable[[], Tensor], *, around: AbstractContextManager | None = None) -> float:
        """One step down a loss, over `accumulate` batches.

        Args:
            compute_loss: Draws a batch and gives its loss.
            around: Entered for the passes and left before the step, as by noise in the weights.

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
