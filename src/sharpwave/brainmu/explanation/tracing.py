"""The same pass with nothing hidden: who attends to whom, and a gate on every token.

Attention is computed here in the open (softmax, then product) instead of fused; the outputs are those of the model. A
gate of 1 leaves a token as it is and a gate of 0 takes it away from all attention, as if it had not been recorded: so
many deletions share one pass, and the derivative at 1 says to first order what a deletion would do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from sharpwave.brainmu.attention import (
    Block,
    CrossModalTemporalAttention,
    LayerCache,
    compute_rotation,
    make_mask,
    rotate,
)
from sharpwave.brainmu.batches import Batch
from sharpwave.brainmu.heads import Readout
from sharpwave.brainmu.model import BrainMu, Tokens


@dataclass(frozen=True, eq=False)
class Trace:
    """What a pass gave, and how it looked.

    Attributes:
        readout: As the model's own, one row per row of the gates.
        attention: Per block, the mean over heads of what each token took from each one seen: first the tokens of the
            caches, then those of the batch, in the order of `BrainMu.encode`.
    """

    readout: Readout
    attention: tuple[Float[Tensor, "row query key"], ...]


def trace_attention(
    model: BrainMu,
    batch: Batch,
    caches: tuple[LayerCache, ...] | None = None,
    *,
    gates: Float[Tensor, "row token"] | None = None,
) -> Trace:
    """Pass over one recording and keep the attention of every block.

    Args:
        model: In evaluation mode.
        batch: One row.
        caches: One row each.
        gates: From 0 (deleted) to 1 on each token of the batch, in any number of rows; all 1 where omitted.
    """
    tokens = model.encode(batch)
    rotation = compute_rotation(tokens.times, model.periods)
    bias = torch.zeros(1, tokens.times.shape[1]) if gates is None else gates.log()
    latents, seen = model.start_states(tokens, gates), []
    for index, block in enumerate(cast("list[Block]", list(model.blocks))):
        cache = None if caches is None else caches[index]
        read, weight = _attend(block.attention, block.norm_attention(latents), tokens, rotation, cache, bias)
        latents = latents + read
        gate, up = block.gate(block.norm_mlp(latents)).chunk(2, dim=2)
        latents = latents + block.down(torch.nn.functional.silu(gate) * up)
        seen.append(weight)
    return Trace(model.heads(model.norm(latents[:, -batch.times.shape[1] :])), tuple(seen))


def _attend(
    attention: CrossModalTemporalAttention,
    latents: Tensor,
    tokens: Tokens,
    rotation: tuple[Tensor, Tensor],
    cache: LayerCache | None,
    bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """What every token reads, and from where (mean over heads); rows share what they have in common."""
    query, key, value = (
        part.unflatten(2, (attention.n_heads, -1)).transpose(1, 2)
        for part in attention.project(latents).chunk(3, dim=2)
    )
    query, key = rotate(query, rotation), rotate(key, rotation)
    query = query / math.sqrt(query.shape[3])
    mask = make_mask(tokens.times, tokens.times, tokens.present, window=attention.window)[:, None]
    score = (query @ key.transpose(2, 3)).masked_fill(~mask, -math.inf) + bias[:, None, None]
    if cache is not None:
        mask = make_mask(tokens.times, cache.times, cache.present, window=attention.window)[:, None]
        earlier = torch.einsum("bhqd,hkd->bhqk", query, cache.keys[0]).masked_fill(~mask, -math.inf)
        score = torch.cat([earlier.expand(len(score), -1, -1, -1), score], dim=3)
    alone = score.isneginf().all(dim=3, keepdim=True)
    weight = torch.softmax(score.masked_fill(alone, 0.0), dim=3).masked_fill(alone, 0.0)
    n_cached = score.shape[3] - tokens.times.shape[1]
    read = weight[..., n_cached:] @ value
    if cache is not None:
        read = read + torch.einsum("bhqk,hkd->bhqd", weight[..., :n_cached], cache.values[0])
    return attention.out(read.transpose(1, 2).flatten(2)), weight.mean(dim=1)
