"""Encoder of fMRI BOLD: a Vision Transformer over parcels, or over 3-D patches of volumes (Dosovitskiy et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave.brainmu.encoders.behaviour import standardise_so_far, summarise_steps
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording, Signal

PATCH = 4
"""Edge of a patch, in voxels."""


@dataclass(frozen=True)
class Bold:
    """Parcel series or volumes: each parcel or patch is a channel, summarised in a step by mean, spread, last value."""

    n_targets: int = 2

    def cut(self, recording: Recording, grid: Grid) -> Windows | None:
        """Values against the recording so far, shape (step, patch, 3)."""
        parts = [_to_patches(name, signal) for name, signal in recording.of("bold").items()]
        if not parts:
            return None
        raw = np.concatenate([summarise_steps(signal, grid, logarithmic=False) for signal in parts], axis=1)
        present = np.isfinite(raw).all(axis=2)
        values = np.where(present[..., None], standardise_so_far(raw), 0.0).astype(np.float32)
        return Windows(values, present, tuple(name for signal in parts for name in signal.channels))

    def build(self, width: int) -> nn.Module:
        return VisionTransformer(3, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and last value."""
        return values[..., [0, 2]]


def _to_patches(name: str, signal: Signal) -> Signal:
    """A signal whose channels are the parcels, or the means of cubes of voxels, named by where they are."""
    from dataclasses import replace

    shape = signal.samples.shape
    if len(shape) <= 2:
        return replace(signal, channels=signal.channels or (name,), samples=_as_columns(signal))
    series, names = [], []
    for x in range(0, shape[1], PATCH):
        for y in range(0, shape[2], PATCH):
            for z in range(0, shape[3], PATCH):
                cube = np.asarray(signal.samples[:, x : x + PATCH, y : y + PATCH, z : z + PATCH], dtype=np.float32)
                series.append(cube.reshape(len(cube), -1).mean(axis=1))
                names.append(f"patch {x // PATCH} {y // PATCH} {z // PATCH}")
    return replace(signal, samples=np.stack(series, axis=1), channels=tuple(names))


def _as_columns(signal: Signal) -> np.ndarray:
    return np.asarray(signal.samples[:]).reshape(len(signal), -1)


class VisionTransformer(nn.Module):
    """Patches attend to each other, then a class token reads them."""

    def __init__(self, n_inputs: int, width: int, *, n_layers: int = 1, n_heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(n_inputs, width)
        self.query = nn.Parameter(torch.randn(width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, n_heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.project = nn.Linear(width, width)

    def forward(
        self,
        values: Float[Tensor, "batch token channel input"],
        present: Bool[Tensor, "batch token channel"],
        identity: Float[Tensor, "batch channel width"],
    ) -> Float[Tensor, "batch token width"]:
        patches = self.embed(values) + identity[:, None]
        query = self.query.expand(*values.shape[:2], 1, -1)
        sequence = torch.cat([query, patches], dim=2).flatten(0, 1)
        absent = torch.cat([torch.zeros_like(present[..., :1]), ~present], dim=2).flatten(0, 1)
        read = self.layers(sequence, src_key_padding_mask=absent)[:, 0]
        return self.project(read).unflatten(0, values.shape[:2])
