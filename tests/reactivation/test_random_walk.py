from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.reactivation.sessions import make_fields

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.random_walk import compute_random_walk, find_diagonals


def test_a_step_has_the_variance_asked_for_and_stays_on_its_map(rng):
    fields = make_fields(rng, n_places=100)
    walk = compute_random_walk(fields, seconds=0.02, diffusion=0.5)
    assert walk.sum(axis=1) == pytest.approx(1)
    middle = 50
    places = fields.maps[0]
    distance = fields.position[places, 0] - fields.position[middle, 0]
    assert walk[middle, places] @ distance**2 == pytest.approx(0.01, rel=0.01)
    assert walk[middle, np.setdiff1d(np.arange(400), places)].sum() == 0


def test_no_diffusion_is_no_step(rng):
    fields = make_fields(rng)
    assert np.array_equal(compute_random_walk(fields, seconds=0.02, diffusion=0.0), np.eye(100))
    with pytest.raises(SharpwaveError, match="a diffusion of at least 0"):
        compute_random_walk(fields, seconds=0.02, diffusion=-1.0)


def test_pixels_are_those_of_a_track_of_two_metres(rng):
    metres = make_fields(rng)
    pixels = replace(metres, position=metres.position * 150, bin_size=metres.bin_size * 150, unit="pixels")
    assert compute_random_walk(pixels, seconds=0.02) == pytest.approx(compute_random_walk(metres, seconds=0.02))


def test_diagonals_hold_the_whole_matrix(rng):
    matrix = np.where(rng.random((7, 7)) < 0.3, rng.random((7, 7)), 0)
    offsets, weights = find_diagonals(matrix)
    rebuilt = np.zeros((7, 7))
    for offset, diagonal in zip(offsets, weights, strict=True):
        for row in range(7):
            if 0 <= row + offset < 7:
                rebuilt[row, row + offset] = diagonal[row]
    assert rebuilt == pytest.approx(matrix)
