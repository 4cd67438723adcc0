"""Crops of nights in memory and on disk: every place as likely as any other, and the same numbers either way."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tests.brainmu.training_nights import make_night, make_recording
from tests.nights import simulate_short_night, write_short_store

from sharpwave.brainmu import epoch_recording
from sharpwave.brainmu.training import crops
from sharpwave.brainmu.training.crops import (
    RandomCrops,
    StoredEpochs,
    WeightedSources,
    find_stores,
    store_epochs,
    stream_stores,
)
from sharpwave.disk import hash_once, hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording


def test_a_piece_is_the_same_steps_of_its_night(rng: np.random.Generator) -> None:
    night = make_night(0)
    piece = RandomCrops([night]).draw(rng, 17)
    first = round((piece.grid.start - night.grid.start) / night.grid.step)
    assert len(piece) == 17
    np.testing.assert_array_equal(
        piece.epochs["heart_rate"].values, night.epochs["heart_rate"].values[first : first + 17]
    )
    np.testing.assert_array_equal(piece.stages, night.stages[first : first + 17])


def test_every_place_is_as_likely(rng: np.random.Generator) -> None:
    short, long = make_night(0, n_steps=20), make_night(1, n_steps=29)
    source = RandomCrops([short, long])
    starts = [(piece.subject, piece.grid.start / 30) for piece in (source.draw(rng, 20) for _ in range(2200))]
    counts = np.array([starts.count(("s0", 0))] + [starts.count(("s1", place)) for place in range(10)])
    assert counts.sum() == 2200
    assert (np.abs(counts - 200) < 4 * np.sqrt(200)).all()


def test_a_night_shorter_than_a_piece_is_given_whole(rng: np.random.Generator) -> None:
    assert len(RandomCrops([make_night(0, n_steps=9)]).draw(rng, 50)) == 9


def test_the_same_seed_draws_the_same() -> None:
    source = RandomCrops([make_night(0), make_night(1)])
    one, other = (source.draw(np.random.default_rng(5), 10) for _ in range(2))
    assert (one.subject, one.grid) == (other.subject, other.grid)


def test_a_mixture_draws_in_proportion_to_the_weights(rng: np.random.Generator) -> None:
    mixture = WeightedSources([(RandomCrops([make_night(seed)]), weight) for seed, weight in enumerate((1, 2, 5))])
    drawn = [mixture.draw(rng, 5).subject for _ in range(1600)]
    counts = np.array([drawn.count(f"s{seed}") for seed in range(3)])
    assert np.abs(counts / 200 - [1, 2, 5]).max() < 0.4


def test_a_source_of_nothing_is_refused() -> None:
    with pytest.raises(SharpwaveError, match=r"at least one night to learn from; got none"):
        RandomCrops([])


@pytest.mark.parametrize("weights", [(), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan"))])
def test_a_mixture_wants_positive_weights(weights: tuple[float, ...]) -> None:
    with pytest.raises(SharpwaveError, match="one positive weight per source"):
        WeightedSources([(RandomCrops([make_night(0)]), weight) for weight in weights])


def test_pieces_from_disk_equal_slices_of_the_whole_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windowed in stretches of 50 steps; a piece across two of them."""
    monkeypatch.setattr(crops, "STRETCH", 50)
    store = write_short_store(tmp_path / "night.zarr")
    (stored,) = stream_stores([tmp_path])
    whole = epoch_recording(simulate_short_night()[0], every_channel=True)
    piece, expected = stored.restrict(37, 111), whole.restrict(37, 111)
    assert len(stored) == len(whole) == 180
    assert set(piece.epochs) == set(expected.epochs) == {"stages", "eeg", "eog", "emg"}
    for name, windows in expected.epochs.items():
        np.testing.assert_allclose(piece.epochs[name].values, windows.values, atol=2e-5, err_msg=name)
        np.testing.assert_array_equal(piece.epochs[name].present, windows.present)
        assert piece.epochs[name].channels == windows.channels
    np.testing.assert_array_equal(piece.stages, expected.stages)
    np.testing.assert_array_equal(piece.votes, expected.votes)
    assert (piece.grid, piece.n_stages, piece.subject) == (expected.grid, expected.n_stages, expected.subject)
    assert store.is_dir()


def test_measures_of_the_night_so_far_are_those_of_the_whole_night(tmp_path: Path) -> None:
    """A heart rate that rises: a piece alone would be compared with itself."""
    recording = make_recording(0, n_steps=600)
    stored, whole = store_epochs(recording, tmp_path / "night"), epoch_recording(recording)
    np.testing.assert_allclose(
        stored.restrict(400, 420).epochs["heart_rate"].values,
        whole.epochs["heart_rate"].values[400:420],
        atol=1e-5,
    )


