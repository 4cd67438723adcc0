"""Encoders of slow and named measures: what they do within a step against the past, and a small MLP per channel.

Movement, heart rate, temperature, position, task performance, calcium imaging (ΔF/F by cell), and cohorts that exist
only as features per epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.brainmu.encoders.contract import ChannelPool, ModalitySpecification, name_channels
from sharpwave.brainmu.epochs import EpochGrid, ModalityEpochs
from sharpwave.recordings.recording import Recording, Signal

N_BINS = 6
"""Parts of a step, in time order."""

MEASURES = ("mean", "spread", "last", *(f"part {index + 1}" for index in range(N_BINS)), "resolved")
"""What a step is summarised by. `resolved` is the share of parts with samples of their own; others repeat the last."""

MEAN, SPREAD, LAST = 0, 1, 2
RESOLVED = len(MEASURES) - 1
LIMIT = 8.0
SMALLEST = 1e-7
"""Deviation, as a share of the level, below which a channel is constant."""
READ_STEPS = 120


def summarise_steps(
    signal: Signal, grid: EpochGrid, *, logarithmic: bool = False
) -> tuple[Float[np.ndarray, "step channel measure"], Bool[np.ndarray, "step channel"]]:
    """`MEASURES` of each step and channel, and where there are any; 0 where not.

    A sample of a regular signal stands for the time until the next one and is known when that has passed; where times
    are irregular it is known at its time.

    Args:
        signal: Signal of shape (time,) or (time, channel); read a part at a time.
        grid: Steps to summarise.
        logarithmic: Whether to take log(1 + x) first, for counts and rates.
    """
    n_channels = 1 if len(signal.samples.shape) == 1 else signal.samples.shape[1]
    out = np.zeros((len(grid), n_channels, len(MEASURES)))
    present = np.zeros((len(grid), n_channels), dtype=bool)
    for first in range(0, len(grid), READ_STEPS):
        last = min(first + READ_STEPS, len(grid))
        samples, part = _read(signal, grid.restrict(first, last))
        if len(part):
            samples = np.log1p(np.maximum(samples, 0)) if logarithmic else samples
            out[first:last], present[first:last] = _summarise(samples, part, last - first)
    return out, present


def summarise_signals(
    signals: Mapping[str, Signal], grid: EpochGrid, *, logarithmic: bool = False
) -> ModalityEpochs | None:
    """`MEASURES` of the channels of all these signals, shape (step, channel, measure); None where there is no signal.

    Args:
        signals: Signals by name.
        grid: Steps to summarise.
        logarithmic: As for `summarise_steps`.
    """
    if not signals:
        return None
    parts = [summarise_steps(signal, grid, logarithmic=logarithmic) for signal in signals.values()]
    values, present = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    return ModalityEpochs(values, present, sum(name_channels(signals).values(), ()))


def _read(signal: Signal, grid: EpochGrid) -> tuple[Float[np.ndarray, "time channel"], np.ndarray]:
    """Samples known within the grid, and in which part of it each becomes known."""
    length, end = grid.step / N_BINS, grid.start + grid.step * len(grid)
    if signal.times is None:
        low = max(int(np.floor((grid.start - signal.start) * signal.rate)) - 1, 0)
        samples = signal.read(signal.start + low / signal.rate, end, dtype=np.float64)
        known = signal.start + (low + 1 + np.arange(len(samples))) / signal.rate
        part = np.ceil((known - grid.start) / length - 1e-6).astype(int) - 1
    else:
        samples = signal.read(grid.start - length, end, dtype=np.float64)
        low = int(np.searchsorted(signal.times, grid.start - length))
        part = np.floor((signal.times[low : low + len(samples)] - grid.start) / length + 1e-6).astype(int)
    inside = (part >= 0) & (part < len(grid) * N_BINS)
    return (samples[:, None] if samples.ndim == 1 else samples)[inside], part[inside]


def _summarise(
    samples: Float[np.ndarray, "time channel"], part: np.ndarray, n_steps: int
) -> tuple[Float[np.ndarray, "step channel measure"], Bool[np.ndarray, "step channel"]]:
    known = np.isfinite(samples)
    filled = np.where(known, samples, 0.0)
    count, total = _add_up(known.astype(float), part, n_steps), _add_up(filled, part, n_steps)
    here = count.sum(axis=1)
    mean = total.sum(axis=1) / np.maximum(here, 1)
    residual = np.where(known, samples - mean[part // N_BINS], 0.0)
    spread = np.sqrt(_add_up(residual**2, part, n_steps).sum(axis=1) / np.maximum(here, 1))
    rows = np.maximum.accumulate(np.where(known, np.arange(len(samples))[:, None], 0), axis=0)
    ends = np.searchsorted(part // N_BINS, np.arange(n_steps), side="right") - 1
    last = np.take_along_axis(filled, rows[np.maximum(ends, 0)], axis=0)
    series = np.empty_like(total)
    level = mean
    for index in range(N_BINS):
        level = np.where(count[:, index] > 0, total[:, index] / np.maximum(count[:, index], 1), level)
        series[:, index] = level
    resolved = (count > 0).mean(axis=1)
    measures = np.concatenate([np.stack([mean, spread, last], axis=1), series, resolved[:, None]], axis=1)
    present = here > 0
    return np.where(present[..., None], measures.transpose(0, 2, 1), 0.0), present


def _add_up(values: Float[np.ndarray, "time channel"], part: np.ndarray, n_steps: int) -> np.ndarray:
    """Sums by step and part, shape (step, part, channel)."""
    out = np.zeros((n_steps * N_BINS, values.shape[1]))
    starts = np.flatnonzero(np.r_[True, np.diff(part) > 0])
    out[part[starts]] = np.add.reduceat(values, starts, axis=0)
    return out.reshape(n_steps, N_BINS, -1)


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over each channel's means so far, against the first of them.

    Attributes:
        channels: Names of the channels.
        first: First mean; NaN before there is one, shape (channel,).
        sums: Number of means, their sum and their sum of squares, shape (3, channel).
    """

    channels: tuple[str, ...]
    first: Float[np.ndarray, " channel"]
    sums: Float[np.ndarray, "sum channel"]

    def select(self, channels: Sequence[str]) -> Sums:
        """The same for these channels; those not met yet are empty."""
        at = {name: index for index, name in enumerate(self.channels)}
        first = np.array([self.first[at[name]] if name in at else np.nan for name in channels])
        sums = np.array([self.sums[:, at[name]] if name in at else np.zeros(3) for name in channels]).reshape(-1, 3)
        return Sums(tuple(channels), first, sums.T)


