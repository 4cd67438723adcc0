"""Fine frames of hippocampal LFP and spikes, from which reactivations are told; each uses nothing after its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.brainmu.encoders.channels import split_channels
from sharpwave.recordings.recording import Recording, Signal

FRAME = 0.01
"""Seconds."""
CENTRES = np.geomspace(8.0, 220.0, 12)
"""Of the bands of the LFP, in Hz."""
CYCLES, LONGEST = 5.0, 0.1
"""A band's window holds so many cycles, and no more than so many seconds."""
SPAN = 2
"""Frames of spikes that a place is told from."""
SPEED = 10.0
"""Metres per second that a replay moves at most: trajectories run at about 8 (Davidson et al. 2009)."""
BLOCK = 30_000
LIMIT = 8.0
LFP, POPULATION, PLACES = slice(0, 12), slice(12, 14), slice(14, 16)
N_MEASURES = 16
SOURCES = ("lfp", "spikes", "places")
N_INPUTS = N_MEASURES + len(SOURCES)
"""Measures, and a flag for each source that is there."""


@dataclass(frozen=True, eq=False)
class PlaceFields:
    """What each unit fires where: one row of places after another, along one or more tracks and directions.

    Attributes:
        units: Keys of `Recording.spikes`.
        rates: In Hz, shape (unit, place).
        track: Which track and direction a place belongs to, shape (place,).
        position: Along it, in metres, shape (place,).
    """

    units: tuple[int, ...]
    rates: Float[np.ndarray, "unit place"]
    track: Int[np.ndarray, " place"]
    position: Float[np.ndarray, " place"]


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Consecutive frames.

    Attributes:
        first: Index of the first; frame k ends at (k + 1) · `FRAME` seconds.
        inputs: Shape (frame, input): measures against the recording so far, then a flag per source.
    """

    first: int
    inputs: Float[np.ndarray, "frame input"]


def iter_frames(recording: Recording, *, fields: PlaceFields | None = None) -> Iterator[FrameBlock]:
    """Frames of a recording, block by block, so that memory does not grow with it.

    Args:
        recording: With LFP, spikes, or both; of several LFP channels the first is used.
        fields: What the units fire where, if known.
    """
    lfp = next(iter(split_channels(recording.of("lfp")).values()), None)
    sums = np.zeros((3, N_MEASURES))
    for first in range(0, int(recording.duration / FRAME + 1e-6), BLOCK):
        n_frames = min(BLOCK, int(recording.duration / FRAME + 1e-6) - first)
        raw = np.zeros((n_frames, N_MEASURES))
        there = np.zeros((n_frames, len(SOURCES)), dtype=bool)
        if lfp is not None:
            raw[:, LFP], there[:, 0] = measure_lfp(lfp, first, n_frames)
        if recording.spikes is not None and len(recording.spikes):
            counts = _count_spikes(recording, list(recording.spikes.keys()), first, n_frames)[SPAN * 2 :]
            raw[:, POPULATION] = np.stack([np.sqrt(counts.sum(axis=1)), (counts > 0).mean(axis=1)], axis=1)
            there[:, 1] = True
            if fields is not None:
                raw[:, PLACES] = measure_places(_count_spikes(recording, fields.units, first, n_frames), fields)
                there[:, 2] = True
        known = np.repeat(there, (12, 2, 2), axis=1)
        scores, sums = _standardise(raw, known, sums)
        scores[:, PLACES] = raw[:, PLACES] / 3
        scores = np.where(known, np.clip(scores, -LIMIT, LIMIT), 0.0)
        yield FrameBlock(first, np.concatenate([scores, there], axis=1).astype(np.float32))


def measure_lfp(
    signal: Signal, first: int, n_frames: int
) -> tuple[Float[np.ndarray, "frame band"], Bool[np.ndarray, " frame"]]:
    """Log10 power per band in windows that end with each frame, 0 above what the rate carries; and where known."""
    kernels, carried = _make_kernels(signal.rate)
    length = len(kernels)
    ends = np.floor(((first + 1 + np.arange(n_frames)) * FRAME - signal.start) * signal.rate + 1e-6).astype(int)
    low = max(int(ends[0]) - length, 0)
    samples = signal.read(signal.start + low / signal.rate, signal.start + ends[-1] / signal.rate) * np.float32(1e6)
    inside = (ends >= length) & (ends <= len(signal))
    rows = np.clip(ends - length - low, 0, max(len(samples) - length, 0))
    power, present = np.zeros((n_frames, len(CENTRES))), np.zeros(n_frames, dtype=bool)
    if len(samples) < length:
        return power, present
    windows = np.lib.stride_tricks.sliding_window_view(samples, length)
    for begin in range(0, n_frames, 3000):
        part = slice(begin, begin + 3000)
        cut = windows[rows[part]]
        cut = cut - cut.mean(axis=1, keepdims=True)
        power[part] = np.log10(np.abs(cut @ kernels) ** 2 + 1e-6) * carried
        present[part] = inside[part] & np.isfinite(cut).all(axis=1)
    return np.where(present[:, None], power, 0.0), present


def measure_places(
    counts: Float[np.ndarray, "frame_and_context unit"], fields: PlaceFields
) -> Float[np.ndarray, "frame measure"]:
    """How much better one place explains the spikes than no place, and how near it is to the place just before.

    Both are log ratios, and both given the number of spikes, because replay is faster than experience and denser.

    Args:
        counts: Spikes per frame; the first 2 · `SPAN` frames are context.
        fields: What the units fire where.
    """
    rates = np.maximum(fields.rates, 0.05)
    share = np.log(rates / rates.sum(axis=0))
    base = np.log(rates.mean(axis=1) / rates.mean(axis=1).sum())
    total = np.cumsum(np.concatenate([np.zeros((1, counts.shape[1])), counts]), axis=0)
    recent = (total[SPAN:] - total[:-SPAN])[1:]
    gain = recent @ (share - base[:, None])
    top = gain.max(axis=1, keepdims=True)
    weight = np.exp(gain - top)
    place = weight / weight.sum(axis=1, keepdims=True)
    evidence = top[:, 0] + np.log(weight.mean(axis=1))
    reach = np.abs(fields.position[:, None] - fields.position) <= SPEED * SPAN * FRAME
    near = (reach & (fields.track[:, None] == fields.track)).astype(float)
    near /= near.mean()
    overlap = ((place[:-SPAN] @ near) * place[SPAN:]).sum(axis=1)
    n_frames = len(counts) - 2 * SPAN
    spiking = (recent.sum(axis=1) > 0)[-n_frames:]
    measures = np.stack([evidence[-n_frames:], np.log(overlap + 1e-2)[-n_frames:]], axis=1)
    return np.where(spiking[:, None], measures, 0.0)


def _count_spikes(recording: Recording, units: list[int] | tuple[int, ...], first: int, n_frames: int) -> np.ndarray:
    """Spikes per frame and unit, with 2 · `SPAN` frames of context before the first."""
    edges = (first - 2 * SPAN + np.arange(n_frames + 2 * SPAN + 1)) * FRAME
    trains: Any = recording.spikes
    counts = [np.diff(np.searchsorted(trains[unit].t, edges - 1e-9)) for unit in units]
    return np.stack(counts, axis=1).astype(float)


@lru_cache(maxsize=8)
def _make_kernels(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Hann-windowed Fourier kernels that end with the frame, shape (sample, band), and which the rate can carry."""
    length = max(round(LONGEST * rate), 4)
    kernels = np.zeros((length, len(CENTRES)), dtype=np.complex64)
    for index, centre in enumerate(CENTRES):
        n = min(max(round(CYCLES / centre * rate), 4), length)
        window = np.hanning(n)
        kernels[length - n :, index] = window * np.exp(-2j * np.pi * centre * np.arange(n) / rate) / window.sum()
    return kernels, np.less(CENTRES, 0.45 * rate)


def _standardise(
    raw: Float[np.ndarray, "frame measure"], known: Bool[np.ndarray, "frame measure"], sums: np.ndarray
) -> tuple[Float[np.ndarray, "frame measure"], np.ndarray]:
    """z-scores against all frames so far, and the sums to go on from."""
    values = np.where(known, raw, 0.0)
    totals = np.cumsum(np.stack([known.astype(float), values, values**2]), axis=1) + sums[:, None]
    count = np.maximum(totals[0], 1)
    mean = totals[1] / count
    deviation = np.sqrt(np.maximum(totals[2] / count - mean**2, 0))
    return (values - mean) / np.maximum(deviation, 1e-3), totals[:, -1]
