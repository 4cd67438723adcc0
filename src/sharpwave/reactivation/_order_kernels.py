"""Numba kernels of `order`: each event's scores, and the same after its bursts were shuffled in time.

A burst is one cell's spikes close together; it moves as a whole. The bursts of an event exchange their onsets, so that
each keeps its cell and its inner timing, and the event its rate over time. Lanes are labellings of the cells: all see
the same shuffles, and inner loops run over them and do one thing each, so that the compiler makes them vector
instructions.
"""

from __future__ import annotations

import numpy as np

from sharpwave.reactivation._kernels import compiled
from sharpwave.reactivation._sequence_kernels import RESCALE_EVERY, _correlate, _observe, _walk

LANES = 16
"""Labellings scored together: two vectors of eight float32, or one of sixteen."""


@compiled
def _draw(state: np.ndarray) -> np.int64:
    """Next 31 bits of Marsaglia's xorshift64."""
    value = state[0]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    state[0] = value
    return np.int64(value >> np.uint64(33))


@compiled
def _exchange_onsets(slots: np.ndarray, state: np.ndarray) -> None:
    """The slots in random order (Fisher-Yates)."""
    for index in range(len(slots) - 1, 0, -1):
        other = _draw(state) % (index + 1)
        slots[index], slots[other] = slots[other], slots[index]