def normalise_to_past(
    epochs: ModalityEpochs, past: Sums | None, *, absolute: Bool[np.ndarray, " channel"] | None = None
) -> tuple[ModalityEpochs, Sums]:
    """z-scores against mean and deviation of each channel's step means up to and including each step.

    Args:
        epochs: Epochs of `MEASURES`.
        past: Sums over the steps before; none at the start of a recording.
        absolute: Channels that keep their own scale.
    """
    values, present, channels = epochs.values, epochs.present, epochs.channels
    before = Sums(channels, np.full(len(channels), np.nan), np.zeros((3, len(channels))))
    before = before if past is None else past.select(channels)
    means = values[..., MEAN]
    met = np.where(present.any(axis=0), means[present.argmax(axis=0), np.arange(len(channels))], np.nan)
    first = np.where(np.isnan(before.first), met, before.first)
    shifted = np.where(present, means - first, 0.0)
    terms = np.stack([present.astype(float), shifted, shifted**2], axis=1)
    sums = np.cumsum(np.concatenate([before.sums[None], terms]), axis=0)
    count = np.maximum(sums[1:, 0], 1)
    mean = sums[1:, 1] / count
    deviation = np.sqrt(np.maximum(sums[1:, 2] / count - mean**2, 0))
    scale = np.where(deviation > SMALLEST * (np.abs(first) + np.abs(mean)), deviation, np.inf)[..., None]
    centre = (mean + first)[..., None] * (np.arange(len(MEASURES)) != SPREAD)
    scores = np.clip((values - centre) / scale, -LIMIT, LIMIT)
    if absolute is not None:
        scores = np.where(absolute[None, :, None], np.clip(values, -LIMIT, LIMIT), scores)
    scores[..., RESOLVED] = values[..., RESOLVED]
    scores = np.where(present[..., None], scores, 0.0).astype(np.float32)
    return ModalityEpochs(scores, present, channels), Sums(channels, first, sums[-1])


LEVEL = "_level"
"""Channels whose name ends so keep their own scale; all others are compared with the night so far."""


@dataclass(frozen=True)
class Behaviour(ModalitySpecification):
    """Slow signals, each summarised in a step by `MEASURES`.

    Attributes:
        modality: Name of the modality, a key of `MODALITIES`.
        logarithmic: Whether values are counts or rates that spread over decades.
    """

    modality: str
    logarithmic: bool = False
    n_targets: int = 2

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """`MEASURES`, shape (step, channel, measure)."""
        signals = {name: s for name, s in recording.of(self.modality).items() if len(s.samples.shape) <= 2}
        return summarise_signals(signals, grid, logarithmic=self.logarithmic)

    def normalise(self, epochs: ModalityEpochs, past: Sums | None = None) -> tuple[ModalityEpochs, Sums]:
        """Against the recording so far."""
        absolute = np.array([name.endswith(LEVEL) for name in epochs.channels], dtype=bool)
        return normalise_to_past(epochs, past, absolute=absolute)

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


@dataclass(frozen=True)
class Calcium(ModalitySpecification):
    """Cells as channels, each summarised in a step by `MEASURES` of its ΔF/F."""

    n_targets: int = 2

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """`MEASURES`, shape (step, cell, measure)."""
        return summarise_signals(recording.of("calcium"), grid)

    def normalise(self, epochs: ModalityEpochs, past: Sums | None = None) -> tuple[ModalityEpochs, Sums]:
        """Against the recording so far: how bright a cell is depends on its dye."""
        return normalise_to_past(epochs, past)

    def build(self, width: int) -> nn.Module:
        return PerceptronEncoder(len(MEASURES), width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and spread."""
        return values[..., [MEAN, SPREAD]]


SPECIFICATIONS: dict[str, ModalitySpecification] = {
    "calcium": Calcium(),
    "heart_rate": Behaviour("heart_rate"),
    "activity": Behaviour("activity", logarithmic=True),
    "oxygen": Behaviour("oxygen"),
    "temperature": Behaviour("temperature"),
    "position": Behaviour("position"),
    "performance": Behaviour("performance"),
    "features": Behaviour("features"),
}
"""Modalities that these encoders serve."""


__getattr__ = moved.rename(
    __name__,
    {
        "relate_to_past": "normalise_to_past",
    },
)
