from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tests.brainmu.training_nights import make_recording
from tests.nights import simulate_short_night, write_short_store

from sharpwave.brainmu import window_recording
from sharpwave.brainmu.training import stored_windows
from sharpwave.brainmu.training.pieces import Nights
from sharpwave.brainmu.training.stored_windows import StoredNight, find_stores, store_windows, stream_stores
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording


def test_pieces_from_disk_equal_slices_of_the_whole_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windowed in stretches of 50 steps; a piece across two of them."""
    monkeypatch.setattr(stored_windows, "STRETCH", 50)
    store = write_short_store(tmp_path / "night.zarr")
    (stored,) = stream_stores([tmp_path])
    whole = window_recording(simulate_short_night()[0])
    piece, expected = stored.restrict(37, 111), whole.restrict(37, 111)
    assert len(stored) == len(whole) == 180
    assert set(piece.windows) == set(expected.windows) == {"stages", "eeg", "eog", "emg"}
    for name, windows in expected.windows.items():
        np.testing.assert_allclose(piece.windows[name].values, windows.values, atol=2e-5, err_msg=name)
        np.testing.assert_array_equal(piece.windows[name].present, windows.present)
        assert piece.windows[name].channels == windows.channels
    np.testing.assert_array_equal(piece.stages, expected.stages)
    np.testing.assert_array_equal(piece.votes, expected.votes)
    assert (piece.grid, piece.n_stages, piece.subject) == (expected.grid, expected.n_stages, expected.subject)
    assert store.is_dir()


def test_measures_of_the_night_so_far_are_those_of_the_whole_night(tmp_path: Path) -> None:
    """A heart rate that rises: a piece alone would be compared with itself."""
    recording = make_recording(0, n_steps=600)
    stored, whole = store_windows(recording, tmp_path / "night"), window_recording(recording)
    np.testing.assert_allclose(
        stored.restrict(400, 420).windows["heart_rate"].values,
        whole.windows["heart_rate"].values[400:420],
        atol=1e-5,
    )


def test_memory_is_that_of_a_piece_whatever_the_cohort(tmp_path: Path) -> None:
    for index in range(4):
        store_windows(simulate_short_night()[0], tmp_path / f"night{index}", modalities=["eeg", "eog", "emg"])
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    source, rng = Nights([StoredNight(path) for path in sorted(tmp_path.iterdir())]), np.random.default_rng(0)
    tracemalloc.start()
    for _ in range(40):
        source.draw(rng, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 50


def test_windowing_holds_a_stretch_and_not_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_windows, "STRETCH", 10)
    from sharpwave.recordings.store import open_store

    recording = open_store(write_short_store(tmp_path / "night.zarr"))
    store_windows(recording, tmp_path / "first", modalities=["eeg"])
    tracemalloc.start()
    store_windows(recording, tmp_path / "night", modalities=["eeg"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    samples = sum(4 * len(signal) for signal in recording.of("eeg").values())
    assert peak < samples


def test_windows_are_made_once_and_again_when_the_store_changes(tmp_path: Path) -> None:
    from sharpwave.recordings.store import write_store

    write_store(make_recording(0), tmp_path / "night.zarr")
    (first,) = stream_stores([tmp_path / "night.zarr"])
    made = (first.folder / "night.json").stat().st_mtime_ns
    (again,) = stream_stores([tmp_path / "night.zarr"])
    assert again.folder == first.folder
    assert (again.folder / "night.json").stat().st_mtime_ns == made
    write_store(make_recording(1), tmp_path / "night.zarr", overwrite=True)
    (other,) = stream_stores([tmp_path / "night.zarr"])
    assert other.folder != first.folder
    assert other.subject == "s1"


def test_a_folder_without_stores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"stores of recordings \(\.zarr\); got none in .*sharpwave convert"):
        find_stores([tmp_path])


def test_a_recording_without_modalities_is_refused(tmp_path: Path) -> None:
    recording = Recording(hypnogram=make_recording(0).hypnogram)
    with pytest.raises(SharpwaveError, match=r"a modality that the model knows; got no signals"):
        store_windows(recording, tmp_path / "night", modalities=["eeg"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_night_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"a folder of windows with night\.json"):
        StoredNight(tmp_path)


def test_damaged_windows_are_refused(tmp_path: Path) -> None:
    night = store_windows(make_recording(0), tmp_path / "night")
    (night.folder / "heart_rate.values.npy").write_bytes(b"junk")
    with pytest.raises(SharpwaveError, match=r"the windows heart_rate\.values\.npy"):
        night.restrict(0, 5)