@compiled
def _sort_spikes(
    fine: np.ndarray, units: np.ndarray, ratio: int, n_bins: int, first: np.ndarray, ordered: np.ndarray
) -> None:
    """Units in order of bins (`ordered`), and the first spike of each bin (`first`)."""
    first[: n_bins + 1] = 0
    for spike in range(len(fine)):
        first[min(fine[spike] // ratio, n_bins - 1) + 1] += 1
    for index in range(n_bins):
        first[index + 1] += first[index]
    for spike in range(len(fine) - 1, -1, -1):
        which = min(fine[spike] // ratio, n_bins - 1)
        first[which + 1] -= 1
        ordered[first[which + 1]] = units[spike]
    for index in range(n_bins):
        first[index] = first[index + 1]
    first[n_bins] = len(fine)


@compiled
def _fill(
    likelihood: np.ndarray, rates: np.ndarray, base: np.ndarray, units: np.ndarray, low: int, high: int, top: np.ndarray
) -> None:
    """Likelihood of one bin at each place in each lane, up to a factor per lane.

    Places and lanes are one axis here, (place, lane) flattened: one long loop is several times as fast as many short.
    """
    n, n_lanes = len(likelihood), len(top)
    for index in range(n):
        likelihood[index] = base[index]
    spike = low
    while spike < high:
        if spike + 4 <= high:
            one, two = rates[units[spike]], rates[units[spike + 1]]
            three, four = rates[units[spike + 2]], rates[units[spike + 3]]
            for index in range(n):
                likelihood[index] *= (one[index] * two[index]) * (three[index] * four[index])
            spike += 4
        elif spike + 2 <= high:
            one, two = rates[units[spike]], rates[units[spike + 1]]
            for index in range(n):
                likelihood[index] *= one[index] * two[index]
            spike += 2
        else:
            one = rates[units[spike]]
            for index in range(n):
                likelihood[index] *= one[index]
            spike += 1
        if (spike - low) % RESCALE_EVERY == 0:
            top[:] = np.float32(1e-37)
            for first in range(0, n, n_lanes):
                for lane in range(n_lanes):
                    top[lane] = max(top[lane], likelihood[first + lane])
            for first in range(0, n, n_lanes):
                for lane in range(n_lanes):
                    likelihood[first + lane] = max(likelihood[first + lane] / top[lane], np.float32(1e-15))


@compiled
def _sum_bin(
    likelihood: np.ndarray,
    map_first: np.ndarray,
    along: np.ndarray,
    time: np.float32,
    parts: np.ndarray,
    flat: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add one bin to the sums behind the weighted correlation of each map; `flat` is filled with its total."""
    n_maps, n_lanes = parts.shape[0], likelihood.shape[1]
    flat[:] = np.float32(0.0)
    for which in range(n_maps):
        mass, first, second = parts[which, 0], parts[which, 1], parts[which, 2]
        mass[:] = np.float32(0.0)
        first[:] = np.float32(0.0)
        second[:] = np.float32(0.0)
        for place in range(map_first[which], map_first[which + 1]):
            row, where = likelihood[place], along[place]
            square = where * where
            for lane in range(n_lanes):
                mass[lane] += row[lane]
            for lane in range(n_lanes):
                first[lane] += row[lane] * where
            for lane in range(n_lanes):
                second[lane] += row[lane] * square
        for lane in range(n_lanes):
            flat[lane] += mass[lane]
    # As in `_sequence_kernels._sum_places`: one function for both was a tenth slower.
    for which in range(n_maps):
        for lane in range(n_lanes):
            scale = np.float32(1.0) / flat[lane]
            mass_here, first_here = parts[which, 0, lane] * scale, parts[which, 1, lane] * scale
            sums[which, 0, lane] += mass_here
            sums[which, 1, lane] += first_here
            sums[which, 2, lane] += parts[which, 2, lane] * scale
            sums[which, 3, lane] += mass_here * time
            sums[which, 4, lane] += first_here * time
            sums[which, 5, lane] += mass_here * time * time


@compiled
def score_gains(
    first_bin: np.ndarray,
    first_spike: np.ndarray,
    units: np.ndarray,
    packets: np.ndarray,
    offsets: np.ndarray,
    first_packet: np.ndarray,
    onsets: np.ndarray,
    ratio: int,
    rates: np.ndarray,
    base: np.ndarray,
    map_first: np.ndarray,
    along: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    weight: np.ndarray,
    decay: np.ndarray,
    jump: np.float32,
    path: bool,
    seeds: np.ndarray,
    n_shuffles: int,
    scores: np.ndarray,
) -> None:
    """Scores of every event in every lane, and mean and variance of the event's own shuffles there.

    Args:
        first_bin: First bin of each event, and the end, shape (event + 1,).
        first_spike: First spike of each event, and the end, shape (event + 1,).
        units, packets, offsets: Unit and burst of each spike, and how many fine bins it comes after the burst's onset.
        first_packet: First burst of each event, and the end, shape (event + 1,).
        onsets: Fine bin in its event in which each burst begins.
        ratio: Fine bins in a bin.
        rates: Rates as shares of each unit's highest, shape (unit, place × lane).
        base: Chance of a bin without spikes, up to a factor, shape (place × lane,).
        map_first, along: First place of each map, and position of each place along its map, -0.5 to 0.5.
        order, starts, weight, decay: Neighbours along each axis, see `sequence_scores.Neighbours`.
        jump: Chance to go anywhere, per bin.
        path: Whether the log likelihood ratio is scored, else the weighted correlation.
        seeds: Seed of each event's shuffles.
        n_shuffles: Shuffles of each event.
        scores: Filled with score, mean and variance of the shuffles, shape (event, lane, 3).
    """
    n_places, n_maps, n_lanes = len(along), len(map_first) - 1, scores.shape[1]
    n_events = len(first_bin) - 1
    longest, most, crowd = 1, 1, 1
    for event in range(n_events):
        longest = max(longest, first_bin[event + 1] - first_bin[event])
        most = max(most, first_packet[event + 1] - first_packet[event])
        crowd = max(crowd, first_spike[event + 1] - first_spike[event])
    slots, fine, ordered = np.empty(most, np.int64), np.empty(crowd, np.int64), np.empty(crowd, np.int64)
    first, random = np.empty(longest + 1, np.int64), np.empty(1, np.uint64)
    likelihood = np.empty((n_places, n_lanes), np.float32)
    flattened, state = likelihood.reshape(-1), np.empty((n_places, n_lanes), np.float32)
    moved, sums = np.empty((n_places, n_lanes), np.float32), np.empty((n_maps, 6, n_lanes), np.float32)
    parts, flat = np.empty((n_maps, 3, n_lanes), np.float32), np.empty(n_lanes, np.float32)
    ahead, total, ratios = np.empty(n_lanes, np.float32), np.empty(n_lanes, np.float32), np.empty(n_lanes, np.float64)
    mean, squares = np.empty(n_lanes, np.float64), np.empty(n_lanes, np.float64)
    for event in range(n_events):
        n_bins, low = first_bin[event + 1] - first_bin[event], first_spike[event]
        n_spikes, begin = first_spike[event + 1] - low, first_packet[event]
        n_packets = first_packet[event + 1] - begin
        slots[:n_packets] = onsets[begin : begin + n_packets]
        random[0] = seeds[event]
        mean[:] = 0.0
        squares[:] = 0.0
        for repeat in range(1 + n_shuffles):
            if repeat:
                _exchange_onsets(slots[:n_packets], random)
            for spike in range(n_spikes):
                fine[spike] = slots[packets[low + spike] - begin] + offsets[low + spike]
            _sort_spikes(fine[:n_spikes], units[low : low + n_spikes], ratio, n_bins, first, ordered)
            ratios[:] = 0.0
            sums[:] = np.float32(0.0)
            for index in range(n_bins):
                _fill(flattened, rates, base, ordered, first[index], first[index + 1], total)
                time = np.float32(index) - np.float32(0.5) * np.float32(n_bins - 1)
                _sum_bin(likelihood, map_first, along, time, parts, flat, sums)
                if path:
                    if index == 0:
                        state[:] = np.float32(1.0) / np.float32(n_places)
                    else:
                        _walk(state, moved, ahead, order, starts, weight, decay)
                    _observe(state, likelihood, flat, total, jump, ratios)
            for lane in range(n_lanes):
                score = ratios[lane] if path else _correlate(sums, lane, n_bins)
                if repeat == 0:
                    scores[event, lane, 0] = score
                else:
                    step = score - mean[lane]
                    mean[lane] += step / repeat
                    squares[lane] += step * (score - mean[lane])
        for lane in range(n_lanes):
            scores[event, lane, 1] = mean[lane]
            scores[event, lane, 2] = squares[lane] / max(n_shuffles - 1, 1)
