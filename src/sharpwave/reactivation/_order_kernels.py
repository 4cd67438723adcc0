"""Numba kernels of `order`: each event's scores, and the same after its bursts were shuffled in time.

A burst is one cell's spikes close together; it moves as a whole. The bursts of an event exchange their onsets, so that
each keeps its cell and its inner timing, and the event its rate over time. Lanes are labellings of the cells: all see
the same shuffles, and inner loops run over them and do one thing each, so that the compiler makes them vector
instructions; their number is a constant, so that it knows how many.
"""

from __future__ import annotations

import numpy as np

from sharpwave.reactivation._kernels import compiled, inlined
from sharpwave.reactivation._sequence_kernels import _correlate, _observe, _walk

SWAPS = 12
"""Exchanges of two onsets that are tried from one shuffle to the next, for each burst of the event."""

LANES = 16
"""Labellings scored together: two vectors of eight float32, or one of sixteen."""

AT_ONCE = 5
"""Spikes in a bin after which a likelihood is scaled back before four more, so that float32 does not underflow."""


@inlined
def _draw(state: np.ndarray) -> np.int64:
    """Next 31 bits of Marsaglia's xorshift64."""
    value = state[0]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    state[0] = value
    return np.int64(value >> np.uint64(33))


@inlined
def _fits(packet: int, slots: np.ndarray, cells: np.ndarray, spans: np.ndarray, n_fine: int, gap: int) -> bool:
    """Whether a burst ends within the event, and more than `gap` away from the other bursts of its cell."""
    onset, end = slots[packet], slots[packet] + spans[packet]
    if end >= n_fine:
        return False
    for step in (-1, 1):
        other = packet + step
        while 0 <= other < len(slots) and cells[other] == cells[packet]:
            if slots[other] <= end + gap and onset <= slots[other] + spans[other] + gap:
                return False
            other += step
    return True


@inlined
def _exchange_onsets(
    slots: np.ndarray,
    cells: np.ndarray,
    spans: np.ndarray,
    density: np.ndarray,
    gap: int,
    alike: float,
    state: np.ndarray,
) -> None:
    """Exchange the onsets of two bursts at a time, many times, where bursts are about as dense.

    Both must then fit as those of the event do. All arrangements that can be reached are as likely in the long run (a
    swap is as likely as the one back), and the event's own is one of them.
    """
    n, n_fine = len(slots), len(density)
    for _ in range(SWAPS * n):
        one, two = _draw(state) % n, _draw(state) % n
        if abs(density[slots[one]] - density[slots[two]]) > alike:
            continue
        slots[one], slots[two] = slots[two], slots[one]
        if not (_fits(one, slots, cells, spans, n_fine, gap) and _fits(two, slots, cells, spans, n_fine, gap)):
            slots[one], slots[two] = slots[two], slots[one]


@inlined
def _measure_density(onsets: np.ndarray, n_fine: int, width: float) -> np.ndarray:
    """How dense bursts are at each fine bin of an event, as a share of where they are densest."""
    density = np.zeros(n_fine)
    for onset in onsets:
        for at in range(n_fine):
            density[at] += np.exp(-0.5 * ((onset - at) / width) ** 2)
    return density / max(density.max(), 1e-9)


