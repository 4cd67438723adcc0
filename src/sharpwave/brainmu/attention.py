"""Cross-Modal Temporal Attention: tokens of all modalities attend to each other, causally, with time as the position.

Positions are seconds, by rotation (Su et al. 2021), so rates need not match. A token sees tokens known no later than
itself and within `window` seconds. Keys and values are cached: a night at once, in chunks, or step by step give the
same numbers, and memory does not grow with the recording.

For query q and the keys k that it may see, in each head:

    weight[q, k] = softmax over k of (query[q] · key[k] / √size + log mask_weight[k])
    read[q]      = Σ over k of weight[q, k] · value[k]

A mask weight of 1, the usual one, leaves a token as it is; 0 takes it away from all attention, as if it had not been
recorded. Where nobody asks for the weights they are not written down (fused attention); a traced pass writes them down.

In training there is no cache, and which token sees which is worked out once for all blocks: `learning_pass`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sharpwave.brainmu.learning_pass import GOLDEN, MARGIN, Sight, attend, drop, mix_bits


@dataclass(frozen=True, eq=False)
class LayerCache:
    """Keys and values of one layer, already rotated, with the times that they belong to.

    Attributes:
        keys: Keys, shape (batch, head, token, size).
        values: Values, shape (batch, head, token, size).
        times: Time from which each token is known, in seconds, shape (batch, token).
        present: Tokens that there are, shape (batch, token).
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
        needed = ((self.times > latest - window - MARGIN) & self.present).any(dim=0)
        first = int(needed.int().argmax())
        if bool(needed[first:].all()):
            return LayerCache(
                self.keys[:, :, first:], self.values[:, :, first:], self.times[:, first:], self.present[:, first:]
            )
        return self.select(needed)

    def select(self, chosen: Bool[Tensor, " token"]) -> LayerCache:
        """With the chosen tokens alone."""
        return LayerCache(
            self.keys[:, :, chosen], self.values[:, :, chosen], self.times[:, chosen], self.present[:, chosen]
        )


def compute_rotation(
    times: Float[Tensor, "batch token"], periods: Float[Tensor, " period"]
) -> tuple[Float[Tensor, "batch token period"], Float[Tensor, "batch token period"]]:
    """Cosine and sine of the angle that a time has turned through, in double precision, then single."""
    angle = torch.remainder(times[..., None].double() / periods.double(), 1.0) * (2 * math.pi)
    return angle.cos().float(), angle.sin().float()


