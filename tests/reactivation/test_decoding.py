from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from tests.reactivation.sessions import fire, make_fields, run_to_and_fro

from sharpwave.reactivation.decoding import (
    Posterior,
    Running,
    compute_running_walk,
    decode_position,
    filter_position,
    learn_running,
    learn_running_walk,
    locate,
    run_filter,
    run_smoother,
    smooth_position,
)
from sharpwave.reactivation.place_fields import estimate_place_fields
from sharpwave.reactivation.position import Position, restrict_position


def test_posterior_is_that_of_the_poisson_formula(rng):
    fields = make_fields(rng, n_units=6, n_places=5)
    trains = {unit: np.sort(rng.uniform(0, 2, 12)) for unit in range(6)}
    prior = rng.random(fields.rates.shape[1])
    found = decode_position(trains, fields, bin_size=0.25, start=0.0, end=2.0, prior=prior)
    for middle, row in zip(found.times, found.probability, strict=True):
        counts = np.array([((t >= middle - 0.125) & (t < middle + 0.125)).sum() for t in trains.values()])
        expected = prior * poisson.pmf(counts[:, None], 0.25 * fields.rates).prod(axis=0)
        assert row == pytest.approx(expected / expected.sum())


def test_a_run_is_decoded_where_it_is(rng):
    position = run_to_and_fro(600)
    where = position.values[:, 0]
    rates = 0.2 + 12 * np.exp(-0.5 * ((where - np.linspace(0, 2, 40)[:, None]) / 0.15) ** 2)
    trains = fire(rates, position.times, rng=rng)
    fields = estimate_place_fields(trains, position)
    posterior = decode_position(trains, fields, bin_size=0.25, start=0.0, end=599.0)
    error = np.abs(locate(posterior, fields)[:, 0] - np.interp(posterior.times, position.times, where))
    assert np.median(error) < 0.08


def test_silence_and_units_that_never_fire_are_no_problem(rng):
    fields = make_fields(rng, n_units=3, n_places=5)
    found = decode_position({0: np.empty(0), 1: np.empty(0), 2: np.empty(0)}, fields, bin_size=0.1, start=0, end=1)
    assert found.probability.sum(axis=1) == pytest.approx(1)
    assert np.isfinite(found.probability).all()


def test_the_median_is_taken_on_the_most_probable_track(rng):
    fields = make_fields(rng, n_places=5)
    probability = np.zeros((1, 20))
    probability[0, 2], probability[0, 7] = 0.3, 0.3
    probability[0, 14] = 0.4
    found = locate(Posterior(np.zeros(1), probability), fields)
    assert found[0, 0] == pytest.approx(fields.position[2, 0])


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


def test_an_animal_turns_round_on_its_track_and_hardly_ever_leaves_it(rng):
    fields = make_fields(rng)
    walk = compute_running_walk(fields, seconds=0.25, turn=0.4, jump=1e-3)
    assert walk.sum(axis=1) == pytest.approx(1)
    outward, inward, other = fields.maps[0], fields.maps[1], fields.maps[2]
    turned = walk[outward[12]][inward].sum()
    assert turned == pytest.approx(0.5 * (1 - np.exp(-2 * 0.4 * 0.25)), abs=2e-3)
    assert walk[outward[12]][other].sum() == pytest.approx(1e-3 / 4)


def test_pixels_are_those_of_a_track_of_two_metres(rng):
    metres = make_fields(rng)
    pixels = replace(metres, position=metres.position * 150, bin_size=metres.bin_size * 150, unit="pixels")
    assert compute_running_walk(pixels, seconds=0.25) == pytest.approx(compute_running_walk(metres, seconds=0.25))


def test_the_speed_of_the_run_is_learnt_in_each_direction(rng):
    fields = make_fields(rng, n_places=50, contents=("a",))
    walk = learn_running_walk(run_to_and_fro(300, speed=0.6), fields, seconds=0.25)
    assert walk.sum(axis=1) == pytest.approx(1)
    for places, way in zip(fields.maps, (1, -1), strict=True):
        middle = places[25]
        moved = walk[middle, places] @ (fields.position[places, 0] - fields.position[middle, 0])
        assert moved == pytest.approx(way * 0.15, abs=0.02)
    outward, inward = fields.maps
    assert walk[outward[49], inward].sum() > 0.5
    assert walk[outward[25], inward].sum() < 0.02


