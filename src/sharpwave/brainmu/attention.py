"""Cross-Modal Temporal Attention: tokens of all modalities attend to each other, causally, with time as the position.

Positions are seconds, by rotation (Su et al. 2021), so rates need not match. A token sees tokens known no later than
itself and within `window` seconds. Keys and values are cached: a night at once, in chunks, or step by step give the
same numbers, and memory does not grow with the recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

MARGIN = 1e-6
"""Seconds by which times may differ and still be the same."""


@dataclass(frozen=True, eq=False)
class LayerCache:
    """Keys and values of one layer, already rotated, with the times that they belong to.

    Attributes:
        keys: Shape (batch, head, token, size).
        values: Shape (batch, head, token, size).
        times: Seconds, shape (batch, token).
        present: Shape (batch, token).
    """

    keys: Float[Tensor, "batch head token size"]
    values: Float[Tensor, "batch head token size"]
    times: Float[Tensor, "batch token"]
    present: Bool[Tensor, "batch token"]

    def trim(self, window: float) -> LayerCache:
        """Without the tokens that no later one can see; all of them in an exported graph, which keeps no cache."""
        if self.times.shape[1] == 0 or torch.compiler.is_exporting():
            return self
        latest = self.times.max(dim=1, keepdim=True).values
        kept = ((self.times > latest - window - MARGIN) & self.present).any(dim=0)
        first = int(kept.int().argmax())
        if bool(kept[first:].all()):
            return LayerCache(
                self.keys[:, :, first:], self.values[:, :, first:], self.times[:, first:], self.present[:, first:]
            )
        return LayerCache(self.keys[:, :, kept], self.values[:, :, kept], self.times[:, kept], self.present[:, kept])


def compute_rotation(
    times: Float[Tensor, "batch token"], periods: Float[Tensor, " period"]
) -> tuple[Float[Tensor, "batch token period"], Float[Tensor, "batch token period"]]:
    """Cosine and sine of the angle that a time has turned through, in double precision, then single."""
    angle = torch.remainder(times[..., None].double() / periods.double(), 1.0) * (2 * math.pi)
    return angle.cos().float(), angle.sin().float()


def rotate(
    heads: Float[Tensor, "batch head token size"],
    rotation: tuple[Float[Tensor, "batch token period"], Float[Tensor, "batch token period"]],
) -> Float[Tensor, "batch head token size"]:
    """Turn each pair of dimensions by the token's angle."""
    cosine, sine = (part[:, None].to(heads.dtype) for part in rotation)
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


def make_mask(
    queries: Float[Tensor, "batch query"],
    keys: Float[Tensor, "batch key"],
    present: Bool[Tensor, "batch key"],
    *,
    window: float,
) -> Bool[Tensor, "batch query key"]:
    """Which keys a query may see: present, known no later than the query, and within the window."""
    known = keys[:, None] <= (queries + MARGIN)[:, :, None]
    recent = keys[:, None] > (queries - window - MARGIN)[:, :, None]
    return known & recent & present[:, None]


class CrossModalTemporalAttention(nn.Module):
    """Multi-head attention over tokens of all modalities on one time axis.

    Args:
        width: Size of a token.
        n_heads: Heads; `width` is a multiple of twice this.
        window: Seconds that a token looks back.
    """

    def __init__(self, width: int, *, n_heads: int, window: float) -> None:
        super().__init__()
        self.n_heads, self.window = n_heads, window
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        tokens: Float[Tensor, "batch token width"],
        rotation: tuple[Float[Tensor, "batch token period"], Float[Tensor, "batch token period"]],
        times: Float[Tensor, "batch token"],
        present: Bool[Tensor, "batch token"],
        cache: LayerCache | None = None,
        *,
        n_readers: int | None = None,
    ) -> tuple[Float[Tensor, "batch reader width"], LayerCache]:
        """What each of the last `n_readers` tokens, or all, reads from the others; and the cache for those to come."""
        query, key, value = (
            part.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for part in self.project(tokens).chunk(3, dim=2)
        )
        query, key = rotate(query, rotation), rotate(key, rotation)
        new = LayerCache(key, value, times, present)
        seen = new if cache is None else join_caches(cache, new)
        first = 0 if n_readers is None else times.shape[1] - n_readers
        query = query[:, :, first:]
        mask = make_mask(times[:, first:], seen.times, seen.present, window=self.window)
        alone = ~mask.any(dim=2, keepdim=True)
        read = nn.functional.scaled_dot_product_attention(
            query, seen.keys, seen.values, attn_mask=(mask | alone)[:, None]
        )
        read = read.masked_fill(alone[:, None], 0.0)
        return self.out(read.transpose(1, 2).flatten(2)), seen.trim(self.window)


def join_caches(first: LayerCache, second: LayerCache) -> LayerCache:
    """Tokens of both, the earlier ones first."""
    return LayerCache(
        torch.cat([first.keys, second.keys], dim=2),
        torch.cat([first.values, second.values], dim=2),
        torch.cat([first.times, second.times], dim=1),
        torch.cat([first.present, second.present], dim=1),
    )


class Block(nn.Module):
    """Attention, then a gated MLP, each on normalised tokens and added to them."""

    def __init__(self, width: int, *, n_heads: int, window: float, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.RMSNorm(width)
        self.attention = CrossModalTemporalAttention(width, n_heads=n_heads, window=window)
        self.norm_mlp = nn.RMSNorm(width)
        self.gate = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        tokens: Float[Tensor, "batch token width"],
        rotation: tuple[Float[Tensor, "batch token period"], Float[Tensor, "batch token period"]],
        times: Float[Tensor, "batch token"],
        present: Bool[Tensor, "batch token"],
        cache: LayerCache | None = None,
        *,
        n_readers: int | None = None,
    ) -> tuple[Float[Tensor, "batch reader width"], LayerCache]:
        """The last `n_readers` tokens, or all, after they have read; and the cache for those to come."""
        normed = self.norm_attention(tokens)
        read, cache = self.attention(normed, rotation, times, present, cache, n_readers=n_readers)
        tokens = tokens[:, tokens.shape[1] - read.shape[1] :] + self.dropout(read)
        gate, up = self.gate(self.norm_mlp(tokens)).chunk(2, dim=2)
        return tokens + self.dropout(self.down(nn.functional.silu(gate) * up)), cache
