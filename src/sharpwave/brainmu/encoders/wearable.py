"""Encoder of raw wrist acceleration: a plug-in, one file and one line in `ENCODERS`.

Heart rate and activity counts, which most wearables write, are behaviours and served by `behaviour.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from sharpwave.brainmu.encoders.contract import Kind
from sharpwave.brainmu.encoders.electrophysiology import ConvolutionalEncoder
from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording, Signal

N_AXES = 3
GRAVITY = 9.81
FLOOR = 1e-3
"""Movement below which a wrist is still, in units of gravity."""


@dataclass(frozen=True)
class Wearable(Kind):
    """Acceleration along three axes; each device is one channel, because its axes mean nothing apart.

    Attributes:
        frame: Seconds.
    """

    frame: float = 1.0
    n_targets: int = 2

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """Log spread of the magnitude and tilt of the last axis per frame, shape (step, device, frame, 2)."""
        signals = {name: s for name, s in recording.of("acceleration").items() if s.samples.shape[1:] == (N_AXES,)}
        if not signals:
            return None
        parts = [self._measure_device(signal, grid) for signal in signals.values()]
        values, present = (np.stack(arrays, axis=1) for arrays in zip(*parts, strict=True))
        return Windows(values, present, tuple(signals))

    def build(self, width: int) -> nn.Module:
        return ConvolutionalEncoder(2, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean movement and tilt."""
        return values.mean(dim=3)

    def _measure_device(self, signal: Signal, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        n_frames = max(1, round(grid.step / self.frame))
        values = np.zeros((len(grid), n_frames, 2), dtype=np.float32)
        present = np.zeros(len(grid), dtype=bool)
        for row in range(len(grid)):
            start = grid.start + row * grid.step
            frames = np.array_split(signal.read(start, start + grid.step) / GRAVITY, n_frames)
            if min(map(len, frames)) < 2 or not all(np.isfinite(frame).all() for frame in frames):
                continue
            size = [np.linalg.norm(frame, axis=1) for frame in frames]
            movement = np.array([part.std() for part in size])
            tilt = np.array([f[:, -1].mean() / max(s.mean(), FLOOR) for f, s in zip(frames, size, strict=True)])
            values[row] = np.stack([np.log10(movement + FLOOR) + 2, tilt], axis=1)
            present[row] = True
        return values, present
