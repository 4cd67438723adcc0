"""Pieces of unlike recordings in one batch: what is missing is absent, what is there is as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tests.modalities import make_recording

from sharpwave.brainmu.batches import collate, map_stages, window_recording
from sharpwave.brainmu.encoders import identify_channels
from sharpwave.brainmu.windows import WindowedRecording
from sharpwave.recordings.recording import Recording


def make_pieces(rng: np.random.Generator) -> list[WindowedRecording]:
    first = make_recording("oxygen", rng, n_channels=3)
    second = make_recording("oxygen", rng, n_channels=1, seconds=150.0)
    heart = make_recording("heart_rate", rng, n_channels=1, seconds=150.0)
    stages = make_recording("stages", rng, seconds=150.0)
    both = Recording(signals={**second.signals, **heart.signals}, hypnogram=stages.hypnogram)
    return [window_recording(first), replace(window_recording(both), scorable=(0, 3), n_stages=3)]


def test_what_is_missing_is_absent(rng: np.random.Generator) -> None:
    long, short = make_pieces(rng)
    batch = collate([long, short])
    oxygen = batch.modalities["oxygen"]
    assert oxygen.values.shape[:3] == (2, 10, 3)
    assert oxygen.present[1].sum() == 5
    np.testing.assert_array_equal(oxygen.values[0].numpy(), long.windows["oxygen"].values)
    np.testing.assert_array_equal(oxygen.values[1, :5, :1].numpy(), short.windows["oxygen"].values)
    assert not batch.modalities["heart_rate"].present[0].any()
    assert batch.valid.sum(dim=1).tolist() == [10, 5]
    assert batch.stages[1, 5:].tolist() == [-1] * 5
    assert not batch.votes[1, 5:].any()
    assert batch.times.dtype == torch.float64
    assert batch.times[0].tolist() == (30.0 * np.arange(1, 11)).tolist()


def test_stages_that_can_be_scored(rng: np.random.Generator) -> None:
    batch = collate(make_pieces(rng))
    assert batch.scorable.tolist() == [[True] * 5, [True, False, False, True, False]]
    np.testing.assert_array_equal(batch.coarse[1].numpy(), map_stages(3))


def test_coarse_stages_share_out_all_fine_ones() -> None:
    for n_stages in (2, 3, 4, 5):
        table = map_stages(n_stages)
        np.testing.assert_array_equal(table.sum(axis=0), 1)
        assert not table[n_stages:].any()
    np.testing.assert_array_equal(map_stages(5), np.eye(5))
    assert map_stages(3)[1].tolist() == [0, 1, 1, 1, 0]


def test_channels_are_known_by_name() -> None:
    assert identify_channels(["C4-M1", "c4-m1", "F4-M1"]).tolist() == [403, 403, 215]
    numbers = identify_channels([f"unit {index}" for index in range(2000)])
    assert numbers.min() >= 1
    assert numbers.max() <= 511


def test_moving_a_batch_keeps_it(rng: np.random.Generator) -> None:
    batch = collate(make_pieces(rng))
    moved = batch.to("cpu")
    torch.testing.assert_close(moved.votes, batch.votes)
    torch.testing.assert_close(moved.modalities["oxygen"].values, batch.modalities["oxygen"].values)