def rotate(
    heads: Float[Tensor, "batch head token size"],
    rotation: tuple[Float[Tensor, "one token period"], Float[Tensor, "one token period"]],
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


class Read(NamedTuple):
    """What tokens read from each other.

    Attributes:
        latents: What each query read, shape (batch, query, width).
        cache: Keys and values for the tokens to come; of a traced pass the one it was given.
        weights: In a traced pass, the mean over heads of what each query took from each key, shape (batch, query, key):
            first the tokens of the cache, then those of the batch. None of any other pass.
    """

    latents: Float[Tensor, "batch query width"]
    cache: LayerCache | None
    weights: Float[Tensor, "batch query key"] | None = None


class CrossModalTemporalAttention(nn.Module):
    """Multi-head attention over tokens of all modalities on one time axis.

    Args:
        width: Size of a token.
        n_heads: Number of heads; `width` is a multiple of twice this.
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
        rotation: tuple[Float[Tensor, "one token period"], Float[Tensor, "one token period"]],
        times: Float[Tensor, "one token"],
        present: Bool[Tensor, "one token"],
        cache: LayerCache | None = None,
        *,
        n_queries: int | None = None,
        bias: Float[Tensor, "variant token"] | None = None,
        trace: bool = False,
        sight: Sight | None = None,
    ) -> Read:
        """What each token reads from the others.

        Args:
            tokens: Normalised latents.
            rotation: Rotation of their times, from `compute_rotation`.
            times: Seconds.
            present: Tokens that there are.
            cache: Keys and values of earlier tokens.
            n_queries: How many tokens, the last ones, read; all where omitted.
            bias: Logarithm of the mask weight of each token, in a traced pass; 0 where omitted.
            trace: Whether to return the weights. Rows of `tokens` then share `times`, `present` and `cache`, which
                have one row.
            sight: In training, which token sees which; it takes the place of `cache` and `n_queries`, and no cache is
                given back.
        """
        query, key, value = (
            part.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for part in self.project(tokens).chunk(3, dim=2)
        )
        query, key = rotate(query, rotation), rotate(key, rotation)
        if sight is not None:
            read = attend(query[:, :, query.shape[2] - sight.n_queries :], key, value, sight)
            return Read(self.out(read.transpose(1, 2).flatten(2)), None)
        first = 0 if n_queries is None else times.shape[1] - n_queries
        query, asked = query[:, :, first:], times[:, first:]
        new = LayerCache(key, value, times, present)
        if trace:
            read, weights = attend_openly(query, asked, new, cache, window=self.window, bias=bias)
            return Read(self.out(read.transpose(1, 2).flatten(2)), cache, weights)
        seen = new if cache is None else join_caches(cache, new)
        mask = make_mask(asked, seen.times, seen.present, window=self.window)
        without_keys = ~mask.any(dim=2, keepdim=True)
        read = nn.functional.scaled_dot_product_attention(
            query, seen.keys, seen.values, attn_mask=(mask | without_keys)[:, None]
        )
        read = read.masked_fill(without_keys[:, None], 0.0)
        return Read(self.out(read.transpose(1, 2).flatten(2)), seen.trim(self.window))


def attend_openly(
    query: Float[Tensor, "row head query size"],
    asked: Float[Tensor, "one query"],
    new: LayerCache,
    cache: LayerCache | None,
    *,
    window: float,
    bias: Float[Tensor, "variant token"] | None = None,
) -> tuple[Float[Tensor, "_ head query size"], Float[Tensor, "_ query key"]]:
    """Attention with its weights written down: softmax, then product.

    Rows share the cache and the mask, so that many variants of one recording cost no copy of what they have in common.

    Args:
        query: Rotated queries.
        asked: Their times.
        new: Keys and values of the batch, one row or as many as `query` has, on one row of times.
        cache: Keys and values of earlier tokens, one row.
        window: Seconds that a token looks back.
        bias: Logarithm of the mask weight of each new token; 0 where omitted.

    Returns:
        What each query reads, and the mean of the weights over heads; a query without keys reads nothing.
    """
    query = query / math.sqrt(query.shape[3])
    mask = make_mask(asked, new.times, new.present, window=window)[:, None]
    score = (query @ new.keys.transpose(2, 3)).masked_fill(~mask, -math.inf)
    score = score if bias is None else score + bias[:, None, None]
    if cache is not None:
        mask = make_mask(asked, cache.times, cache.present, window=window)[:, None]
        earlier = torch.einsum("bhqd,hkd->bhqk", query, cache.keys[0]).masked_fill(~mask, -math.inf)
        score = torch.cat([earlier.expand(len(score), -1, -1, -1), score], dim=3)
    without_keys = score.isneginf().all(dim=3, keepdim=True)
    weights = torch.softmax(score.masked_fill(without_keys, 0.0), dim=3).masked_fill(without_keys, 0.0)
    n_cached = score.shape[3] - new.times.shape[1]
    read = weights[..., n_cached:] @ new.values
    if cache is not None:
        read = read + torch.einsum("bhqk,hkd->bhqd", weights[..., :n_cached], cache.values[0])
    return read, weights.mean(dim=1)


def join_caches(first: LayerCache, second: LayerCache) -> LayerCache:
    """Tokens of both, the earlier ones first."""
    return LayerCache(
        torch.cat([first.keys, second.keys], dim=2),
        torch.cat([first.values, second.values], dim=2),
        torch.cat([first.times, second.times], dim=1),
        torch.cat([first.present, second.present], dim=1),
    )


class Block(nn.Module):
    """Attention, then a gated MLP, each on normalised tokens and added to them.

    Args:
        width: Size of a token.
        n_heads: Number of heads; `width` is a multiple of twice this.
        window: Seconds that a token looks back.
        dropout: Chance that a number is dropped in training.
        place: Number of the block, from 0: each block drops other numbers.
    """

    recompute = False
    """Whether what lies between input and output is computed again for the gradient and not kept until then."""

    def __init__(self, width: int, *, n_heads: int, window: float, dropout: float, place: int = 0) -> None:
        super().__init__()
        self.norm_attention = nn.RMSNorm(width)
        self.attention = CrossModalTemporalAttention(width, n_heads=n_heads, window=window)
        self.norm_mlp = nn.RMSNorm(width)
        self.gate = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)
        self.chance, self.place = dropout, place

    def forward(
        self,
        tokens: Float[Tensor, "batch token width"],
        rotation: tuple[Float[Tensor, "one token period"], Float[Tensor, "one token period"]],
        times: Float[Tensor, "one token"],
        present: Bool[Tensor, "one token"],
        cache: LayerCache | None = None,
        *,
        n_queries: int | None = None,
        bias: Float[Tensor, "variant token"] | None = None,
        trace: bool = False,
        sight: Sight | None = None,
        seeds: Int[Tensor, "batch token"] | None = None,
    ) -> Read:
        """The last `n_queries` tokens, or all, after they have read; arguments are those of the attention.

        `seeds`, one for each token, say what is dropped in training; torch's own generator where omitted.
        """
        if sight is None:
            read, cache, weights = self.attention(
                self.norm_attention(tokens),
                rotation,
                times,
                present,
                cache,
                n_queries=n_queries,
                bias=bias,
                trace=trace,
            )
            return Read(self._finish(tokens, read, seeds), cache, weights)
        mine = None if seeds is None else mix_bits(seeds + self.place * GOLDEN)
        if not (self.recompute and torch.is_grad_enabled()):
            return Read(self.learn(tokens, rotation, times, present, sight, mine), None)
        again = checkpoint(
            *(self.learn, tokens, rotation, times, present, sight, mine),
            use_reentrant=False,
            preserve_rng_state=seeds is None,
        )
        return Read(again, None)

    def learn(
        self,
        tokens: Float[Tensor, "batch token width"],
        rotation: tuple[Float[Tensor, "one token period"], Float[Tensor, "one token period"]],
        times: Float[Tensor, "one token"],
        present: Bool[Tensor, "one token"],
        sight: Sight,
        seeds: Int[Tensor, "batch token"] | None,
    ) -> Float[Tensor, "batch query width"]:
        """A pass in training, without a cache; blocks differ in nothing here, so one compiled form serves all."""
        read = self.attention(self.norm_attention(tokens), rotation, times, present, sight=sight).latents
        return self._finish(tokens, read, seeds)

    def _finish(self, tokens: Tensor, read: Tensor, seeds: Tensor | None) -> Tensor:
        """Tokens with what they read, and what the MLP makes of it."""
        first = tokens.shape[1] - read.shape[1]
        seeds = None if seeds is None else seeds[:, first:]
        tokens = tokens[:, first:] + drop(read, chance=self.chance, training=self.training, seeds=seeds)
        gate, up = self.gate(self.norm_mlp(tokens)).chunk(2, dim=2)
        added = self.down(nn.functional.silu(gate) * up)
        return tokens + drop(added, chance=self.chance, training=self.training, seeds=seeds, place=1)
