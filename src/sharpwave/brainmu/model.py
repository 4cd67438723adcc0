"""Brainµ: encode each modality, align all in time, read the shared latent.

With every modality of `ENCODERS`, the presets have these shapes and numbers of parameters:

    ==========  =========  =========  ===========
                     lite      small         base
    ==========  =========  =========  ===========
    width             112        256        1,024
    layers              2          6           16
    heads each          4          8           16
    looks back        1 h        2 h          2 h
    query          pooled      plain        plain
    encoders      601,400  2,618,768   37,017,104
    blocks        251,328  3,935,232  167,804,928
    heads          53,336    269,336    4,223,000
    decoders      232,215  1,157,271   17,997,975
    others         72,464    202,496    1,596,416
    in all      1,210,743  8,183,103  228,639,423
    ==========  =========  =========  ===========
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sharpwave.brainmu.attention import Block, LayerCache, compute_rotation
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.contract import ModalitySpecification
from sharpwave.brainmu.epochs import N_IDENTITIES, Batch
from sharpwave.brainmu.heads import Decoder, Heads, Readout
from sharpwave.brainmu.learning_pass import make_sight, number_times, seed_tokens
from sharpwave.brainmu.presets import BrainMuConfig
from sharpwave.errors import SharpwaveError

NIGHT = 8 * 3600.0


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens on one time axis.

    Attributes:
        latents: Vector of each token, shape (batch, token, width).
        times: Time from which each token is known, in seconds, shape (batch, token).
        present: Tokens that there are, shape (batch, token).
        n_states: How many of them, the last ones, are state tokens: one per step.
        seeds: In training, what each token drops follows from its seed, shape (batch, token); None for torch's own
            generator.
    """

    latents: Float[Tensor, "batch token width"]
    times: Float[Tensor, "batch token"]
    present: Bool[Tensor, "batch token"]
    n_states: int = 0
    seeds: Int[Tensor, "batch token"] | None = None


@dataclass(frozen=True, eq=False)
class Output:
    """What a pass gives.

    Attributes:
        latents: The shared latent at each step, shape (batch, step, width).
        readout: What the heads read from it.
        caches: One per block, for the steps to come.
        attention: In a traced pass, the weights of each block, shape (batch, query, key): first the tokens of the
            caches, then those of the batch in the order of `BrainMu.encode`. Empty of any other pass.
    """

    latents: Float[Tensor, "batch step width"]
    readout: Readout
    caches: tuple[LayerCache, ...]
    attention: tuple[Float[Tensor, "batch query key"], ...] = ()


