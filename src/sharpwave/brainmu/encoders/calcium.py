"""Encoder of calcium imaging (ΔF/F by cell): a plug-in, one file and one line in `ENCODERS`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from sharpwave.brainmu.encoders.behaviour import PerceptronEncoder
from sharpwave.brainmu.encoders.channels import name_channels
from sharpwave.brainmu.encoders.contract import Kind
from sharpwave.brainmu.encoders.summaries import MEAN, MEASURES, SPREAD, Sums, relate_to_past, summarise_steps
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording


@dataclass(frozen=True)
class Calcium(Kind):
    """Cells as channels, each summarised in a step by `MEASURES` of its ΔF/F."""

    n_targets: int = 2

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """`MEASURES`, shape (step, cell, measure)."""
        signals = recording.of("calcium")
        if not signals:
            return None
        parts = [summarise_steps(signal, grid) for signal in signals.values()]
        values, present = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
        return Windows(values, present, sum(name_channels(signals).values(), ()))

    def relate(self, windows: Windows, past: Sums | None = None) -> tuple[Windows, Sums]:
        """Against the recording so far: how bright a cell is depends on its dye."""
        return relate_to_past(windows, past)

    def build(self, width: int) -> nn.Module:
        return PerceptronEncoder(len(MEASURES), width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and spread."""
        return values[..., [MEAN, SPREAD]]
