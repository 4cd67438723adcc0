from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson
from tests.reactivation.sessions import fire, make_fields, run_to_and_fro

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.bayes import Posterior, compute_log_likelihood, decode_position, locate
from sharpwave.reactivation.place_fields import estimate_place_fields


def test_posterior_is_that_of_the_poisson_formula(rng):
    fields = make_fields(rng, n_units=6, n_places=5)
    trains = {unit: np.sort(rng.uniform(0, 2, 12)) for unit in range(6)}
    prior = rng.random(fields.rates.shape[1])
    found = decode_position(trains, fields, bin_size=0.25, start=0.0, end=2.0, prior=prior)
    for middle, row in zip(found.times, found.probability, strict=True):
        counts = np.array([((t >= middle - 0.125) & (t < middle + 0.125)).sum() for t in trains.values()])
        expected = prior * poisson.pmf(counts[:, None], 0.25 * fields.rates).prod(axis=0)
        assert row == pytest.approx(expected / expected.sum())


def test_gain_makes_more_spikes_expected(rng):
    fields = make_fields(rng, n_units=4, n_places=5)
    counts = np.array([[2, 0, 1, 0]])
    logs = compute_log_likelihood(counts, fields, bin_size=0.02, gain=3.0)
    exact = poisson.logpmf(counts[0][:, None], 0.06 * fields.rates).sum(axis=0)
    assert np.ptp(logs[0] - exact) == pytest.approx(0, abs=1e-9)


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


def test_counts_of_other_units_are_refused(rng):
    with pytest.raises(SharpwaveError, match="counts of 30 units, as the place fields have; got 2"):
        compute_log_likelihood(np.zeros((1, 2), dtype=int), make_fields(rng), bin_size=0.1)
