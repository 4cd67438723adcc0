"""Encoders of fast signals: a 1-D CNN over time, per channel; any channels, any rate.

EEG, EOG, EMG, ECG and LFP through the short-time spectrum, in bands given in Hz: each frame is a Hann-windowed product
with Fourier kernels (a convolution whose weights are known), so that a signal at 50 Hz and one at 1 kHz come out in the
same bands. Bands that a rate cannot carry are left out and flagged. Log power is also seen against the channel's own
level so far, so that gain, reference and filters cancel. Spike trains come as binned counts of each unit, raw wrist
acceleration as movement and tilt. (A wearable's heart rate and activity counts are behaviours.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.brainmu.encoders.contract import ChannelPool, ModalitySpecification, split_channels
from sharpwave.brainmu.epochs import EpochGrid, ModalityEpochs
from sharpwave.recordings.recording import Recording, Signal


@dataclass(frozen=True)
class Electrophysiology(ModalitySpecification):
    """Signals in volts.

    Attributes:
        modality: Name of the modality, a key of `MODALITIES`.
        frames: Bands and frames of the fixed first layer.
    """

    modality: str
    frames: Frames

    @property
    def n_targets(self) -> int:
        return self.frames.n_bands

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """Log power by frame and band of every channel, shape (step, channel, frame, band)."""
        signals = split_channels(recording.of(self.modality))
        if not signals:
            return None
        cuts = [cut_signal(signal, grid, self.frames) for signal in signals.values()]
        values = np.stack([values for values, _ in cuts], axis=1)
        return ModalityEpochs(values, np.stack([present for _, present in cuts], axis=1), tuple(signals))

    def normalise(self, epochs: ModalityEpochs, past: Levels | None = None) -> tuple[ModalityEpochs, Levels]:
        """Log power, then log power against the channel's level so far, shape (step, channel, frame, 2·band)."""
        return normalise_to_level(epochs, past)

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
        self.n_frame_latents = hidden
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
        hidden = self._convolve(flat)
        pooled = torch.cat([hidden.mean(dim=2), hidden.amax(dim=2)], dim=1)
        latents = self.project(pooled) + self.mean(flat.mean(dim=2))
        return self.pool(latents.unflatten(0, values.shape[:3]), present, identity)

    def encode_frames(
        self,
        values: Float[Tensor, "batch token channel frame input"],
        present: Bool[Tensor, "batch token channel"],
    ) -> Float[Tensor, "batch token late hidden"]:
        """Latents within a step before they are pooled, one for every two frames: mean over the channels there are."""
        hidden = self._convolve(values.flatten(0, 2).transpose(1, 2)).transpose(1, 2).unflatten(0, values.shape[:3])
        weight = present / present.sum(dim=2, keepdim=True).clamp(min=1)
        return torch.einsum("btc,btcfh->btfh", weight.to(hidden.dtype), hidden)

    def _convolve(self, flat: Float[Tensor, "row input frame"]) -> Float[Tensor, "row hidden late"]:
        hidden = torch.nn.functional.gelu(self.first(flat))
        return torch.nn.functional.gelu(self.second(hidden))


NYQUIST_SHARE = 0.9
LEAST_WEIGHT = 1e-6
SMALLEST_WEIGHT = 1e-30
"""Weights below this are 0: with denormal numbers a product takes five times as long."""
READ_STEPS = 60
STEPS_TOGETHER = 12
"""Steps whose frames are transformed at once: few enough to stay in the cache."""


@dataclass(frozen=True)
class Frames:
    """How a signal is cut into frames.

    Attributes:
        low: Centre of the lowest band in Hz.
        high: Centre of the highest band in Hz.
        n_bands: Bands, evenly spaced on the logarithm of frequency.
        window: Length of a frame in seconds.
        hop: Time from frame to frame in seconds.
        unit: Factor from the modality's unit to that in which power is expressed (1e6: µV).
    """

    low: float
    high: float
    n_bands: int = 24
    window: float = 2.0
    hop: float = 1.0
    unit: float = 1e6

    @property
    def centres(self) -> Float[np.ndarray, " band"]:
        return np.geomspace(self.low, self.high, self.n_bands)

    def count(self, step: float) -> int:
        """Frames in a step of `step` seconds."""
        return max(1, int((step - self.window) / self.hop + 1e-6) + 1)


