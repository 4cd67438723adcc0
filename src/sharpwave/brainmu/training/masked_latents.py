"""Masked latents: what a slow teacher makes of hidden patches, told from what is left, across modalities and the past.

As in data2vec (Baevski et al. 2022) and I-JEPA (Assran et al. 2023). Patches of up to 5 s within a step are hidden from
the model, and whole steps; of measures without a course within the step, channels. From the shared latent of the step,
which sees what is left of every modality and the past, a predictor of each modality tells the teacher's latents at the
hidden places. The teacher's encoders are an average of the model's so far, and see everything.

Targets are normalised layer-wise. The loss is the share of their variance that is not explained: 1 says no more than
their mean does. Where targets no longer differ from place to place, the encoders have collapsed, and training stops.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from sharpwave.brainmu.epochs import Batch, ModalityBatch
from sharpwave.brainmu.learning_pass import GOLDEN, LEVELS, mix_bits, seed_tokens
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.brainmu.training.objective import (
    Objective,
    Sum,
    TrainingOptions,
    compute_average_decay,
    sum_losses,
)
from sharpwave.errors import SharpwaveError

PATCH = 5.0
"""Longest time that is hidden as one, in seconds."""
WHOLE_STEP = 0.2
"""Chance that a step of a modality is hidden whole: it is then told from the past and the other modalities alone."""
MEMORY = 0.05
"""Width of the teacher's average over weights, as a share of the updates so far."""
COLLAPSED = 0.01
"""Spread of normalised targets from place to place below which they say nothing; their size is 1."""
LOOK_EVERY = 50
"""Updates from look to look at the spread: each waits for the device."""
N_WAVES = 4
"""Waves by which a predictor knows where in the step a latent lies."""


class MaskedLatents(nn.Module):
    """Losses for `train`: those of `sum_losses`, and of each modality the masked latents.

    Its parameters learn with the model and are kept in the checkpoints of the run, not with the weights in the end.

    Args:
        model: The model that is going to learn.
        options: Options of the run; `objective.latent` is the weight, `objective.hide` the share that is hidden.

    Example:
        >>> from sharpwave.brainmu.checkpoints import make_lite
        >>> model = make_lite(seed=0, modalities=["heart_rate"], width=16, n_heads=2)
        >>> options = TrainingOptions(objective=Objective(latent=1.0))
        >>> MaskedLatents(model, options).names
        ('heart_rate',)
    """

    updates: Tensor

    def __init__(self, model: BrainMu, options: TrainingOptions) -> None:
        super().__init__()
        self.objective, self.step = options.objective, model.config.step
        self.names = tuple(name for name in model.encoders if name != "stages")
        self.teacher = nn.ModuleDict({name: deepcopy(model.encoders[name]) for name in self.names})
        self.teacher["identities"] = deepcopy(model.identities)
        self.teacher.requires_grad_(False)
        width = model.config.width
        self.predictors = nn.ModuleDict(
            {name: Predictor(width, getattr(model.encoders[name], "n_frame_latents", width)) for name in self.names}
        )
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._hidden: dict[str, Bool[Tensor, "batch step patch"]] = {}
        self.spread: dict[str, float] = {}

    def hide(self, batch: Batch, seeds: Int[Tensor, " batch"] | None) -> Batch:
        """The batch with patches, steps and channels hidden; what is hidden of a crop follows from its seed.

        Args:
            batch: What dropping has left.
            seeds: A seed for each crop; torch's own generator where omitted.
        """
        if seeds is None:
            seeds = torch.randint(2**31 - 1, (len(batch.times),), dtype=torch.int32, device=batch.times.device)
        self._hidden, modalities = {}, dict(batch.modalities)
        for name in self.names:
            if name in modalities:
                modalities[name], self._hidden[name] = self._hide_part(name, modalities[name], seeds)
        return replace(batch, modalities=modalities)

    def _hide_part(
        self, name: str, part: ModalityBatch, seeds: Int[Tensor, " batch"]
    ) -> tuple[ModalityBatch, Bool[Tensor, "batch step patch"]]:
        in_patches = hasattr(self.teacher[name], "encode_frames")
        n_places = count_patches(part.values.shape[3], self.step) if in_patches else part.present.shape[2]
        tokens = seed_tokens(seeds, part.present.shape[1], kind=zlib.crc32(f"hide {name}".encode()) >> 1)
        places = torch.arange(1, n_places + 2, dtype=torch.int32, device=seeds.device) * GOLDEN
        chance = (mix_bits(tokens[..., None] + mix_bits(places)) & (LEVELS - 1)) / LEVELS
        whole, hidden = chance[..., -1:] < WHOLE_STEP, chance[..., :-1] < self.objective.hide
        present = part.present & ~whole
        if in_patches:
            patch = spread_patches(n_places, part.values.shape[3], device=seeds.device)
            values = part.values * ~hidden[:, :, None, patch, None]
            return replace(part, values=values, present=present), hidden | whole
        return replace(part, present=present & ~hidden), (hidden & part.present | whole).any(dim=2, keepdim=True)

    def forward(self, model: BrainMu, output: Output, batch: Batch, objective: Objective) -> Mapping[str, Sum]:
        """Every part of the loss as a sum and a count, of a pass over what `hide` has left.

        Raises:
            SharpwaveError: If the latents of a modality have collapsed.
        """
        if self.training:
            self._follow(model)
        zero = cast(Tensor, sum(parameter.sum() for parameter in self.predictors.parameters())) * 0.0
        sums = {f"latent {name}": Sum(zero, zero.detach()) for name in self.names}
        for name, hidden in self._hidden.items():
            sums[f"latent {name}"] = self._compare(name, output.latents, batch.modalities[name], hidden, zero)
        return {**sum_losses(model, output, batch, objective), **sums}

    def _compare(
        self,
        name: str,
        latents: Float[Tensor, "batch step width"],
        part: ModalityBatch,
        hidden: Bool[Tensor, "batch step patch"],
        zero: Tensor,
    ) -> Sum:
        """Squared error of what is told of the hidden latents, against their squared distance from their mean."""
        with torch.no_grad():
            target = self._teach(name, part)
            places = spread_patches(hidden.shape[2], target.shape[2], device=hidden.device)
            counted = (hidden[:, :, places] & part.any_present[..., None])[..., None]
            number = counted.sum().clamp(min=1)
            mean = (target * counted).sum(dim=(0, 1, 2)) / number
            distance = ((target - mean).square() * counted).sum()
        if self.training and int(self.updates) % LOOK_EVERY == 1:
            self._look(name, distance / (number * target.shape[3]), known=int(counted.sum()))
        error = (self.predictors[name](latents, target.shape[2]).float() - target).square() * counted
        return Sum(self.objective.latent * error.sum() + zero, distance)

    @torch.no_grad()
    def _teach(self, name: str, part: ModalityBatch) -> Float[Tensor, "batch step place hidden"]:
        encoder = cast(Any, self.teacher[name])
        if hasattr(encoder, "encode_frames"):
            target = encoder.encode_frames(part.values, part.present)
        else:
            identity = cast(nn.Embedding, self.teacher["identities"])(part.identity)
            target = encoder(part.values, part.present, identity)[:, :, None]
        return functional.layer_norm(target.float(), target.shape[-1:])

    def _look(self, name: str, variance: Tensor, *, known: int) -> None:
        """Stop where latents of many places are all alike."""
        self.spread[name] = float(variance.sqrt())
        if known > 1 and self.spread[name] < COLLAPSED:
            raise SharpwaveError(
                f"latents of {name} that differ from place to place (by {COLLAPSED:g} of their size or more)",
                got=f"a spread of {self.spread[name]:.2g} at update {int(self.updates) - 1}: the encoder has collapsed",
                fix="lower the learning rate, keep next_step above 0, or see whether the signal is constant",
            )

    @torch.no_grad()
    def _follow(self, model: BrainMu) -> None:
        """Move the teacher towards the model."""
        decay = compute_average_decay(int(self.updates), MEMORY)
        self.updates += 1
        for name in self.names:
            for mine, theirs in zip(self.teacher[name].parameters(), model.encoders[name].parameters(), strict=True):
                mine.lerp_(theirs.detach().to(mine.dtype), 1 - decay)
        cast(nn.Embedding, self.teacher["identities"]).weight.lerp_(model.identities.weight.detach(), 1 - decay)


