"""Encoder of behaviour and of slow or named measures: a small MLP per channel.

Movement, heart rate, temperature, position, task performance, and cohorts that exist only as features per epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave.brainmu.encoders.channels import name_channels
from sharpwave.brainmu.encoders.contract import ChannelPool, Kind
from sharpwave.brainmu.encoders.summaries import LAST, MEAN, MEASURES, Sums, relate_to_past, summarise_steps
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording

LEVEL = "_level"
"""Channels whose name ends so keep their own scale; all others are compared with the night so far."""


@dataclass(frozen=True)
class Behaviour(Kind):
    """Slow signals, each summarised in a step by `MEASURES`.

    Attributes:
        modality: Key of `MODALITIES`.
        logarithmic: Whether values are counts or rates that spread over decades.
    """

    modality: str
    logarithmic: bool = False
    n_targets: int = 2

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """`MEASURES`, shape (step, channel, measure)."""
        signals = {name: s for name, s in recording.of(self.modality).items() if len(s.samples.shape) <= 2}
        if not signals:
            return None
        parts = [summarise_steps(signal, grid, logarithmic=self.logarithmic) for signal in signals.values()]
        values, present = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
        return Windows(values, present, sum(name_channels(signals).values(), ()))

    def relate(self, windows: Windows, past: Sums | None = None) -> tuple[Windows, Sums]:
        """Against the recording so far."""
        absolute = np.array([name.endswith(LEVEL) for name in windows.channels], dtype=bool)
        return relate_to_past(windows, past, absolute=absolute)

    def build(self, width: int) -> nn.Module:
        return PerceptronEncoder(len(MEASURES), width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and last value."""
        return values[..., [MEAN, LAST]]


class PerceptronEncoder(nn.Module):
    """One hidden layer per channel; what a value means depends on which channel it is."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.pool = ChannelPool(width)
        self.first = nn.Linear(n_inputs, width)
        self.second = nn.Linear(width, width)

    def forward(
        self,
        values: Float[Tensor, "batch token channel input"],
        present: Bool[Tensor, "batch token channel"],
        identity: Float[Tensor, "batch channel width"],
    ) -> Float[Tensor, "batch token width"]:
        hidden = self.first(values) + identity[:, None]
        latents = self.second(torch.nn.functional.gelu(hidden))
        return self.pool(latents, present, identity)
