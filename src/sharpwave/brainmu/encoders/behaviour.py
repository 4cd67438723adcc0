"""Encoder of behaviour and of slow or named measures: a small MLP per channel.

Movement, heart rate, temperature, position, wearables, and cohorts that exist only as features per epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave.brainmu.encoders.contract import ChannelPool
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording, Signal

LIMIT = 8.0
LEVEL = "_level"
"""Channels whose name ends so keep their own scale; all others are compared with the night so far."""


@dataclass(frozen=True)
class Behaviour:
    """Slow signals, each summarised in a step by its mean, its spread and its last value.

    Attributes:
        modality: Key of `MODALITIES`.
        logarithmic: Whether values are counts or rates that spread over decades.
    """

    modality: str
    logarithmic: bool = False
    n_targets: int = 2

    def cut(self, recording: Recording, grid: Grid) -> Windows | None:
        """Mean, spread and last value against the recording so far, shape (step, channel, 3)."""
        columns: dict[str, np.ndarray] = {}
        for name, signal in recording.of(self.modality).items():
            if len(signal.samples.shape) > 2:
                continue
            summary = summarise_steps(signal, grid, logarithmic=self.logarithmic)
            for index, channel in enumerate(signal.channels or (name,)):
                columns[channel] = summary[:, index]
        if not columns:
            return None
        raw = np.stack(list(columns.values()), axis=1)
        present = np.isfinite(raw).all(axis=2)
        own = np.array([name.endswith(LEVEL) for name in columns])
        values = np.where(own[None, :, None], np.clip(raw, -LIMIT, LIMIT), standardise_so_far(raw))
        values = np.where(present[..., None], values, 0.0)
        return Windows(values.astype(np.float32), present, tuple(columns))

    def build(self, width: int) -> nn.Module:
        return PerceptronEncoder(3, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and last value."""
        return values[..., [0, 2]]


def summarise_steps(signal: Signal, grid: Grid, *, logarithmic: bool) -> Float[np.ndarray, "step channel measure"]:
    """Mean, standard deviation and last finite value per step; NaN where a step has none."""
    samples = signal.read(dtype=np.float64).reshape(len(signal), -1)
    if logarithmic:
        samples = np.log1p(np.maximum(samples, 0))
    times = signal.start + np.arange(len(samples)) / signal.rate if signal.times is None else signal.times
    index = np.floor((times - grid.start) / grid.step + 1e-6).astype(int)
    out = np.full((len(grid), samples.shape[1], 3), np.nan)
    inside = (index >= 0) & (index < len(grid))
    for column in range(samples.shape[1]):
        known = inside & np.isfinite(samples[:, column])
        steps, values = index[known], samples[known, column]
        count = np.bincount(steps, minlength=len(grid))
        total = np.bincount(steps, values, len(grid))
        square = np.bincount(steps, values**2, len(grid))
        some = count > 0
        mean = total[some] / count[some]
        out[some, column, 0] = mean
        out[some, column, 1] = np.sqrt(np.maximum(square[some] / count[some] - mean**2, 0))
        out[steps, column, 2] = values
    return out


def standardise_so_far(values: Float[np.ndarray, "step channel measure"]) -> Float[np.ndarray, "step channel measure"]:
    """z-scores against mean and deviation of each channel's step means up to and including each step."""
    known = np.isfinite(values[..., 0])
    filled = np.where(known, values[..., 0], 0.0)
    count = np.maximum(np.cumsum(known, axis=0), 1)
    mean = np.cumsum(filled, axis=0) / count
    deviation = np.sqrt(np.maximum(np.cumsum(filled**2, axis=0) / count - mean**2, 0))
    scale = np.where(deviation > 1e-9, deviation, np.inf)[..., None]
    centred = values - np.stack([mean, np.zeros_like(mean), mean], axis=2)
    return np.clip(np.nan_to_num(centred / scale), -LIMIT, LIMIT)


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
