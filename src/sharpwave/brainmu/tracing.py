"""The same pass with nothing hidden: who attends to whom, and a gate on every token.

Attention is computed here in the open (softmax, then product) instead of fused; the outputs are those of the model. A
gate of 1 leaves a token as it is and a gate of 0 removes it from all attention, so the derivative at 1 says to first
order what removing it would do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from sharpwave.brainmu.attention import Block, LayerCache, compute_rotation, join_caches, make_mask, rotate
from sharpwave.brainmu.batches import Batch
from sharpwave.brainmu.heads import Readout
from sharpwave.brainmu.model import BrainMu


@dataclass(frozen=True, eq=False)
class Trace:
    """What a pass gave, and how it looked.

    Attributes:
        readout: As the model's own.
        attention: Per block, the mean over heads of what each token took from each one seen: first the tokens of the
            caches, then those of the batch, in the order of `BrainMu.encode`.
        n_cached: Tokens that came from the caches, per block.
    """

    readout: Readout
    attention: tuple[Float[Tensor, "batch query key"], ...]
    n_cached: tuple[int, ...]


def trace_attention(
    model: BrainMu,
    batch: Batch,
    caches: tuple[LayerCache, ...] | None = None,
    *,
    gates: Float[Tensor, "batch token"] | None = None,
) -> Trace:
    """Pass over a batch and keep the attention of every block.

    Args:
        model: In evaluation mode.
        batch: As for the model.
        caches: As for the model.
        gates: Above 0, one per token of the batch; 1 where omitted.
    """
    tokens = model.encode(batch)
    rotation = compute_rotation(tokens.times, model.periods)
    latents, seen, counts = tokens.latents, [], []
    for index, block in enumerate(cast("list[Block]", list(model.blocks))):
        attention = block.attention
        query, key, value = (
            part.unflatten(2, (attention.n_heads, -1)).transpose(1, 2)
            for part in attention.project(block.norm_attention(latents)).chunk(3, dim=2)
        )
        query, key = rotate(query, rotation), rotate(key, rotation)
        everything = LayerCache(key, value, tokens.times, tokens.present)
        if caches is not None:
            everything = join_caches(caches[index], everything)
        mask = make_mask(tokens.times, everything.times, everything.present, window=attention.window)[:, None]
        score = query @ everything.keys.transpose(2, 3) / math.sqrt(query.shape[3])
        n_cached = everything.keys.shape[2] - key.shape[2]
        if gates is not None:
            ones = gates.new_ones((gates.shape[0], n_cached))
            score = score + torch.cat([ones, gates], dim=1).log()[:, None, None]
        alone = ~mask.any(dim=3, keepdim=True)
        weight = torch.softmax(score.masked_fill(~(mask | alone), -math.inf), dim=3).masked_fill(alone, 0.0)
        read = attention.out((weight @ everything.values).transpose(1, 2).flatten(2))
        latents = latents + read
        gate, up = block.gate(block.norm_mlp(latents)).chunk(2, dim=2)
        latents = latents + block.down(torch.nn.functional.silu(gate) * up)
        seen.append(weight.mean(dim=1))
        counts.append(n_cached)
    states = model.norm(latents[:, -batch.times.shape[1] :])
    return Trace(model.heads(states), tuple(seen), tuple(counts))
