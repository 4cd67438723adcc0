"""Encoder of fMRI BOLD: a Vision Transformer over parcels, or over 3-D patches of volumes (Dosovitskiy et al. 2021)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave.brainmu.encoders.behaviour import LAST, MEAN, MEASURES, Sums, normalise_to_past, summarise_signals
from sharpwave.brainmu.encoders.contract import ModalitySpecification
from sharpwave.brainmu.epochs import EpochGrid, ModalityEpochs
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording, Signal

PATCH = 4
"""Shortest edge of a patch, in voxels."""
MOST_PATCHES = 8
"""Along each axis: patches of finer volumes are larger."""
READ_VOLUMES = 32


@dataclass(frozen=True)
class Bold(ModalitySpecification):
    """Parcel series or volumes: each parcel or patch is a channel, summarised in a step by `MEASURES`."""

    n_targets: int = 2

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """`MEASURES`, shape (step, patch, measure)."""
        signals = {name: as_patches(name, signal) for name, signal in recording.of("bold").items()}
        return summarise_signals(signals, grid)

    def normalise(self, epochs: ModalityEpochs, past: Sums | None = None) -> tuple[ModalityEpochs, Sums]:
        """Against the recording so far: scanner units mean nothing."""
        return normalise_to_past(epochs, past)

    def build(self, width: int) -> nn.Module:
        return VisionTransformer(len(MEASURES), width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and last value."""
        return values[..., [MEAN, LAST]]


def as_patches(name: str, signal: Signal) -> Signal:
    """A signal of parcels as it is; volumes as means of cubes of voxels, named by where they are; NaN is no voxel.

    Raises:
        SharpwaveError: If it is neither.
    """
    shape = signal.samples.shape
    if len(shape) <= 2:
        return signal
    if len(shape) != 4:
        raise SharpwaveError(
            f"parcels (time, parcel) or volumes (time, x, y, z) in {name!r}",
            got=f"shape {tuple(shape)}",
            fix="put time first",
        )
    edges = [max(PATCH, -(-size // MOST_PATCHES)) for size in shape[1:]]
    counts = [-(-size // edge) for size, edge in zip(shape[1:], edges, strict=True)]
    pad = [(0, 0), *((0, n * edge - size) for n, edge, size in zip(counts, edges, shape[1:], strict=True))]
    series = np.empty((shape[0], int(np.prod(counts))), dtype=np.float32)
    split = [extent for pair in zip(counts, edges, strict=True) for extent in pair]
    for first in range(0, shape[0], READ_VOLUMES):
        volumes = np.asarray(signal.samples[first : first + READ_VOLUMES], dtype=np.float32)
        cubes = np.pad(volumes, pad, constant_values=np.nan).reshape(len(volumes), *split)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            means = np.nanmean(cubes, axis=(2, 4, 6))
        series[first : first + len(volumes)] = means.reshape(len(volumes), -1)
    names = tuple(f"patch {x} {y} {z}" for x, y, z in np.ndindex(*counts))
    return replace(signal, samples=series, channels=names)


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


SPECIFICATIONS: dict[str, ModalitySpecification] = {"bold": Bold()}
"""The modality that this encoder serves."""
