from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from tests.reactivation import sessions
from tests.reactivation.sessions import fire, run_to_and_fro

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.place_fields import (
    compute_information,
    compute_log_likelihood,
    estimate_place_fields,
    make_fields,
    mark_place_cells,
    mark_within,
    select_place_cells,
)
from sharpwave.reactivation.position import Position, compute_velocity


def tune(position: np.ndarray, centre: float) -> np.ndarray:
    return 0.5 + 12 * np.exp(-0.5 * ((position - centre) / 0.15) ** 2)


def test_fields_of_a_known_generator_are_found(rng):
    """Unit 0 fires on the way out at 0.6 m, unit 1 on the way back at 1.5 m, unit 2 everywhere, unit 3 never."""
    position = run_to_and_fro(3000)
    where, out = position.values[:, 0], compute_velocity(position)[:, 0] > 0
    rates = np.stack(
        [
            np.where(out, tune(where, 0.6), 0.5),
            np.where(out, 0.5, tune(where, 1.5)),
            np.full(len(where), 4.0),
            np.zeros(len(where)),
        ]
    )
    trains = fire(rates, position.times, rng=rng)
    fields = estimate_place_fields(trains, position, smoothing=0.02)
    assert fields.contents == ("track",)
    assert len(fields.maps) == 2
    outward, inward = fields.maps
    assert set(fields.direction[outward]) == {0}
    middle = fields.position[outward, 0]
    inner = (middle > 0.1) & (middle < 1.9)
    for unit, places, centre in ((0, outward, 0.6), (1, inward, 1.5)):
        error = np.abs(fields.rates[unit, places] - tune(fields.position[places, 0], centre))[inner]
        assert error.mean() < 0.5
        assert error.max() < 3
    assert fields.rates[0, inward][inner] == pytest.approx(0.5, abs=0.4)
    assert fields.rates[2] == pytest.approx(4.0, abs=1.0)
    assert np.all(fields.rates[3] == 0.05)
    assert fields.occupancy.sum() == pytest.approx(3000, rel=0.02)
    information = compute_information(fields)
    assert information[0] > 0.8
    assert information[2] < 0.03


def test_time_spent_does_not_change_the_rate(rng):
    """The animal spends ten times longer in the left half; a unit that fires evenly must look even."""
    times = np.arange(60_000) / 30
    values = np.where((times % 11) < 10, (times % 11) / 10, 1 + (times % 11) - 10)
    position = Position(times, values[:, None])
    fields = estimate_place_fields(fire(np.full((1, len(times)), 5.0), times, rng=rng), position, directional=False)
    assert fields.occupancy[5] > 5 * fields.occupancy[-5]
    assert fields.rates == pytest.approx(5.0, abs=1.5)
    assert fields.rates[0, :20].mean() == pytest.approx(fields.rates[0, -20:].mean(), abs=0.3)


def test_contents_and_directions_come_from_the_epochs(rng):
    position = run_to_and_fro(200)
    laps = pd.DataFrame(
        {
            "onset": [5.0 * lap for lap in range(40)],
            "duration": 5.0,
            "content": ["left"] * 20 + ["right"] * 20,
            "run_direction": ["outbound", "inbound"] * 20,
        }
    )
    left = (position.times < 100).astype(float)
    trains = fire(np.stack([5 * left, 5 * (1 - left)]), position.times, rng=rng)
    fields = estimate_place_fields(trains, position, epochs=laps)
    assert fields.contents == ("left", "right")
    assert [len(set(fields.content[places])) for places in fields.maps] == [1, 1, 1, 1]
    assert [int(fields.direction[places[0]]) for places in fields.maps] == [0, 1, 0, 1]
    assert np.all(fields.rates[0, fields.content == 0] > 1)
    assert np.all(fields.rates[0, fields.content == 1] == 0.05)


