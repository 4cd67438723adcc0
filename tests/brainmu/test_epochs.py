"""Recordings on a grid: stages where they belong, nothing padded, and what cannot be cut refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.modalities import make_recording

from sharpwave.brainmu.epochs import (
    EpochedRecording,
    EpochGrid,
    ModalityEpochs,
    align_stages,
    collate,
    epoch_recording,
    identify_channels,
    map_stages,
)
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording


def test_the_last_incomplete_step_is_left_out(rng: np.random.Generator) -> None:
    windowed = epoch_recording(make_recording("oxygen", rng, seconds=100.0))
    assert len(windowed) == 3
    np.testing.assert_array_equal(windowed.grid.ends, [30, 60, 90])


def test_a_hypnogram_alone_starts_the_grid() -> None:
    windowed = epoch_recording(Recording(hypnogram=Hypnogram(np.array([0, 1, 2]), start=95.0)))
    assert windowed.grid.start == 95.0
    assert windowed.stages.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("length", "n"), [(5.0, 60), (30.0, 10), (60.0, 5)])
def test_a_step_has_the_stage_at_its_middle(length: float, n: int) -> None:
    hypnogram = Hypnogram(np.arange(n) % 5, length)
    stages, votes, n_stages = align_stages(hypnogram, EpochGrid(0.0, 30.0, 12))
    expected = [int(np.asarray(hypnogram.stages)[int((30 * k + 15) // length)]) for k in range(10)]
    assert stages.tolist() == [*expected, -1, -1]
    assert n_stages == 5
    np.testing.assert_array_equal(votes[:10].argmax(axis=1), expected)
    assert not votes[10:].any()


@pytest.mark.parametrize(("length", "start"), [(60.0, 0.0), (30.0, 10.0), (20.0, 3.0)])
def test_the_history_holds_no_epoch_that_has_not_ended(length: float, start: float) -> None:
    n = int(600 // length)
    votes = np.random.default_rng(0).dirichlet(np.ones(5), n)
    hypnogram = Hypnogram(votes.argmax(axis=1), length, start=start, probabilities=votes)
    grid = EpochGrid(0.0, 30.0, 18)
    told = align_stages(hypnogram, grid, ended=True)[1]
    for step, end in enumerate(grid.ends):
        last = int((end - start) // length) - 1
        if told[step].any():
            used = np.flatnonzero(np.isclose(votes, told[step]).all(axis=1))[0]
            assert used <= last
    assert told.any(axis=1).sum() >= 16


def test_votes_and_fewer_stages(rng: np.random.Generator) -> None:
    votes = rng.dirichlet(np.ones(3), 4)
    stages, told, n_stages = align_stages(
        Hypnogram(votes.argmax(axis=1), n_stages=3, probabilities=votes), EpochGrid(0.0, 30.0, 4)
    )
    assert n_stages == 3
    np.testing.assert_allclose(told[:, :3], votes, atol=1e-6)
    assert not told[:, 3:].any()
    assert stages.max() <= 2


def test_restrict_and_only(rng: np.random.Generator) -> None:
    recording = make_recording("oxygen", rng)
    both = epoch_recording(replace(recording, hypnogram=make_recording("stages", rng).hypnogram))
    part = both.restrict(3, 7).only(["stages"])
    assert list(part.epochs) == ["stages"]
    assert part.grid.start == 90.0
    assert len(part) == 4
    np.testing.assert_array_equal(part.epochs["stages"].values, both.epochs["stages"].values[3:7])
    np.testing.assert_array_equal(part.stages, both.stages[3:7])


def test_absolute_channels_keep_their_scale(rng: np.random.Generator) -> None:
    recording = make_recording("features", rng, n_channels=2)
    first, second = recording.signals.values()
    signals = {"power": replace(first, name="power"), "power_level": replace(second, name="power_level")}
    windows = epoch_recording(Recording(signals=signals)).epochs["features"]
    np.testing.assert_allclose(windows.values[:, 1, 0], 8.0)
    assert np.abs(windows.values[:, 0, 0]).max() < 4


def test_a_course_within_a_step(rng: np.random.Generator) -> None:
    signal = next(iter(make_recording("position", rng, n_channels=1).signals.values()))
    ramp = np.repeat(np.arange(60.0), 5 * 30)[: len(signal)]
    from sharpwave.brainmu.encoders.behaviour import summarise_steps

    values, present = summarise_steps(replace(signal, samples=ramp), EpochGrid(0.0, 30.0, 10))
    assert present.all()
    np.testing.assert_allclose(values[:, 0, 3:9], np.arange(60).reshape(10, 6))
    np.testing.assert_allclose(values[:, 0, 9], 1)
    np.testing.assert_allclose(values[:, 0, 0], values[:, 0, 3:9].mean(axis=1))
    np.testing.assert_allclose(values[:, 0, 2], values[:, 0, 8])
    slow, _ = summarise_steps(replace(signal, samples=np.arange(10.0), rate=1 / 30), EpochGrid(0.0, 30.0, 10))
    np.testing.assert_allclose(slow[:, 0, 3:9], np.arange(10)[:, None] * np.ones(6))
    np.testing.assert_allclose(slow[:, 0, 9], 1 / 6)


def test_volumes_are_cubes_of_voxels(rng: np.random.Generator) -> None:
    signal = next(iter(make_recording("bold", rng, n_channels=1).signals.values()))
    volumes = rng.standard_normal((len(signal), 8, 5, 4)).astype(np.float32)
    volumes[:, 0, 0, 0] = np.nan
    from sharpwave.brainmu.encoders.bold import as_patches

    patches = as_patches("bold", replace(signal, samples=volumes))
    assert patches.channels == ("patch 0 0 0", "patch 0 1 0", "patch 1 0 0", "patch 1 1 0")
    np.testing.assert_allclose(patches.samples[:, 0], np.nanmean(volumes[:, :4, :4, :4], axis=(1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(patches.samples[:, 3], volumes[:, 4:, 4:, :].mean(axis=(1, 2, 3)), atol=1e-5)
    fine = as_patches("bold", replace(signal, samples=np.ones((2, 64, 64, 30), np.float32)))
    assert fine.samples.shape[1] <= 512


def test_what_cannot_be_cut_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="a recording of at least one step of 30 s"):
        epoch_recording(make_recording("oxygen", rng, seconds=20.0))
    with pytest.raises(SharpwaveError, match="a recording with one of eeg, eog"):
        epoch_recording(make_recording("oxygen", rng), modalities=["eeg", "eog"])
    signal = next(iter(make_recording("bold", rng, n_channels=1).signals.values()))
    film = replace(signal, samples=np.zeros((len(signal), 4, 4), np.float32))
    with pytest.raises(SharpwaveError, match=r"parcels \(time, parcel\) or volumes"):
        epoch_recording(Recording(signals={"film": film}))


def test_windows_refuse_what_does_not_fit() -> None:
    with pytest.raises(SharpwaveError, match="a name per channel"):
        ModalityEpochs(np.zeros((3, 2, 4)), np.ones((3, 2), bool), ("one",))
    with pytest.raises(SharpwaveError, match="finite values"):
        ModalityEpochs(np.full((3, 1, 4), np.nan), np.ones((3, 1), bool), ("one",))


def make_pieces(rng: np.random.Generator) -> list[EpochedRecording]:
    first = make_recording("oxygen", rng, n_channels=3)
    second = make_recording("oxygen", rng, n_channels=1, seconds=150.0)
    heart = make_recording("heart_rate", rng, n_channels=1, seconds=150.0)
    stages = make_recording("stages", rng, seconds=150.0)
    both = Recording(signals={**second.signals, **heart.signals}, hypnogram=stages.hypnogram)
    return [epoch_recording(first), replace(epoch_recording(both), scorable=(0, 3), n_stages=3)]


def test_what_is_missing_is_absent(rng: np.random.Generator) -> None:
    long, short = make_pieces(rng)
    batch = collate([long, short])
    oxygen = batch.modalities["oxygen"]
    assert oxygen.values.shape[:3] == (2, 10, 3)
    assert oxygen.present[1].sum() == 5
    np.testing.assert_array_equal(oxygen.values[0].numpy(), long.epochs["oxygen"].values)
    np.testing.assert_array_equal(oxygen.values[1, :5, :1].numpy(), short.epochs["oxygen"].values)
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
