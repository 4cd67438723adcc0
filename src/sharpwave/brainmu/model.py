"""Brainµ: encode each modality, align all in time, read the shared latent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave.brainmu.attention import Block, LayerCache, compute_rotation
from sharpwave.brainmu.batches import Batch
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.contract import N_IDENTITIES
from sharpwave.brainmu.heads import Decoder, Heads, Readout
from sharpwave.brainmu.presets import BrainMuConfig

NIGHT = 8 * 3600.0


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens on one time axis.

    Attributes:
        latents: Shape (batch, token, width).
        times: Seconds, shape (batch, token).
        present: Shape (batch, token).
        n_states: How many of them, the last, are state tokens: one per step.
    """

    latents: Float[Tensor, "batch token width"]
    times: Float[Tensor, "batch token"]
    present: Bool[Tensor, "batch token"]
    n_states: int = 0


@dataclass(frozen=True, eq=False)
class Output:
    """What a pass gives.

    Attributes:
        latents: The shared latent at each step, shape (batch, step, width).
        readout: What the heads read from it.
        caches: One per layer, for the steps to come.
    """

    latents: Float[Tensor, "batch step width"]
    readout: Readout
    caches: tuple[LayerCache, ...]


class BrainMu(nn.Module):
    """Encode → align → predict.

    At the end of every step a state token looks at all tokens known by then; the heads and decoders read it alone.

    Args:
        config: Shape of the model.
    """

    periods: Tensor

    def __init__(self, config: BrainMuConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = nn.ModuleDict({name: ENCODERS[name].build(config.width) for name in config.modalities})
        self.kinds = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(config.width) * 0.02) for name in config.modalities}
        )
        self.identities = nn.Embedding(N_IDENTITIES, config.width)
        nn.init.normal_(self.identities.weight, std=0.02)
        self.state = nn.Parameter(torch.randn(config.width) * 0.02)
        self.clock = nn.Sequential(nn.Linear(2, config.width), nn.GELU(), nn.Linear(config.width, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, n_heads=config.n_heads, window=config.window, dropout=config.dropout)
            for _ in range(config.n_layers)
        )
        self.norm = nn.RMSNorm(config.width)
        self.heads = Heads(config.width, n_horizons=len(config.horizons), dropout=config.dropout)
        self.decoders = nn.ModuleDict(
            {name: Decoder(config.width, ENCODERS[name].n_targets) for name in config.modalities}
        )
        size = config.width // config.n_heads // 2
        periods = torch.logspace(0, 1, size, dtype=torch.float64)
        periods = config.shortest * (config.longest / config.shortest) ** (torch.log10(periods))
        self.register_buffer("periods", periods, persistent=False)

    def forward(self, batch: Batch, caches: tuple[LayerCache, ...] | None = None) -> Output:
        """Pass over the steps of a batch, after those that the caches hold.

        Args:
            batch: Modalities on one clock, absent ones left out.
            caches: From the pass over earlier steps.
        """
        tokens = self.encode(batch)
        latents, caches = self.align(tokens, caches, n_readers=batch.times.shape[1])
        states = self.norm(latents[:, -batch.times.shape[1] :])
        return Output(states, self.heads(states), caches)

    def encode(self, batch: Batch) -> Tokens:
        """One token per step of each modality; the state tokens of the steps come last."""
        parts = []
        for name, part in batch.modalities.items():
            if name in self.encoders:
                latents = (
                    self.encoders[name](part.values, part.present, self.identities(part.identity)) + self.kinds[name]
                )
                parts.append(Tokens(latents, part.times, part.any_present))
        parts.append(self._make_states(batch))
        latents, times, present = (
            torch.cat([getattr(part, n) for part in parts], dim=1) for n in ("latents", "times", "present")
        )
        return Tokens(latents, times, present, n_states=batch.times.shape[1])

    def start_states(
        self, tokens: Tokens, gates: Float[Tensor, "row token"] | None = None
    ) -> Float[Tensor, "_ token width"]:
        """Latents of all tokens; in a `direct` model a state token starts from the mean of its step's tokens.

        Args:
            tokens: From `encode`.
            gates: How far each token counts, from 0 to 1; all 1 where omitted.
        """
        others, states = tokens.latents[:, : -tokens.n_states], tokens.latents[:, -tokens.n_states :]
        if not self.config.direct or others.shape[1] == 0:
            return tokens.latents
        weight = tokens.present.to(others.dtype) if gates is None else tokens.present * gates
        weight = weight[:, : -tokens.n_states].unflatten(1, (-1, tokens.n_states)).unsqueeze(3)
        total = (others.unflatten(1, (-1, tokens.n_states)) * weight).sum(dim=1)
        states = states + total / weight.sum(dim=1).clamp(min=1)
        return torch.cat([others.expand(len(states), -1, -1), states], dim=1)

    def align(
        self, tokens: Tokens, caches: tuple[LayerCache, ...] | None = None, *, n_readers: int | None = None
    ) -> tuple[Float[Tensor, "batch reader width"], tuple[LayerCache, ...]]:
        """Cross-Modal Temporal Attention, block by block; after the last only `n_readers` tokens, or all."""
        rotation = compute_rotation(tokens.times, self.periods)
        latents, kept = self.start_states(tokens), []
        for index, block in enumerate(self.blocks):
            cache = None if caches is None else caches[index]
            wanted = n_readers if index == len(self.blocks) - 1 else None
            latents, cache = block(latents, rotation, tokens.times, tokens.present, cache, n_readers=wanted)
            kept.append(cache)
        return latents, tuple(kept)

    def predict_next(self, latents: Float[Tensor, "batch step width"], batch: Batch) -> Mapping[str, Tensor]:
        """Each modality's next step, (batch, step, channel, target), from the state at each step."""
        return {
            name: self.decoders[name](latents, self.identities(part.identity))
            for name, part in batch.modalities.items()
            if name in self.decoders
        }

    def _make_states(self, batch: Batch) -> Tokens:
        hours = (batch.times / NIGHT).clamp(0, 2).float()
        clock = torch.stack([hours - 0.5, torch.log1p(8 * hours) - 1], dim=2).to(self.state.dtype)
        return Tokens(self.state + self.clock(clock), batch.times, batch.valid)
