"""Chunks read without Zarr: Zarr's own answers are the oracle, and damage is never a value."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz import flip_bits, randomise_bytes, remove_block, truncate

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Recording, Signal, open_store, write_store
from sharpwave.recordings.store import append_store, layout, shards
from sharpwave.recordings.store.layout import StoredArray
from sharpwave.recordings.store.shards import ABSENT

N_CHUNKS = 4
TYPES = ("int8", "uint8", "bool", "int16", "uint16", "int32", "int64", "float16", "float32", "float64")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 512 bytes, four to a shard."""
    monkeypatch.setattr(layout, "CHUNK_BYTES", (512, 512))
    monkeypatch.setattr(layout, "SHARD_BYTES", 512 * N_CHUNKS)


def record(samples: np.ndarray) -> Recording:
    return Recording({"eeg": Signal("eeg", samples, 100.0, MODALITIES["eeg"])})


def store(*pieces: np.ndarray, path: Path) -> StoredArray:
    """The array of a signal, laid out as in a store; the first piece is written, others appended."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    whole = np.concatenate(pieces)
    array = layout.create_array(
        group, "signals/0", shape=pieces[0].shape, dtype=whole.dtype, rows_per_chunk=512 / whole[0].nbytes
    )
    array[:] = pieces[0]
    first = len(pieces[0])
    for piece in pieces[1:]:
        array = layout.open_to_write(group, "signals/0")
        array.resize((first + len(piece), *array.shape[1:]))
        array[first : first + len(piece)] = piece
        first += len(piece)
    return layout.open_array(group, path, "signals/0")


def open_again(path: Path) -> StoredArray:
    samples = open_store(path)["eeg"].samples
    assert isinstance(samples, StoredArray)
    return samples


def random_samples(n_rows: int, n_channels: int = 0, dtype: str = "int16", seed: int = 0) -> np.ndarray:
    shape = (n_rows, n_channels) if n_channels else (n_rows,)
    values = np.random.default_rng(seed).normal(0, 50, shape)
    values[n_rows // 2 : n_rows // 2 + 600] = 0
    return values.astype(dtype) if dtype[0] != "u" else np.abs(values).astype(dtype)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(TYPES),
    n_rows=st.integers(1, 3000),
    n_channels=st.integers(0, 3),
    parts=st.lists(st.integers(1, 2000), max_size=2),
    places=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_values_are_zarrs_bit_for_bit(
    tmp_path: Path, dtype: str, n_rows: int, n_channels: int, parts: list[int], places: list[tuple[float, float]]
) -> None:
    pieces = [random_samples(n, n_channels, dtype, seed) for seed, n in enumerate([n_rows, *parts])]
    samples, whole = store(*pieces, path=tmp_path / "a.zarr"), np.concatenate(pieces)
    assert samples.shards is not None
    assert samples.dtype == whole.dtype
    for ends in places:
        low, high = sorted(round(end * len(whole)) for end in ends)
        found = samples[low:high]
        assert found.tobytes() == whole[low:high].tobytes() == np.asarray(samples.array[low:high]).tobytes()
        assert (found.dtype, found.shape) == (whole.dtype, whole[low:high].shape)
        found[...] = 1  # what was handed out belongs to who asked
    assert samples[:].tobytes() == whole.tobytes()


def pack(chunks: list[bytes], places: list[tuple[int, int]] | None = None) -> bytes:
    """A shard of these chunks, with right checksums, whatever its index says."""
    ends = np.cumsum([len(chunk) for chunk in chunks])
    right = [(int(end) - len(chunk), len(chunk)) for end, chunk in zip(ends, chunks, strict=True)]
    return b"".join(chunks) + seal(np.array(places or right, dtype="<u8").tobytes())


def seal(content: bytes) -> bytes:
    return content + google_crc32c.value(content).to_bytes(4, "little")


def unpack(shard: bytes) -> list[bytes]:
    index = np.frombuffer(shard[-4 - 16 * N_CHUNKS : -4], dtype="<u8").reshape(-1, 2).tolist()
    return [shard[offset : offset + length] for offset, length in index]


def test_an_index_is_read_again_where_its_file_was_replaced(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-(2**15), 2**15, 2 * N_CHUNKS * 256).astype(np.int16)
    samples = store(values, path=tmp_path / "a.zarr")
    assert np.array_equal(samples[:], values)
    piece = samples.folder / "c" / "1"
    chunks = unpack(piece.read_bytes())
    assert len({len(chunk) for chunk in chunks}) == 1, "the old index must fit, or a stale one would be found out"
    places = [(sum(map(len, chunks[:k])), len(chunks[k])) for k in range(N_CHUNKS)]
    other = piece.with_name("new")
    other.write_bytes(pack(chunks[::-1], places[::-1]))  # the same values in another order in the file
    os.replace(other, piece)
    assert np.array_equal(samples[:], values)


def test_a_store_that_grows_is_read_rightly_by_who_opened_it_before(tmp_path: Path) -> None:
    first, later = random_samples(1300), random_samples(2500, seed=1)
    path = write_store(record(first), tmp_path / "a.zarr")
    samples = open_again(path)
    assert np.array_equal(samples[1000:1300], first[1000:])
    append_store(path, record(later))
    assert np.array_equal(samples[1000:1300], first[1000:])
    assert len(samples) == 1300
    assert np.array_equal(open_again(path)[:], np.concatenate([first, later]))


def test_zeros_can_be_appended_by_the_shard(tmp_path: Path) -> None:
    path = write_store(record(np.ones(1024, dtype=np.int16)), tmp_path / "a.zarr")
    append_store(path, record(np.zeros(3000, dtype=np.int16)))
    assert np.array_equal(open_again(path)[:], np.repeat(np.int16([1, 0]), [1024, 3000]))


def test_chunks_that_zarr_left_out_are_zeros_as_zarr_says(tmp_path: Path) -> None:
    samples = store(random_samples(2048), path=tmp_path / "a.zarr")
    writable = zarr.open_group(str(tmp_path / "a.zarr"), mode="r+")["signals/0"]
    writable[300:900] = 0  # Zarr's way: the chunk that became zeros alone is left out
    places = np.frombuffer((samples.folder / "c" / "0").read_bytes()[-4 - 16 * N_CHUNKS : -4], dtype="<u8")
    assert ABSENT in places.tolist()
    assert samples.shards is not None
    assert np.array_equal(samples[:], np.asarray(writable[:]))


def damage_chunk(shard: bytes) -> bytes:
    return shard[:30] + bytes([shard[30] ^ 1]) + shard[31:]


def damage_index(shard: bytes) -> bytes:
    return shard[:-20] + bytes([shard[-20] ^ 1]) + shard[-19:]


def claim(chunk: int, offset: int, length: int) -> Callable[[bytes], bytes]:
    """An index with a right checksum that says something wrong of one chunk."""

    def change(shard: bytes) -> bytes:
        chunks = unpack(shard)
        places = [(sum(map(len, chunks[:k])), len(chunks[k])) for k in range(N_CHUNKS)]
        places[chunk] = (offset, length)
        return pack(chunks, places)

    return change


def claim_size(at: int, size: int) -> Callable[[bytes], bytes]:
    """A chunk with a right checksum whose header says another size: 4 when unpacked, 12 as it lies."""

    def change(shard: bytes) -> bytes:
        chunks = unpack(shard)
        content = chunks[0][:at] + size.to_bytes(4, "little") + chunks[0][at + 4 : -4]
        return pack([seal(content), *chunks[1:]])

    return change


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a bit of a chunk": (damage_chunk, "chunk 0 does not match its checksum"),
    "a bit of the index": (damage_index, "index of a piece does not match its checksum"),
    "nothing left": (lambda shard: b"", "a piece of 0 bytes"),
    "cut": (lambda shard: shard[:-10], "does not match its checksum"),
    "a chunk behind the end": (claim(0, 10**6, 100), "chunk 0 at bytes 1000000 to 1000100"),
    "a chunk that overflows": (claim(0, 2**64 - 50, 100), "chunk 0 at bytes"),
    "a chunk of terabytes": (claim(0, 0, 2**40), "chunk 0 at bytes 0 to 1099511627776"),
    "half left out": (claim(0, ABSENT, 100), "chunk 0 at bytes"),
    "a chunk of nothing": (claim(0, 0, 0), "chunk 0 at bytes 0 to 0"),
    "another chunk's place": (claim(0, 0, 1000), "chunk 0 of 1000 bytes, for 512"),
    "unpacks to gigabytes": (claim_size(4, 2**31 - 17), "a chunk of 2147483631 bytes"),
    "unpacks to less": (claim_size(4, 256), "a chunk of 256 bytes"),
    "longer than it lies": (claim_size(12, 2**30), "a chunk of 512 bytes in 1073741824"),
}


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("known", [False, True], ids=["at first", "index known"])
def test_damage_is_one_sentence_and_takes_no_memory(tmp_path: Path, what: str, known: bool) -> None:
    samples = store(random_samples(2048), path=tmp_path / "a.zarr")
    if known:
        samples[:]
    change, message = DAMAGE[what]
    piece = samples.folder / "c" / "0"
    piece.write_bytes(change(piece.read_bytes()))
    tracemalloc.start()
    with pytest.raises(SharpwaveError, match=f"undamaged store in a.zarr/signals/0; got ValueError: .*{message}"):
        samples[10:20]
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 2**20


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "Zarr's"])
def test_a_piece_that_is_missing_is_an_error_never_zeros(tmp_path: Path, ours: bool) -> None:
    samples = open_again(write_store(record(random_samples(4000)), tmp_path / "a.zarr"))
    if not ours:
        write_otherwise(tmp_path / "a.zarr", samples[:], shards=(1024,))
        samples = open_again(tmp_path / "a.zarr")
    assert (samples.shards is not None) == ours
    (samples.folder / "c" / "2").unlink()
    samples[0:2000]
    with pytest.raises(SharpwaveError, match=r"a\.zarr/signals/0; got no piece 2 of the array"):
        samples[1000:3000]


def write_otherwise(path: Path, values: np.ndarray, **how: object) -> None:
    """The signal of a store, as another writer of Zarr lays it out."""
    group = zarr.open_group(str(path), mode="r+")
    chunks = None if how.get("chunks") else (256, *values.shape[1:])
    group.create_array("signals/0", data=values, overwrite=True, **{"chunks": chunks, "config": layout.WRITING, **how})  # type: ignore[arg-type]


OTHERS: dict[str, dict[str, object]] = {
    "no shards": {},
    "gzip": {"shards": (1024,), "compressors": zarr.codecs.GzipCodec()},
    "Zarr's own": {"shards": (1024,)},
    "no checksum": {"shards": (1024,), "compressors": zarr.codecs.BloscCodec()},
    "big end first": {
        "shards": (1024,),
        "serializer": zarr.codecs.BytesCodec(endian="big"),
        "compressors": (zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()),
    },
    "index first": {
        "chunks": (1024,),
        "filters": None,
        "compressors": None,
        "serializer": zarr.codecs.ShardingCodec(
            chunk_shape=(256,),
            codecs=(zarr.codecs.BytesCodec(), zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()),
            index_location="start",
        ),
    },
    "other filling": {
        "shards": (1024,),
        "compressors": (zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()),
        "fill_value": 7,
    },
}


@pytest.mark.parametrize("how", OTHERS)
def test_what_lies_otherwise_is_left_to_zarr(tmp_path: Path, how: str) -> None:
    values = random_samples(4000)
    write_store(record(values), tmp_path / "a.zarr")
    write_otherwise(tmp_path / "a.zarr", values, **OTHERS[how])
    samples = open_again(tmp_path / "a.zarr")
    assert samples.shards is None
    assert np.array_equal(samples[:], values)
    assert np.array_equal(samples[700:1500], values[700:1500])


def test_what_is_cut_along_channels_too_is_left_to_zarr(tmp_path: Path) -> None:
    values = random_samples(1000, 4)
    write_store(record(values), tmp_path / "a.zarr")
    packing = (zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec())
    write_otherwise(tmp_path / "a.zarr", values, chunks=(64, 2), shards=(256, 4), compressors=packing)
    samples = open_again(tmp_path / "a.zarr")
    assert samples.shards is None
    assert np.array_equal(samples[100:900], values[100:900])


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_gives_other_values(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = random_samples(1500)
    samples = store(values, path=tmp_path / "a.zarr")
    piece = samples.folder / "c" / str(rng.integers(2))
    change = (flip_bits, randomise_bytes, truncate, remove_block)[seed % 4]
    if seed % 2:
        samples[:]
    piece.write_bytes(change(piece.read_bytes(), rng))
    for low, high in rng.integers(0, 1500, (6, 2)).tolist():
        try:
            found = samples[low:high]
        except SharpwaveError:
            continue
        assert np.array_equal(found, values[low:high])


@pytest.mark.parametrize("seed", range(25))
def test_what_a_changed_head_declares_is_zarrs_answer_or_an_error(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = store(random_samples(1500), path=tmp_path / "a.zarr").folder / "zarr.json"
    text = head.read_text()
    old, new = [("256", "128"), ("1024", "512"), ("int16", "int8"), ("512", "1024"), ("0", "3")][seed % 5]
    places = [place for place in range(len(text)) if text.startswith(old, place)]
    at = int(rng.choice(places)) if places else 0
    head.write_text(text[:at] + new + text[at + len(old) :] if places else text)
    if seed >= 15:
        head.write_bytes(flip_bits(text.encode(), rng))
    try:
        group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
        samples = layout.open_array(group, tmp_path / "a.zarr", "signals/0")
        found = samples[:]
    except SharpwaveError:
        return
    assert found.tobytes() == np.asarray(samples.array[: len(samples)]).tobytes()


def test_many_threads_read_what_one_reads(tmp_path: Path) -> None:
    values = random_samples(20_000)
    samples = store(values, path=tmp_path / "a.zarr")
    lows = np.random.default_rng(0).integers(0, 19_000, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda low: samples[low : low + 900], lows))
    assert all(np.array_equal(piece, values[low : low + 900]) for low, piece in zip(lows, found, strict=True))


def test_few_indexes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpwave.recordings.store.shards.MOST_KNOWN", 3)
    samples = store(random_samples(20_000), path=tmp_path / "a.zarr")
    assert samples.shards is not None
    for low in range(19_000, 0, -1000):
        samples[low : low + 10]
        assert 1 <= len(samples.shards.known) <= 3


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n_channels", [0, 3])
def test_zarr_reads_what_is_written_without_it(tmp_path: Path, dtype: str, n_channels: int) -> None:
    values = random_samples(3001, n_channels, dtype)
    write_store(record(values), tmp_path / "a.zarr")
    array = zarr.open_array(str(tmp_path / "a.zarr" / "signals" / "0"), mode="r")
    assert array.dtype == values.dtype
    assert np.asarray(array[:]).tobytes() == values.tobytes()
    assert open_again(tmp_path / "a.zarr")[:].tobytes() == values.tobytes()


@pytest.mark.parametrize("n_channels", [0, 2])
def test_a_piece_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_channels: int
) -> None:
    values, later = random_samples(1024, n_channels), random_samples(1024, n_channels, seed=1)
    samples = store(values, path=tmp_path / "a.zarr")
    assert samples.shards is not None

    class Full:
        left = 1

        def encode(self, rows: np.ndarray) -> bytes:
            if not self.left:
                raise OSError(28, "No space left on device")
            self.left -= 1
            return b"0" * 20

    with monkeypatch.context() as patch:
        patch.setattr(shards, "_blosc", cache(Full))
        with pytest.raises(OSError, match="No space"):
            samples.shards.write(0, later[: samples.shards.shard])
    assert np.array_equal(samples[:], values)
    samples.shards.write(0, later[: samples.shards.shard])
    assert np.array_equal(samples[: samples.shards.shard], later[: samples.shards.shard])


def test_a_store_that_an_earlier_version_began_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its chunks were packed by Zstandard and were twice as long; both ways of packing lie in one array then."""
    values = random_samples(9000)

    def stop(name: str, share: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(layout, "CHUNK_BYTES", (1024, 1024))
        patch.setattr(layout, "COMPRESSION", {"cname": "zstd", "clevel": 1})
        patch.setattr("sharpwave.recordings.store.write.find_shards", lambda declared, folder: None)
        with pytest.raises(KeyboardInterrupt):
            write_store(record(values), tmp_path / "a.zarr", progress=stop)
    write_store(record(values), tmp_path / "a.zarr", resume=True)
    declared = (tmp_path / "a.zarr" / "signals" / "0" / "zarr.json").read_text(encoding="utf-8")
    assert '"zstd"' in declared
    samples = open_again(tmp_path / "a.zarr")
    assert samples.shards is not None
    assert samples.shards.chunk == 512
    assert np.array_equal(samples[:], values)
    assert np.array_equal(np.asarray(samples.array[:]), values)
