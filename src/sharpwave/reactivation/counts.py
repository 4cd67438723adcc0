"""Spikes as counts: of a stretch of the session, or of many events at once, each with its own number of bins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.errors import SharpwaveError

OBSERVED = "obs_intervals"
"""Metadata of units: start and end of each stretch in which a unit was observed."""

EDGE = 0.01
"""Seconds by which an event may reach over the edge of such a stretch."""


@dataclass(frozen=True, eq=False)
class BinnedEvents:
    """Spike counts of many events, one after the other.

    Attributes:
        counts: Spikes, shape (bin, unit).
        offsets: First bin of each event, and the number of bins at the end.
        bin_size: Length of a bin, in s.
        onsets: Start of each event in seconds.
        observed: Whether each unit was observed throughout each event; None where all were. A unit that was not says
            nothing by its silence.
    """

    counts: Int[np.ndarray, "bin unit"]
    offsets: Int[np.ndarray, " edge"]
    bin_size: float
    onsets: Float[np.ndarray, " event"]
    observed: Bool[np.ndarray, "event unit"] | None = None

    def __len__(self) -> int:
        return len(self.onsets)

    def of(self, event: int) -> Int[np.ndarray, "bin unit"]:
        """Counts of one event."""
        return self.counts[self.offsets[event] : self.offsets[event + 1]]

    @property
    def lengths(self) -> Int[np.ndarray, " event"]:
        """Bins of each event."""
        return np.diff(self.offsets)

    def select(self, events: Int[np.ndarray, " chosen"], units: Int[np.ndarray, " chosen_unit"]) -> BinnedEvents:
        """Some events and some units, by index; as observed, where only observed units are chosen."""
        lengths = self.lengths[events]
        offsets = np.r_[0, np.cumsum(lengths)]
        bins = np.arange(offsets[-1]) + np.repeat(self.offsets[events] - offsets[:-1], lengths)
        observed = None if self.observed is None else self.observed[np.ix_(events, units)]
        observed = None if observed is None or observed.all() else observed
        return BinnedEvents(self.counts[np.ix_(bins, units)], offsets, self.bin_size, self.onsets[events], observed)

    def group_observed(self) -> Iterator[tuple[Int[np.ndarray, " event"], Int[np.ndarray, " unit"]]]:
        """Events in which the same units were observed, and these units, by index."""
        if self.observed is None:
            yield np.arange(len(self)), np.arange(self.counts.shape[1])
            return
        kinds, which = np.unique(self.observed, axis=0, return_inverse=True)
        for number, kind in enumerate(kinds):
            yield np.flatnonzero(which.ravel() == number), np.flatnonzero(kind)


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


def get_observed(spikes: Any, units: Sequence[int] | None = None) -> list[Float[np.ndarray, "stretch edge"]] | None:
    """Start and end of the stretches in which each unit was observed; None where nothing says that any was not.

    Args:
        spikes: Trains by unit: a pynapple `TsGroup` with `obs_intervals` among its metadata (NWB has them), or a
            mapping, of which nothing is known.
        units: Names of the units that are wanted; all where omitted.

    >>> import pynapple as nap
    >>> trains = nap.TsGroup({3: nap.Ts(np.array([1.0, 2.0])), 5: nap.Ts(np.array([1.0, 9.0]))})
    >>> trains.set_info(obs_intervals=np.array([[[0.0, 4.0]], [[0.0, 10.0]]]))
    >>> get_observed(trains, [3])[0].tolist()
    [[0.0, 4.0]]
    """
    if OBSERVED not in getattr(spikes, "metadata_columns", ()):
        return None
    known = dict(zip(spikes.keys(), spikes.get_info(OBSERVED), strict=True))
    return [np.asarray(known[unit], dtype=np.float64).reshape(-1, 2) for unit in (known if units is None else units)]


def mark_observed(
    spikes: Any,
    onsets: Float[np.ndarray, " event"],
    ends: Float[np.ndarray, " event"],
    units: Sequence[int] | None = None,
) -> Bool[np.ndarray, "event unit"] | None:
    """Whether each unit was observed throughout each stretch of time; None where all were, or nothing says it.

    Args:
        spikes: As in `get_observed`.
        onsets: Start of each stretch in s.
        ends: End of each stretch in s.
        units: Names of the units that are wanted; all where omitted.
    """
    spans = get_observed(spikes, units)
    if spans is None:
        return None
    marked = np.ones((len(onsets), len(spans)), dtype=bool)
    for unit, stretches in enumerate(spans):
        if len(stretches):
            row = np.clip(np.searchsorted(stretches[:, 0], onsets + EDGE, side="right") - 1, 0, None)
            inside = (stretches[row, 0] <= onsets + EDGE) & (ends <= stretches[row, 1] + EDGE)
            marked[:, unit] = inside
    return None if marked.all() else marked


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

    An event has its duration divided by `bin_size`, rounded, bins, at least one. Events may overlap. Units that were
    not observed throughout an event (`obs_intervals`) are left out of it: `observed` says so.

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
    counts = counts.reshape(int(offsets[-1]), n_units)
    observed = mark_observed(spikes, onsets, onsets + lengths * bin_size, units)
    if observed is not None:
        counts[~np.repeat(observed, lengths, axis=0)] = 0
    return BinnedEvents(counts, offsets, bin_size, onsets, observed)


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
