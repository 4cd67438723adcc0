"""What a pass has in training alone: which token sees which, worked out once, and dropout that follows from the crop.

*Sight.* Without a cache every block of attention has the same mask. "dense" writes it down token by token, for fused
attention; "flex" gives `flex_attention` (Dong et al. 2024) a rule and the blocks of tokens in which anything is seen:
it leaves out the others, and no mask is kept. Both give the same numbers, and those of attention with a cache.

*Dropout.* `torch.nn.Dropout` draws for a whole batch from one generator, so that what is dropped of a crop depends on
which crops are beside it, and on how many devices share them. Here every number of a token has a hash of (seed of its
crop, modality, step, place in the network, place in the token), and is dropped where the hash is small. It is also the
same when a pass is computed a second time (activation checkpointing), and compiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

ATTENTIONS = ("dense", "flex")
MARGIN = 1e-6
"""Seconds by which times may differ and still be the same."""
LEVELS = 1 << 16
"""Chances are told apart to one part in so many; a hash of 32 bits serves two numbers."""
GOLDEN = -1640531527
"""2³² divided by the golden ratio: spreads counting numbers over all 32 bits."""


@dataclass(frozen=True, eq=False)
class Sight:
    """Which keys each query may see, the same for all blocks of a pass.

    Attributes:
        n_queries: How many tokens, the last ones, read.
        mask: For fused attention, shape (batch, 1, query, key); a query that sees nothing has all keys.
        blind: Queries that see nothing, shape (batch, 1, query, 1).
        blocks: For `flex_attention`, in the place of the mask.
    """

    n_queries: int
    mask: Bool[Tensor, "batch 1 query key"] | None = None
    blind: Bool[Tensor, "batch 1 query 1"] | None = None
    blocks: BlockMask | None = None


def number_times(
    times: Float[Tensor, "batch token"], present: Bool[Tensor, "batch token"], *, window: float
) -> tuple[Int[Tensor, "batch token"], Int[Tensor, "batch token"], Int[Tensor, "batch token"]]:
    """Whole numbers that say who sees whom: token q sees token k where `first[q] <= place[k] < last[q]`.

    A place is how many tokens are earlier; -1 for tokens that are not there. So no kernel has to compare times in
    double precision.

    Returns:
        Place, first and last of each token, int32.
    """
    ordered = times.sort(dim=1).values
    place = torch.searchsorted(ordered, times, out_int32=True).masked_fill(~present, -1)
    first = torch.searchsorted(ordered, times - window - MARGIN, right=True, out_int32=True)
    last = torch.searchsorted(ordered, times + MARGIN, right=True, out_int32=True)
    return place, first, last


def make_sight(
    numbers: tuple[Int[Tensor, "batch token"], Int[Tensor, "batch token"], Int[Tensor, "batch token"]],
    *,
    n_queries: int,
    attention: str,
) -> Sight:
    """Which keys the last `n_queries` tokens may see.

    Args:
        numbers: From `number_times`.
        n_queries: How many tokens, the last ones, read.
        attention: One of `ATTENTIONS`.
    """
    place, first, last = numbers
    first, last = (part[:, part.shape[1] - n_queries :].contiguous() for part in (first, last))
    if attention == "dense":
        mask = ((place[:, None] >= first[:, :, None]) & (place[:, None] < last[:, :, None]))[:, None]
        blind = ~mask.any(dim=3, keepdim=True)
        return Sight(n_queries, mask | blind, blind)
    from torch.nn.attention.flex_attention import create_block_mask

    blocks = create_block_mask(
        lambda batch, _, query, key: (
            (place[batch, key] >= first[batch, query]) & (place[batch, key] < last[batch, query])
        ),
        *(len(place), None, n_queries, place.shape[1]),
        device=place.device.type,
    )
    return Sight(n_queries, blocks=blocks)


def attend(
    query: Float[Tensor, "batch head query size"],
    key: Float[Tensor, "batch head token size"],
    value: Float[Tensor, "batch head token size"],
    sight: Sight,
) -> Float[Tensor, "batch head query size"]:
    """Attention without a cache; a query that sees nothing reads nothing.

    Raises:
        SharpwaveError: If a processor is to learn with `flex_attention`.
    """
    if sight.blocks is None:
        read = functional.scaled_dot_product_attention(query, key, value, attn_mask=sight.mask)
        return read if sight.blind is None else read.masked_fill(sight.blind, 0.0)
    check_gradient(query)
    return _load_flex(query.device.type)(query, key, value, block_mask=sight.blocks)


def check_gradient(query: Tensor) -> None:
    """Refuse to learn with `flex_attention` on a processor, where its gradient has no kernel."""
    if query.device.type == "cpu" and torch.is_grad_enabled() and query.requires_grad:
        raise SharpwaveError(
            "a graphics card to learn with flex attention, whose gradient has no kernel for processors",
            got="a processor",
            fix="give --attention dense; its numbers are the same",
        )


_FLEX: dict[str, Any] = {}


def _load_flex(device: str) -> Any:
    """The kernel of a graphics card, which has to be compiled; on a processor the same in plain operations."""
    from torch.nn.attention.flex_attention import flex_attention

    if device != "cuda" or torch.compiler.is_compiling():
        return flex_attention
    if device not in _FLEX:
        _FLEX[device] = torch.compile(flex_attention)
    return _FLEX[device]


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
