from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.replay import run_decoding
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.position import Position


@pytest.mark.data
def test_a_past_only_decoder_errs_by_less_than_the_random_walk(data_root):
    _, rows = run_decoding.run(data_root, seeds=1)
    errors = {row.method: row.value for row in rows if row.metric == "median_error"}
    assert errors["sharpwave"] < 0.055
    assert errors["smoother (sees the future)"] < errors["sharpwave"] < errors["random-walk"] < errors["memoryless"]
    assert errors["memoryless"] < 0.3 * errors["mean position"]
    found = {(row.data, row.metric): row.value for row in rows if row.method == "sharpwave"}
    assert found["rat-ca1-sleep-events/sleep", "discoveries"] == 0
    assert 0.03 < found["rat-ca1-sleep-events/sleep", "significant_share"] < 0.08


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(SharpwaveError, match=r"a folder rat-ca1-\* with spikes\.mat and a trajectory"):
        run_decoding.run(tmp_path, seeds=1)


def test_bins_know_their_block_and_truth():
    times = np.arange(0, 100, 1 / 30)
    position = Position(times, np.abs(times % 20 - 10)[:, None])
    session = run_decoding.cut_session("simulated", {}, position)
    assert set(session.block) == set(range(run_decoding.N_BLOCKS))
    assert np.bincount(session.block).tolist() == [40] * 9 + [39]
    assert session.truth[20] == pytest.approx(1 - 5.125 / 10, abs=0.01)
    assert session.moving.mean() > 0.9


def test_the_median_counts_moving_bins_only(rng):
    times = np.arange(0, 100, 1 / 30)
    session = run_decoding.cut_session("simulated", {}, Position(times, np.abs(times % 20 - 10)[:, None]))
    errors = np.where(session.moving, 0.02, 0.9)
    estimate = run_decoding.estimate_error(session, errors, rng=rng)
    assert (estimate.value, estimate.low, estimate.high) == (0.02, 0.02, 0.02)
    assert estimate.n == session.moving.sum()