def test_memory_is_that_of_a_piece_whatever_the_cohort(tmp_path: Path) -> None:
    for index in range(4):
        store_epochs(simulate_short_night()[0], tmp_path / f"night{index}", modalities=["eeg", "eog", "emg"])
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    source, rng = RandomCrops([StoredEpochs(path) for path in sorted(tmp_path.iterdir())]), np.random.default_rng(0)
    tracemalloc.start()
    for _ in range(40):
        source.draw(rng, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 50


def test_windowing_holds_a_stretch_and_not_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "STRETCH", 10)
    from sharpwave.recordings.store import open_store

    recording = open_store(write_short_store(tmp_path / "night.zarr"))
    store_epochs(recording, tmp_path / "first", modalities=["eeg"])
    tracemalloc.start()
    store_epochs(recording, tmp_path / "night", modalities=["eeg"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    samples = sum(4 * len(signal) for signal in recording.of("eeg").values())
    assert peak < samples


def test_epochs_are_made_once_and_again_when_the_store_changes(tmp_path: Path) -> None:
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


def test_one_of_several_processes_reads_a_store_for_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sharpwave import disk
    from sharpwave.recordings.store import write_store

    monkeypatch.setattr(disk, "SETTLED", -1.0)
    read: list[str] = []
    monkeypatch.setattr(crops, "hash_path", lambda path: read.append(path.name) or hash_path(path))
    for index in range(3):
        write_store(make_recording(index, n_steps=8), tmp_path / f"{index}.zarr")
    found = [stream_stores([tmp_path], rank=rank, world=3) for rank in (2, 0, 1)]
    assert sorted(read) == ["0.zarr", "1.zarr", "2.zarr"]
    assert len({tuple(night.folder for night in nights) for nights in found}) == 1
    piece = tmp_path / "1.zarr/signals/0/c/0"
    before, content = piece.stat(), bytearray(piece.read_bytes())
    content[20] ^= 1
    piece.write_bytes(content)
    os.utime(piece, ns=(before.st_atime_ns, before.st_mtime_ns))  # as long, and as old: it is read again all the same
    again = hash_once([tmp_path / "1.zarr"], tmp_path / ".sharpwave-windows/hashes", lambda: "f" * 64)
    assert again == "f" * 64


def test_what_changed_a_moment_ago_is_hashed_by_everyone(tmp_path: Path) -> None:
    (tmp_path / "night.edf").write_bytes(b"one")
    for value in ("a" * 64, "b" * 64):
        assert hash_once([tmp_path / "night.edf"], tmp_path / "notes", lambda value=value: value) == value


def test_a_note_that_is_damaged_or_cannot_be_written_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sharpwave import disk

    monkeypatch.setattr(disk, "SETTLED", -1.0)
    night, notes = tmp_path / "night.edf", tmp_path / "notes"
    night.write_bytes(b"one")
    assert hash_once([night], notes, lambda: "a" * 64) == "a" * 64
    (note,) = notes.iterdir()
    for damaged in ("a" * 63, "b" * 64 + "\n\n", ""):
        note.write_text(damaged)
        assert hash_once([night], notes, lambda: "c" * 64) == "c" * 64
    assert hash_once([night], night, lambda: "d" * 64) == "d" * 64, "notes that cannot lie in a file"
    assert list(notes.iterdir()) == [note], "nothing half written is left"


def test_a_folder_without_stores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"stores of recordings \(\.zarr\); got none in .*sharpwave convert"):
        find_stores([tmp_path])


def test_a_recording_without_modalities_is_refused(tmp_path: Path) -> None:
    recording = Recording(hypnogram=make_recording(0).hypnogram)
    with pytest.raises(SharpwaveError, match=r"a modality that the model knows; got no signals"):
        store_epochs(recording, tmp_path / "night", modalities=["eeg"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_night_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"a folder of epochs with night\.json"):
        StoredEpochs(tmp_path)


def test_damaged_epochs_are_refused(tmp_path: Path) -> None:
    night = store_epochs(make_recording(0), tmp_path / "night")
    (night.folder / "heart_rate.values.npy").write_bytes(b"junk")
    with pytest.raises(SharpwaveError, match=r"the epochs heart_rate\.values\.npy"):
        night.restrict(0, 5)
