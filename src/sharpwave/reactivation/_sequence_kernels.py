"""Numba kernels of `sequence_scores`: many surrogates of one event at once, one in each lane."""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 16
"""Surrogates scored together: as many float32 values as two or four registers hold."""

RESCALE_EVERY = 8
"""Spikes in a bin after which a likelihood is scaled back, so that float32 never underflows everywhere."""


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _fill_likelihood(row, rates, base, units, low, high):  # type: ignore[no-untyped-def]
    """Likelihood of one bin at each place, largest 1, into `row`."""
    n_places = row.shape[0]
    for place in range(n_places):
        row[place] = base[place]
    count = 0
    for spike in range(low, high):
        unit = units[spike]
        for place in range(n_places):
            row[place] *= rates[unit, place]
        count += 1
        if count == RESCALE_EVERY:
            _scale(row)
            count = 0
    _scale(row)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _scale(row):  # type: ignore[no-untyped-def]
    largest = np.float32(0.0)
    for place in range(row.shape[0]):
        largest = max(largest, row[place])
    factor = np.float32(1.0) / max(largest, np.float32(1e-37))
    for place in range(row.shape[0]):
        row[place] = max(row[place] * factor, np.float32(1e-20))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _walk(state, moved, order, starts, weight, decay):  # type: ignore[no-untyped-def]
    """Random walk with two-sided geometric steps along every axis, in place: O(place) whatever the step."""
    n_axes, n_places = order.shape
    ahead = np.empty(LANES, np.float32)
    for axis in range(n_axes):
        for index in range(n_places):
            place = order[axis, index]
            if starts[axis, index]:
                ahead[:] = 0.0
            for lane in range(LANES):
                ahead[lane] = decay[axis] * ahead[lane] + state[place, lane] * weight[axis, index]
                moved[place, lane] = ahead[lane]
        ahead[:] = 0.0
        for index in range(n_places - 1, -1, -1):
            place = order[axis, index]
            for lane in range(LANES):
                source = state[place, lane] * weight[axis, index]
                state[place, lane] = moved[place, lane] + ahead[lane]
                ahead[lane] = decay[axis] * (ahead[lane] + source)
            if starts[axis, index]:
                ahead[:] = 0.0


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def score_block(  # type: ignore[no-untyped-def]
    first_bin, first_spike, units, bins, rates, base, order, starts, weight, decay, jump, maps, along, n_maps, scores
):
    """Scores of every event in `LANES` surrogates.

    Args:
        first_bin: First bin of each event, and the end, shape (event + 1,).
        first_spike: First spike of each bin, and the end, shape (bin + 1,).
        units: Unit of each spike, shape (lane, spike).
        bins: Which bin stands at each place in time, shape (lane, bin).
        rates: Scaled rates, shape (lane or 1, unit, place).
        base: exp of minus the expected count of all units, shape (lane or 1, place).
        order, starts, weight, decay: Neighbours along each axis, see `sequence_scores.Neighbours`.
        jump: Chance to go anywhere, per bin.
        maps: Map of each place.
        along: Position along its map, 0 to 1.
        n_maps: Number of maps.
        scores: Filled: log likelihood ratio and weighted correlation, shape (lane, event, 2).
    """
    n_places = rates.shape[2]
    own = rates.shape[0] > 1
    row = np.empty(n_places, np.float32)
    likelihood = np.empty((n_places, LANES), np.float32)
    state = np.empty((n_places, LANES), np.float32)
    moved = np.empty((n_places, LANES), np.float32)
    total = np.empty(LANES, np.float32)
    flat = np.empty(LANES, np.float32)
    ratio = np.empty(LANES, np.float64)
    sums = np.empty((n_maps, 6, LANES), np.float32)
    parts = np.empty((n_maps, 3, LANES), np.float32)
    for event in range(first_bin.shape[0] - 1):
        begin, end = first_bin[event], first_bin[event + 1]
        ratio[:] = 0.0
        sums[:] = 0.0
        for index in range(begin, end):
            for lane in range(LANES):
                source = bins[lane, index]
                table = lane if own else 0
                _fill_likelihood(
                    row, rates[table], base[table], units[lane], first_spike[source], first_spike[source + 1]
                )
                for place in range(n_places):
                    likelihood[place, lane] = row[place]
            if index == begin:
                state[:] = np.float32(1.0 / n_places)
            else:
                _walk(state, moved, order, starts, weight, decay)
            flat[:] = 0.0
            total[:] = 0.0
            for place in range(n_places):
                for lane in range(LANES):
                    stay = (np.float32(1.0) - jump) * state[place, lane] + jump / n_places
                    state[place, lane] = stay * likelihood[place, lane]
                    total[lane] += state[place, lane]
                    flat[lane] += likelihood[place, lane]
            for lane in range(LANES):
                ratio[lane] += np.log(total[lane] * n_places / flat[lane])
                total[lane] = np.float32(1.0) / total[lane]
                flat[lane] = np.float32(1.0) / flat[lane]
            parts[:] = 0.0
            for place in range(n_places):
                which, where = maps[place], along[place] - np.float32(0.5)
                for lane in range(LANES):
                    state[place, lane] *= total[lane]
                    share = likelihood[place, lane]
                    parts[which, 0, lane] += share
                    parts[which, 1, lane] += share * where
                    parts[which, 2, lane] += share * where * where
            time = np.float32(index - begin) - np.float32(0.5) * np.float32(end - begin - 1)
            for which in range(n_maps):
                for lane in range(LANES):
                    mass, first = parts[which, 0, lane] * flat[lane], parts[which, 1, lane] * flat[lane]
                    sums[which, 0, lane] += mass
                    sums[which, 1, lane] += first
                    sums[which, 2, lane] += parts[which, 2, lane] * flat[lane]
                    sums[which, 3, lane] += mass * time
                    sums[which, 4, lane] += first * time
                    sums[which, 5, lane] += mass * time * time
        for lane in range(LANES):
            best = 0.0
            for which in range(n_maps):
                mass = sums[which, 0, lane]
                if mass <= 0:
                    continue
                place_mean, time_mean = sums[which, 1, lane] / mass, sums[which, 3, lane] / mass
                place_var = sums[which, 2, lane] / mass - place_mean**2
                time_var = sums[which, 5, lane] / mass - time_mean**2
                if place_var <= 1e-9 or time_var <= 1e-9:
                    continue
                covariance = sums[which, 4, lane] / mass - place_mean * time_mean
                correlation = abs(covariance) / np.sqrt(place_var * time_var)
                best = max(best, correlation * mass / (end - begin))
            scores[lane, event, 0] = ratio[lane]
            scores[lane, event, 1] = best


@njit(cache=True, nogil=True)
def permute_within(values, first, draws):  # type: ignore[no-untyped-def]
    """Shuffle each group of each row in place (Fisher–Yates), from uniform draws of the same shape as `values`."""
    for row in range(values.shape[0]):
        for group in range(first.shape[0] - 1):
            low = first[group]
            for index in range(first[group + 1] - 1, low, -1):
                other = low + int(draws[row, index] * (index - low + 1))
                values[row, index], values[row, other] = values[row, other], values[row, index]