@lru_cache(maxsize=64)
def _make_bands(frames: Frames, length: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each Fourier bin in each band (bin, band) up to the last bin that counts, and which bands exist."""
    bins = np.fft.rfftfreq(length, 1 / rate)
    centres = frames.centres
    spread = np.maximum(centres * 0.5 * np.log(centres[1] / centres[0]), 0.5 / (length / rate))
    weights = np.exp(-0.5 * ((bins[:, None] - centres) / spread) ** 2)
    weights[0] = 0
    weights /= np.maximum(weights.sum(axis=0), 1e-9)
    weights[weights < SMALLEST_WEIGHT] = 0.0
    carried = centres < NYQUIST_SHARE * rate / 2
    n_bins = int(np.flatnonzero(np.r_[True, (weights > LEAST_WEIGHT).any(axis=1)])[-1])
    return (weights * carried)[:n_bins], carried


def compute_frames(
    samples: Float[np.ndarray, "step sample"], rate: float, frames: Frames
) -> Float[np.ndarray, "step frame band"]:
    """Log10 power density per frame and band, in `frames.unit` squared per Hz; 0 in bands that the rate cannot carry.

    Args:
        samples: Samples of each step, in the modality's unit.
        rate: Sampling rate in Hz.
        frames: Bands and frames.
    """
    length = min(round(frames.window * rate), samples.shape[1])
    hop = max(1, round(frames.hop * rate))
    window = np.hanning(length)
    weights, carried = _make_bands(frames, length, rate)
    scaled = (weights * (2 / (rate * (window**2).sum()))).astype(np.float32).repeat(2, axis=0)
    summed, taper = torch.from_numpy(scaled), torch.from_numpy((window * frames.unit).astype(np.float32))
    cut = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)).unfold(1, length, hop)
    density = torch.empty((*cut.shape[:2], frames.n_bands))
    for first in range(0, len(cut), STEPS_TOGETHER):
        part = cut[first : first + STEPS_TOGETHER]
        tapered = (part - part.mean(dim=2, keepdim=True)).mul_(taper)
        parts = torch.view_as_real(torch.fft.rfft(tapered)[..., : len(weights)]).flatten(2)  # real, imaginary in turn
        torch.matmul(parts.square(), summed, out=density[first : first + STEPS_TOGETHER])
    density += 1e-8
    return (density.log10_() * torch.from_numpy(carried.astype(np.float32))).numpy()


def cut_signal(signal: Signal, grid: EpochGrid, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Frames (step, frame, band) of a one-channel signal and which steps are whole and finite (step,)."""
    n_samples = int(grid.step * signal.rate + 1e-6)
    n_frames = frames.count(grid.step)
    values = np.zeros((len(grid), n_frames, frames.n_bands), dtype=np.float32)
    present = np.zeros(len(grid), dtype=bool)
    for first in range(0, len(grid), READ_STEPS):
        last = min(first + READ_STEPS, len(grid))
        steps = _read_steps(signal, grid.restrict(first, last), n_samples)
        least, most = steps.min(axis=1), steps.max(axis=1)  # NaN where any sample is
        whole = np.isfinite(least) & np.isfinite(most) & (most > least)
        if whole.any():
            cut = compute_frames(steps if whole.all() else steps[whole], signal.rate, frames)
            values[first:last][whole, : cut.shape[1]] = cut[:, :n_frames]
        present[first:last] = whole
    return values, present


def _read_steps(signal: Signal, grid: EpochGrid, n_samples: int) -> np.ndarray:
    """Samples of each step (step, sample); NaN where there are none. A step starts at the first sample at or after."""
    if signal.times is not None:
        return _read_irregular(signal, signal.times, grid, n_samples)
    low = np.ceil((grid.start + grid.step * np.arange(len(grid)) - signal.start) * signal.rate - 1e-6).astype(int)
    first, last = max(int(low[0]), 0), min(int(low[-1]) + n_samples, len(signal))
    steps = np.full((len(grid), n_samples), np.nan, dtype=np.float32)
    if last <= first:
        return steps
    samples = signal.read(signal.start + first / signal.rate, signal.start + last / signal.rate)
    if len(samples) == steps.size and np.all(np.diff(low) == n_samples):  # steps that touch, all of them there
        return samples.reshape(steps.shape)
    for row, begin in enumerate(low - first):
        if begin >= 0 and begin + n_samples <= len(samples):
            steps[row] = samples[begin : begin + n_samples]
    return steps


def _read_irregular(signal: Signal, clock: np.ndarray, grid: EpochGrid, n_samples: int) -> np.ndarray:
    """The same from samples at irregular times, interpolated within the step; NaN where two are missing or more."""
    steps = np.full((len(grid), n_samples), np.nan, dtype=np.float32)
    for row, begin in enumerate(grid.start + grid.step * np.arange(len(grid))):
        low, high = np.searchsorted(clock, [begin, begin + grid.step])
        times = clock[low:high]
        edges = np.r_[begin, times, begin + grid.step]
        if len(times) and np.diff(edges).max() * signal.rate < 3:
            samples = signal.read(begin, begin + grid.step)
            steps[row] = np.interp(begin + np.arange(n_samples) / signal.rate, times, samples)
    return steps


@dataclass(frozen=True, eq=False)
class Levels:
    """Sums over the steps so far of each channel, from which its level follows.

    Attributes:
        channels: Names of the channels.
        counts: Steps with data, shape (channel,).
        sums: Sum over them of the mean log power in each band, shape (channel, band).
    """

    channels: tuple[str, ...]
    counts: Float[np.ndarray, " channel"]
    sums: Float[np.ndarray, "channel band"]

    def select(self, channels: Sequence[str]) -> Levels:
        """The same for these channels; those not met yet are empty."""
        at = {name: index for index, name in enumerate(self.channels)}
        rows = [at.get(name, -1) for name in channels]
        return Levels(
            tuple(channels), np.r_[self.counts, 0.0][rows], np.r_[self.sums, np.zeros_like(self.sums[:1])][rows]
        )


def normalise_to_level(epochs: ModalityEpochs, past: Levels | None = None) -> tuple[ModalityEpochs, Levels]:
    """Log power as it is, then less the channel's mean up to and including the step: twice as many bands.

    Args:
        epochs: Log power, shape (step, channel, frame, band); bands that the rate cannot carry are 0 and stay so.
        past: Levels after the steps before; none at the start of a recording.
    """
    values, present, channels = epochs.values, epochs.present, epochs.channels
    empty = Levels(channels, np.zeros(len(channels)), np.zeros((len(channels), values.shape[3])))
    before = empty if past is None else past.select(channels)
    means = values.mean(axis=2, dtype=np.float64) * present[..., None]
    counts = before.counts + np.cumsum(present, axis=0)
    sums = before.sums + np.cumsum(means, axis=0)
    level = (sums / np.maximum(counts, 1)[..., None]).astype(np.float32)
    n_bands = values.shape[3]
    both = np.empty((*values.shape[:3], 2 * n_bands), values.dtype)
    both[..., :n_bands] = values
    np.subtract(values, level[:, :, None], out=both[..., n_bands:])
    both[..., n_bands:] *= present[..., None, None]
    last = Levels(channels, counts[-1], sums[-1]) if len(values) else before
    return ModalityEpochs(both, present, channels), last


@dataclass(frozen=True)
class Spikes(ModalitySpecification):
    """Units of `Recording.spikes`.

    Attributes:
        bin_length: Length of a bin in seconds.
    """

    bin_length: float = 1.0
    n_targets: int = 2

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
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
        return ModalityEpochs(np.ascontiguousarray(values), present, tuple(f"unit {unit}" for unit in units))

    def build(self, width: int) -> nn.Module:
        return ConvolutionalEncoder(1, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean and spread of the root counts."""
        flat = values[..., 0]
        return torch.stack([flat.mean(dim=3), flat.std(dim=3, correction=0)], dim=3)


N_AXES = 3
GRAVITY = 9.81
FLOOR = 1e-3
"""Movement below which a wrist is still, in units of gravity."""


@dataclass(frozen=True)
class Wearable(ModalitySpecification):
    """Acceleration along three axes; each device is one channel, because its axes mean nothing apart.

    Attributes:
        frame: Length of a frame in seconds.
    """

    frame: float = 1.0
    n_targets: int = 2

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """Log spread of the magnitude and tilt of the last axis per frame, shape (step, device, frame, 2)."""
        signals = {name: s for name, s in recording.of("acceleration").items() if s.samples.shape[1:] == (N_AXES,)}
        if not signals:
            return None
        parts = [self._measure_device(signal, grid) for signal in signals.values()]
        values, present = (np.stack(arrays, axis=1) for arrays in zip(*parts, strict=True))
        return ModalityEpochs(values, present, tuple(signals))

    def build(self, width: int) -> nn.Module:
        return ConvolutionalEncoder(2, width)

    def summarise(self, values: Tensor) -> Tensor:
        """Mean movement and tilt."""
        return values.mean(dim=3)

    def _measure_device(self, signal: Signal, grid: EpochGrid) -> tuple[np.ndarray, np.ndarray]:
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


EEG = Electrophysiology("eeg", Frames(0.5, 45.0))

SPECIFICATIONS: dict[str, ModalitySpecification] = {
    "eeg": EEG,
    "eog": Electrophysiology("eog", Frames(0.5, 30.0)),
    "emg": Electrophysiology("emg", Frames(8.0, 100.0)),
    "ecg": Electrophysiology("ecg", Frames(0.5, 45.0)),
    "lfp": Electrophysiology("lfp", Frames(0.5, 250.0)),
    "spikes": Spikes(),
    "acceleration": Wearable(),
}
"""Modalities that these encoders serve."""


__getattr__ = moved.rename(
    __name__,
    {
        "relate_to_level": "normalise_to_level",
    },
)
