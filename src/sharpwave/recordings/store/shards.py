"""Chunks of an array that lies as `create_array` lays it out, read and written without Zarr.

Zarr costs 2 ms a read of any size, and when writing more for each chunk than packing it does.

A shard is its chunks one after another, then an index (offset and length of each chunk, 16 bytes) with a checksum. A
chunk is Blosc's bytes with a checksum behind. Both checksums are looked at, every place must lie inside the file, and a
chunk that would become larger than it is declared is refused before it takes memory.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np


class Compression(TypedDict):
    """What Blosc is told."""

    cname: Literal["lz4"]
    clevel: int


COMPRESSION: Compression = {"cname": "lz4", "clevel": 1}
"""How Blosc packs what is written: at twice the speed of Zstandard's first level, also when it is read, and a twelfth
larger. Stores say of each chunk how it was packed, so those of earlier versions are read as ever."""
ABSENT = 2**64 - 1
"""Offset and length of a chunk that was left out because it holds zeros alone; Zarr does so unless told otherwise."""
CHECKSUM = 4
BLOSC_HEADER = 16
MOST_INDEXED = 4096
"""Chunks in a shard: 512 are the most that `create_array` makes."""
MOST_KNOWN = 256
"""Indexes that are kept in memory, some 60 KB each."""

Index = tuple[tuple[int, ...], list[tuple[int, int]]]
"""By what a file is known again, and offset and length of each of its chunks."""


@dataclass(frozen=True)
class Shards:
    """The shards of an array on this machine, cut along time alone.

    Attributes:
        folder: Folder of the array.
        dtype: Type of its values.
        rest: Lengths of the axes behind time.
        chunk: Rows per chunk.
        shard: Rows per shard.
        known: Indexes by number of the shard; one is read again where its file has changed.
    """

    folder: Path
    dtype: np.dtype
    rest: tuple[int, ...]
    chunk: int
    shard: int
    known: dict[int, Index] = field(default_factory=dict, compare=False, repr=False)

    def read(self, low: int, high: int) -> np.ndarray:
        """Rows low to high, at least one; shards must be there for all of them.

        Raises:
            ValueError: If a piece is damaged.
            OSError: If it is missing or cannot be read.
        """
        values = np.empty((high - low, *self.rest), dtype=self.dtype)
        for piece in range(low // self.shard, -(-high // self.shard)):
            first = piece * self.shard
            begin, end = max(low, first), min(high, first + self.shard)
            self._read_piece(piece, begin - first, end - first, values[begin - low : end - low])
        return values

    def write(self, piece: int, values: np.ndarray) -> None:
        """Write a piece, whole or not at all, so that Zarr reads the same of it.

        Args:
            piece: Its number.
            values: Its rows from the first on; fewer than it has room for where the array ends.

        Raises:
            OSError: If it cannot be written.
        """
        path = name_piece(self.folder, piece, 1 + len(self.rest))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        places = np.full((self.shard // self.chunk, 2), ABSENT, dtype="<u8")
        end = 0
        with open(partial, "wb") as file:
            for number, low in enumerate(range(0, len(values), self.chunk)):
                rows = np.zeros((self.chunk, *self.rest), dtype=self.dtype)
                taken = values[low : low + self.chunk]
                rows[: len(taken)] = taken
                places[number] = end, file.write(_add_checksum(_blosc().encode(rows.reshape(-1))))
                end += int(places[number, 1])
            file.write(_add_checksum(places.tobytes()))
        partial.replace(path)

    def _read_piece(self, piece: int, low: int, high: int, values: np.ndarray) -> None:
        path = name_piece(self.folder, piece, 1 + len(self.rest))
        with open(path, "rb", buffering=0) as file:
            index = self.known.get(piece)
            if index is not None and index[0] == _know(file):
                with suppress(ValueError):  # perhaps replaced within a tick of the disk's clock: then look at it anew
                    self._fill(file, index, low, high, values)
                    return
            index = self._read_index(file)
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            self.known[piece] = index
            self._fill(file, index, low, high, values)

    def _read_index(self, file: io.FileIO) -> Index:
        stamp, n_chunks = _know(file), self.shard // self.chunk
        size = 16 * n_chunks + CHECKSUM
        if stamp[0] < size:
            raise ValueError(f"a piece of {stamp[0]} bytes, which cannot hold the index of its {n_chunks} chunks")
        places = np.frombuffer(_check(_read_at(file, stamp[0] - size, size), "index of a piece"), dtype="<u8")
        return stamp, [(offset, length) for offset, length in places.reshape(-1, 2).tolist()]

    def _fill(self, file: io.FileIO, index: Index, low: int, high: int, values: np.ndarray) -> None:
        (size, *_), places = index
        for number in range(low // self.chunk, -(-high // self.chunk)):
            first = number * self.chunk
            begin, end = max(low, first), min(high, first + self.chunk)
            wanted = values[begin - low : end - low]
            offset, length = places[number]
            if (offset, length) == (ABSENT, ABSENT):
                wanted[...] = 0
                continue
            if offset + length > size or length < BLOSC_HEADER + CHECKSUM:
                raise ValueError(f"chunk {number} at bytes {offset} to {offset + length} of {size}")
            whole = end - begin == self.chunk
            decoded = wanted if whole else np.empty((self.chunk, *self.rest), dtype=self.dtype)
            if length > decoded.nbytes + BLOSC_HEADER + CHECKSUM:  # Blosc grows by no more than its header
                raise ValueError(f"chunk {number} of {length} bytes, for {decoded.nbytes} bytes of samples")
            _decode(_check(_read_at(file, offset, length), f"chunk {number}"), decoded)
            if not whole:
                wanted[...] = decoded[begin - first : end - first]


def find_shards(declared: Mapping[str, Any], folder: Path) -> Shards | None:
    """The shards of an array on this machine, or None where it is not laid out as `create_array` does: Zarr reads that.

    Args:
        declared: What the `zarr.json` of the array holds.
        folder: Folder of the array.

    >>> find_shards({"codecs": [{"name": "gzip"}]}, Path("night.zarr/signals/0")) is None
    True
    """
    try:
        import google_crc32c  # noqa: F401  the package that Zarr takes; earlier versions took another
        import numcodecs.blosc  # noqa: F401

        dtype = np.dtype(declared["data_type"]).newbyteorder("<")
        grid, keys = declared["chunk_grid"], declared["chunk_key_encoding"]
        (sharding,) = declared["codecs"]
        setup = sharding["configuration"]
        shape, shard, chunk = declared["shape"], grid["configuration"]["chunk_shape"], setup["chunk_shape"]
        asis = [{"name": "bytes", "configuration": {"endian": "little"}}]
        small = [*asis, {"name": "bytes"}] if dtype.itemsize == 1 else asis
        first, blosc, checksum = setup["codecs"]
        usual = (
            (grid["name"], keys["name"], keys["configuration"]["separator"]) == ("regular", "default", "/"),
            sharding["name"] == "sharding_indexed" and setup["index_location"] == "end",
            [_plain(codec) for codec in setup["index_codecs"]] == [*asis, {"name": "crc32c"}],
            _plain(first) in small and blosc["name"] == "blosc" and _plain(checksum) == {"name": "crc32c"},
            declared["fill_value"] in (0, False) and not declared.get("storage_transformers"),
            dtype.kind in "biuf" and all(type(length) is int for length in (*shape, *shard, *chunk)),
            all(shape[1:]) and shape[1:] == shard[1:] == chunk[1:],
            0 < chunk[0] <= shard[0] <= MOST_INDEXED * chunk[0] and shard[0] % chunk[0] == 0,
            math.prod(chunk) * dtype.itemsize < 2**31,
        )
    except (ImportError, LookupError, TypeError, ValueError, AttributeError):
        return None
    return Shards(folder, dtype, tuple(shape[1:]), chunk[0], shard[0]) if all(usual) else None


def name_piece(folder: Path, piece: int, n_axes: int) -> Path:
    """The file of a piece of an array, which is cut along its first axis alone.

    >>> name_piece(Path("eeg"), 3, 2).as_posix()
    'eeg/c/3/0'
    """
    return folder.joinpath("c", str(piece), *["0"] * (n_axes - 1))


def _plain(codec: Mapping[str, Any]) -> dict[str, Any]:
    """A codec without settings that are empty."""
    return {key: value for key, value in codec.items() if value != {}}


def _know(file: io.FileIO) -> tuple[int, ...]:
    """Size, times and number of an open file: another where it was replaced or written."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _read_at(file: io.FileIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    found = file.read(length)
    if len(found) != length:
        raise ValueError(f"{len(found)} bytes of {length} at {offset}")
    return found


def _check(found: bytes, what: str) -> bytes:
    """Bytes without the checksum behind them, which must be theirs."""
    import google_crc32c

    content = found[:-CHECKSUM]
    if google_crc32c.value(content) != int.from_bytes(found[-CHECKSUM:], "little"):
        raise ValueError(f"{what} does not match its checksum")
    return content


def _add_checksum(content: bytes) -> bytes:
    """Bytes with their checksum behind them."""
    import google_crc32c

    return content + google_crc32c.value(content).to_bytes(CHECKSUM, "little")


def _decode(packed: bytes, values: np.ndarray) -> None:
    """Unpack a chunk into values that it must fill; its header says how large it will be."""
    n_values, n_packed = (int.from_bytes(packed[start : start + 4], "little") for start in (4, 12))
    if (n_values, n_packed) != (values.nbytes, len(packed)):
        raise ValueError(f"a chunk of {n_values} bytes in {n_packed}, where {values.nbytes} in {len(packed)} are due")
    try:
        _blosc().decode(packed, out=values)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


@cache
def _blosc() -> Any:
    from numcodecs.blosc import Blosc

    return Blosc(**COMPRESSION, shuffle=Blosc.BITSHUFFLE)
