"""Encoder of EEG, EOG, EMG, ECG and LFP: a 1-D CNN over time, per channel; any channels, any rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave.brainmu.encoders.channels import split_channels
from sharpwave.brainmu.encoders.contract import ChannelPool, Kind
from sharpwave.brainmu.encoders.levels import Levels, relate_to_level
from sharpwave.brainmu.encoders.spectral_frames import Frames, cut_signal
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording


@dataclass(frozen=True)
class Electrophysiology(Kind):
    """Signals in volts.

    Attributes:
        modality: Key of `MODALITIES`.
        frames: Bands and frames of the fixed first layer.
    """

    modality: str
    frames: Frames

    @property
    def n_targets(self) -> int:
        return self.frames.n_bands

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """Log power by frame and band of every channel, shape (step, channel, frame, band)."""
        signals = split_channels(recording.of(self.modality))
        if not signals:
            return None
        cuts = [cut_signal(signal, grid, self.frames) for signal in signals.values()]
        values = np.stack([values for values, _ in cuts], axis=1)
        return Windows(values, np.stack([present for _, present in cuts], axis=1), tuple(signals))

    def relate(self, windows: Windows, past: Levels | None = None) -> tuple[Windows, Levels]:
        """Log power, then log power against the channel's level so far, shape (step, channel, frame, 2·band)."""
        return relate_to_level(windows, past)

    def build(self, width: int) -> nn.Module:
        return ConvolutionalEncoder(2 * self.frames.n_bands, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean log power per band."""
        return values[..., : self.frames.n_bands].mean(dim=3)


class ConvolutionalEncoder(nn.Module):
    """Two convolutions over the frames of a step, then what they reach on average and at most."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        hidden = max(32, width // 2)
        self.first = nn.Conv1d(n_inputs, hidden, kernel_size=5, padding=2)
        self.second = nn.Conv1d(hidden, hidden, kernel_size=5, stride=2, padding=2)
        self.mean = nn.Linear(n_inputs, width)
        self.project = nn.Linear(2 * hidden, width)
        self.pool = ChannelPool(width)

    def forward(
        self,
        values: Float[Tensor, "batch token channel frame input"],
        present: Bool[Tensor, "batch token channel"],
        identity: Float[Tensor, "batch channel width"],
    ) -> Float[Tensor, "batch token width"]:
        flat = values.flatten(0, 2).transpose(1, 2)
        hidden = torch.nn.functional.gelu(self.first(flat))
        hidden = torch.nn.functional.gelu(self.second(hidden))
        pooled = torch.cat([hidden.mean(dim=2), hidden.amax(dim=2)], dim=1)
        latents = self.project(pooled) + self.mean(flat.mean(dim=2))
        return self.pool(latents.unflatten(0, values.shape[:3]), present, identity)