class Predictor(nn.Module):
    """The latents of a modality within each step, from the shared latent and where in the step they lie.

    Args:
        width: Size of the shared latent.
        n_targets: Size of the teacher's latents.
    """

    def __init__(self, width: int, n_targets: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.place = nn.Linear(2 * N_WAVES, width, bias=False)
        self.out = nn.Linear(width, n_targets)

    def forward(
        self, latents: Float[Tensor, "batch step width"], n_places: int
    ) -> Float[Tensor, "batch step place target"]:
        """What is told of each of `n_places` places, evenly spaced over the step."""
        places = (torch.arange(n_places, device=latents.device, dtype=latents.dtype) + 0.5) / n_places
        angles = torch.pi * places[:, None] * torch.arange(1, N_WAVES + 1, device=latents.device, dtype=latents.dtype)
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        hidden = self.hidden(latents)[:, :, None] + self.place(waves)
        return cast(Tensor, self.out(functional.gelu(hidden)))


def count_patches(n_frames: int, step: float) -> int:
    """Patches of at most `PATCH` seconds in a step, of one frame at least.

    Args:
        n_frames: Frames in the step.
        step: Length of the step in seconds.

    Example:
        >>> count_patches(29, 30.0), count_patches(10, 30.0), count_patches(3, 30.0)
        (6, 6, 3)
    """
    return max(1, min(n_frames, -int(-step // PATCH)))


def spread_patches(n_patches: int, n_places: int, *, device: torch.device) -> Int[Tensor, " place"]:
    """The patch in which each of evenly spaced places lies.

    Args:
        n_patches: Patches of a step.
        n_places: Frames or latents of a step.
        device: Where the numbers are needed.

    Example:
        >>> spread_patches(3, 7, device=torch.device("cpu")).tolist()
        [0, 0, 1, 1, 1, 2, 2]
    """
    middles = 2 * torch.arange(n_places, device=device) + 1
    return middles * n_patches // (2 * n_places)
