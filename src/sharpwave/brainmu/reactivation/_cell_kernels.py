"""Compiled likelihood of paths, cell by cell, where silence counts; `reactivation_cells` says what it computes."""

from __future__ import annotations

import numpy as np

from sharpwave.brainmu.reactivation._place_kernels import compiled


@compiled
def weigh_paths(
    rates: np.ndarray,
    stray: np.ndarray,
    cells: np.ndarray,
    bins: np.ndarray,
    counts: np.ndarray,
    paths: np.ndarray,
    absent: float,
    out: np.ndarray,
) -> None:
    """Log likelihood of the spikes of an event under every path, at the gain that fits their number.

    Args:
        rates: Expected spikes per bin of each cell at each place, shape (place, cell).
        stray: Expected spikes of each cell in the event that no place explains.
        cells: Cell of each spike.
        bins: Bin of each spike.
        counts: Spikes of each cell.
        paths: Place in each bin, shape (path, bin).
        absent: Chance that a cell takes no part.
        out: Filled, shape (path,).
    """
    n_paths, n_bins = paths.shape
    n_cells = len(stray)
    alone = np.empty(n_cells)
    for c in range(n_cells):
        alone[c] = counts[c] * np.log(stray[c] / n_bins) - stray[c]
    expected, fired = np.empty(n_cells), np.empty(n_cells)
    n_spikes = max(len(cells) - stray.sum(), 1.0)
    for k in range(n_paths):
        expected[:] = 0.0
        for b in range(n_bins):
            place = paths[k, b]
            for c in range(n_cells):
                expected[c] += rates[place, c]
        gain = n_spikes / ((1 - absent) * expected.sum())
        gain = min(max(gain, 0.3), 30.0)
        fired[:] = 0.0
        for s in range(len(cells)):
            c = cells[s]
            fired[c] += np.log(gain * rates[paths[k, bins[s]], c] + stray[c] / n_bins)
        total = 0.0
        for c in range(n_cells):
            there = fired[c] - gain * expected[c] - stray[c]
            less = alone[c] - there
            if less < -30:
                total += there + np.log(1 - absent)
            else:
                total += there + np.log(1 - absent + absent * np.exp(min(less, 600.0)))
        out[k] = total


@compiled
def draw_pieces(
    gain: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    maps: np.ndarray,
    slopes: np.ndarray,
    pieces: np.ndarray,
    uniform: np.ndarray,
    temper: float,
    paths: np.ndarray,
    weight: np.ndarray,
) -> None:
    """Paths of several pieces, each begun where its spikes are likely; and the log weight that undoes that choice.

    Args:
        gain: Log ratio of each place in each bin, shape (bin, place).
        first: First place of each map; `last` the place after its last.
        maps: Map of each path, and `slopes` its places per bin.
        pieces: Index of the piece that each bin belongs to, shape (path, bin).
        uniform: Number from 0 to 1 for each piece, shape (path, piece).
        temper: Power of the likelihood by which beginnings are chosen.
        paths: Filled with places, shape (path, bin).
        weight: Filled with log weights, shape (path,).
    """
    n_paths, n_bins = pieces.shape
    for k in range(n_paths):
        m = maps[k]
        n_places = last[m] - first[m]
        chance = np.empty(n_places)
        weight[k] = 0.0
        begin = 0
        while begin < n_bins:
            end = begin
            while end < n_bins and pieces[k, end] == pieces[k, begin]:
                end += 1
            span = slopes[k] * (end - 1 - begin)
            low, high = int(np.ceil(max(-span, 0.0))), int(np.floor(n_places - 1 - max(span, 0.0)))
            low = min(low, max(high, 0))
            high = max(high, low)
            for start in range(low, high + 1):
                total = 0.0
                for b in range(begin, end):
                    where = int(start + slopes[k] * (b - begin) + 0.5)
                    total += gain[b, first[m] + min(max(where, 0), n_places - 1)]
                chance[start] = temper * total
            some = np.exp(chance[low : high + 1] - chance[low : high + 1].max())
            n_starts = len(some)
            chance[low : high + 1] = 0.8 * some / some.sum() + 0.2 / n_starts
            left, chosen = uniform[k, pieces[k, begin]], high
            for start in range(low, high + 1):
                left -= chance[start]
                if left <= 0:
                    chosen = start
                    break
            weight[k] -= np.log(chance[chosen] * n_starts)
            for b in range(begin, end):
                where = int(chosen + slopes[k] * (b - begin) + 0.5)
                paths[k, b] = first[m] + min(max(where, 0), n_places - 1)
            begin = end
