"""Encoder of spike trains: binned counts of each unit, through the same kind of 1-D CNN; any number of units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.brainmu.encoders.contract import Kind
from sharpwave.brainmu.encoders.electrophysiology import ConvolutionalEncoder
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording


@dataclass(frozen=True)
class Spikes(Kind):
    """Units of `Recording.spikes`.

    Attributes:
        bin_length: Seconds.
    """

    bin_length: float = 1.0
    n_targets: int = 2

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """Square root of the counts (Anscombe 1948) per bin, shape (step, unit, bin, 1); a bin excludes its end."""
        if recording.spikes is None or len(recording.spikes) == 0:
            return None
        n_bins = max(1, round(grid.step / self.bin_length))
        edges = grid.start + grid.step / n_bins * np.arange(len(grid) * n_bins + 1)
        units = list(recording.spikes.keys())
        counts = [np.diff(np.searchsorted(recording.spikes[unit].t, edges)) for unit in units]
        values = np.sqrt(np.stack(counts, axis=1).astype(np.float32)).reshape(len(grid), n_bins, len(units), 1)
        support = recording.spikes.time_support.values
        covered = (
            (grid.ends[:, None] - grid.step >= support[:, 0] - 1e-6) & (grid.ends[:, None] <= support[:, 1] + 1e-6)
        ).any(axis=1)
        present = np.repeat(covered[:, None], len(units), axis=1)
        values = values.transpose(0, 2, 1, 3) * covered[:, None, None, None]
        return Windows(np.ascontiguousarray(values), present, tuple(f"unit {unit}" for unit in units))

    def build(self, width: int) -> nn.Module:
        return ConvolutionalEncoder(1, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and spread of the root counts."""
        flat = values[..., 0]
        return torch.stack([flat.mean(dim=3), flat.std(dim=3, correction=0)], dim=3)
