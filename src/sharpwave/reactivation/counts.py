"""Spikes as counts: of a stretch of the session, or of many events at once, each with its own number of bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError


@dataclass(frozen=True, eq=False)
class BinnedEvents:
    """Spike counts of many events, one after the other.

    Attributes:
        counts: Spikes, shape (bin, unit).
        offsets: First bin of each event, and the number of bins at the end.
        bin_size: Length of a bin, in s.
        onsets: Start of each event in seconds.
    """

    counts: Int[np.ndarray, "bin unit"]
    offsets: Int[np.ndarray, " edge"]
    bin_size: float
    onsets: Float[np.ndarray, " event"]

    def __len__(self) -> int:
        return len(self.onsets)

    def of(self, event: int) -> Int[np.ndarray, "bin unit"]:
        """Counts of one event."""
        return self.counts[self.offsets[event] : self.offsets[event + 1]]

    @property
    def lengths(self) -> Int[np.ndarray, " event"]:
        """Bins of each event."""
        return np.diff(self.offsets)


def get_trains(spikes: Any, units: Sequence[int] | None = None) -> list[Float[np.ndarray, " spike"]]:
    """Times of each unit.

    Args:
        spikes: Trains by unit: a pynapple `TsGroup`, or a mapping to arrays of rising times in seconds.
        units: Names of the units that are wanted; all where omitted.

    Raises:
        SharpwaveError: If a unit is not among the trains.
    """
    known = list(spikes.keys())
    missing = set(known if units is None else units) - set(known)
    if missing:
        raise SharpwaveError(
            f"units among {', '.join(map(str, known)) or '(none)'}",
            got=", ".join(map(str, sorted(missing))),
            fix="decode with place fields of the same sorting",
        )
    chosen = known if units is None else units
    return [np.asarray(getattr(spikes[unit], "t", spikes[unit]), dtype=np.float64) for unit in chosen]


def flatten_spikes(
    spikes: Any, units: Sequence[int] | None = None
) -> tuple[Float[np.ndarray, " spike"], Int[np.ndarray, " spike"]]:
    """All spikes in order of time, and for each the index of its unit; arguments as in `get_trains`."""
    trains = get_trains(spikes, units)
    times = np.concatenate([np.empty(0), *trains])
    index = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    order = np.argsort(times, kind="stable")
    return times[order], index[order]


def bin_events(
    spikes: Any, events: pd.DataFrame, *, bin_size: float, units: Sequence[int] | None = None
) -> BinnedEvents:
    """Count spikes in the bins of every event, without a loop over spikes or events.

    An event has its duration divided by `bin_size`, rounded, bins, at least one. Events may overlap.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times).
        events: Table of events: onset and duration in s.
        bin_size: Length of a bin, in s.
        units: Names of the units, in the order of the counts' columns; all where omitted.

    Raises:
        SharpwaveError: If `bin_size` is not positive.

    >>> spikes = {0: np.array([0.11, 0.13]), 1: np.array([0.17])}
    >>> binned = bin_events(spikes, pd.DataFrame({"onset": [0.1], "duration": [0.1]}), bin_size=0.05)
    >>> binned.counts.tolist()
    [[2, 0], [0, 1]]
    """
    if not bin_size > 0:
        raise SharpwaveError("a bin size above 0 s", got=f"{bin_size}", fix="use 0.004 to 0.02 s for replay")
    times, index = flatten_spikes(spikes, units)
    n_units = len(spikes.keys()) if units is None else len(units)
    onsets = events["onset"].to_numpy(dtype=np.float64)
    lengths = np.maximum(np.rint(events["duration"].to_numpy(dtype=np.float64) / bin_size), 1).astype(np.int64)
    offsets = np.r_[0, np.cumsum(lengths)]
    low = np.searchsorted(times, onsets)
    high = np.maximum(np.searchsorted(times, onsets + lengths * bin_size), low)
    event = np.repeat(np.arange(len(onsets)), high - low)
    spike = np.arange(len(event)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + low[event]
    place = np.minimum(((times[spike] - onsets[event]) / bin_size).astype(np.int64), lengths[event] - 1)
    cells = (offsets[event] + place) * n_units + index[spike]
    counts = np.bincount(cells, minlength=int(offsets[-1]) * n_units).astype(np.int16)
    return BinnedEvents(counts.reshape(int(offsets[-1]), n_units), offsets, bin_size, onsets)


def count_spikes(
    spikes: Any,
    *,
    bin_size: float,
    start: float,
    end: float,
    step: float | None = None,
    units: Sequence[int] | None = None,
) -> tuple[Float[np.ndarray, " bin"], Int[np.ndarray, "bin unit"]]:
    """Counts in windows of `bin_size` that follow each other every `step`, each within [start, end).

    Returns:
        Middle of each window in s, and its counts.
    """
    step = bin_size if step is None else step
    n_windows = max(0, int(np.floor((end - start - bin_size) / step + 1e-9)) + 1)
    onsets = start + step * np.arange(n_windows)
    counts = [
        np.searchsorted(train, onsets + bin_size) - np.searchsorted(train, onsets)
        for train in get_trains(spikes, units)
    ]
    return onsets + bin_size / 2, np.array(counts, dtype=np.int64).reshape(len(counts), n_windows).T
