"""Fine frames of hippocampal LFP and spikes, from which reactivations are told; each uses nothing after its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sharpwave.brainmu.encoders.contract import split_channels
from sharpwave.brainmu.reactivation.reactivation_places import (
    N_PLACE_MEASURES,
    SPAN,
    PlaceFields,
    PlaceTracker,
    sum_recent,
)
from sharpwave.recordings.recording import Recording, Signal

FRAME = 0.005
"""Seconds."""
CENTRES = np.geomspace(8.0, 220.0, 12)
"""Of the bands of the LFP, in Hz."""
CYCLES, LONGEST = 5.0, 0.1
"""A band's window holds so many cycles, and no more than so many seconds."""
CROWD = 16
"""Frames over which the units that fire are counted; a power of two, as `SPAN`."""
BLOCK = 30_000
LIMIT = 8.0
LFP, POPULATION, PLACES = slice(0, 12), slice(12, 15), slice(15, 15 + N_PLACE_MEASURES)
WIDTHS = tuple(part.stop - part.start for part in (LFP, POPULATION, PLACES))
N_MEASURES = sum(WIDTHS)
SOURCES = ("lfp", "spikes", "places")
N_INPUTS = N_MEASURES + len(SOURCES)
"""Measures, and a flag for each source that is there."""


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Consecutive frames.

    Attributes:
        first: Index of the first frame; frame k ends at (k + 1) · `FRAME` seconds.
        inputs: Inputs of the head, shape (frame, input): measures against the recording so far, then a flag per source.
    """

    first: int
    inputs: Float[np.ndarray, "frame input"]


def iter_frames(recording: Recording, *, fields: PlaceFields | None = None) -> Iterator[FrameBlock]:
    """Frames of a recording, block by block, so that memory does not grow with it.

    Args:
        recording: Recording with LFP, spikes, or both; of several LFP channels the first is used.
        fields: What the units fire where, if known.
    """
    lfp = next(iter(split_channels(recording.of("lfp")).values()), None)
    tracker = None if fields is None else PlaceTracker(fields, frame=FRAME)
    order = {unit: column for column, unit in enumerate(recording.spikes or ())}
    placed = [order[unit] for unit in fields.units] if fields is not None and order else []
    sums = np.zeros((3, N_MEASURES))
    n_all = int(recording.duration / FRAME + 1e-6)
    for first in range(0, n_all, BLOCK):
        n_frames = min(BLOCK, n_all - first)
        raw = np.zeros((n_frames, N_MEASURES))
        there = np.zeros((n_frames, len(SOURCES)), dtype=bool)
        if lfp is not None:
            raw[:, LFP], there[:, 0] = measure_lfp(lfp, first, n_frames)
        if recording.spikes is not None and len(recording.spikes):
            counts = _count_spikes(recording, first, n_frames, before=CROWD)
            raw[:, POPULATION] = measure_population(counts)
            there[:, 1] = True
            if tracker is not None:
                raw[:, PLACES] = tracker.measure(counts[CROWD - 2 * SPAN :, placed])
                there[:, 2] = True
        known = np.repeat(there, WIDTHS, axis=1)
        scores, sums = _standardise(raw, known, sums)
        scores[:, PLACES] = raw[:, PLACES] / 3
        scores = np.where(known, np.clip(scores, -LIMIT, LIMIT), 0.0)
        yield FrameBlock(first, np.concatenate([scores, there], axis=1).astype(np.float32))


def measure_population(counts: Float[np.ndarray, "frame_and_context unit"]) -> Float[np.ndarray, "frame measure"]:
    """Roots of the spikes in the frame and in the last `SPAN`, and share of units that fired in the last `CROWD`.

    Args:
        counts: Spikes per frame; the first `CROWD` frames are context.
    """
    total = counts.sum(axis=1)
    recent = sum_recent(total, SPAN)[CROWD - SPAN + 1 :]
    active = (sum_recent(counts, CROWD)[1:] > 0).mean(axis=1)
    return np.column_stack([np.sqrt(total[CROWD:]), np.sqrt(recent), active])


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


def _count_spikes(
    recording: Recording, first: int, n_frames: int, *, before: int
) -> Float[np.ndarray, "frame_and_context unit"]:
    """Spikes per frame and unit, with so many frames of context before the first."""
    trains: Any = recording.spikes
    n_rows, begin = n_frames + before, first - before
    counts = np.zeros((len(trains), n_rows), dtype=np.float32)
    for row, unit in enumerate(trains.keys()):
        times = trains[unit].t
        low, high = np.searchsorted(times, np.array([begin, begin + n_rows]) * FRAME - 1e-9)
        frames = np.floor((times[low:high] + 1e-9) / FRAME).astype(int) - begin
        counts[row] = np.bincount(np.clip(frames, 0, n_rows - 1), minlength=n_rows)
    return np.ascontiguousarray(counts.T)


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
    rows = values.T
    totals = np.cumsum(np.stack([known.T.astype(float), rows, rows**2]), axis=2) + sums[:, :, None]
    count = np.maximum(totals[0], 1)
    mean = totals[1] / count
    deviation = np.sqrt(np.maximum(totals[2] / count - mean**2, 0))
    return ((rows - mean) / np.maximum(deviation, 1e-3)).T, totals[:, :, -1]
