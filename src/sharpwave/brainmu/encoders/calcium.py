"""Encoder of calcium imaging (ΔF/F by cell): a plug-in that shows how a modality is added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from sharpwave.brainmu.encoders.behaviour import standardise_so_far, summarise_steps
from sharpwave.brainmu.encoders.bold import VisionTransformer
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording


@dataclass(frozen=True)
class Calcium:
    """Cells as channels, each summarised in a step by the mean, spread and last value of its ΔF/F."""

    n_targets: int = 2

    def cut(self, recording: Recording, grid: Grid) -> Windows | None:
        """Values against the recording so far, shape (step, cell, 3)."""
        signals = recording.of("calcium")
        if not signals:
            return None
        raw = np.concatenate([summarise_steps(s, grid, logarithmic=False) for s in signals.values()], axis=1)
        names = tuple(channel for name, s in signals.items() for channel in (s.channels or (name,)))
        present = np.isfinite(raw).all(axis=2)
        values = np.where(present[..., None], standardise_so_far(raw), 0.0).astype(np.float32)
        return Windows(values, present, names)

    def build(self, width: int) -> nn.Module:
        return VisionTransformer(3, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and spread."""
        return values[..., :2]
