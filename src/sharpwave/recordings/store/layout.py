"""How a recording lies in a Zarr v3 group, and how its arrays are cut, checked and encoded.

    <name>.zarr/            attributes: format, subject, start, metadata, repairs ... and what each array is
      signals/0, 1, …       stored values, time first; attributes: name, rate, modality, scale, offset, start, channels
      times/0, …            seconds, only for irregularly sampled signals
      hypnogram/…  events/…  spikes/…

Signals are read in chunks of a minute to some minutes (64 KiB at least), each with its own checksum, and written in
shards of at most 32 MiB, so that a year of one channel is about a thousand files. What Zarr has no type for is kept as
JSON and plain arrays.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES, Modality
from sharpwave.recordings.sliced import Sliced
from sharpwave.recordings.store.shards import COMPRESSION, Shards, find_shards, name_piece
from sharpwave.remote import is_address
from sharpwave.untrusted import read_json

FLOAT_TAG = "__float__"
DATETIME_TAG = "__datetime__"


def encode_json(value: Any) -> Any:
    """A value as strict JSON: arrays and tuples become lists, dates and non-finite numbers are tagged, else text."""
    if isinstance(value, Mapping):
        return {str(key): encode_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return encode_json(value.tolist())
    if isinstance(value, np.generic):
        return encode_json(value.item())
    if isinstance(value, list | tuple | set | frozenset):
        return [encode_json(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return {FLOAT_TAG: repr(value)}
    if isinstance(value, datetime):
        return {DATETIME_TAG: value.isoformat()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def decode_json(value: Any) -> Any:
    """The inverse of `encode_json`."""
    if isinstance(value, list):
        return [decode_json(item) for item in value]
    if isinstance(value, Mapping):
        if set(value) == {FLOAT_TAG}:
            return float(value[FLOAT_TAG])
        if set(value) == {DATETIME_TAG}:
            return datetime.fromisoformat(value[DATETIME_TAG])
        return {key: decode_json(item) for key, item in value.items()}
    return value


def encode_modality(modality: Modality) -> Any:
    """A modality as JSON."""
    return encode_json(asdict(modality))


def decode_modality(fields: Any) -> Modality:
    """The registered modality of this name, or the one described where the name is not registered."""
    fields = decode_json(fields)
    if fields["name"] in MODALITIES:
        return MODALITIES[fields["name"]]
    pairs = {key: tuple(fields[key]) for key in ("amplitude", "rate")}
    return Modality(**{**fields, **pairs})


def encode_column(column: pd.Series) -> tuple[np.ndarray, list | None]:
    """A column of a table as an array, and its categories where it is not numeric.

    Returns:
        The values, or codes into the categories with -1 where a value is missing; and the categories as JSON.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.to_numpy(), None
    values = [None if _is_missing(value) else encode_json(value) for value in column]
    seen: dict[str, int] = {}
    categories: list = []
    codes = np.full(len(values), -1, dtype=np.int32)
    for row, value in enumerate(values):
        if value is not None:
            key = repr(value)
            if key not in seen:
                seen[key] = len(categories)
                categories.append(value)
            codes[row] = seen[key]
    return codes, categories


def decode_column(values: np.ndarray, categories: list | None) -> Any:
    """The inverse of `encode_column`."""
    if categories is None:
        return values
    choices = [decode_json(item) for item in categories]
    return pd.Series([choices[code] if 0 <= code < len(choices) else None for code in values], dtype=_dtype_of(choices))


def _dtype_of(choices: list) -> Any:
    return "str" if choices and all(isinstance(choice, str) for choice in choices) and pd.__version__ >= "3" else object


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


FORMAT = 1
CHUNK_SECONDS = 60.0
CHUNK_BYTES = (64 * 2**10, 8 * 2**20)
SHARD_BYTES = 32 * 2**20
CODECS = {"bytes", "blosc", "crc32c", "sharding_indexed", "zstd", "gzip"}
WRITING = {"write_empty_chunks": True}
"""Zarr's own way leaves pieces of zeros out, and a piece that is missing is damage here."""
MOST_MEMORY = 2**31
FREE_MEMORY = 64 * 2**20
MOST_GROWTH = 50
"""A table past `FREE_MEMORY` may take this many bytes in memory for one byte on disk; no real one is packed better."""
MOST_CHUNK = 256 * 2**20
MOST_PIECES = 1000
"""Pieces of a table behind an address."""
READ_AHEAD = 512 * 2**10
"""Bytes that are read at once where small reads follow one another."""


