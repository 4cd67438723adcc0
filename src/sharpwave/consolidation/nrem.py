"""NREM: a block of balanced replay, with labels, distillation and, if asked for, reconstruction under noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sharpwave.consolidation.anatomy import watch_hidden
from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.body import Body
from sharpwave.consolidation.objective import compute_distillation
from sharpwave.errors import SharpwaveError

REFRESHED = ("new", "replayed", "none")


@dataclass(frozen=True)
class NREM:
    """How memories are replayed.

    Attributes:
        batch_size: Items per batch; as many as a wake step passes through the network (new and replayed) where omitted,
            so that a step of sleep costs what a step of wake does.
        balanced: As many of each class.
        labels: Weight of the labels' loss.
        distillation: Weight of the stored logits, where the buffer has them.
        temperature: Of distillation; None holds the logits themselves.
        noise: Standard deviation of Gaussian noise in the hidden state before the head, in its own.
        reconstruction: Weight of the mean squared error of the input, decoded linearly from that hidden state.
        oscillation: Steps of one slow oscillation, or 0. In its down state noise is full and the step is nothing; in
            its up state there is no noise and the step is full.
        rate: Learning rate; the optimiser's own where omitted.
        anneal: Let the rate fall to nothing over the night (half a cosine).
        refresh: Which logits are stored anew after the night, one of `REFRESHED`: "new", those of items that arrived
            since the night before (taken while they were still being learned), and in older items those of classes
            that came since; the rest are from when the items were known best. "replayed", all of what this night
            replayed. "none".
    """

    batch_size: int | None = None
    balanced: bool = True
    labels: float = 1.0
    distillation: float = 0.5
    temperature: float | None = None
    noise: float = 0.0
    reconstruction: float = 0.0
    oscillation: int = 0
    rate: float | None = None
    anneal: bool = True
    refresh: str = "new"

    def __post_init__(self) -> None:
        weights = (self.labels, self.distillation, self.noise, self.reconstruction, self.oscillation)
        if self.batch_size == 0 or min(weights) < 0:
            raise SharpwaveError(
                "a batch of at least one item, and weights and noise that are not negative",
                got=f"batch_size={self.batch_size}, weights {weights}",
                fix="set what is not wanted to 0",
            )
        if self.refresh not in REFRESHED:
            raise SharpwaveError(
                f"logits to refresh among {', '.join(REFRESHED)}", got=repr(self.refresh), fix="choose one of them"
            )

    def find_up(self, step: int) -> float:
        """How much of the up state a step is in: 1 without an oscillation."""
        return (1 - math.cos(2 * math.pi * step / self.oscillation)) / 2 if self.oscillation else 1.0

    def find_noise(self, step: int) -> float:
        """Noise of a step."""
        return self.noise * (1 - self.find_up(step) if self.oscillation else 1.0)


class Decoder:
    """Linear map from the hidden state back to the input, learned as it goes.

    Args:
        hidden: Shape (item, ...).
        inputs: Shape (item, ...).
        rate: Learning rate of its own Adam.
    """

    def __init__(self, hidden: Tensor, inputs: Tensor, *, rate: float = 1e-3) -> None:
        n_hidden, n_inputs = hidden[0].numel(), inputs[0].numel()
        self.layer = nn.Linear(n_hidden, n_inputs, device=hidden.device)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.optimiser = torch.optim.Adam(self.layer.parameters(), lr=rate)

    def compute_loss(self, hidden: Tensor, inputs: Tensor) -> Tensor:
        """Mean squared error of the decoded input."""
        return nn.functional.mse_loss(self.layer(hidden.flatten(1).float()), inputs.flatten(1).float())

    def step(self) -> None:
        """Learn from the gradient that the network's backward pass has left."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Weights, shapes and moments."""
        return {"layer": self.layer.state_dict(), "optimiser": deepcopy(self.optimiser.state_dict())}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], device: torch.device) -> Decoder:
        """What `state_dict` described."""
        n_inputs, n_hidden = state["layer"]["weight"].shape
        decoder = cls(torch.empty(1, n_hidden, device=device), torch.empty(1, n_inputs))
        decoder.layer.load_state_dict(state["layer"])
        decoder.optimiser.load_state_dict(deepcopy(state["optimiser"]))
        return decoder


def compute_nrem_loss(
    body: Body, batch: Batch, nrem: NREM, *, head: str, step: int, decoder: Decoder | None = None
) -> Tensor:
    """Loss of one replayed batch.

    Args:
        body: The network.
        batch: Items of the buffer.
        nrem: Options.
        head: Name of the network's last layer.
        step: Of the night, for the oscillation.
        decoder: For reconstruction.
    """
    noise = nrem.find_noise(step)
    if not noise and decoder is None:
        return _compute_recall(body.forward(batch), batch, body, nrem)
    with watch_hidden(body.module, head, noise=noise, generator=body.generator) as hidden:
        logits = body.forward(batch)
    loss = _compute_recall(logits, batch, body, nrem)
    if decoder is not None and hidden.value is not None:
        loss = loss + nrem.reconstruction * decoder.compute_loss(hidden.value, find_input(batch))
    return loss


def find_input(batch: Batch) -> Tensor:
    """The floating entry `x`, which reconstruction and dreams need.

    Raises:
        SharpwaveError: If there is none.
    """
    value = batch.get("x")
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise SharpwaveError(
            "a floating entry 'x' in the buffer, to reconstruct or to mix",
            got="none" if value is None else f"{getattr(value, 'dtype', type(value).__name__)}",
            fix="leave reconstruction at 0 and dreams out, or give REM a generator of inputs",
        )
    return value


def _compute_recall(logits: Tensor, batch: Batch, body: Body, nrem: NREM) -> Tensor:
    loss = nrem.labels * body.objective.loss(logits.float(), batch).mean()
    if nrem.distillation and "logits" in batch:
        loss = loss + nrem.distillation * compute_distillation(
            logits.float(), batch["logits"], temperature=nrem.temperature
        )
    return loss
