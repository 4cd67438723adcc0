"""Numba kernels of `sequence_scores`: many surrogates of one event at once, one in each lane.

Inner loops run over lanes and do one thing each, so that the compiler turns them into vector instructions.

With L_t(x) the likelihood of bin t at place x of n, j the chance to jump and W the walk, the log likelihood ratio is

    α_t(x) = L_t(x) ((1 - j) Σ_y α'_(t-1)(y) W(y, x) + j/n),   Σ_t log (Σ_x α_t(x) / mean_x L_t(x)),

with α' the α that was scaled to sum to 1, and every place alike at first. W has two-sided geometric steps, W(y, x) =
w(y) d^|x - y| along a chain, so that a sweep up and one down give it without a matrix:

    a_x = d a_(x-1) + w_x α_x,   b_x = d (b_(x+1) + w_(x+1) α_(x+1)),   Σ_y α_y W(y, x) = a_x + b_x.
"""

from __future__ import annotations

import numpy as np

from sharpwave.reactivation._kernels import compiled, inlined

LANES = 32
"""Surrogates scored together."""

RESCALE_EVERY = 8
"""Spikes in a bin after which a likelihood is scaled back, so that float32 does not underflow."""


@inlined
def _fill_likelihood(
    row: np.ndarray, rates: np.ndarray, base: np.ndarray, units: np.ndarray, low: int, high: int
) -> None:
    """Likelihood of one bin at each place, up to a factor, into `row`."""
    n_places = row.shape[0]
    for place in range(n_places):
        row[place] = base[place]
    for spike in range(low, high):
        own = rates[units[spike]]
        for place in range(n_places):
            row[place] *= own[place]
        if (spike - low) % RESCALE_EVERY == RESCALE_EVERY - 1:
            factor = np.float32(1.0) / max(row.max(), np.float32(1e-37))
            for place in range(n_places):
                row[place] = max(row[place] * factor, np.float32(1e-15))


@inlined
def _fill_lanes(
    likelihood: np.ndarray,
    row: np.ndarray,
    rates: np.ndarray,
    base: np.ndarray,
    units: np.ndarray,
    sources: np.ndarray,
    first_spike: np.ndarray,
) -> None:
    """Likelihood of one bin in every lane, where each lane takes its spikes from a bin of its own."""
    n_places, n_lanes = likelihood.shape
    for lane in range(n_lanes):
        table = lane if rates.shape[0] > 1 else 0
        low, high = first_spike[sources[lane]], first_spike[sources[lane] + 1]
        _fill_likelihood(row, rates[table], base[table], units[lane], low, high)
        for place in range(n_places):
            likelihood[place, lane] = row[place]


@inlined
def _walk(
    state: np.ndarray,
    moved: np.ndarray,
    ahead: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    weight: np.ndarray,
    decay: np.ndarray,
) -> None:
    """Random walk with two-sided geometric steps along every axis, in place: O(place) whatever the step."""
    n_axes, n_places = order.shape
    n_lanes = state.shape[1]
    for axis in range(n_axes):
        factor = decay[axis]
        for index in range(n_places):
            place = order[axis, index]
            source, goal, share = state[place], moved[place], weight[axis, index]
            if starts[axis, index]:
                ahead[:] = 0.0
            for lane in range(n_lanes):
                ahead[lane] = factor * ahead[lane] + share * source[lane]
            for lane in range(n_lanes):
                goal[lane] = ahead[lane]
        ahead[:] = 0.0
        for index in range(n_places - 1, -1, -1):
            place = order[axis, index]
            source, goal, share = state[place], moved[place], weight[axis, index]
            for lane in range(n_lanes):
                goal[lane] += ahead[lane]
            for lane in range(n_lanes):
                ahead[lane] = factor * (ahead[lane] + share * source[lane])
            for lane in range(n_lanes):
                source[lane] = goal[lane]
            if starts[axis, index]:
                ahead[:] = 0.0


@inlined
def _observe(
    state: np.ndarray,
    likelihood: np.ndarray,
    flat: np.ndarray,
    total: np.ndarray,
    jump: np.float32,
    ratio: np.ndarray,
) -> None:
    """Multiply the prediction by the likelihood, in place, and normalise it; `total` is filled with the sum before.

    Its logarithm, less that of the likelihood's mean over places, is what this bin adds to `ratio`.
    """
    n_places, n_lanes = state.shape
    stay, anywhere = np.float32(1.0) - jump, jump / np.float32(n_places)
    total[:] = 0.0
    for place in range(n_places):
        own, chance = state[place], likelihood[place]
        for lane in range(n_lanes):
            own[lane] = (stay * own[lane] + anywhere) * chance[lane]
        for lane in range(n_lanes):
            total[lane] += own[lane]
    for place in range(n_places):
        own = state[place]
        for lane in range(n_lanes):
            own[lane] /= total[lane]
    for lane in range(n_lanes):
        ratio[lane] += np.log(total[lane] * n_places / flat[lane])


@inlined
def _sum_lanes(likelihood: np.ndarray, flat: np.ndarray) -> None:
    """Sum over places in each lane."""
    flat[:] = 0.0
    for place in range(likelihood.shape[0]):
        chance = likelihood[place]
        for lane in range(likelihood.shape[1]):
            flat[lane] += chance[lane]


