from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from tests.reactivation.sessions import fire, make_fields, run_to_and_fro

from sharpwave.reactivation.bayes import decode_position, locate
from sharpwave.reactivation.filtering import filter_position, run_filter, run_smoother, smooth_position
from sharpwave.reactivation.place_fields import estimate_place_fields
from sharpwave.reactivation.position import restrict_position
from sharpwave.reactivation.running_walk import learn_running_walk


def sum_over_paths(likelihood: np.ndarray, transition: np.ndarray) -> np.ndarray:
    """Posterior of each place in each bin, from every path there is."""
    n_bins, n = likelihood.shape
    found = np.zeros((n_bins, n))
    for path in product(range(n), repeat=n_bins):
        weight = likelihood[0, path[0]]
        for t in range(1, n_bins):
            weight *= transition[path[t - 1], path[t]] * likelihood[t, path[t]]
        for t, place in enumerate(path):
            found[t, place] += weight
    return found / found.sum(axis=1, keepdims=True)


def test_filter_and_smoother_are_sums_over_all_paths(rng):
    likelihood = rng.random((5, 4))
    transition = rng.dirichlet(np.ones(4), size=4)
    filtered, smoothed = run_filter(likelihood, transition), run_smoother(likelihood, transition)
    assert smoothed == pytest.approx(sum_over_paths(likelihood, transition))
    for t in range(5):
        assert filtered[t] == pytest.approx(sum_over_paths(likelihood[: t + 1], transition)[t])


def test_the_filter_knows_nothing_of_later_spikes(rng):
    fields = make_fields(rng)
    trains = {unit: np.sort(rng.uniform(0, 10, 40)) for unit in range(30)}
    early = {unit: times[times < 5] for unit, times in trains.items()}
    whole = filter_position(trains, fields, bin_size=0.25, start=0, end=10).probability
    cut = filter_position(early, fields, bin_size=0.25, start=0, end=10).probability
    assert np.array_equal(whole[:20], cut[:20])
    assert not np.allclose(whole[20:], cut[20:])
    smooth = smooth_position(trains, fields, bin_size=0.25, start=0, end=10).probability
    assert not np.allclose(smooth[:20], smooth_position(early, fields, bin_size=0.25, start=0, end=10).probability[:20])


def test_memory_helps_and_knowing_how_the_animal_runs_helps_more(rng):
    """Cells that fire in one direction only, few spikes."""
    position = run_to_and_fro(600)
    where, out = position.values[:, 0], (0.2 * position.times) % 2 < 1
    centres = rng.uniform(0, 2, (12, 1))
    way = rng.random((12, 1)) < 0.5
    rates = 0.3 + np.where(way == out, 6 * np.exp(-0.5 * ((where - centres) / 0.2) ** 2), 0)
    trains = fire(rates, position.times, rng=rng)
    early = restrict_position(position, 0.0, 300.0)
    fields = estimate_place_fields(trains, early)
    learnt = learn_running_walk(early, fields, seconds=0.25)

    def compute_error(decode, **options) -> float:
        posterior = decode(trains, fields, bin_size=0.25, start=300.0, end=599.0, **options)
        truth = np.interp(posterior.times, position.times, where)
        return float(np.abs(locate(posterior, fields)[:, 0] - truth).mean())

    memoryless, filtered = compute_error(decode_position), compute_error(filter_position)
    assert filtered < 0.9 * memoryless
    assert compute_error(filter_position, transition=learnt) < 0.7 * filtered
    assert compute_error(smooth_position) < 0.8 * filtered
