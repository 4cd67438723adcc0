"""A long signal in overlapping pieces: what every function here reads, so that memory does not grow with the night.

Edges of the recording are extended by odd reflection (as MNE does). Gaps (NaN) are filled only so that filters stay
finite, and reported with each piece: whoever reads a piece leaves them out of its results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Signal
from sharpwave.recordings.sliced import Column

MICROVOLTS = 1e6
PIECE_SECONDS = 600.0
BRIDGE_SECONDS = 10.0
"""Gaps up to twice this long are filled by a straight line; longer ones hold each edge for this long."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Part of a signal with a margin on either side.

    Attributes:
        first: Index of the first core sample in the signal.
        length: Number of core samples.
        pad: Samples of margin on either side.
        samples: Values in the signal's unit, shape (pad + length + pad,), without NaN.
        missing: True in gaps of the recording, same shape.
    """

    first: int
    length: int
    pad: int
    samples: Float[np.ndarray, " time"]
    missing: Bool[np.ndarray, " time"]

    @property
    def indices(self) -> np.ndarray:
        """Index in the signal of each sample, margins included."""
        return np.arange(self.first - self.pad, self.first + self.length + self.pad)


def check_one_channel(signal: Signal) -> None:
    """Raise unless `signal` is one regularly sampled channel."""
    if len(signal.samples.shape) != 1:
        raise SharpwaveError(
            "one channel",
            got=f"{signal.name!r} with shape {tuple(signal.samples.shape)}",
            fix="take one channel with sharpwave.signals.pieces.split_channels",
        )
    if signal.times is not None:
        raise SharpwaveError(
            "regular sampling",
            got=f"{signal.name!r} with a time per sample",
            fix="resample it to a constant rate first",
        )


def split_channels(signal: Signal) -> dict[str, Signal]:
    """Each channel of a frame as a signal of its own, still unread; one channel comes back as it is."""
    if len(signal.samples.shape) == 1:
        return {signal.name: signal}
    return {
        name: replace(signal, name=name, samples=Column(signal.samples, index), channels=())
        for index, name in enumerate(signal.channels or [f"{signal.name}-{i}" for i in range(signal.samples.shape[1])])
    }


def fill_gaps(values: Float[np.ndarray, " time"], missing: Bool[np.ndarray, " time"], *, rate: float) -> np.ndarray:
    """Values with something finite in the gaps, so that a filter can pass over them.

    Args:
        values: Samples, shape (time,).
        missing: True where a sample is missing.
        rate: Sampling rate in Hz.

    Returns:
        A copy: straight lines across short gaps, the nearest value held into long ones.
    """
    if not missing.any():
        return values
    filled = values.copy()
    present = np.flatnonzero(~missing)
    if not present.size:
        filled[:] = 0.0
        return filled
    limit = round(BRIDGE_SECONDS * rate)
    for low, high in runs(missing):
        if low == 0:
            filled[low:high] = values[high]
        elif high == values.size:
            filled[low:high] = values[low - 1]
        elif high - low <= 2 * limit:
            filled[low:high] = np.interp(np.arange(low, high), (low - 1, high), (values[low - 1], values[high]))
        else:
            filled[low : low + limit] = values[low - 1]
            filled[high - limit : high] = values[high]
            filled[low + limit : high - limit] = 0.0
    return filled


def runs(mask: Bool[np.ndarray, " time"]) -> np.ndarray:
    """Half-open index ranges where `mask` is true, shape (run, 2)."""
    edges = np.diff(np.concatenate(([False], mask, [False])).astype(np.int8))
    return np.column_stack((np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)))


def join_indices(indices: np.ndarray) -> np.ndarray:
    """The same for the ascending indices at which a mask is true: quicker where these are few."""
    breaks = np.flatnonzero(np.diff(indices) > 1)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, indices.size - 1)
    return np.column_stack((indices[firsts], indices[lasts] + 1)) if indices.size else np.empty((0, 2), np.int64)


def join_close(bouts: np.ndarray, distance: float) -> np.ndarray:
    """Half-open ranges, shape (run, 2), with those less than `distance` samples apart made one."""
    if len(bouts) < 2:
        return bouts
    apart = bouts[1:, 0] - (bouts[:-1, 1] - 1) >= distance
    return np.column_stack((bouts[np.r_[True, apart], 0], bouts[np.r_[apart, True], 1]))


def widen(mask: Bool[np.ndarray, " time"], samples: int) -> Bool[np.ndarray, " time"]:
    """True also within `samples` of where `mask` is true."""
    if not mask.any():
        return mask
    wide = mask.copy()
    for low, high in runs(mask):
        wide[max(low - samples, 0) : high + samples] = True
    return wide


def read_piece(signal: Signal, first: int, length: int, *, pad: int, dtype: type = np.float64) -> Piece:
    """The samples [first, first + length) with `pad` more on either side.

    Args:
        signal: One channel.
        first: Index of the first core sample.
        length: Number of core samples.
        pad: Margin in samples; where it reaches past the recording it is an odd reflection, then zeros.
        dtype: Precision of the samples, float64 or float32.

    Returns:
        The piece, in the modality's unit.
    """
    total = len(signal)
    low, high = max(first - pad, 0), min(first + length + pad, total)
    values = signal.read(_time(signal, low), _time(signal, high), dtype=dtype)
    gaps = np.isfinite(values)
    np.logical_not(gaps, out=gaps)
    values = fill_gaps(values, gaps, rate=signal.rate)
    before, after = low - (first - pad), first + length + pad - high
    if before or after:
        values = np.concatenate((_reflect(values, before)[::-1], values, _reflect(values[::-1], after)))
        gaps = np.concatenate((np.zeros(before, bool), gaps, np.zeros(after, bool)))
    return Piece(first, length, pad, values, gaps)


def iter_pieces(signal: Signal, *, pad: int, seconds: float | None = None, dtype: type = np.float64) -> Iterator[Piece]:
    """Consecutive pieces of `seconds` (`PIECE_SECONDS` where None) that overlap by `pad` samples on either side."""
    check_one_channel(signal)
    step = max(1, round((seconds or PIECE_SECONDS) * signal.rate))
    for first in range(0, len(signal), step):
        yield read_piece(signal, first, min(step, len(signal) - first), pad=pad, dtype=dtype)


def mark_searchable(
    piece: Piece, signal: Signal, *, hypnogram: Hypnogram | None, stages: tuple[str, ...], guard: float
) -> Bool[np.ndarray, " time"]:
    """True where events may be looked for: within the recording, in one of the stages, `guard` seconds from any gap.

    Args:
        piece: Part of `signal`, with margins.
        signal: Signal that the piece comes from.
        hypnogram: Stages; None allows every sample.
        stages: Names of the stages wanted.
        guard: Seconds kept clear round gaps.

    Returns:
        Shape as `piece.samples`.
    """
    origin = piece.first - piece.pad
    searchable = np.zeros(piece.samples.size, dtype=bool)
    if hypnogram is None:
        searchable[:] = True
    else:
        wanted = np.isin(hypnogram.stages, [code for code, name in enumerate(hypnogram.names) if name in stages])
        for low, high in runs(wanted):
            edges = hypnogram.start + hypnogram.epoch_length * np.array([low, high]) - signal.start
            first, last = np.ceil(edges * signal.rate - 1e-6).astype(int) - origin
            searchable[max(first, 0) : max(last, 0)] = True
    searchable[: max(-origin, 0)] = False
    searchable[max(len(signal) - origin, 0) :] = False
    return searchable & ~widen(piece.missing, round(guard * signal.rate))


def stage_names(hypnogram: Hypnogram | None, times: np.ndarray) -> list[str]:
    """Stage at each time; "?" where there is none."""
    if hypnogram is None:
        return ["?"] * len(times)
    return [hypnogram.names[code] if code >= 0 else "?" for code in hypnogram.at(times)]


def join_events(tables: list[pd.DataFrame], columns: dict[str, type]) -> pd.DataFrame:
    """One table in order of onset, with these columns and types even where nothing was found."""
    found = [table for table in tables if len(table)]
    if not found:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
    return pd.concat(found, ignore_index=True).sort_values("onset", kind="stable", ignore_index=True)[list(columns)]


def _time(signal: Signal, index: int) -> float:
    return signal.start + index / signal.rate


def _reflect(values: np.ndarray, count: int) -> np.ndarray:
    """The `count` samples before `values`, going backwards in time: odd reflection, then zeros."""
    out = np.zeros(count)
    mirrored = 2 * values[0] - values[1 : count + 1] if values.size else values
    out[: mirrored.size] = mirrored
    return out
