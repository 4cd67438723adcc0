"""Arrays of an NWB session as Zarr: what they declare, how large they are, and texts in either way of storing them.

What a piece claims to unpack to is looked at before anything unpacks it; see `nwb_zarr` for the rules.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.files import MOST_COMPRESSED, check_declared
from sharpwave.recordings.readers.nwb_inside import LONGEST_TEXT, InsideArray
from sharpwave.untrusted import parse_json, read_json

NUMBERS = ("blosc", "zlib", "gzip", "zstd", "lz4", "shuffle", "delta")
TEXTS = ("vlen-utf8", "json2")
CODECS_3 = ("bytes", "blosc", "crc32c", "sharding_indexed", "zstd", "gzip", "transpose", "vlen-utf8")
"""Codecs that are run; those of format 3 by their names there."""
MOST_PIECES = 10**6
UNWRITTEN = 2**24
"""Bytes that an array may have though nothing of it is written: Zarr leaves out pieces that hold 0 throughout."""


def walk(folder: Path) -> Iterator[tuple[os.DirEntry, os.stat_result]]:
    """Every file of a folder and of those in it; symbolic links are not followed, and come as files."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    yield entry, entry.stat(follow_symlinks=False)


def read_node(folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What a folder declares of its array (None for a group), and its attributes.

    Raises:
        OSError: If it is no Zarr node, or lies behind a symbolic link.
        ValueError: If what it declares cannot be read.
    """
    names = ("zarr.json", ".zarray", ".zgroup")
    name = next((name for name in names if (folder / name).is_file()), None)
    if name is None or folder.is_symlink() or (folder / name).is_symlink():
        raise OSError(f"{folder.name} is no node of a Zarr folder")
    declared = read_json(folder / name)
    attributes: Any = declared.get("attributes", {}) if isinstance(declared, dict) and name == "zarr.json" else {}
    beside = folder / ".zattrs"
    if name != "zarr.json" and beside.is_file() and not beside.is_symlink():
        attributes = read_json(beside)
    if not isinstance(declared, dict) or not isinstance(attributes, dict):
        raise ValueError(f"{folder.name}: no mapping")
    is_array = name == ".zarray" or declared.get("node_type") == "array"
    return (declared if is_array else None), attributes


def take_attribute(attributes: dict[str, Any], name: str, default: Any) -> Any:
    """One value; lists of several and mappings are left alone."""
    value = attributes.get(name, default)
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else default
    return value if isinstance(value, int | float | bool) else default


@dataclass(frozen=True, eq=False)
class ZarrArray(InsideArray):
    """An array of the folder; attributes as of `InsideArray`, and where it lies.

    Attributes:
        folder: Its folder.
        declared: What it declares of itself.
        attributes: Its attributes.
    """

    folder: Path
    declared: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def kind(self) -> str:
        kind = str(self.data.dtype.kind)
        return "O" if kind in "UT" else kind

    @cached_property
    def pieces(self) -> list[tuple[Path, int]]:
        """Files that hold its values, and their sizes."""
        found = []
        for entry, status in walk(self.folder):
            if not entry.name.startswith(".") and entry.name != "zarr.json":
                found.append((Path(entry.path), status.st_size))
            if len(found) > MOST_PIECES:
                raise SharpwaveError(f"at most {MOST_PIECES} pieces of {self.where}", got="more", fix="write it anew")
        return found

    @property
    def stored(self) -> int:
        return sum(size for _, size in self.pieces)

    def check_size(self) -> None:
        if not self.size:
            return
        width = max(1, self.data.dtype.itemsize)
        if self.size * width > UNWRITTEN:
            check_declared(declared=self.size * width, stored=self.stored, where=self.where, compressed=True)
        piece = math.prod(self.data.chunks) * width
        if piece > self.allowance.most:
            raise SharpwaveError(
                f"pieces of at most {self.allowance.most} bytes in {self.where}",
                got=f"pieces of {piece} bytes",
                fix="write the array again in smaller pieces",
            )
        codec = self.declared.get("compressor")
        if isinstance(codec, dict):
            for path, size in self.pieces:
                self._check_piece(path, size, str(codec.get("id")), piece if self.kind in "biufc" else None)

    def _check_piece(self, path: Path, size: int, codec: str, expected: int | None) -> None:
        """Refuse a piece that unpacks to more than it should, before anything unpacks it."""
        with path.open("rb") as file:
            claimed = claim_size(codec, file.read(18), size)
        most = self.allowance.most if expected is None else max(2 * expected, 2**20) + 64
        if claimed > most and not (codec in ("zlib", "gzip") and expected is not None):
            raise SharpwaveError(
                f"pieces of {expected or most} bytes in {self.where}",
                got=f"one that unpacks to {claimed} bytes",
                fix="the folder is damaged or made to fill the memory: export it again",
            )

    def read_texts(self) -> list[str]:
        if self.kind not in "OS" or len(self.shape) > 1:
            return []
        self.check_size()
        if self.stored * MOST_COMPRESSED > self.allowance.most and self.declared.get("zarr_format") != 2:
            raise SharpwaveError(f"texts in {self.where}", got=f"{self.stored} bytes of them", fix="write fewer")
        filters = [str(each.get("id")) for each in self.declared.get("filters") or []]
        values = self._read_json() if "json2" in filters else np.asarray(self.data[...]).reshape(-1).tolist()
        texts = [value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value for value in values]
        if not all(isinstance(text, str) for text in texts):
            return []
        self.allowance.take(sum(64 + len(text) for text in texts), self.place)
        return texts

    def _read_json(self) -> list[Any]:
        """Values that are stored as JSON, piece by piece: those of numcodecs end with a type and a shape."""
        import numcodecs

        compressor = self.declared.get("compressor")
        codec = None if compressor is None else numcodecs.get_codec(compressor)
        values: list[Any] = []
        for number in range(math.ceil(self.size / self.data.chunks[0]) if self.shape else 1):
            path = self.folder / str(number)
            raw = path.read_bytes() if path.is_file() else b"[]"
            items = parse_json(raw if codec is None else bytes(codec.decode(raw)), name=self.where)
            values += items[:-2] if isinstance(items, list) else []
        return values[: self.size]

    def attribute(self, name: str, default: Any = None) -> Any:
        return take_attribute(self.attributes, name, default)


def claim_size(codec: str, head: bytes, size: int) -> int:
    """Bytes that a packed piece says it unpacks to; the most that it can where it does not say.

    Args:
        codec: Name of the codec.
        head: Its first 18 bytes.
        size: Bytes of the piece.

    >>> claim_size("blosc", bytes([2, 1, 0, 8]) + (4096).to_bytes(4, "little"), 100)
    4096
    """
    if codec == "blosc" and len(head) >= 8:
        return int.from_bytes(head[4:8], "little")
    if codec == "lz4" and len(head) >= 4:
        return int.from_bytes(head[:4], "little")
    if codec == "zstd" and head[:4] == b"\x28\xb5\x2f\xfd" and len(head) > 5:
        flag, single, key = head[4] >> 6, head[4] >> 5 & 1, head[4] & 3
        at = 5 + (1 - single) + (0, 1, 2, 4)[key]
        width = (single, 2, 4, 8)[flag]
        if width and len(head) >= at + width:
            return int.from_bytes(head[at : at + width], "little") + (256 if flag == 1 else 0)
        return 2**62
    return size * MOST_COMPRESSED


@dataclass(frozen=True)
class Declared:
    """Shape and type of an array whose values are read by `ZarrArray` itself."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]

    @classmethod
    def of(cls, declared: dict[str, Any]) -> Declared:
        shape, chunks = (tuple(int(length) for length in declared[name]) for name in ("shape", "chunks"))
        if len(shape) != len(chunks) or min((*shape, *chunks, 1)) < 0 or 0 in chunks:
            raise ValueError(f"shape {shape} in pieces of {chunks}")
        return cls(shape, chunks)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(object)

    @property
    def ndim(self) -> int:
        return len(self.shape)


def list_codecs(declared: dict[str, Any]) -> list[str]:
    """Names of all codecs that an array declares, in either format.

    Args:
        declared: Its `.zarray` or `zarr.json`.
    """
    listed = [declared.get("compressor"), *(declared.get("filters") or [])]
    names = [str(each.get("id")) if isinstance(each, dict) else str(each) for each in listed if each is not None]
    waiting = list(declared.get("codecs") or [])
    while waiting:
        each = waiting.pop()
        names.append(str(each.get("name")) if isinstance(each, dict) else str(each))
        inner = each.get("configuration") if isinstance(each, dict) else None
        for key in ("codecs", "index_codecs"):
            waiting += (inner or {}).get(key) or []
    return names