def test_an_animal_that_rests_at_the_end_is_expected_to_stay(rng):
    fields = make_fields(rng, n_places=50, contents=("a",))
    values = np.concatenate([np.linspace(0, 2, 100), np.full(900, 2.0)])
    walk = learn_running_walk(Position(np.arange(1000) / 30, values[:, None]), fields, seconds=0.25)
    assert walk[49, 46:50].sum() > 0.9


def test_each_track_is_learnt_from_its_own_epochs(rng):
    fields = make_fields(rng, n_places=50)
    position = run_to_and_fro(200, speed=0.6)
    slow = run_to_and_fro(200, speed=0.2)
    both = Position(np.r_[position.times, 200 + slow.times], np.concatenate([position.values, slow.values]))
    epochs = pd.DataFrame({"onset": [0.0, 200.0], "duration": 200.0, "content": ["a", "b"]})
    walk = learn_running_walk(both, fields, seconds=0.25, epochs=epochs)
    for content, speed in ((0, 0.6), (1, 0.2)):
        places = fields.maps[2 * content]
        moved = walk[places[25], places] @ (fields.position[places, 0] - fields.position[places[25], 0])
        assert moved == pytest.approx(0.25 * speed, abs=0.02)


def test_pace_and_its_rates_are_learnt_and_help() -> None:
    rng = np.random.default_rng(2)
    places = []
    while len(places) < 500 * 30:  # to and fro at speeds that differ from lap to lap, silent cells in long rests
        for end in (0.0, 2.0):
            places += [end] * int(rng.uniform(2, 6) * 30)
            way = np.linspace(0, 2, int(2 / rng.choice([0.25, 0.9]) * 30))
            places += (way if end == 0 else 2 - way).tolist()
    position = Position(np.arange(len(places)) / 30, np.array(places)[:, None])
    speed = np.abs(np.gradient(position.values[:, 0], position.times))
    rates = 0.1 + 10 * np.exp(-0.5 * ((position.values[:, 0] - rng.uniform(0, 2, 12)[:, None]) / 0.15) ** 2)
    rates = np.where(speed > 0.05, rates * np.where(speed > 0.5, 1.4, 1.0), 0.3)
    spikes = fire(rates, position.times, rng=rng)
    half = float(position.times[-1]) / 2
    first = pd.DataFrame({"onset": [0.0], "duration": [half]})
    fields = estimate_place_fields(spikes, position, epochs=first)
    running = learn_running(spikes, position, fields, seconds=0.25, epochs=first)
    rest, slow, fast = running.gains
    assert rest < 0.6
    assert fast > 1.2 * slow
    assert running.transition.sum(axis=1) == pytest.approx(1)
    walk = learn_running_walk(position, fields, seconds=0.25, epochs=first)
    how = {"bin_size": 0.25, "start": half, "end": float(position.times[-1])}
    errors = []
    for posterior in (
        filter_position(spikes, fields, running=running, **how),
        filter_position(spikes, fields, transition=walk, **how),
    ):
        truth = np.interp(posterior.times, position.times, position.values[:, 0])
        moving = np.interp(posterior.times, position.times, speed) > 0.05
        errors.append(np.abs(locate(posterior, fields)[:, 0] - truth)[moving].mean())
    assert errors[0] < errors[1]


def test_one_pace_of_its_own_rates_is_the_plain_walk() -> None:
    position = run_to_and_fro(60.0)
    rng = np.random.default_rng(0)
    rates = 0.1 + 10 * np.exp(-0.5 * ((position.values[:, 0] - rng.uniform(0, 2, 12)[:, None]) / 0.15) ** 2)
    spikes = fire(rates, position.times, rng=rng)
    fields = estimate_place_fields(spikes, position)
    walk = learn_running_walk(position, fields, seconds=0.25)
    plain = filter_position(spikes, fields, bin_size=0.25, start=0.0, end=60.0, transition=walk)
    paced = filter_position(spikes, fields, bin_size=0.25, start=0.0, end=60.0, running=Running(walk, np.ones(1)))
    assert paced.probability == pytest.approx(plain.probability)
