"""Homeostasis: what sleep takes from weak weights and gives to strong ones, within limits, and only if asked to.

Pruning and strengthening were measured to be neutral to harmful, so nothing of this happens by default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sharpwave.consolidation.significance import KINDS
from sharpwave.errors import SharpwaveError


@dataclass(frozen=True)
class Homeostasis:
    """Shares of the weights of each layer; norms, embeddings, biases and the head are never touched.

    Attributes:
        prune: Least significant weights set to 0.
        regrow: Share of those that get a small random value instead (a tenth of the layer's standard deviation).
        strengthen: Most significant weights multiplied by 1 + `gain`.
        gain: See `strengthen`.
        downscale: By how much all weights but the most significant tenth shrink.
        significance: Key of `KINDS`.
        n_items: Replayed items from which significance is gathered.
        limit: Largest share or change that is accepted.
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
        weights: By name.
        significance: By name, in the same shapes.
        homeostasis: Options.
        generator: Of regrown values.

    Returns:
        Weights that were pruned (and stay so), regrown, strengthened and downscaled.
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
