"""Recordings on a grid: stages where they belong, nothing padded, and what cannot be cut refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.modalities import make_recording

from sharpwave.brainmu.batches import window_recording
from sharpwave.brainmu.windows import Grid, Windows, align_stages
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording


def test_the_last_incomplete_step_is_left_out(rng: np.random.Generator) -> None:
    windowed = window_recording(make_recording("oxygen", rng, seconds=100.0))
    assert len(windowed) == 3
    np.testing.assert_array_equal(windowed.grid.ends, [30, 60, 90])


def test_a_hypnogram_alone_starts_the_grid() -> None:
    windowed = window_recording(Recording(hypnogram=Hypnogram(np.array([0, 1, 2]), start=95.0)))
    assert windowed.grid.start == 95.0
    assert windowed.stages.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("length", "n"), [(5.0, 60), (30.0, 10), (60.0, 5)])
def test_a_step_has_the_stage_at_its_middle(length: float, n: int) -> None:
    hypnogram = Hypnogram(np.arange(n) % 5, length)
    stages, votes, n_stages = align_stages(hypnogram, Grid(0.0, 30.0, 12))
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
    grid = Grid(0.0, 30.0, 18)
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
        Hypnogram(votes.argmax(axis=1), n_stages=3, probabilities=votes), Grid(0.0, 30.0, 4)
    )
    assert n_stages == 3
    np.testing.assert_allclose(told[:, :3], votes, atol=1e-6)
    assert not told[:, 3:].any()
    assert stages.max() <= 2


def test_restrict_and_only(rng: np.random.Generator) -> None:
    recording = make_recording("oxygen", rng)
    both = window_recording(replace(recording, hypnogram=make_recording("stages", rng).hypnogram))
    part = both.restrict(3, 7).only(["stages"])
    assert list(part.windows) == ["stages"]
    assert part.grid.start == 90.0
    assert len(part) == 4
    np.testing.assert_array_equal(part.windows["stages"].values, both.windows["stages"].values[3:7])
    np.testing.assert_array_equal(part.stages, both.stages[3:7])


def test_absolute_channels_keep_their_scale(rng: np.random.Generator) -> None:
    recording = make_recording("features", rng, n_channels=2)
    first, second = recording.signals.values()
    signals = {"power": replace(first, name="power"), "power_level": replace(second, name="power_level")}
    windows = window_recording(Recording(signals=signals)).windows["features"]
    np.testing.assert_allclose(windows.values[:, 1, 0], 8.0)
    assert np.abs(windows.values[:, 0, 0]).max() < 4


def test_a_course_within_a_step(rng: np.random.Generator) -> None:
    signal = next(iter(make_recording("position", rng, n_channels=1).signals.values()))
    ramp = np.repeat(np.arange(60.0), 5 * 30)[: len(signal)]
    from sharpwave.brainmu.encoders.summaries import summarise_steps

    values, present = summarise_steps(replace(signal, samples=ramp), Grid(0.0, 30.0, 10))
    assert present.all()
    np.testing.assert_allclose(values[:, 0, 3:9], np.arange(60).reshape(10, 6))
    np.testing.assert_allclose(values[:, 0, 9], 1)
    np.testing.assert_allclose(values[:, 0, 0], values[:, 0, 3:9].mean(axis=1))
    np.testing.assert_allclose(values[:, 0, 2], values[:, 0, 8])
    slow, _ = summarise_steps(replace(signal, samples=np.arange(10.0), rate=1 / 30), Grid(0.0, 30.0, 10))
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
        window_recording(make_recording("oxygen", rng, seconds=20.0))
    with pytest.raises(SharpwaveError, match="a recording with one of eeg, eog"):
        window_recording(make_recording("oxygen", rng), modalities=["eeg", "eog"])
    signal = next(iter(make_recording("bold", rng, n_channels=1).signals.values()))
    film = replace(signal, samples=np.zeros((len(signal), 4, 4), np.float32))
    with pytest.raises(SharpwaveError, match=r"parcels \(time, parcel\) or volumes"):
        window_recording(Recording(signals={"film": film}))


def test_windows_refuse_what_does_not_fit() -> None:
    with pytest.raises(SharpwaveError, match="a name per channel"):
        Windows(np.zeros((3, 2, 4)), np.ones((3, 2), bool), ("one",))
    with pytest.raises(SharpwaveError, match="finite values"):
        Windows(np.full((3, 1, 4), np.nan), np.ones((3, 1), bool), ("one",))