def test_an_open_field_has_places_where_the_animal_was(rng):
    """A field at (0.3, 0.7) in a square of 1 m, of which one corner is never visited."""
    n = 120_000
    steps = rng.normal(0, 0.02, (n, 2)).cumsum(axis=0)
    values = np.abs((steps + 0.5) % 2 - 1)
    kept = ~((values[:, 0] > 0.7) & (values[:, 1] < 0.3))
    values = values[kept]
    position = Position(np.arange(len(values)) / 30, values)
    rate = 1 + 10 * np.exp(-0.5 * ((values - [0.3, 0.7]) ** 2).sum(axis=1) / 0.1**2)
    trains = fire(rate[None], position.times, rng=rng)
    fields = estimate_place_fields(trains, position, bin_size=0.05, smoothing=0.03, min_speed=0.0)
    assert fields.position.shape[1] == 2
    assert set(fields.direction) == {-1}
    assert not ((fields.position[:, 0] > 0.82) & (fields.position[:, 1] < 0.18)).any()
    assert fields.position[fields.rates[0].argmax()] == pytest.approx([0.3, 0.7], abs=0.1)


def test_what_rests_does_not_count(rng):
    values = np.r_[np.zeros(3000), run_to_and_fro(100).values[:, 0]]
    position = Position(np.arange(len(values)) / 30, values[:, None])
    fields = estimate_place_fields(fire(np.full((1, len(values)), 1.0), position.times, rng=rng), position)
    assert fields.occupancy.sum() < 101


def test_nothing_left_of_the_run_is_an_error():
    position = Position(np.arange(100) / 30, np.ones((100, 1)))
    with pytest.raises(SharpwaveError, match=r"running faster than 0\.05 m/s"):
        estimate_place_fields({0: np.array([1.0])}, position)


def test_three_dimensions_are_too_many():
    with pytest.raises(SharpwaveError, match="one or two dimensions"):
        estimate_place_fields({}, Position(np.arange(9.0), np.ones((9, 3))))


def test_spans_may_overlap():
    spans = pd.DataFrame({"onset": [0.0, 1.0, 5.0], "duration": [4.0, 1.0, 1.0]})
    assert mark_within(np.array([-1.0, 0.0, 3.0, 4.0, 5.5, 6.0]), spans).tolist() == [0, 1, 1, 0, 1, 0]


def test_units_without_place_are_left_out(rng: np.random.Generator) -> None:
    places = np.arange(100)
    fields = 20 * np.exp(-0.5 * ((places - rng.uniform(0, 100, (8, 1))) / 6) ** 2)
    rates = np.vstack([fields, np.full((1, 100), 10.0), 0.2 * fields[:1] / 20])
    chosen = mark_place_cells(make_fields(rates, tuple(range(10))))
    assert chosen.tolist() == [True] * 8 + [False] * 2
    with pytest.raises(SharpwaveError, match="at least 5 place cells"):
        select_place_cells(make_fields(rates[7:], (0, 1, 2)))
    pooled = make_fields(np.repeat(rates, 2, axis=1), tuple(range(10)))
    np.testing.assert_allclose(pooled.rates, np.maximum(rates, 0.05))
    assert pooled.bin_size == 2
    with pytest.raises(SharpwaveError, match="one row a unit"):
        make_fields(rates, (1, 2))


def test_gain_makes_more_spikes_expected(rng):
    fields = sessions.make_fields(rng, n_units=4, n_places=5)
    counts = np.array([[2, 0, 1, 0]])
    logs = compute_log_likelihood(counts, fields, bin_size=0.02, gain=3.0)
    exact = poisson.logpmf(counts[0][:, None], 0.06 * fields.rates).sum(axis=0)
    assert np.ptp(logs[0] - exact) == pytest.approx(0, abs=1e-9)


def test_counts_of_other_units_are_refused(rng):
    with pytest.raises(SharpwaveError, match="counts of 30 units, as the place fields have; got 2"):
        compute_log_likelihood(np.zeros((1, 2), dtype=int), sessions.make_fields(rng), bin_size=0.1)
