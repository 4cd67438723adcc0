"""Dropout that follows from the crop, not from the device that has it.

`torch.nn.Dropout` draws for a whole batch from one generator, so that what is dropped of a crop depends on which crops
are beside it, and on how many devices share them. Here every number of a token has a hash of (seed of its crop,
modality, step, place in the network, place in the token), and is dropped where the hash is small. It is also the same
when a pass is computed a second time (activation checkpointing), and compiles.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

LEVELS = 1 << 16
"""Chances are told apart to one part in so many; a hash of 32 bits serves two numbers."""
GOLDEN = -1640531527
"""2³² divided by the golden ratio: spreads counting numbers over all 32 bits."""


def mix_bits(numbers: Int[Tensor, " *any"]) -> Int[Tensor, " *any"]:
    """Numbers of 32 bits whose every bit depends on every bit of the given ones, one to one (lowbias32, C. Wellons).

    Example:
        >>> mix_bits(torch.arange(4, dtype=torch.int32)).unique().numel()
        4
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B - (1 << 32))):
        numbers = (numbers ^ ((numbers >> shift) & ((1 << (32 - shift)) - 1))) * factor
    return numbers ^ ((numbers >> 16) & 0xFFFF)


def seed_tokens(crops: Int[Tensor, " batch"], n_steps: int, *, kind: int) -> Int[Tensor, "batch token"]:
    """A seed for each token of one kind.

    Args:
        crops: A seed for each crop, int32.
        n_steps: Steps of the batch; token k of a crop has the same seed however many follow.
        kind: Number of the kind of token, from the modality's name.
    """
    steps = torch.arange(n_steps, dtype=torch.int32, device=crops.device)
    return mix_bits(mix_bits(crops ^ kind)[:, None] + steps * GOLDEN)


def drop(
    values: Float[Tensor, "batch token width"],
    *,
    chance: float,
    training: bool,
    seeds: Int[Tensor, "batch token"] | None = None,
    place: int = 0,
) -> Float[Tensor, "batch token width"]:
    """Values of which a share is zero, and the others larger, so that the mean stays.

    Args:
        values: What to drop from.
        chance: Chance that a number is dropped.
        training: Whether to drop at all.
        seeds: A seed for each token; torch's own generator where omitted.
        place: Number of the place in the network, so that each drops something else.

    Example:
        >>> seeds = seed_tokens(torch.tensor([7], dtype=torch.int32), 3, kind=1)
        >>> drop(torch.ones(1, 3, 8), chance=0.5, training=True, seeds=seeds).unique()
        tensor([0., 2.])
    """
    if not training or chance == 0:
        return values
    if seeds is None:
        return functional.dropout(values, chance)
    width = values.shape[2]
    pairs = torch.arange((width + 1) // 2, dtype=torch.int32, device=values.device) + place * width
    bits = mix_bits(seeds[:, :, None] + mix_bits(pairs))
    halves = torch.stack([bits & 0xFFFF, (bits >> 16) & 0xFFFF], dim=3).flatten(2)[:, :, :width]
    return torch.where(halves < round(chance * LEVELS), 0.0, values / (1 - chance))
