"""Stores: what is written comes back exactly; memory, damage, interruption."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.files import make_small_recording, write_small_store

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Recording, Signal, open_store, write_store
from sharpwave.recordings.store import convert
from sharpwave.recordings.store.layout import compute_chunk_rows, decode_json, encode_json


class CountedSamples:
    """Made when asked for, counting the most rows asked for at once."""

    def __init__(self, n_samples: int, n_channels: int) -> None:
        self.shape = (n_samples, n_channels)
        self.dtype = np.dtype(np.int16)
        self.most_rows = 0

    def __getitem__(self, key: slice) -> np.ndarray:
        low, high, _ = key.indices(self.shape[0])
        self.most_rows = max(self.most_rows, high - low)
        rows = (np.arange(low, high) * 7 % 2001 - 1000).astype(np.int16)
        return rows[:, None] + np.arange(self.shape[1], dtype=np.int16)


def of_samples(samples: np.ndarray, rate: float = 100.0) -> Recording:
    return Recording({"x": Signal("x", samples, rate, MODALITIES["other"])})


def test_everything_of_a_recording_comes_back(tmp_path: Path) -> None:
    original = make_small_recording()
    back = open_store(write_store(original, tmp_path / "night.zarr"))
    assert list(back.signals) == list(original.signals)
    for name, signal in original.signals.items():
        stored = back[name]
        np.testing.assert_array_equal(stored.samples[:], signal.samples)
        assert stored.samples.dtype == signal.samples.dtype
        for field in ("name", "rate", "start", "scale", "offset", "channels", "modality"):
            assert getattr(stored, field) == getattr(signal, field)
        np.testing.assert_array_equal(stored.read(20, 40), signal.read(20, 40))
    np.testing.assert_array_equal(back["pulse"].times, original["pulse"].times)
    assert back.hypnogram == original.hypnogram
    assert back.hypnogram.scorer == "expert"
    pd.testing.assert_frame_equal(back.events, original.events)
    assert list(back.spikes.keys()) == [3, 7]
    for unit in original.spikes:
        np.testing.assert_array_equal(back.spikes[unit].times(), original.spikes[unit].times())
    assert list(back.spikes["area"]) == ["CA1", "CA3"]
    assert (back.subject, back.species, back.start, back.source) == ("S1", "human", original.start, "made for tests")
    assert (back.absent, back.repairs) == (("EOG",), ("nothing, for example",))
    assert back.metadata["gaps"] == [[3.0, 4.0]]
    assert back.metadata["lights_off"] == 12.5


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=arrays.arrays(
        dtype=st.sampled_from(["i2", "i4", "u1", "f4", "f8", ">i2"]),
        shape=arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=40),
    )
)
def test_any_samples_come_back_exactly(tmp_path: Path, samples: np.ndarray) -> None:
    back = open_store(write_store(of_samples(samples), tmp_path / "x.zarr", overwrite=True))
    assert back["x"].samples.shape == samples.shape
    np.testing.assert_array_equal(back["x"].samples[:], samples)


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
)
def test_metadata_is_strict_json_and_comes_back(value: object) -> None:
    encoded = json.dumps(encode_json(value), allow_nan=False)
    assert decode_json(json.loads(encoded)) == value


def measure_peaks(samples: CountedSamples, store: Path) -> tuple[int, int]:
    """Most bytes in use while writing, and while reading minute by minute."""
    tracemalloc.start()
    write_store(Recording({"eeg": Signal("eeg", samples, 256.0, MODALITIES["eeg"])}), store)
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    for start, piece in open_store(store)["eeg"].chunks(60):
        first = round(start * 256)
        np.testing.assert_array_equal(piece, samples[first : first + len(piece)])
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return written, read


def test_memory_does_not_grow_with_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpwave.recordings.store.layout.SHARD_BYTES", 2**21)
    write_small_store(tmp_path / "imports.zarr")
    short, long = (CountedSamples(256 * 60 * minutes, 8) for minutes in (20, 80))
    short_peaks, long_peaks = measure_peaks(short, tmp_path / "short.zarr"), measure_peaks(long, tmp_path / "long.zarr")
    assert long.most_rows * 8 * 2 <= 2**21
    assert long_peaks[0] < 1.2 * short_peaks[0] < 0.8 * long.shape[0] * 8 * 2
    assert long_peaks[1] < 1.2 * short_peaks[1]


def test_nothing_is_read_until_asked_for(tmp_path: Path) -> None:
    store = write_small_store(tmp_path / "x.zarr")
    for piece in (store / "signals" / "0" / "c").rglob("*"):
        if piece.is_file():
            piece.write_bytes(b"damaged")
    recording = open_store(store)
    with pytest.raises(SharpwaveError, match=r"undamaged store in x.zarr/signals/0"):
        recording["EEG"].read(0, 1)


@pytest.mark.parametrize(
    "place", ["zarr.json", "signals/1/zarr.json", "events/zarr.json", "hypnogram/stages/zarr.json"]
)
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"attributes": {"sharpwave": {"format": 1}}}', b"\xff\x00"])
def test_a_damaged_header_is_one_readable_error(tmp_path: Path, place: str, content: bytes) -> None:
    store = write_small_store(tmp_path / "x.zarr")
    (store / place).write_bytes(content)
    with pytest.raises(SharpwaveError, match="store"):
        open_store(store)


def test_one_flipped_byte_of_samples_is_found(tmp_path: Path, rng: np.random.Generator) -> None:
    store = write_store(of_samples(rng.normal(size=50_000)), tmp_path / "x.zarr")
    piece = next(path for path in (store / "signals" / "0" / "c").rglob("*") if path.is_file())
    content = bytearray(piece.read_bytes())
    content[1000] ^= 1
    piece.write_bytes(bytes(content))
    with pytest.raises(SharpwaveError, match="undamaged"):
        open_store(store)["x"].read()


def test_a_missing_piece_is_not_read_as_zeros(tmp_path: Path) -> None:
    store = write_small_store(tmp_path / "x.zarr")
    piece = next(path for path in (store / "signals" / "1" / "c").rglob("*") if path.is_file())
    piece.unlink()
    with pytest.raises(SharpwaveError, match="0 of 1 pieces"):
        open_store(store)


def test_codecs_that_are_never_written_are_refused(tmp_path: Path) -> None:
    store = write_small_store(tmp_path / "x.zarr")
    header = store / "signals" / "1" / "zarr.json"
    header.write_text(header.read_text().replace('"crc32c"', '"numcodecs.pickle"'))
    with pytest.raises(SharpwaveError, match=r"codecs blosc, bytes, numcodecs\.pickle"):
        open_store(store)


def test_what_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    import zarr

    with pytest.raises(SharpwaveError, match=r"without zarr.json.*sharpwave convert"):
        open_store(tmp_path)
    zarr.open_group(str(tmp_path / "other.zarr"), mode="w", zarr_format=3)
    with pytest.raises(SharpwaveError, match="Zarr folder of something else"):
        open_store(tmp_path / "other.zarr")
    store = write_small_store(tmp_path / "later.zarr")
    header = store / "zarr.json"
    header.write_text(header.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(SharpwaveError, match="format 9"):
        open_store(store)


def test_a_store_is_whole_or_not_there_and_writing_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = CountedSamples(2**20, 8)
    recording = Recording({"a": Signal("a", samples, 256.0, MODALITIES["eeg"])})
    monkeypatch.setattr("sharpwave.recordings.store.layout.SHARD_BYTES", 2**22)
    target, calls = tmp_path / "x.zarr", []

    def stop_half_way(name: str, share: float) -> None:
        calls.append(share)
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(recording, target, progress=stop_half_way)
    assert not target.exists()
    again: list[float] = []
    write_store(recording, target, resume=True, progress=lambda name, share: again.append(share))
    assert again[0] > 0.5
    assert again[-1] == 1.0
    assert not target.with_name("x.zarr.partial").exists()
    np.testing.assert_array_equal(open_store(target)["a"].samples[:], samples[:])


def test_resuming_another_recording_starts_anew(tmp_path: Path, rng: np.random.Generator) -> None:
    target = tmp_path / "x.zarr"
    partial = write_store(of_samples(rng.normal(size=(10, 2))), tmp_path / "x.zarr.partial")
    assert partial.exists()
    wanted = rng.normal(size=20)
    np.testing.assert_array_equal(
        open_store(write_store(of_samples(wanted), target, resume=True))["x"].samples[:], wanted
    )


def test_overwriting_must_be_asked_for(tmp_path: Path) -> None:
    write_store(of_samples(np.zeros(5)), tmp_path / "x.zarr")
    with pytest.raises(SharpwaveError, match="overwrite=True"):
        write_store(of_samples(np.ones(5)), tmp_path / "x.zarr")
    write_store(of_samples(np.ones(5)), tmp_path / "x.zarr", overwrite=True)
    assert open_store(tmp_path / "x.zarr")["x"].samples[:].sum() == 5
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]


def test_what_has_no_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="convert the samples to float32"):
        write_store(of_samples(np.array(["a", "b"])), tmp_path / "x.zarr")
    assert not (tmp_path / "x.zarr").exists()


def test_a_year_is_about_a_thousand_files() -> None:
    for row_bytes, rate in ((4, 256.0), (2, 512.0), (128, 256.0), (4, 1 / 30)):
        chunk, shard = compute_chunk_rows(row_bytes, 60 * rate)
        assert shard % chunk == 0
        assert shard * row_bytes <= 2**25
        assert 2**15 <= chunk * row_bytes <= 2**23
    _, shard = compute_chunk_rows(4, 60 * 256)
    assert 365 * 86_400 * 256 / shard < 1_100


def test_convert_names_each_store_and_resumes(tmp_path: Path) -> None:
    first = write_small_store(tmp_path / "a.zarr")
    second = write_small_store(tmp_path / "b.zarr", seed=1)
    stores = convert([first, second], tmp_path / "out")
    assert [store.name for store in stores] == ["a.zarr", "b.zarr"]
    np.testing.assert_array_equal(open_store(stores[1])["EMG"].read(), open_store(second)["EMG"].read())
    written = stores[0].stat().st_ino
    assert convert([first, second], tmp_path / "out", resume=True) == stores
    assert stores[0].stat().st_ino == written
    assert convert([first], tmp_path / "one.zarr") == [tmp_path / "one.zarr"]
    with pytest.raises(SharpwaveError, match="several 'a'"):
        convert([first, tmp_path / "x" / "a.edf"], tmp_path / "out")
    with pytest.raises(SharpwaveError, match="at least one recording"):
        convert([], tmp_path)


def test_a_store_of_a_store_is_the_same(tmp_path: Path) -> None:
    first = open_store(write_small_store(tmp_path / "a.zarr"))
    part = first.restrict(10, 60)
    again = open_store(write_store(part, tmp_path / "b.zarr"))
    for name in part.signals:
        np.testing.assert_array_equal(again[name].read(12, 50), first[name].read(12, 50))
    pd.testing.assert_frame_equal(again.events, part.events)


def test_real_nights_come_back(tmp_path: Path, data_root: Path) -> None:
    from sharpwave.recordings import load_dataset

    night = load_dataset("ucddb/022", data_root)
    back = open_store(write_store(night, tmp_path / "x.zarr"))
    np.testing.assert_array_equal(back["EEG"].samples[:], night["EEG"].samples)
    assert back.hypnogram == night.hypnogram


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("signals", 0, "start"), float("nan")),
        (("signals", 0, "scale"), float("inf")),
        (("signals", 0, "rate"), float("-inf")),
        (("signals", 0, "name"), 5),
        (("signals",), {}),
        (("subject",), 5),
        (("start",), "yesterday"),
        (("repairs",), [1]),
        (("metadata",), []),
        (("hypnogram",), "x"),
    ],
)
def test_a_field_of_another_kind_is_explained(tmp_path: Path, place: tuple, value: object) -> None:
    path = write_small_store(tmp_path / "night.zarr")
    content = json.loads((path / "zarr.json").read_text())
    holder = content["attributes"]["sharpwave"]
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    (path / "zarr.json").write_text(json.dumps(content))
    with pytest.raises(SharpwaveError, match=r"an undamaged store in night\.zarr"):
        open_store(path)


def test_a_table_that_is_declared_far_beyond_its_pieces_is_refused(tmp_path: Path) -> None:
    path = write_small_store(tmp_path / "night.zarr")
    header = path / "events/0/zarr.json"
    content = json.loads(header.read_text())
    n = 2**27
    content["shape"] = [n]
    content["chunk_grid"]["configuration"]["chunk_shape"] = [n]
    content["codecs"][0]["configuration"]["chunk_shape"] = [2**20]
    header.write_text(json.dumps(content))
    with pytest.raises(SharpwaveError, match="bytes on disk"):
        open_store(path)
