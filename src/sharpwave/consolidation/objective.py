"""How a batch goes through the user's model, and what is learned from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch


def forward_x(model: nn.Module, batch: Batch) -> Tensor:
    """The model's output for the entry `x`."""
    return model(batch["x"])


def compute_cross_entropy(logits: Float[Tensor, "item ..."], batch: Batch) -> Float[Tensor, " item"]:
    """Cross-entropy of each item with the entry `y`: classes, or one class per token (-100 is not counted).

    Args:
        logits: Shape (item, class) or (item, token, class).
        batch: With `y`, shape (item) or (item, token), integers.
    """
    labels = batch["y"]
    if labels.ndim == 1:
        return nn.functional.cross_entropy(logits, labels, reduction="none")
    each = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    counted = (labels != -100).sum(dim=1).clamp(min=1)
    return each.view(labels.shape).sum(dim=1) / counted


@dataclass(frozen=True)
class Objective:
    """What wake and sleep need to know of a task; the default is `model(batch["x"])` classified as `batch["y"]`.

    Attributes:
        forward: Model and batch to logits (item, ..., class).
        loss: Logits and batch to the loss of each item, shape (item).
    """

    forward: Callable[[nn.Module, Batch], Tensor] = forward_x
    loss: Callable[[Tensor, Batch], Tensor] = compute_cross_entropy

    def score(self, logits: Float[Tensor, "item ..."], batch: Batch) -> Float[Tensor, " item"]:
        """How well each item is done: 1 where its class is right and 0 where not; else minus its loss."""
        labels: Any = batch.get("y")
        if isinstance(labels, Tensor) and labels.ndim == 1 and logits.ndim == 2 and not labels.is_floating_point():
            return (logits.argmax(dim=1) == labels).float()
        return -self.loss(logits, batch).detach().float()


def compute_distillation(
    logits: Float[Tensor, "item ..."], taught: Float[Tensor, "item ..."], *, temperature: float | None = None
) -> Float[Tensor, ""]:
    """How far logits are from those they were taught.

    Args:
        logits: Shape (item, ..., class).
        taught: The same shape.
        temperature: None: mean squared difference (Buzzega et al. 2020, dark experience replay, eq. 4); otherwise the
            Kullback–Leibler divergence of the softened probabilities times its square (Hinton et al. 2015).
    """
    taught = taught.to(logits.dtype)
    if temperature is None:
        return nn.functional.mse_loss(logits, taught)
    ours, theirs = (torch.log_softmax(part.flatten(0, -2) / temperature, dim=-1) for part in (logits, taught))
    return nn.functional.kl_div(ours, theirs, log_target=True, reduction="batchmean") * temperature**2