@inlined
def _sum_places(
    likelihood: np.ndarray,
    flat: np.ndarray,
    maps: np.ndarray,
    along: np.ndarray,
    time: np.float32,
    parts: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add one bin to the sums behind the weighted correlation of each map."""
    n_lanes = likelihood.shape[1]
    parts[:] = 0.0
    for place in range(likelihood.shape[0]):
        share, where = likelihood[place], along[place]
        mass, first, second = parts[maps[place], 0], parts[maps[place], 1], parts[maps[place], 2]
        for lane in range(n_lanes):
            mass[lane] += share[lane]
        for lane in range(n_lanes):
            first[lane] += share[lane] * where
        for lane in range(n_lanes):
            second[lane] += share[lane] * where * where
    for which in range(parts.shape[0]):
        for lane in range(n_lanes):
            scale = np.float32(1.0) / flat[lane]
            mass_here, first_here = parts[which, 0, lane] * scale, parts[which, 1, lane] * scale
            sums[which, 0, lane] += mass_here
            sums[which, 1, lane] += first_here
            sums[which, 2, lane] += parts[which, 2, lane] * scale
            sums[which, 3, lane] += mass_here * time
            sums[which, 4, lane] += first_here * time
            sums[which, 5, lane] += mass_here * time * time


@inlined
def _correlate(sums: np.ndarray, lane: int, n_bins: int) -> float:
    """Largest weighted correlation over maps, times the map's share of the posterior."""
    best = 0.0
    for which in range(sums.shape[0]):
        mass = sums[which, 0, lane]
        if mass <= 0:
            continue
        place, time = sums[which, 1, lane] / mass, sums[which, 3, lane] / mass
        place_variance = sums[which, 2, lane] / mass - place * place
        time_variance = sums[which, 5, lane] / mass - time * time
        if place_variance > 1e-7 and time_variance > 1e-7:
            covariance = sums[which, 4, lane] / mass - place * time
            best = max(best, abs(covariance) / np.sqrt(place_variance * time_variance) * mass / n_bins)
    return best


@compiled
def score_block(
    first_bin: np.ndarray,
    first_spike: np.ndarray,
    units: np.ndarray,
    bins: np.ndarray,
    rates: np.ndarray,
    base: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    weight: np.ndarray,
    decay: np.ndarray,
    jump: np.float32,
    maps: np.ndarray,
    along: np.ndarray,
    n_maps: int,
    path: bool,
    scores: np.ndarray,
) -> None:
    """Scores of every event in every lane.

    Args:
        first_bin: First bin of each event, and the end, shape (event + 1,).
        first_spike: First spike of each bin, and the end, shape (bin + 1,).
        units: Unit of each spike, shape (lane, spike).
        bins: Bin that stands at each place in time, shape (lane, bin).
        rates: Rates as shares of each unit's highest, shape (lane or 1, unit, place).
        base: Chance of a bin without spikes, up to a factor, shape (lane or 1, place).
        order, starts, weight, decay: Neighbours along each axis, see `sequence_scores.Neighbours`.
        jump: Chance to go anywhere, per bin.
        maps, along: Map of each place, and position along it, -0.5 to 0.5.
        n_maps: Number of maps.
        path: Whether the log likelihood ratio is wanted too, which costs as much again.
        scores: Filled with the log likelihood ratio (NaN if not wanted) and the weighted correlation, shape (lane,
            event, 2).
    """
    n_lanes, n_places = units.shape[0], rates.shape[2]
    row = np.empty(n_places, np.float32)
    likelihood = np.empty((n_places, n_lanes), np.float32)
    state = np.empty((n_places, n_lanes), np.float32)
    moved = np.empty((n_places, n_lanes), np.float32)
    ahead = np.empty(n_lanes, np.float32)
    total = np.empty(n_lanes, np.float32)
    flat = np.empty(n_lanes, np.float32)
    ratio = np.empty(n_lanes, np.float64)
    sums = np.empty((n_maps, 6, n_lanes), np.float32)
    parts = np.empty((n_maps, 3, n_lanes), np.float32)
    for event in range(first_bin.shape[0] - 1):
        begin, end = first_bin[event], first_bin[event + 1]
        ratio[:] = 0.0 if path else np.nan
        sums[:] = 0.0
        for index in range(begin, end):
            _fill_lanes(likelihood, row, rates, base, units, bins[:, index], first_spike)
            _sum_lanes(likelihood, flat)
            if path:
                if index == begin:
                    state[:] = np.float32(1.0) / np.float32(n_places)
                else:
                    _walk(state, moved, ahead, order, starts, weight, decay)
                _observe(state, likelihood, flat, total, jump, ratio)
            time = np.float32(index - begin) - np.float32(0.5) * np.float32(end - begin - 1)
            _sum_places(likelihood, flat, maps, along, time, parts, sums)
        for lane in range(n_lanes):
            scores[lane, event, 0] = ratio[lane]
            scores[lane, event, 1] = _correlate(sums, lane, end - begin)


@compiled
def permute_within(values: np.ndarray, first: np.ndarray, draws: np.ndarray) -> None:
    """Shuffle each group of each row in place (Fisher–Yates), from uniform draws of the same shape as `values`."""
    for row in range(values.shape[0]):
        for group in range(first.shape[0] - 1):
            low = first[group]
            for index in range(first[group + 1] - 1, low, -1):
                other = low + int(draws[row, index] * (index - low + 1))
                values[row, index], values[row, other] = values[row, other], values[row, index]
