"""Batches of any entries, how they go through a model, and what is learned from them.

A batch is a dictionary of tensors, nested where the user's are, with one leading batch axis. An `Objective` says what
the model makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.errors import SharpwaveError

Batch = dict[str, Any]

LENGTH = "_length"
"""Ending of the entry that holds how long each item of a padded entry is: `tokens` and `tokens_length`."""


def flatten(batch: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Entries of a nested batch by path (`image/left`); a list of tensors becomes a padded one and its lengths.

    Raises:
        SharpwaveError: If an entry is neither a tensor, a list of tensors nor a dictionary of them.
    """
    for name, value in batch.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{path}/")
        elif isinstance(value, Tensor):
            yield path, value.detach()
        elif isinstance(value, Sequence) and value and all(isinstance(item, Tensor) for item in value):
            lengths = torch.tensor([len(item) for item in value])
            yield path, torch.nn.utils.rnn.pad_sequence([item.detach() for item in value], batch_first=True)
            yield f"{path}{LENGTH}", lengths
        else:
            raise SharpwaveError(
                "a tensor, a list of tensors, or a dictionary of them for each entry of a batch",
                got=f"{type(value).__name__} in {path!r}",
                fix="turn it into a tensor with one leading batch axis, or leave it out",
            )


def nest(entries: Mapping[str, Tensor]) -> Batch:
    """A nested batch from entries by path: undoes `flatten`."""
    batch: Batch = {}
    for path, value in entries.items():
        *folders, name = path.split("/")
        inner = batch
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = value
    return batch


def count_items(batch: Mapping[str, Any]) -> int:
    """Items in a batch, which all its entries agree on.

    Raises:
        SharpwaveError: If the entries disagree, or there are none.
    """
    sizes = {path: value.shape[0] if value.ndim else 0 for path, value in flatten(batch)}
    if len(set(sizes.values())) != 1:
        raise SharpwaveError(
            "entries with one leading batch axis of the same size",
            got=", ".join(f"{path}: {size}" for path, size in sizes.items()) or "an empty batch",
            fix="give every entry one row per item",
        )
    return next(iter(sizes.values()))


def move(batch: Mapping[str, Any], device: torch.device | str) -> Batch:
    """The batch with every tensor on a device."""
    return {
        name: move(value, device)
        if isinstance(value, Mapping)
        else value.to(device, non_blocking=True)
        if isinstance(value, Tensor)
        else value
        for name, value in batch.items()
    }


def forward_x(model: nn.Module, batch: Batch) -> Tensor:
    """The model's output for the entry `x`."""
    return model(batch["x"])


def compute_cross_entropy(logits: Float[Tensor, "item ..."], batch: Batch) -> Float[Tensor, " item"]:
    """Cross-entropy of each item with the entry `y`: classes, or one class per token (-100 is not counted).

    Args:
        logits: Logits of each class, shape (item, class) or (item, token, class).
        batch: Batch with the entry `y`, shape (item) or (item, token), integers.
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
        forward: Function of a model and a batch that gives the logits, shape (item, ..., class).
        loss: Function of logits and a batch that gives the loss of each item, shape (item).

    Example:
        >>> import torch
        >>> regression = Objective(loss=lambda output, batch: (output - batch["y"]).square().mean(dim=1))
        >>> batch = {"x": torch.ones(3, 2), "y": torch.zeros(3, 1)}
        >>> regression.loss(regression.forward(torch.nn.Linear(2, 1), batch), batch).shape
        torch.Size([3])
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
        logits: Logits of the network, shape (item, ..., class).
        taught: Logits it should have, in the same shape.
        temperature: Temperature that softens both; None takes the mean squared difference (Buzzega et al. 2020, dark
            experience replay, eq. 4), a number the Kullback–Leibler divergence of the softened probabilities times its
            square (Hinton et al. 2015).
    """
    taught = taught.to(logits.dtype)
    if temperature is None:
        return nn.functional.mse_loss(logits, taught)
    ours, theirs = (torch.log_softmax(part.flatten(0, -2) / temperature, dim=-1) for part in (logits, taught))
    return nn.functional.kl_div(ours, theirs, log_target=True, reduction="batchmean") * temperature**2