@compiled
def arrange(
    first_bin: np.ndarray,
    first_spike: np.ndarray,
    units: np.ndarray,
    packets: np.ndarray,
    offsets: np.ndarray,
    first_packet: np.ndarray,
    onsets: np.ndarray,
    cells: np.ndarray,
    spans: np.ndarray,
    gap: int,
    width: float,
    alike: float,
    ratio: int,
    seeds: np.ndarray,
    ordered: np.ndarray,
    first: np.ndarray,
) -> None:
    """Spikes of every event in order of bins, as they are and in each shuffle.

    Args:
        first_bin: First bin of each event, and the end, shape (event + 1,).
        first_spike: First spike of each event, and the end, shape (event + 1,).
        units, packets, offsets: Unit and burst of each spike, and how many fine bins it comes after the burst's onset.
        first_packet: First burst of each event, and the end, shape (event + 1,).
        onsets, cells, spans: Of each burst: the fine bin in its event in which it begins, its unit, and fine bins from
            its onset to its last spike.
        gap: Fine bins that bursts of one cell are apart, at least.
        width: Standard deviation of the kernel that measures how dense bursts are, in fine bins.
        alike: Largest difference in density, as a share of the event's densest, between onsets that are exchanged.
        ratio: Fine bins in a bin.
        seeds: Seed of each event's shuffles.
        ordered: Filled with the units of spikes in order of bins, shape (1 + shuffle, spike).
        first: Filled with the first spike of each bin, and the end, shape (1 + shuffle, bin + 1).
    """
    slots, random = onsets.copy(), np.empty(1, np.uint64)
    for event in range(len(first_bin) - 1):
        begin, n_bins = first_bin[event], first_bin[event + 1] - first_bin[event]
        own = slice(first_packet[event], first_packet[event + 1])
        density = _measure_density(onsets[own], n_bins * ratio, width)
        random[0] = seeds[event]
        for repeat in range(len(ordered)):
            if repeat:
                _exchange_onsets(slots[own], cells[own], spans[own], density, gap, alike, random)
            edges = first[repeat, begin : begin + n_bins + 1]
            edges[:] = 0
            for spike in range(first_spike[event], first_spike[event + 1]):
                edges[min((slots[packets[spike]] + offsets[spike]) // ratio, n_bins - 1) + 1] += 1
            edges[0] = first_spike[event]
            for index in range(n_bins):
                edges[index + 1] += edges[index]
            for spike in range(first_spike[event + 1] - 1, first_spike[event] - 1, -1):
                index = min((slots[packets[spike]] + offsets[spike]) // ratio, n_bins - 1)
                edges[index + 1] -= 1
                ordered[repeat, edges[index + 1]] = units[spike]
            for index in range(n_bins):
                edges[index] = edges[index + 1]
            edges[n_bins] = first_spike[event + 1]


@inlined
def _fill(likelihood: np.ndarray, rates: np.ndarray, base: np.ndarray, units: np.ndarray, top: np.ndarray) -> None:
    """Likelihood of one bin at each place in each lane, up to a factor per lane.

    Places and lanes are one axis here, (place, lane) flattened: one long loop is several times as fast as many short.
    """
    n, done = len(likelihood), len(units) % 4
    if done == 0:
        likelihood[:] = base
    elif done == 1:
        one = rates[units[0]]
        for index in range(n):
            likelihood[index] = base[index] * one[index]
    elif done == 2:
        one, two = rates[units[0]], rates[units[1]]
        for index in range(n):
            likelihood[index] = base[index] * (one[index] * two[index])
    else:
        one, two, three = rates[units[0]], rates[units[1]], rates[units[2]]
        for index in range(n):
            likelihood[index] = (base[index] * one[index]) * (two[index] * three[index])
    since = done
    for spike in range(done, len(units), 4):
        if since >= AT_ONCE:
            _rescale(likelihood, top)
            since = 0
        one, two, three, four = (
            rates[units[spike]],
            rates[units[spike + 1]],
            rates[units[spike + 2]],
            rates[units[spike + 3]],
        )
        for index in range(n):
            likelihood[index] *= (one[index] * two[index]) * (three[index] * four[index])
        since += 4


@inlined
def _rescale(likelihood: np.ndarray, top: np.ndarray) -> None:
    """Divide each lane by its largest value."""
    top[:] = np.float32(1e-37)
    for first in range(0, len(likelihood), LANES):
        for lane in range(LANES):
            top[lane] = max(top[lane], likelihood[first + lane])
    for lane in range(LANES):
        top[lane] = np.float32(1.0) / top[lane]
    for first in range(0, len(likelihood), LANES):
        for lane in range(LANES):
            likelihood[first + lane] = max(likelihood[first + lane] * top[lane], np.float32(1e-15))


@inlined
def _sum_map(likelihood: np.ndarray, along: np.ndarray, begin: int, end: int, part: np.ndarray) -> None:
    """Mass, first and second moment of place in one map, four places at a time."""
    mass, first, second = part[0], part[1], part[2]
    for lane in range(LANES):
        mass[lane] = np.float32(0.0)
        first[lane] = np.float32(0.0)
        second[lane] = np.float32(0.0)
    whole = begin + (end - begin) // 4 * 4
    for place in range(begin, whole, 4):
        a, b, c, d = along[place], along[place + 1], along[place + 2], along[place + 3]
        here = likelihood[place * LANES : (place + 4) * LANES]
        for lane in range(LANES):
            w, x, y, z = here[lane], here[lane + LANES], here[lane + 2 * LANES], here[lane + 3 * LANES]
            mass[lane] += (w + x) + (y + z)
            w, x, y, z = w * a, x * b, y * c, z * d
            first[lane] += (w + x) + (y + z)
            second[lane] += (w * a + x * b) + (y * c + z * d)
    for place in range(whole, end):
        for lane in range(LANES):
            share = likelihood[place * LANES + lane]
            mass[lane] += share
            first[lane] += share * along[place]
            second[lane] += share * along[place] * along[place]


@inlined
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
    flat[:] = np.float32(1e-37)
    for which in range(len(parts)):
        _sum_map(likelihood, along, map_first[which], map_first[which + 1], parts[which])
        for lane in range(LANES):
            flat[lane] += parts[which, 0, lane]
    # As in `_sequence_kernels._sum_places`: one function for both was a tenth slower.
    for which in range(len(parts)):
        for lane in range(LANES):
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
    ordered: np.ndarray,
    first: np.ndarray,
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
    scores: np.ndarray,
) -> None:
    """Scores of every event in every lane, and mean and variance of the event's own shuffles there.

    Args:
        first_bin: First bin of each event, and the end, shape (event + 1,).
        ordered, first: Spikes as they are and in each shuffle, see `arrange`.
        rates: Rates as shares of each unit's highest, shape (unit, place × lane).
        base: Chance of a bin without spikes, up to a factor, shape (place × lane,).
        map_first, along: First place of each map, and position of each place along its map, -0.5 to 0.5.
        order, starts, weight, decay: Neighbours along each axis, see `sequence_scores.Neighbours`.
        jump: Chance to go anywhere, per bin.
        path: Whether the log likelihood ratio is scored, else the weighted correlation.
        scores: Filled with score, mean and variance of the shuffles, shape (event, lane, 3).
    """
    n_places, n_maps, n_shuffles = len(along), len(map_first) - 1, len(ordered) - 1
    likelihood, state = np.empty((n_places, LANES), np.float32), np.empty((n_places, LANES), np.float32)
    flattened, moved = likelihood.reshape(-1), np.empty((n_places, LANES), np.float32)
    parts, sums = np.empty((n_maps, 3, LANES), np.float32), np.empty((n_maps, 6, LANES), np.float32)
    flat, ahead, total = np.empty(LANES, np.float32), np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    ratios, mean, squares = np.empty(LANES, np.float64), np.empty(LANES, np.float64), np.empty(LANES, np.float64)
    for event in range(len(first_bin) - 1):
        begin, n_bins = first_bin[event], first_bin[event + 1] - first_bin[event]
        mean[:] = 0.0
        squares[:] = 0.0
        for repeat in range(1 + n_shuffles):
            ratios[:] = 0.0
            sums[:] = np.float32(0.0)
            for index in range(n_bins):
                low, high = first[repeat, begin + index], first[repeat, begin + index + 1]
                _fill(flattened, rates, base, ordered[repeat, low:high], total)
                time = np.float32(index) - np.float32(0.5) * np.float32(n_bins - 1)
                _sum_bin(flattened, map_first, along, time, parts, flat, sums)
                if path:
                    if index == 0:
                        state[:] = np.float32(1.0) / np.float32(n_places)
                    else:
                        _walk(state, moved, ahead, order, starts, weight, decay)
                    _observe(state, likelihood, flat, total, jump, ratios)
            for lane in range(LANES):
                score = ratios[lane] if path else _correlate(sums, lane, n_bins)
                if repeat == 0:
                    scores[event, lane, 0] = score
                else:
                    step = score - mean[lane]
                    mean[lane] += step / repeat
                    squares[lane] += step * (score - mean[lane])
        for lane in range(LANES):
            scores[event, lane, 1] = mean[lane]
            scores[event, lane, 2] = squares[lane] / max(n_shuffles - 1, 1)