class BrainMu(nn.Module):
    """Encode → align → predict.

    *Encode.* The encoder of each modality makes one token of each of its epochs, in one shared width. To these come
    the state tokens, one at the end of every step, which know the time since lights off and nothing else; where that is
    not known, not even this. With a pooled query, a state token starts from the mean of its step's tokens.

    *Align.* Cross-Modal Temporal Attention: tokens of all modalities look at each other and at those before them, block
    by block, with time in seconds as the position. No token sees a later one.

    *Predict.* The state token of each step is the shared latent, and heads and decoders read it alone: the heads the
    stage now, and change and destination at each horizon; the decoders what each modality does in the next step.

    Args:
        config: Shape of the model.
        specifications: Where the modalities of the configuration are looked up; `ENCODERS` by default.

    Example:
        >>> import torch
        >>> from sharpwave.brainmu import BrainMu, configure
        >>> model = BrainMu(configure("lite", modalities=["heart_rate"], width=16, n_heads=2))
        >>> model.heads(torch.zeros(1, 7, 16)).stage.shape  # of a batch of 1 and 7 steps, logits of 5 stages
        torch.Size([1, 7, 5])
    """

    periods: Tensor
    attention_kernel = "dense"
    """Which kernel attends in training, one of `learning_pass.ATTENTIONS`; the numbers are the same."""

    def __init__(self, config: BrainMuConfig, specifications: Mapping[str, ModalitySpecification] = ENCODERS) -> None:
        super().__init__()
        self.config = config
        self.specifications = {name: specifications[name] for name in config.modalities}
        self.encoders = nn.ModuleDict({name: one.build(config.width) for name, one in self.specifications.items()})
        # An embedding of each modality; files of weights hold it under this name.
        self.kinds = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(config.width) * 0.02) for name in config.modalities}
        )
        self.identities = nn.Embedding(N_IDENTITIES, config.width)
        nn.init.normal_(self.identities.weight, std=0.02)
        self.state = nn.Parameter(torch.randn(config.width) * 0.02)
        self.clock = nn.Sequential(nn.Linear(2, config.width), nn.GELU(), nn.Linear(config.width, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, n_heads=config.n_heads, window=config.window, dropout=config.dropout, place=place)
            for place in range(config.n_layers)
        )
        self.norm = nn.RMSNorm(config.width)
        self.heads = Heads(config.width, n_horizons=len(config.horizons), dropout=config.dropout)
        self.decoders = nn.ModuleDict(
            {name: Decoder(config.width, one.n_targets) for name, one in self.specifications.items()}
        )
        size = config.width // config.n_heads // 2
        periods = torch.logspace(0, 1, size, dtype=torch.float64)
        periods = config.shortest * (config.longest / config.shortest) ** (torch.log10(periods))
        self.register_buffer("periods", periods, persistent=False)

    def forward(
        self,
        batch: Batch,
        caches: tuple[LayerCache, ...] | None = None,
        *,
        mask_weights: Float[Tensor, "variant token"] | None = None,
        trace: bool = False,
        seeds: Int[Tensor, " batch"] | None = None,
    ) -> Output:
        """Pass over the steps of a batch, after those that the caches hold.

        Args:
            batch: Modalities on one clock, absent ones left out.
            caches: Keys and values from the pass over earlier steps; None at the start of a recording.
            mask_weights: How far each token of a traced batch of one row counts, from 0 (as if it had not been
                recorded) to 1; any number of variants, each a row of the output. They need `trace`. All 1 where
                omitted.
            trace: Whether to keep the weights of attention; the other numbers are the same. A traced pass gives back
                the caches that it was given.
            seeds: In training, a seed for each crop, int32: what is dropped of it follows from its seed alone, and so
                neither from the crops beside it nor from the device. Torch's own generator where omitted.

        Raises:
            SharpwaveError: If mask weights are given without a trace.
        """
        if mask_weights is not None and not trace:
            raise SharpwaveError("mask weights in a traced pass", got="trace=False", fix="set trace=True")

        tokens = self.encode(batch, seeds)
        return self.predict(tokens, caches, mask_weights=mask_weights, trace=trace)

    def encode(self, batch: Batch, seeds: Int[Tensor, " batch"] | None = None) -> Tokens:
        """One token per step of each modality; the state tokens of the steps come last."""
        parts, kinds = [], []
        for name, part in batch.modalities.items():
            if name in self.encoders:
                latents = (
                    self.encoders[name](part.values, part.present, self.identities(part.identity)) + self.kinds[name]
                )
                parts.append(Tokens(latents, part.times, part.any_present))
                kinds.append(zlib.crc32(name.encode()) >> 1)
        parts.append(self._make_states(batch))
        latents, times, present = (
            torch.cat([getattr(part, n) for part in parts], dim=1) for n in ("latents", "times", "present")
        )
        n_steps, seeded = batch.times.shape[1], None
        if seeds is not None:
            seeded = torch.cat([seed_tokens(seeds, n_steps, kind=kind) for kind in (*kinds, 0)], dim=1)
        return Tokens(latents, times, present, n_states=n_steps, seeds=seeded)

    def predict(
        self,
        tokens: Tokens,
        caches: tuple[LayerCache, ...] | None = None,
        *,
        mask_weights: Float[Tensor, "variant token"] | None = None,
        trace: bool = False,
    ) -> Output:
        """What `forward` gives, from tokens that are encoded already: as in another thread, while earlier ones pass.

        Args:
            tokens: Tokens from `encode`.
            caches: Keys and values from the pass over earlier steps; None at the start of a recording.
            mask_weights: How far each token counts, as in `forward`.
            trace: Whether to keep the weights, as in `forward`.
        """
        # Align
        latents, caches, attention = self.align(
            tokens, caches, n_queries=None if trace else tokens.n_states, mask_weights=mask_weights, trace=trace
        )

        # Read out
        states = self.norm(latents[:, -tokens.n_states :])
        mine = None if tokens.seeds is None else tokens.seeds[:, -tokens.n_states :]
        return Output(states, self.heads(states, mine), caches, attention)

    def align(
        self,
        tokens: Tokens,
        caches: tuple[LayerCache, ...] | None = None,
        *,
        n_queries: int | None = None,
        mask_weights: Float[Tensor, "variant token"] | None = None,
        trace: bool = False,
    ) -> tuple[Float[Tensor, "_ query width"], tuple[LayerCache, ...], tuple[Float[Tensor, "_ query key"], ...]]:
        """Cross-Modal Temporal Attention, block by block.

        Args:
            tokens: Tokens from `encode`.
            caches: Keys and values from the pass over earlier steps; None at the start of a recording.
            n_queries: How many tokens, the last ones, the last block gives; all where omitted.
            mask_weights: How far each token counts, as in `forward`.
            trace: Whether to keep the weights, as in `forward`.

        Returns:
            Latents, caches for the steps to come, and the weights of each block of a traced pass.
        """
        rotation = compute_rotation(tokens.times, self.periods)
        bias = None if mask_weights is None else mask_weights.log()
        latents = self.start_states(tokens, mask_weights)
        if self.training and caches is None and not trace:
            return self._align_to_learn(tokens, latents, rotation, n_queries), (), ()
        new_caches, attention = [], []
        for index, block in enumerate(self.blocks):
            latents, cache, weights = block(
                latents,
                rotation,
                tokens.times,
                tokens.present,
                None if caches is None else caches[index],
                n_queries=n_queries if index == len(self.blocks) - 1 else None,
                bias=bias,
                trace=trace,
            )
            new_caches += [] if cache is None else [cache]
            attention += [] if weights is None else [weights]
        return latents, tuple(new_caches), tuple(attention)

    def _align_to_learn(
        self,
        tokens: Tokens,
        latents: Float[Tensor, "batch token width"],
        rotation: tuple[Tensor, Tensor],
        n_queries: int | None,
    ) -> Float[Tensor, "batch query width"]:
        """Without caches, and with the mask made once for all blocks."""
        numbers = number_times(tokens.times, tokens.present, window=self.config.window)
        n_tokens = tokens.times.shape[1]
        every = make_sight(numbers, n_queries=n_tokens, attention=self.attention_kernel)
        last = make_sight(numbers, n_queries=n_queries or n_tokens, attention=self.attention_kernel)
        for index, block in enumerate(self.blocks):
            sight = last if index == len(self.blocks) - 1 else every
            latents = block(latents, rotation, tokens.times, tokens.present, sight=sight, seeds=tokens.seeds).latents
        return latents

    def start_states(
        self, tokens: Tokens, mask_weights: Float[Tensor, "variant token"] | None = None
    ) -> Float[Tensor, "_ token width"]:
        """Latents of all tokens; with a pooled query a state token starts from the mean of its step's tokens.

        Args:
            tokens: Tokens from `encode`.
            mask_weights: How far each token counts, from 0 to 1; all 1 where omitted.
        """
        others, states = tokens.latents[:, : -tokens.n_states], tokens.latents[:, -tokens.n_states :]
        if not self.config.pooled_query or others.shape[1] == 0:
            return tokens.latents
        weight = tokens.present.to(others.dtype) if mask_weights is None else tokens.present * mask_weights
        weight = weight[:, : -tokens.n_states].unflatten(1, (-1, tokens.n_states)).unsqueeze(3)
        total = (others.unflatten(1, (-1, tokens.n_states)) * weight).sum(dim=1)
        states = states + total / weight.sum(dim=1).clamp(min=1)
        return torch.cat([others.expand(len(states), -1, -1), states], dim=1)

    def predict_next(self, latents: Float[Tensor, "batch step width"], batch: Batch) -> Mapping[str, Tensor]:
        """Each modality's next step, (batch, step, channel, target), from the state at each step."""
        return {
            name: self.decoders[name](latents, self.identities(part.identity))
            for name, part in batch.modalities.items()
            if name in self.decoders
        }

    def _make_states(self, batch: Batch) -> Tokens:
        clock = batch.clock
        if clock is None and not self.training:
            return Tokens(self.state.expand(*batch.times.shape, -1), batch.times, batch.valid)
        if clock is None:  # in training every parameter takes part in every update, as several devices need it
            clock = torch.full_like(batch.times, torch.nan)
        known = clock.isfinite()
        hours = (clock.nan_to_num() / NIGHT).clamp(0, 2).float()
        clock = torch.stack([hours - 0.5, torch.log1p(8 * hours) - 1], dim=2).to(self.state.dtype)
        return Tokens(self.state + self.clock(clock) * known[..., None], batch.times, batch.valid)
