"""Which weights matter, and what sleep takes from weak ones and gives to strong ones.

The Fisher information of each weight is gathered item by item, at a cost linear in their number. Homeostasis (pruning,
strengthening, downscaling) was measured to be neutral to harmful, so nothing of it happens by default, and only within
limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from sharpwave.consolidation.batches import Batch, Objective, count_items, flatten, nest
from sharpwave.consolidation.modules import (
    average_tensors,
    evaluating,
    find_plastic,
    freeze,
    is_sharded,
    reshard,
    share_weights,
)
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.learner import Learner

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
        model: Network.
        batch: Items with labels, on its device.
        objective: How a batch goes through it; `Objective()` where omitted.
        names: Parameters to look at, by name; all that are trained where omitted.

    Returns:
        By name, in the parameter's shape; the mean over processes where there are several.
    """
    objective = objective or Objective()
    weights = {n: p for n, p in model.named_parameters() if p.requires_grad and (names is None or n in names)}
    with evaluating(model):
        item_bytes = sum(p.numel() * p.element_size() for p in weights.values())
        chunk = CHUNK_BYTES // max(item_bytes, 1)
        together = chunk > 1 and not any(is_sharded(weight) for weight in weights.values())
        fisher = _accumulate_together(model, batch, objective, weights, chunk=chunk) if together else None
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
        model: Network.
        batch: Items with labels, on its device.
        kind: Key of `KINDS`; default "fisher-w2".
        objective: How a batch goes through it; `Objective()` where omitted.
        names: Parameters to look at, by name; all that are trained where omitted.

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


def compute_brittleness(fisher: Mapping[str, Tensor], weights: Mapping[str, nn.Parameter]) -> dict[str, float]:
    """How much the loss is expected to rise when each layer's weights take noise of one standard deviation of theirs.

    To second order that is half the sum of Fisher information times the weights' variance; the most brittle is 1.

    Args:
        fisher: Fisher information by name.
        weights: Weights by name, in the same shapes.
    """
    rises = {name: 0.5 * float(fisher[name].sum() * weights[name].detach().var()) for name in weights}
    highest = max(rises.values(), default=0.0)
    return {name: rise / highest if highest > 0 else 0.0 for name, rise in rises.items()}


@dataclass(frozen=True)
class Homeostasis:
    """Shares of the weights of each layer; norms, embeddings, biases and the head are never touched.

    Attributes:
        prune: Share of the least significant weights, which are set to 0; default 0.
        regrow: Share of the pruned weights that get a small random value instead (a tenth of the layer's standard
            deviation); default 0.
        strengthen: Share of the most significant weights, which are multiplied by 1 + `gain`; default 0.
        gain: Share by which the strengthened weights grow; default 0.05.
        downscale: Share by which all weights but the most significant tenth shrink; default 0.
        significance: Key of `KINDS`; default "fisher-w2".
        n_items: Number of replayed items from which significance is gathered; default 128.
        limit: Largest share or change that is accepted; default 0.1.

    Example:
        >>> from sharpwave.consolidation import ReplayBuffer, Sleep
        >>> network = nn.Sequential(nn.Linear(2, 5, bias=False), nn.Linear(5, 2))
        >>> sleep = Sleep(network, ReplayBuffer(8), homeostasis=Homeostasis(prune=0.1))
        >>> loss = sleep.wake({"x": torch.eye(2), "y": torch.arange(2)})
        >>> sleep.night(1).homeostasis["pruned"]
        1
    """

    prune: float = 0.0
    regrow: float = 0.0
    strengthen: float = 0.0
    gain: float = 0.05
    downscale: float = 0.0
    significance: str = "fisher-w2"
    n_items: int = 128
    limit: float = 0.1

    def __post_init__(self) -> None:
        changes = {name: getattr(self, name) for name in ("prune", "strengthen", "gain", "downscale")}
        over = {name: value for name, value in changes.items() if not 0 <= value <= self.limit}
        if over or not 0 <= self.regrow <= 1:
            raise SharpwaveError(
                f"shares from 0 to the limit of {self.limit:g}, and regrow from 0 to 1",
                got=", ".join(f"{name}={value:g}" for name, value in (over or {"regrow": self.regrow}).items()),
                fix="take less, or raise `limit` if the network is known to bear it",
            )
        if self.significance not in KINDS:
            raise SharpwaveError(
                f"a significance among {', '.join(KINDS)}", got=repr(self.significance), fix="choose one of them"
            )

    def apply(self, learner: Learner, *, head: str) -> dict[str, int]:
        """Prune, regrow, strengthen and downscale the weights of a network.

        Args:
            learner: Network with a buffer, whose items say which weights are significant.
            head: Name of its last layer, which is not touched.

        Returns:
            Numbers of weights, as from `apply_homeostasis`.
        """
        weights = find_plastic(learner.module, head)
        significance = compute_significance(
            learner.module,
            learner.sample(self.n_items),
            kind=self.significance,
            objective=learner.objective,
            names=weights,
        )
        counts = apply_homeostasis(weights, significance, self, generator=learner.generator)
        share_weights(learner.module)
        return counts


