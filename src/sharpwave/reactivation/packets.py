"""Bursts of single cells within events, and the shuffles of an event that exchange their onsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Int, UInt

from sharpwave.reactivation.counts import BinnedEvents

RATIO = 4
"""Fine bins in a bin of the scores."""

BURST = 0.01
"""Longest silence within one cell's burst, in s (complex spikes: 2 to 10 ms; Ranck 1973)."""

ALIKE = 0.2
"""Bursts exchange onsets where bursts are about as dense: by so much of the event's densest moment they may differ.

A detected event reaches beyond its burst, and its edges hold stray spikes of other cells. Shuffles that mix edges and
middle look less like a path than any event, so that a place that is held would pass for one.
"""

SMOOTHING = 0.015
"""Standard deviation in s of the kernel that measures how dense bursts are, as in the detector of candidates."""


@dataclass(frozen=True, eq=False)
class Packets:
    """Bursts of single cells within events.

    Attributes:
        units: Unit of each spike, events one after the other.
        packets: Burst of each spike.
        offsets: Fine bins from the burst's onset to each spike.
        first_spike: First spike of each event, and their number.
        first_packet: First burst of each event, and their number.
        onsets: Fine bin in its event in which each burst begins.
        cells: Unit of each burst.
        spans: Fine bins from each burst's onset to its last spike.
        gap: Fine bins of silence that end a burst.
        width: Fine bins of the kernel that measures how dense bursts are.
    """

    units: Int[np.ndarray, " spike"]
    packets: Int[np.ndarray, " spike"]
    offsets: Int[np.ndarray, " spike"]
    first_spike: Int[np.ndarray, " event_edge"]
    first_packet: Int[np.ndarray, " event_edge"]
    onsets: Int[np.ndarray, " packet"]
    cells: Int[np.ndarray, " packet"]
    spans: Int[np.ndarray, " packet"]
    gap: int
    width: float

    @classmethod
    def of(cls, fine: BinnedEvents, *, gap: float = BURST) -> Self:
        """Bursts in finely binned events.

        Args:
            fine: Spikes of each event in bins shorter than a burst.
            gap: Longest silence within a burst, in s; 0.01 s by default.

        >>> counts = np.zeros((20, 2), int)
        >>> counts[[0, 1, 12], 0] = counts[5, 1] = 1
        >>> found = Packets.of(BinnedEvents(counts, np.array([0, 20]), 0.005, np.zeros(1)))
        >>> found.onsets.tolist(), found.packets.tolist()
        ([0, 12, 5], [0, 0, 1, 2])
        """
        bins, units = np.nonzero(fine.counts)
        repeats = fine.counts[bins, units]
        bins, units = np.repeat(bins, repeats), np.repeat(units, repeats)
        event = np.searchsorted(fine.offsets, bins, side="right") - 1
        ranked = np.lexsort([bins, units, event])
        bins, units, event = bins[ranked], units[ranked], event[ranked]
        silence = max(round(gap / fine.bin_size), 1)
        apart = np.diff(bins) > silence
        new = np.r_[np.ones(min(len(bins), 1), bool), (np.diff(event) != 0) | (np.diff(units) != 0) | apart]
        packets = np.cumsum(new) - 1
        starts, edges = bins[new], np.arange(len(fine) + 1)
        last = np.r_[np.flatnonzero(new)[1:] - 1, len(bins) - 1] if len(bins) else np.empty(0, np.int64)
        return cls(
            units.astype(np.int64),
            packets,
            bins - starts[packets] if len(bins) else bins,
            np.searchsorted(event, edges),
            np.searchsorted(event[new], edges),
            starts - fine.offsets[event[new]],
            units[new].astype(np.int64),
            bins[last] - starts,
            silence,
            SMOOTHING / fine.bin_size,
        )

    def arrange(
        self, first_bin: Int[np.ndarray, " event_edge"], seeds: UInt[np.ndarray, " event"], n_shuffles: int
    ) -> tuple[Int[np.ndarray, "arrangement spike"], Int[np.ndarray, "arrangement bin_edge"]]:
        """Units of all spikes in order of bins, and the first spike of each bin: as they are, then in each shuffle.

        Args:
            first_bin: First bin of each event, and their number; a bin is `RATIO` fine bins.
            seeds: Seed of each event's shuffles.
            n_shuffles: Number of shuffles.
        """
        from sharpwave.reactivation._order_kernels import arrange

        ordered = np.empty((1 + n_shuffles, len(self.units)), np.int32)
        first = np.empty((1 + n_shuffles, first_bin[-1] + 1), np.int64)
        spikes, bursts = (self.units, self.packets, self.offsets), (self.onsets, self.cells, self.spans)
        how = (self.gap, self.width, ALIKE, RATIO, seeds)
        arrange(first_bin, self.first_spike, *spikes, self.first_packet, *bursts, *how, ordered, first)
        return ordered, first


def select_events(binned: BinnedEvents, chosen: Int[np.ndarray, " chosen"]) -> BinnedEvents:
    """Some of the events, in their order."""
    lengths = binned.lengths[chosen]
    offsets = np.r_[0, np.cumsum(lengths)]
    rows = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(binned.offsets[:-1][chosen], lengths)
    return BinnedEvents(binned.counts[rows], offsets, binned.bin_size, binned.onsets[chosen])
