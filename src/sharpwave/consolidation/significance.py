"""Which weights matter: the Fisher information of each, item by item, at a cost linear in their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from sharpwave.consolidation.batches import Batch, count_items, flatten, nest
from sharpwave.consolidation.distributed import average_tensors
from sharpwave.consolidation.frozen import freeze
from sharpwave.consolidation.modes import evaluating
from sharpwave.consolidation.objective import Objective
from sharpwave.errors import SharpwaveError

KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "fisher-w2": lambda fisher, weight: fisher * weight**2,
    "fisher": lambda fisher, _: fisher,
    "magnitude": lambda _, weight: weight.abs(),
}
"""Significance from Fisher information and weight. `fisher-w2` is what the loss rises by, to second order, when the
weight is removed (LeCun et al. 1990, optimal brain damage), `fisher` the literal reading."""

CHUNK_BYTES = 2**27
"""Memory that the gradients of single items may take at once."""


def compute_fisher(
    model: nn.Module,
    batch: Batch,
    *,
    objective: Objective | None = None,
    names: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Empirical Fisher information: mean over items of the squared gradient of the item's loss.

    The network runs in evaluation mode. Where all items' gradients fit in little memory they are taken together
    (vmap), else one after the other.

    Args:
        model: The network.
        batch: Items with labels, on its device.
        objective: How a batch goes through it.
        names: Parameters to look at, by name; all that are trained where omitted.

    Returns:
        By name, in the parameter's shape; the mean over processes where there are several.
    """
    objective = objective or Objective()
    weights = {n: p for n, p in model.named_parameters() if p.requires_grad and (names is None or n in names)}
    with evaluating(model):
        item_bytes = sum(p.numel() * p.element_size() for p in weights.values())
        chunk = CHUNK_BYTES // max(item_bytes, 1)
        fisher = _accumulate_together(model, batch, objective, weights, chunk=chunk) if chunk > 1 else None
        if fisher is None:
            fisher = _accumulate_singly(model, batch, objective, weights)
    average_tensors(fisher.values())
    return fisher


def compute_significance(
    model: nn.Module,
    batch: Batch,
    *,
    kind: str = "fisher-w2",
    objective: Objective | None = None,
    names: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Significance of each weight.

    Args:
        model: The network.
        batch: Items with labels.
        kind: Key of `KINDS`.
        objective: How a batch goes through it.
        names: As for `compute_fisher`.

    Returns:
        By name, in the parameter's shape, not negative.

    Raises:
        SharpwaveError: If there is no such kind.
    """
    if kind not in KINDS:
        raise SharpwaveError(f"a significance among {', '.join(KINDS)}", got=repr(kind), fix="choose one of them")
    weights = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad and (names is None or n in names)}
    if kind == "magnitude":
        return {name: weight.abs() for name, weight in weights.items()}
    fisher = compute_fisher(model, batch, objective=objective, names=names)
    return {name: KINDS[kind](fisher[name], weight) for name, weight in weights.items()}


def _accumulate_together(
    model: nn.Module, batch: Batch, objective: Objective, weights: Mapping[str, nn.Parameter], *, chunk: int
) -> dict[str, Tensor] | None:
    """By vmap; None where the network cannot be run so."""
    fixed = {n: p.detach() for n, p in (*model.named_parameters(), *model.named_buffers()) if n not in weights}
    entries, n_items = dict(flatten(batch)), count_items(batch)

    def compute_loss(trained: dict[str, Tensor], item: dict[str, Tensor]) -> Tensor:
        single = nest({path: value[None] for path, value in item.items()})

        return objective.loss(objective.forward(freeze(model, trained | fixed), single), single).sum()

    trained = {name: weight.detach() for name, weight in weights.items()}
    total = {name: torch.zeros_like(weight) for name, weight in trained.items()}
    try:
        for first in range(0, n_items, chunk):
            part = {path: value[first : first + chunk] for path, value in entries.items()}
            gradients = vmap(grad(compute_loss), in_dims=(None, 0))(trained, part)
            for name, gradient in gradients.items():
                total[name] += gradient.square().sum(dim=0)
    except (RuntimeError, AttributeError, TypeError, ValueError):
        return None
    return {name: value / n_items for name, value in total.items()}


def _accumulate_singly(
    model: nn.Module, batch: Batch, objective: Objective, weights: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    entries, n_items = dict(flatten(batch)), count_items(batch)
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for item in range(n_items):
        single = nest({path: value[item : item + 1] for path, value in entries.items()})
        loss = objective.loss(objective.forward(model, single), single).sum()
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                total[name].addcmul_(gradient, gradient, value=1 / n_items)
    return total