@torch.no_grad()
def apply_homeostasis(
    weights: Mapping[str, nn.Parameter],
    significance: Mapping[str, Tensor],
    homeostasis: Homeostasis,
    *,
    generator: torch.Generator,
) -> dict[str, int]:
    """Prune, regrow, strengthen and downscale, layer by layer, in place.

    Args:
        weights: Weights by name.
        significance: Significance of each weight by name, in the same shapes.
        homeostasis: What is done.
        generator: Random generator of the regrown values.

    Returns:
        Numbers of weights that were pruned (and stay so), regrown, strengthened and downscaled.
    """
    counts = dict.fromkeys(("pruned", "regrown", "strengthened", "downscaled"), 0)
    for name, weight in weights.items():
        values, scores = weight.view(-1), significance[name].reshape(-1)
        spread = values.std()
        strong = find_extreme(scores, max(homeostasis.strengthen, 0.1), largest=True)
        if homeostasis.downscale:
            kept = values[strong]
            values *= 1 - homeostasis.downscale
            values[strong] = kept
            counts["downscaled"] += values.numel() - strong.numel()
        if homeostasis.strengthen:
            chosen = find_extreme(scores, homeostasis.strengthen, largest=True)
            values[chosen] *= 1 + homeostasis.gain
            counts["strengthened"] += chosen.numel()
        if homeostasis.prune:
            chosen = find_extreme(scores, homeostasis.prune, largest=False)
            values[chosen] = 0
            order = torch.randperm(chosen.numel(), generator=generator)[: round(homeostasis.regrow * chosen.numel())]
            grown = torch.randn(order.numel(), generator=generator).to(values)
            values[chosen[order.to(chosen.device)]] = 0.1 * spread * grown
            counts["pruned"] += chosen.numel() - order.numel()
            counts["regrown"] += order.numel()
    return counts


def find_extreme(scores: Tensor, share: float, *, largest: bool) -> Tensor:
    """Places of the share of scores that are largest, or smallest; by selection, so linear in their number."""
    n_chosen = math.floor(share * scores.numel())
    if not n_chosen:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    return torch.topk(scores, n_chosen, largest=largest, sorted=False).indices


def _accumulate_together(
    model: nn.Module, batch: Batch, objective: Objective, weights: Mapping[str, nn.Parameter], *, chunk: int
) -> dict[str, Tensor] | None:
    """By vmap; None where the network cannot be run so."""
    fixed = {n: p.detach() for n, p in (*model.named_parameters(), *model.named_buffers()) if n not in weights}
    entries, n_items = dict(flatten(batch)), count_items(batch)

    def compute_loss(trained: dict[str, Tensor], item: dict[str, Tensor]) -> Tensor:
        single = nest({path: value[None] for path, value in item.items()})

        return objective.compute_losses(objective.run(freeze(model, trained | fixed), single), single).sum()

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
    if any(is_sharded(weight) for weight in weights.values()):
        return _accumulate_sharded(model, entries, n_items, objective, total)
    for item in range(n_items):
        single = nest({path: value[item : item + 1] for path, value in entries.items()})
        loss = objective.compute_losses(objective.run(model, single), single).sum()
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                total[name].addcmul_(gradient, gradient, value=1 / n_items)
    return total


def _accumulate_sharded(
    model: nn.Module, entries: Mapping[str, Tensor], n_items: int, objective: Objective, total: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Under FSDP2, whose gradients come by `backward` alone, as means over the processes' items.

    Where the items' gradients are independent, the square of a mean over so many processes is as many times too small.
    """
    n_processes = torch.distributed.get_world_size()
    reshard(model)
    weights = dict(model.named_parameters())
    left = {name: weight.grad for name, weight in weights.items()}
    model.zero_grad(set_to_none=True)
    for item in range(n_items):
        single = nest({path: value[item : item + 1] for path, value in entries.items()})
        objective.compute_losses(objective.run(model, single), single).sum().backward()
        for name, value in total.items():
            gradient = weights[name].grad
            if gradient is not None:
                value.addcmul_(gradient, gradient, value=n_processes / n_items)
        model.zero_grad(set_to_none=True)
    for name, weight in weights.items():
        weight.grad = left[name]
    return total