def compute_chunk_rows(row_bytes: int, rows_per_chunk: float) -> tuple[int, int]:
    """Rows per chunk and per shard.

    Args:
        row_bytes: Bytes of one row (all channels of one sample).
        rows_per_chunk: Wished rows per chunk; kept where that gives 64 KiB to 8 MiB.

    Returns:
        (rows per chunk, rows per shard); a shard is a whole number of chunks.
    """
    low, high = (max(1, limit // max(1, row_bytes)) for limit in CHUNK_BYTES)
    chunk = int(min(max(round(rows_per_chunk), low), high))
    return chunk, chunk * max(1, SHARD_BYTES // (chunk * max(1, row_bytes)))


def create_array(group: Any, name: str, *, shape: tuple[int, ...], dtype: np.dtype, rows_per_chunk: float) -> Any:
    """An empty array in a Zarr group, cut along its first axis."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    chunk, shard = compute_chunk_rows(row_bytes, rows_per_chunk)
    if shape[0] < shard:
        shard = chunk * max(1, math.ceil(shape[0] / chunk))
    rest = tuple(max(1, length) for length in shape[1:])
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=(chunk, *rest),
        shards=(shard, *rest),
        compressors=(BloscCodec(**COMPRESSION, shuffle="bitshuffle"), Crc32cCodec()),
        config=WRITING,
    )


def open_to_write(group: Any, name: str) -> Any:
    """An array that is there already, to write more of it as `create_array` does."""
    return group[name].with_config(WRITING)


def count_shards(folder: Path) -> int:
    """Shards of an array that are on disk."""
    chunks = folder / "c"
    return sum(name.isdigit() for name in os.listdir(chunks)) if chunks.is_dir() else 0


@dataclass(frozen=True)
class StoredArray(Sliced):
    """An array on disk that slices like NumPy's and says in one sentence when its file is damaged.

    Attributes:
        array: The Zarr array.
        where: Store and place in it, for messages.
        folder: Folder of its pieces.
        length: Rows that count: more lie on disk where appending was stopped; None for all.
        shards: Its pieces where they lie here as we write them; None leaves reading to Zarr.
        found: Where Zarr reads: pieces that are known to be there.
        ahead: What was read ahead where reads follow one another: first row, rows, and where the last read ended.
    """

    array: Any
    where: str
    folder: Path
    length: int | None = None
    shards: Shards | None = None
    ahead: list[tuple[int, np.ndarray, int]] = field(default_factory=list, compare=False, repr=False)
    found: set[int] = field(default_factory=set, compare=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        rows, *rest = self.array.shape
        return (rows if self.length is None else self.length, *rest)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.array.dtype)

    def _take(self, low: int, high: int) -> np.ndarray:
        """Rows low to high. Small reads that follow one another are served from one larger read."""
        first, held, last = self.ahead[0] if self.ahead else (0, np.empty(0), -1)
        if first <= low and high <= first + len(held):
            self.ahead[:] = [(first, held, high)]
            return held[low - first : high - first].copy()
        rows = READ_AHEAD // max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        if low != last or high - low > rows // 2:
            self.ahead[:] = [(0, held[:0], high)]
            return self._read(low, high)
        held = self._read(low, min(low + rows, len(self)))
        self.ahead[:] = [(low, held, high)]
        return held[: high - low].copy()

    def _read(self, low: int, high: int) -> np.ndarray:
        if self.shards is None and 0 not in self.shape:
            self._check_pieces(low, high)
        try:
            if self.shards is not None:
                return self.shards.read(low, high)
            return np.asarray(self.array[low:high])
        except FileNotFoundError as error:
            piece = Path(str(error.filename)).relative_to(self.folder).parts[1]
            raise _damaged(self.where, f"no piece {piece} of the array") from error
        except Exception as error:  # zarr, blosc and the checksum codec each raise their own
            raise _damaged(self.where, f"{type(error).__name__}: {error}") from error

    def _check_pieces(self, low: int, high: int) -> None:
        """Raise if a piece is missing: Zarr would give zeros for it."""
        rows = (self.array.shards or self.array.chunks)[0]
        for piece in range(low // rows, -(-high // rows)):
            if piece not in self.found and not name_piece(self.folder, piece, self.array.ndim).is_file():
                raise _damaged(self.where, f"no piece {piece} of the array")
            self.found.add(piece)


def list_files(root: Path) -> list[str]:
    """Names of the files of a store that cannot be listed, found by what its head and its arrays declare.

    Args:
        root: Address of the store.

    Raises:
        SharpwaveError: If a file that is declared is missing.
    """
    header = read_json(root / "zarr.json")["attributes"]["sharpwave"]
    n_signals, places = len(header["signals"]), header.get("places", {})
    tables = [places.get(name, name) for name in ("events", "hypnogram")] + ["spikes", "spikes/metadata"]
    arrays = [f"{place}/{index}" for place in ("signals", "times") for index in range(n_signals)]
    names, groups = ["zarr.json"], ["signals", "times", *tables]
    for group in groups:
        if (root / group / "zarr.json").is_file():
            names.append(f"{group}/zarr.json")
            columns = read_json(root / group / "zarr.json").get("attributes", {}).get("columns", [])
            arrays += [f"{group}/{index}" for index in range(len(columns))]
            arrays += [f"{group}/{name}" for name in ("stages", "probabilities", "units", "counts", "times", "support")]
    for array in arrays:
        if (root / array / "zarr.json").is_file():
            declared = read_json(root / array / "zarr.json")
            shape, cut = declared["shape"], declared["chunk_grid"]["configuration"]["chunk_shape"]
            pieces = math.ceil(shape[0] / cut[0]) if all(shape) else 0
            parts = [name_piece(Path(array), piece, len(shape)).as_posix() for piece in range(pieces)]
            names += [f"{array}/zarr.json", *parts]
    return names


def open_array(group: Any, root: Path, name: str, *, length: int | None = None) -> StoredArray:
    """An array of a store, checked without reading it: codecs, sizes, and that no shard is missing.

    Args:
        group: The Zarr group of the store.
        root: Folder of the store.
        name: Place of the array in it.
        length: Rows that count, at most as many as there are; all where omitted.

    Raises:
        SharpwaveError: If the array is absent, incomplete, or declared in a way that `write_store` never would.
    """
    where = f"{root.name}/{name}"
    declared = _check_declared(root / name / "zarr.json", where)
    try:
        array = group[name]
        shape, shard = array.shape, array.shards or array.chunks
        if length is not None and 0 <= length <= shape[0]:
            shape = (length, *shape[1:])
    except Exception as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error
    expected = math.ceil(shape[0] / shard[0]) if all(shape) else 0
    found = expected if is_address(root) else count_shards(root / name)  # behind an address when it is read
    if found < expected:
        raise _damaged(where, f"{found} of {expected} pieces of the array")
    if math.prod(shard) * array.dtype.itemsize > MOST_MEMORY:
        raise _damaged(where, f"pieces of {math.prod(shard) * array.dtype.itemsize} bytes")
    if math.prod(array.chunks) * array.dtype.itemsize > MOST_CHUNK:
        raise _damaged(where, f"chunks of {math.prod(array.chunks) * array.dtype.itemsize} bytes")
    shards = None if is_address(root) else find_shards(declared, root / name)
    return StoredArray(array, where, root / name, shape[0], shards)


def read_whole(array: StoredArray) -> np.ndarray:
    """A small array in memory.

    Raises:
        SharpwaveError: If it is declared larger than any table of a recording, or than its pieces on disk can hold.
    """
    size = math.prod(array.shape) * array.dtype.itemsize
    stored = _measure_pieces(array)
    if size > min(max(FREE_MEMORY, MOST_GROWTH * stored), MOST_MEMORY):
        raise _damaged(array.where, f"a table of {size} bytes in {stored} bytes on disk")
    return np.array(array[:])


def _measure_pieces(array: StoredArray) -> int:
    """Bytes of an array's pieces on disk, or behind an address."""
    if not is_address(array.folder):
        return sum(path.stat().st_size for path in (array.folder / "c").rglob("*") if path.is_file())
    rows = (array.array.shards or array.array.chunks)[0]
    pieces = range(-(-len(array) // rows) if math.prod(array.shape) else 0)
    if len(pieces) > MOST_PIECES:
        raise _damaged(array.where, f"a table of {len(pieces)} pieces")
    try:
        return sum(name_piece(array.folder, piece, array.ndim).stat().st_size for piece in pieces)
    except FileNotFoundError as error:
        raise _damaged(array.where, "a piece less than it declares") from error


def _check_declared(path: Path, where: str) -> dict[str, Any]:
    """What an array declares; codecs and element types that `write_store` does not write are refused here."""
    try:
        declared = read_json(path)
        names = set(_codec_names(declared["codecs"]))
        kind, version = declared["data_type"], declared["zarr_format"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error
    if version != 3 or not names <= CODECS or not isinstance(kind, str) or not np_name(kind):
        raise _damaged(where, f"codecs {', '.join(sorted(names))} and type {kind!r}")
    return declared


def _codec_names(codecs: list) -> list[str]:
    names = []
    for codec in codecs:
        names.append(str(codec["name"]))
        configuration = codec.get("configuration") or {}
        for key in ("codecs", "index_codecs"):
            names += _codec_names(configuration.get(key, []))
    return names


def np_name(kind: str) -> bool:
    """Whether a Zarr type is one of numbers or truth values."""
    try:
        return np.dtype(kind).kind in "biufc"
    except TypeError:
        return False


def _damaged(where: str, got: str) -> SharpwaveError:
    return SharpwaveError(
        f"an undamaged store in {where}", got=got[:200], fix="write the store again from the original recording"
    )
