"""What is read from the shared latent: stage, change and destination at each horizon, depth; and the next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpwave.brainmu.epochs import N_STAGES
from sharpwave.brainmu.learning_pass import drop

PLACE = 1 << 12
"""Number of the first head as a place where numbers are dropped; those of the blocks are smaller."""


@dataclass(frozen=True, eq=False)
class Readout:
    """Logits and numbers per step.

    Attributes:
        stage: Logits of the five stages now.
        change: Logit that the stage at each horizon differs from the present one.
        destination: Logits of the stage at each horizon.
        depth: Slow-wave power of the EEG now, log10 µV²/Hz.
    """

    stage: Float[Tensor, "batch step stage"]
    change: Float[Tensor, "batch step horizon"]
    destination: Float[Tensor, "batch step horizon stage"]
    depth: Float[Tensor, "batch step"]


class Heads(nn.Module):
    """A hidden layer and a linear reading for each question."""

    def __init__(self, width: int, *, n_horizons: int, dropout: float) -> None:
        super().__init__()
        self.n_horizons = n_horizons
        sizes = {
            "stage": N_STAGES,
            "change": n_horizons,
            "destination": n_horizons * N_STAGES,
            "depth": 1,
        }
        self.readings = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, size))
                for name, size in sizes.items()
            }
        )

    def forward(
        self, latents: Float[Tensor, "batch step width"], seeds: Int[Tensor, "batch step"] | None = None
    ) -> Readout:
        """Read the latents of steps; in training `seeds` say what is dropped, torch's own generator where omitted."""
        read = {}
        for place, (name, reading) in enumerate(self.readings.items()):
            layers: Any = reading
            first, activation, dropout, last = layers
            hidden = activation(first(latents))
            hidden = drop(hidden, chance=dropout.p, training=self.training, seeds=seeds, place=PLACE + place)
            read[name] = last(hidden)
        return Readout(
            stage=read["stage"],
            change=read["change"],
            destination=read["destination"].unflatten(2, (self.n_horizons, N_STAGES)),
            depth=read["depth"][..., 0],
        )


class Decoder(nn.Module):
    """The next step of one modality, channel by channel, from the shared latent."""

    def __init__(self, width: int, n_targets: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, n_targets)

    def forward(
        self, latents: Float[Tensor, "batch step width"], identity: Float[Tensor, "batch channel width"]
    ) -> Float[Tensor, "batch step channel target"]:
        """Predictions for every channel whose identity is given."""
        hidden = self.hidden(latents)[:, :, None] + identity[:, None]
        return self.out(torch.nn.functional.gelu(hidden))
