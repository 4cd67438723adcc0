from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.reactivation.sessions import make_fields, run_to_and_fro

from sharpwave.reactivation.position import Position
from sharpwave.reactivation.running_walk import compute_running_walk, learn_running_walk


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
