"""REM: dreams, which recombine what is remembered and are taught by the network itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sharpwave.consolidation.batches import Batch, move
from sharpwave.consolidation.body import Body
from sharpwave.errors import SharpwaveError


@dataclass(frozen=True, eq=False)
class REM:
    """How dreams are made.

    Attributes:
        share: Of a night's steps, at the end of each cycle.
        cycles: NREM–REM cycles per night.
        batch_size: Dreams per batch; as for NREM where omitted.
        mixing: Dreams are x = λa + (1 − λ)b with λ from Beta(`mixing`, `mixing`) (Zhang et al. 2018, mixup); integer
            inputs (tokens) are spliced at a random place instead.
        boundary: Share of dreams whose partner is of the class that the network takes the item for, were it not its
            own: dreams on class boundaries. The others' partners are of any class and task.
        labels: Share of the true label in the target; the rest is what the network says of the unmixed items.
        temperature: That the network's own answer is softened by.
        exploration: Noise in the weights while dreaming, in standard deviations of each layer.
        generator: Function of a number and a torch generator to a batch of made-up items (`x`), instead of mixing; the
            network as it was at the start of the night labels them.
        rate: Learning rate; the optimiser's own where omitted.
    """

    share: float = 0.25
    cycles: int = 1
    batch_size: int | None = None
    mixing: float = 0.4
    boundary: float = 0.5
    labels: float = 0.5
    temperature: float = 1.0
    exploration: float = 0.0
    generator: Callable[[int, torch.Generator], Batch] | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.boundary <= 1 and 0 <= self.labels <= 1 and self.cycles >= 1):
            raise SharpwaveError(
                "share, boundary and labels from 0 to 1, and at least one cycle",
                got=f"share={self.share}, boundary={self.boundary}, labels={self.labels}, cycles={self.cycles}",
                fix="give rem=None for a night without dreams",
            )


def compute_rem_loss(body: Body, rem: REM, n_items: int, *, teacher: Callable[[Batch], Tensor] | None = None) -> Tensor:
    """Loss of one batch of dreams: cross-entropy with soft targets.

    Args:
        body: The network.
        rem: Options.
        n_items: Dreams.
        teacher: Gives the logits of made-up items; needed with a generator.
    """
    if rem.generator is not None:
        dreams = move(rem.generator(n_items, body.generator), body.device)
        with torch.no_grad():
            target = torch.softmax((teacher or body.forward)(dreams).float() / rem.temperature, dim=-1)
    else:
        dreams, target = recombine(body, rem, n_items)
    log_probabilities = torch.log_softmax(body.forward(dreams).float(), dim=-1)
    return -(target * log_probabilities).sum(dim=-1).mean()


@torch.no_grad()
def recombine(body: Body, rem: REM, n_items: int) -> tuple[Batch, Tensor]:
    """Dreams from pairs of remembered items, and their soft targets (item, ..., class)."""
    items = body.draw(n_items, balanced=True)
    logits = body.forward(items).float()
    soft = torch.softmax(logits / rem.temperature, dim=-1)
    labels: Any = items.get("y")
    is_class = isinstance(labels, Tensor) and labels.shape == soft.shape[:-1] and not labels.is_floating_point()
    if is_class:
        hard = torch.nn.functional.one_hot(labels.clamp(min=0), soft.shape[-1]).to(soft.dtype)
        soft = torch.where((labels >= 0)[..., None], rem.labels * hard + (1 - rem.labels) * soft, soft)
    partners = torch.randperm(len(soft), generator=body.generator).to(body.device)
    if is_class and labels.ndim == 1 and rem.boundary:
        partners = _find_rivals(logits, labels, partners, rem.boundary, body.generator)
    x = items["x"]
    if x.is_floating_point():
        shares = _draw_beta(rem.mixing, len(x), body.generator).to(x)
        mixed = _along(shares, x) * x + (1 - _along(shares, x)) * x[partners]
        target = _along(shares, soft) * soft + (1 - _along(shares, soft)) * soft[partners]
    else:
        mixed, target = _splice(x, soft, partners, body.generator)
    return items | {"x": mixed}, target


def _find_rivals(logits: Tensor, labels: Tensor, partners: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """For a share of the items, a partner of the class that comes next in the network's opinion, where there is one."""
    rivals = logits.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
    ties = torch.rand(len(labels), len(labels), generator=generator).to(labels.device)
    fits = labels[None] == rivals[:, None]
    chosen = (fits * (1 + ties)).argmax(dim=1)
    wanted = torch.rand(len(labels), generator=generator).to(labels.device) < share
    return torch.where(wanted & fits.any(dim=1), chosen, partners)


def _draw_beta(concentration: float, n_draws: int, generator: torch.Generator) -> Tensor:
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    return torch.from_numpy(rng.beta(concentration, concentration, n_draws))


def _splice(x: Tensor, soft: Tensor, partners: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The first part of each sequence followed by the rest of its partner's; targets per token, or by share."""
    length = x.shape[1]
    cuts = torch.randint(length + 1, (len(x),), generator=generator).to(x.device)
    own = torch.arange(length, device=x.device)[None] < cuts[:, None]
    mixed = torch.where(_pad(own, x), x, x[partners])
    if soft.ndim == 3 and soft.shape[1] == length:
        return mixed, torch.where(own[..., None], soft, soft[partners])
    shares = _along(cuts / length, soft).to(soft.dtype)
    return mixed, shares * soft + (1 - shares) * soft[partners]


def _along(shares: Tensor, like: Tensor) -> Tensor:
    return shares.view(-1, *(1,) * (like.ndim - 1))


def _pad(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(*mask.shape, *(1,) * (like.ndim - 2))
