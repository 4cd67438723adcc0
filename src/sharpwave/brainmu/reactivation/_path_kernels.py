"""Compiled evidence for paths through places; `reactivation_paths` says what it computes."""

from __future__ import annotations

import numpy as np

from sharpwave.brainmu.reactivation._place_kernels import compiled


@compiled
def weigh_lines(
    gain: np.ndarray,
    share: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    step: np.ndarray,
    most: float,
    out: np.ndarray,
) -> None:
    """Log evidence of every straight path, given the log ratio of each place in each bin.

    Args:
        gain: Log ratio of each place, shape (bin, place).
        share: Middle of each bin as a share of the event, shape (bin,).
        first: First place of each map.
        last: Place after the last of each map.
        step: Places in `STEP` metres, by map.
        most: Most steps that a path covers.
        out: Filled with the log evidence, shape (map, start, displacement + steps); minus infinity off the map.
    """
    n_bins = len(share)
    n_half = (out.shape[2] - 1) // 2
    out[:] = -np.inf
    for m in range(len(first)):
        n_places = last[m] - first[m]
        n_starts = int((n_places - 1) / step[m] + 1e-6) + 1
        for start in range(min(n_starts, out.shape[1])):
            for move in range(-n_half, n_half + 1):
                if abs(move) > most or start + move < 0 or start + move >= n_starts:
                    continue
                total = 0.0
                for b in range(n_bins):
                    where = int((start + move * share[b]) * step[m] + 0.5)
                    total += gain[b, first[m] + min(where, n_places - 1)]
                out[m, start, move + n_half] = total


@compiled
def weigh_hops(gain: np.ndarray, leap: float) -> float:
    """Log evidence of a place that stays from bin to bin, or leaps anywhere with a given chance."""
    n_places = gain.shape[1]
    state = np.full(n_places, 1.0 / n_places)
    total = 0.0
    for b in range(len(gain)):
        top = gain[b].max()
        mass = 0.0
        for place in range(n_places):
            state[place] = ((1 - leap) * state[place] + leap / n_places) * np.exp(gain[b, place] - top)
            mass += state[place]
        state /= mass
        total += np.log(mass) + top
    return total


@compiled
def sum_moving(lines: np.ndarray, n_half: int, least: int, stays: int) -> np.ndarray:
    """Log mean evidence of paths that cover at least so many steps, and of those that cover at most so many."""
    top = lines.max()
    moving, n_moving, staying, n_staying = 0.0, 0, 0.0, 0
    for m in range(lines.shape[0]):
        for start in range(lines.shape[1]):
            for move in range(lines.shape[2]):
                value = lines[m, start, move]
                if value == -np.inf:
                    continue
                if abs(move - n_half) >= least:
                    moving += np.exp(value - top)
                    n_moving += 1
                elif abs(move - n_half) <= stays:
                    staying += np.exp(value - top)
                    n_staying += 1
    out = np.empty(2)
    out[0] = np.log(moving / max(n_moving, 1) + 1e-12) + top
    out[1] = np.log(staying / max(n_staying, 1) + 1e-12) + top
    return out


@compiled
def weigh_broken(
    gain: np.ndarray,
    share: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    step: np.ndarray,
    n_half: int,
    least: int,
    breaks: np.ndarray,
) -> float:
    """Log mean evidence of paths of one speed that leap once on their map, at one of some shares of the event."""
    n_bins = len(share)
    tops = np.empty(n_bins)
    for b in range(n_bins):
        tops[b] = gain[b].max()
    total, n_paths = 0.0, 0
    for which in range(len(breaks)):
        for m in range(len(first)):
            n_places = last[m] - first[m]
            n_starts = int((n_places - 1) / step[m] + 1e-6) + 1
            for move in range(-n_half, n_half + 1):
                if abs(move) < least:
                    continue
                product = 1.0
                for side in range(2):
                    mass, n_side = 0.0, 0
                    for start in range(-n_half, n_starts + n_half):
                        value, inside = 0.0, True
                        for b in range(n_bins):
                            if (share[b] < breaks[which]) != (side == 0):
                                continue
                            where = int(np.floor((start + move * share[b]) * step[m] + 0.5))
                            if where < 0 or where >= n_places:
                                inside = False
                                break
                            value += gain[b, first[m] + where] - tops[b]
                        if inside:
                            mass += np.exp(value)
                            n_side += 1
                    product *= mass / max(n_side, 1)
                total += product
                n_paths += 1
    return np.log(total / max(n_paths, 1) + 1e-300) + tops.sum()
