from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.reactivation.sessions import run_to_and_fro

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.position import (
    Position,
    compute_velocity,
    find_runs,
    get_position,
    linearise,
    mark_running,
    restrict_position,
)
from sharpwave.recordings import MODALITIES, Recording, Signal


def test_position_keeps_its_clock_and_leaves_out_what_is_unknown():
    samples = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 3.0]])
    times = np.array([0.0, 0.1, 0.35])
    signal = Signal("tracker", samples, 10.0, MODALITIES["position"], channels=("x", "y"), times=times)
    position = get_position(Recording(signals={"tracker": signal}, metadata={"position_unit": "pixels"}))
    assert position.times.tolist() == [0.0, 0.35]
    assert position.values.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert position.unit == "pixels"


def test_regular_position_starts_where_the_signal_does():
    signal = Signal("position", np.arange(5.0), 2.0, MODALITIES["position"], start=3.0)
    position = get_position(Recording(signals={"position": signal}))
    assert position.times.tolist() == [3.0, 3.5, 4.0, 4.5, 5.0]
    assert (position.dimension, position.unit) == (1, "m")


def test_no_position_is_refused():
    with pytest.raises(SharpwaveError, match="a recording with position; got no signals"):
        get_position(Recording(signals={}))


def test_position_without_a_value_is_refused():
    signal = Signal("position", np.full(5, np.nan), 2.0, MODALITIES["position"])
    with pytest.raises(SharpwaveError, match="no sample with a value"):
        get_position(Recording(signals={"position": signal}))


def test_a_track_is_found_though_the_rat_rested_beside_it_and_the_tracker_jumped(rng):
    """Half the session is spent in a box beside the track; the axis and the length must not notice."""
    run = run_to_and_fro(300)
    angle = np.deg2rad(30)
    along = run.values[:, 0] * 100
    track = np.stack([along * np.cos(angle), along * np.sin(angle)], axis=1) + rng.normal(0, 1, (len(along), 2))
    track[1000] = (5000.0, -5000.0)
    box = np.tile([150.0, -60.0], (len(along), 1)) + rng.normal(0, 0.01, (len(along), 2))
    values = np.concatenate([track, box])
    times = np.arange(len(values)) / 30
    found = linearise(Position(times, values, "pixels"))
    assert found.dimension == 1
    assert found.explained > 0.95
    assert found.times[-1] < 301
    assert np.ptp(found.values) == pytest.approx(200, rel=0.05)
    truth = np.interp(found.times, run.times, along)
    assert np.corrcoef(found.values[:, 0], truth)[0, 1] > 0.999


def test_the_jitter_of_a_long_rest_beside_the_track_does_not_turn_it(rng):
    """Ten times as long in a box as on the track, and the tracker jitters more there than the animal ever moves."""
    run = run_to_and_fro(100)
    track = np.c_[run.values[:, 0], np.full(len(run.times), 0.5)] + rng.normal(0, 0.003, (len(run.times), 2))
    box = rng.normal([0.3, 1.5], 0.05, (10 * len(track), 2))
    values = np.concatenate([track, box])
    found = linearise(Position(np.arange(len(values)) / 30, values))
    assert np.ptp(found.values) == pytest.approx(2.0, rel=0.05)
    assert len(find_runs(found)) == len(find_runs(run))


def test_an_animal_that_never_moves_has_no_track():
    with pytest.raises(SharpwaveError, match="an animal that moves"):
        linearise(Position(np.arange(10.0), np.ones((10, 2))))


def test_velocity_is_that_of_the_run_and_0_across_a_gap():
    position = run_to_and_fro(4.5)
    assert compute_velocity(position)[40:90, 0] == pytest.approx(0.4, abs=0.01)
    gap = Position(np.r_[position.times, position.times + 100], np.tile(position.values, (2, 1)))
    middle = len(position.times)
    assert compute_velocity(gap)[middle - 1 : middle + 1].tolist() == [[0.0], [0.0]]
    assert gap.steps.max() < 0.1


def test_runs_are_the_traversals_and_nothing_else():
    """Three traversals with rests between, and a short walk that is none."""
    legs = [(0, 2), (2, 2), (2, 0), (0, 0), (0, 2), (2, 1.8), (1.8, 1.8)]
    values = np.concatenate([np.linspace(start, end, 150) for start, end in legs])
    position = Position(np.arange(len(values)) / 30, values[:, None])
    runs = find_runs(position)
    assert runs["direction"].tolist() == [1, -1, 1]
    assert runs["onset"].to_numpy() == pytest.approx([0, 10, 20], abs=0.4)
    assert runs["duration"].to_numpy() == pytest.approx(5, abs=0.8)
    assert mark_running(position).mean() == pytest.approx(3 / 7, abs=0.06)
    assert find_runs(restrict_position(position, 5.5, 9.5)).empty


def test_runs_need_a_track():
    with pytest.raises(SharpwaveError, match="call linearise"):
        find_runs(Position(np.arange(10.0), np.ones((10, 2))))


def test_speed_limits_of_pixels_are_those_of_a_track_of_two_metres():
    metres = run_to_and_fro(60)
    pixels = Position(metres.times, metres.values * 250, "pixels")
    pd.testing.assert_frame_equal(
        find_runs(metres)[["onset", "duration", "direction"]], find_runs(pixels)[["onset", "duration", "direction"]]
    )
