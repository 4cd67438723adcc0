from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.replay import run_decoding
from sharpwave.benchmarks.second_world.mazes import ARM, CROSSING, LENGTH, draw_maze_run, to_recording
from sharpwave.benchmarks.second_world.options import SessionOptions
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.environments import find_experience, follow
from sharpwave.reactivation.position import Position, get_position


@pytest.mark.data
def test_a_past_only_decoder_errs_by_less_than_the_random_walk(data_root, monkeypatch):
    monkeypatch.setattr(run_decoding, "N_SECOND_WORLD", 1)
    monkeypatch.setattr(run_decoding, "SECOND_WORLD", 300.0)
    _, rows = run_decoding.run(data_root, seeds=1)
    by_data = {}
    for row in rows:
        if row.metric == "median_error":
            by_data.setdefault(row.data, {})[row.method] = row.value
    assert set(by_data) == {
        "rat-ca1-linear-track/session",
        "second world, straight track 1",
        "second world, branching maze 1",
    }
    for errors in by_data.values():
        assert errors["smoother (sees the future)"] < errors["sharpwave"] <= errors["random-walk"]
        assert errors["sharpwave"] < errors["memoryless"] < 0.3 * errors["mean position"]
    assert by_data["rat-ca1-linear-track/session"]["sharpwave"] < 0.05
    assert by_data["second world, branching maze 1"]["sharpwave"] < 0.03
    found = {(row.data, row.metric): row.value for row in rows if row.method == "sharpwave"}
    assert found["rat-ca1-sleep-events/sleep", "discoveries"] == 0


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(SharpwaveError, match=r"a folder rat-ca1-\* with spikes\.mat and a trajectory"):
        run_decoding.run(tmp_path, seeds=1)


def test_bins_know_their_block_and_truth():
    times = np.arange(0, 100, 1 / 30)
    position = Position(times, np.abs(times % 20 - 10)[:, None])
    session = run_decoding.cut_session("simulated", {}, position)
    assert set(session.block) == set(range(run_decoding.N_BLOCKS))
    assert np.bincount(session.block).tolist() == [40] * 9 + [39]
    assert session.truth[20] == pytest.approx(10 - 5.125, abs=0.1)
    assert session.moving.mean() > 0.9


def test_the_median_counts_moving_bins_only(rng):
    times = np.arange(0, 100, 1 / 30)
    session = run_decoding.cut_session("simulated", {}, Position(times, np.abs(times % 20 - 10)[:, None]))
    errors = np.where(session.moving, 0.02, 0.9)
    estimate = run_decoding.estimate_error(session, errors, rng=rng)
    assert (estimate.value, estimate.low, estimate.high) == (0.02, 0.02, 0.02)
    assert estimate.n == session.moving.sum()


def test_errors_on_a_maze_are_ways_along_it(rng):
    run = draw_maze_run(SessionOptions(n_cells=5, run=200.0), rng=rng)
    path, _ = follow(get_position(to_recording(run)))
    session = run_decoding.cut_session("maze", {}, path)
    assert session.length == pytest.approx(LENGTH, rel=0.05)
    assert session.measure(session.truth) == pytest.approx(0)
    last = float(path.values.max())  # the foot of the arm that lies last on the line
    other = path.graph.starts[2] + path.graph.lengths[2]  # the foot of the arm before it
    away = run_decoding.Session("", {}, path, np.array([last]), *[np.zeros(1)] * 3).measure(np.array([other]))
    assert away[0] * session.length == pytest.approx(2 * (ARM + CROSSING), abs=0.15)


def test_mazes_of_the_second_world_are_run_with_places_that_cells_know(rng):
    run = draw_maze_run(SessionOptions(run=400.0), rng=rng)
    assert np.linalg.norm(run.plane - run.way, axis=1).mean() < 0.05
    speed = np.linalg.norm(np.diff(run.way, axis=0), axis=1) * 40
    assert speed.max() < 1.2  # no jump between arms
    assert 0.2 < (np.abs(run.way[:, 0] - CROSSING) < 0.01).mean() < 0.8
    check = find_experience(to_recording(run))
    assert len(check.fields.units) > 30
