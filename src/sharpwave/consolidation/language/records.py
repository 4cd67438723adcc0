"""An item as bytes: token numbers in two bytes where they fit, masks and labels as what differs from the tokens.

A record is a row of fields. Nothing in it is executed, and what it says of its own lengths is held against its size.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from sharpwave.consolidation.texts import IGNORED
from sharpwave.errors import SharpwaveError

HEAD = struct.Struct("<BBI")
"""Number of the entry, form, and number of values."""

MOST_TOKENS = 1 << 20
"""Tokens of one item, at most."""

MOST_TOLD = 256
"""Values of a field that says how many it has without holding them, at most, unless there are as many tokens."""

MOST_AXES = 8

SCALAR, CONSTANT, RAMP, SPANS, MASKED, ARRAY, TOP_K = range(7)
"""Forms of a field: a number; one number many times; numbers that count up; the tokens within spans, or where a bit is
set, and -100 elsewhere; any array; the most likely next tokens."""

DTYPES = [np.dtype(name) for name in ("<u1", "<u2", "<i4", "<i8", "<f2", "<f4", "<f8", "|b1")]

Fields = dict[str, Any]


def encode(item: Mapping[str, Any], names: Mapping[str, int], *, tokens: str = "input_ids") -> bytes:
    """The bytes of an item.

    Args:
        item: Numbers and arrays by entry.
        names: Number of each entry.
        tokens: Entry that labels are held against; default "input_ids".

    Example:
        >>> import numpy as np
        >>> ids = np.array([5, 6, 7])
        >>> record = encode({"input_ids": ids, "labels": np.array([-100, -100, 7])}, {"input_ids": 0, "labels": 1})
        >>> decode(record, ["input_ids", "labels"])["labels"].tolist()
        [-100, -100, 7]
    """
    known = item.get(tokens)
    parts: list[bytes] = []
    for name in sorted(item, key=lambda each: (each != tokens, names[each])):
        value = item[name]
        form, count, body = _encode_value(value, None if name == tokens else known)
        parts += [HEAD.pack(names[name], form, count), body]
    return b"".join(parts)


def encode_top_k(name: int, values: np.ndarray, ids: np.ndarray, positions: np.ndarray) -> bytes:
    """The field of the most likely tokens at some positions.

    Args:
        name: Number of the entry.
        values: Logarithms of their probabilities, shape (position, k).
        ids: Their numbers, shape (position, k).
        positions: The positions, shape (position).
    """
    wide = bool(ids.size) and int(ids.max()) > 0xFFFF
    head = struct.pack("<BB", values.shape[1], wide)
    body = positions.astype("<u4").tobytes() + ids.astype("<i4" if wide else "<u2").tobytes()
    return HEAD.pack(name, TOP_K, len(values)) + head + body + values.astype("<f2").tobytes()


def _encode_value(value: Any, tokens: np.ndarray | None) -> tuple[int, int, bytes]:
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype.kind in "iub":
        return SCALAR, 0, struct.pack("<q", int(array))
    if array.ndim == 1 and array.dtype.kind in "iu" and array.size > 1:
        is_known = array.size <= MOST_TOLD or (tokens is not None and tokens.shape == array.shape)
        if is_known and bool((array == array[0]).all()):
            return CONSTANT, array.size, struct.pack("<q", int(array[0]))
        if tokens is not None and tokens.shape == array.shape:
            counted = array != IGNORED
            if bool((array[counted] == tokens[counted]).all()):
                return _encode_counted(counted)
        if is_known and array[1] - array[0] == 1 and bool((np.diff(array) == 1).all()):
            return RAMP, array.size, struct.pack("<q", int(array[0]))
    packed = _shrink(array)
    head = struct.pack("<BB", DTYPES.index(packed.dtype), packed.ndim) + struct.pack(f"<{packed.ndim}I", *packed.shape)
    return ARRAY, 0, head + packed.tobytes()


def _encode_counted(counted: np.ndarray) -> tuple[int, int, bytes]:
    edges = np.flatnonzero(np.diff(counted.astype(np.int8), prepend=0, append=0))
    if edges.size * 4 <= -(-counted.size // 8):
        return SPANS, counted.size, struct.pack("<I", edges.size // 2) + edges.astype("<u4").tobytes()
    return MASKED, counted.size, np.packbits(counted).tobytes()


def _shrink(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    bounds = (("<u1", 0, 0xFF), ("<u2", 0, 0xFFFF), ("<i4", -(2**31), 2**31 - 1))
    dtype = next((name for name, least, most in bounds if least <= low and high <= most), "<i8")
    return np.ascontiguousarray(array, dtype=dtype)


class _Reader:
    """Bytes that are taken one after another."""

    def __init__(self, record: bytes) -> None:
        self.record, self.place = record, 0

    def take(self, n_bytes: int) -> bytes:
        end = self.place + n_bytes
        if n_bytes < 0 or end > len(self.record):
            raise _refuse(f"{n_bytes} bytes at {self.place} of a record of {len(self.record)}")
        part, self.place = self.record[self.place : end], end
        return part

    def unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def take_array(self, dtype: str | np.dtype[Any], *shape: int) -> np.ndarray:
        kind = np.dtype(dtype)
        return np.frombuffer(self.take(prod(shape) * kind.itemsize), dtype=kind).reshape(shape)


def decode(record: bytes, names: list[str], *, tokens: str = "input_ids") -> Fields:
    """The item that `encode` and `encode_top_k` made bytes of.

    Raises:
        SharpwaveError: If the bytes are not such a record.
    """
    reader, item = _Reader(record), Fields()
    while reader.place < len(record):
        name, form, count = HEAD.unpack(reader.take(HEAD.size))
        if name >= len(names) or count > MOST_TOKENS:
            raise _refuse(f"entry {name} of {len(names)} with {count} values")
        item[names[name]] = _decode_value(reader, form, count, item.get(tokens))
    return item


def _decode_value(reader: _Reader, form: int, count: int, known: np.ndarray | None) -> Any:
    if form == SCALAR:
        return np.int64(reader.unpack("<q")[0])
    if form in (CONSTANT, RAMP):
        first = np.int64(reader.unpack("<q")[0])
        if count > MOST_TOLD and (known is None or known.shape != (count,)):
            raise _refuse(f"{count} values without as many tokens")
        return first + np.arange(count) if form == RAMP else np.full(count, first)
    if form in (SPANS, MASKED):
        if known is None or known.shape != (count,):
            raise _refuse(f"{count} labels of other tokens")
        return np.where(_decode_counted(reader, form, count), known, IGNORED)
    if form == ARRAY:
        dtype, n_axes = reader.unpack("<BB")
        if dtype >= len(DTYPES) or n_axes > MOST_AXES:
            raise _refuse(f"type {dtype} with {n_axes} axes")
        shape = reader.unpack(f"<{n_axes}I")
        if 0 in shape and max(shape) > MOST_TOKENS:
            raise _refuse(f"an array of shape {shape}")
        array = reader.take_array(DTYPES[dtype], *shape)
        return array.astype(np.int64) if array.dtype.kind in "iu" else array
    if form == TOP_K:
        k, wide = reader.unpack("<BB")
        positions = reader.take_array("<u4", count).astype(np.int64)
        ids = reader.take_array("<i4" if wide else "<u2", count, k).astype(np.int64)
        if (positions.size and int(positions.max()) >= MOST_TOKENS) or (ids.size and int(ids.min()) < 0):
            raise _refuse("positions or tokens that there are not")
        return positions, ids, reader.take_array("<f2", count, k).astype(np.float32)
    raise _refuse(f"form {form}")


def _decode_counted(reader: _Reader, form: int, count: int) -> np.ndarray:
    if form == MASKED:
        return np.unpackbits(reader.take_array("<u1", -(-count // 8)), count=count).astype(bool)
    (n_spans,) = reader.unpack("<I")
    edges = reader.take_array("<u4", 2 * n_spans)
    if edges.size and (int(edges.max()) > count or bool((np.diff(edges.astype(np.int64)) <= 0).any())):
        raise _refuse("spans that do not follow each other")
    steps = np.zeros(count + 1, dtype=np.int8)
    steps[edges] = np.where(np.arange(edges.size) % 2, -1, 1)
    return np.cumsum(steps)[:count].astype(bool)


def _refuse(got: str) -> SharpwaveError:
    return SharpwaveError(
        "a record of a TokenMemory", got=got, fix="the state was changed or damaged: load another, or start a new one"
    )
