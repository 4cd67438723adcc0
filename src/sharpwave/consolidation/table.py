"""The entries of all items of a replay buffer, a column each: preallocated, in memory or mapped from files.

Each column has its own precision. `uint8` keeps the lowest value and the step of each item, so that no value is off by
more than half a step, which is 1/510 of the item's range; `int8` keeps one scale per item and zero exactly: off by at
most 1/254 of its largest value.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from sharpwave.consolidation.batches import LENGTH, find_ragged
from sharpwave.consolidation.column import Column
from sharpwave.consolidation.texts import find_padding
from sharpwave.disk import own_folder
from sharpwave.errors import SharpwaveError

LATE = ("logits", "task", "group")
"""Entries that may come with some batches only through `Sleep`, so that options may name them before."""

LARGE_BYTES = 1 << 30
"""Bytes of a buffer from which on it is held against the memory of the machine."""

MOST_WAITING = 64
"""Rows that are gathered before they are written together; reading writes them first."""


class Table:
    """Rows (slots) of named columns; its shape is that of the first batch.

    Args:
        storage: Type in which each entry is stored, as for `Column`.
        max_length: Length of the longest item of each entry that varies in length; that of the first batch where
            omitted.
        padding: What pads each entry that varies in length, as for `find_padding`.
        path: Folder of the files that values are mapped from; in memory where omitted.
    """

    def __init__(
        self,
        storage: Mapping[str, torch.dtype | str],
        *,
        max_length: Mapping[str, int],
        padding: Mapping[str, float] | None = None,
        path: Path | None = None,
    ) -> None:
        for name, value in (("storage", storage), ("max_length", max_length), ("padding", padding or {})):
            if not isinstance(value, Mapping):
                raise SharpwaveError(
                    f"{name} as a dictionary by entry", got=repr(value), fix=f"give {name}={{'x': {value!r}}}"
                )
        self.storage, self.max_length, self.path = dict(storage), dict(max_length), path
        self.padding = dict(padding or {})
        self._lock: Any = None
        self._columns: dict[str, Column] = {}
        self._ragged: set[str] = set()
        self._waiting: list[tuple[Tensor, dict[str, Tensor]]] = []

    @property
    def item_bytes(self) -> int:
        """Bytes that one item takes; 0 before the first batch."""
        return sum(column.item_bytes for column in self._columns.values())

    @property
    def paths(self) -> Mapping[str, Column]:
        """The columns by path, in which rows may still be missing."""
        return self._columns

    @property
    def columns(self) -> dict[str, Column]:
        """The columns by path, with all rows written."""
        self._flush()
        return self._columns

    def describe(self, entries: Mapping[str, Tensor]) -> None:
        """Take the columns' shapes from a first batch.

        Raises:
            SharpwaveError: If an option names an entry that there is not.
        """
        for name in ("storage", "max_length", "padding"):
            unknown = [key for key in getattr(self, name) if key not in entries and key not in LATE]
            if unknown:
                raise SharpwaveError(
                    f"{name} for entries of the batch: {', '.join(entries)}",
                    got=repr(unknown[0]),
                    fix=f"name an entry, or leave it out of {name}",
                )
        columns = {}
        for path, value in entries.items():
            shape = tuple(value.shape[1:])
            if f"{path}{LENGTH}" in entries:
                shape = (self.max_length.get(path, shape[0]), *shape[1:])
            columns[path] = Column(shape, value.dtype, storage=self.storage.get(path))
        self._columns = columns
        self._ragged = find_ragged(self._columns)

    @contextmanager
    def beginning(self, entries: Mapping[str, Tensor]) -> Iterator[None]:
        """Describe a first batch; where what follows is refused or stopped, the next batch may be another."""
        try:
            self.describe(entries)
            yield
        except BaseException:
            self._columns = {}
            raise

    def has_grown(self, entries: Mapping[str, Tensor]) -> bool:
        """Whether the logits of a batch are of more classes than those that are stored."""
        column, logits = self._columns.get("logits"), entries.get("logits")
        if column is None or logits is None or logits.ndim != 2 or len(column.shape) != 1:
            return False
        return logits.shape[1] > column.shape[0]

    def allocate(self, capacity: int) -> None:
        """Make room for a number of items.

        Raises:
            SharpwaveError: If the folder is in use by another buffer, or holds files of something else.
        """
        if self.path is not None and self._lock is None:
            files = [self._find_file(path) for path in self.columns]
            self._lock = own_folder(self.path, [file for file in files if file is not None])
        for path, column in self.columns.items():
            column.allocate(capacity, path=self._find_file(path))

    def _find_file(self, path: str) -> Path | None:
        return None if self.path is None else self.path / f"{path.replace('/', '.')}.bin"

    def grow(self, entries: Mapping[str, Tensor], n_items: int, *, capacity: int) -> None:
        """Make room for outputs of more classes than before: `logits` then has a `logits_length`, the classes known.

        Args:
            entries: A batch whose logits are wider.
            n_items: Number of slots that hold something.
            capacity: Number of slots.
        """
        column, logits = self.columns["logits"], entries["logits"]
        counts = f"logits{LENGTH}"
        if counts not in self.columns:
            known = Column((), torch.int64)
            known.allocate(capacity, path=self._find_file(counts))
            known.values[:n_items] = column.shape[0]
            self.columns[counts] = known
        self._ragged = find_ragged(self._columns)
        column.widen(tuple(logits.shape[1:]), n_items, capacity=capacity, path=self._find_file("logits"))

    def check(self, entries: Mapping[str, Tensor]) -> None:
        """Raise where a batch is not like the first.

        Raises:
            SharpwaveError: If entries, shapes or types differ, or values are out of the range of what is stored.
        """
        columns = self._columns
        if entries.keys() != columns.keys():
            raise SharpwaveError(
                f"items with the entries {', '.join(columns)}",
                got=", ".join(entries),
                fix="give the same entries each time, or use another buffer",
            )
        for path, value in entries.items():
            if path not in self._ragged and columns[path].takes(value):
                continue
            self._check_shape(path, value, entries.get(f"{path}{LENGTH}"))
            misfit = columns[path].find_misfit(value)
            if misfit:
                raise SharpwaveError(
                    f"items of {columns[path].dtype} in {path!r}, stored as {columns[path].stored_dtype}",
                    got=misfit,
                    fix=f"give {path!r} in one type and scale each time, or another storage={{{path!r}: ...}}",
                )

    def _check_shape(self, path: str, value: Tensor, lengths: Tensor | None) -> None:
        expected, shape = self.columns[path].shape, tuple(value.shape[1:])
        fits = shape == expected if lengths is None else shape[1:] == expected[1:]
        if not fits or (lengths is not None and lengths.numel() and int(lengths.max()) > expected[0]):
            known = lengths is not None or path in self.max_length
            longer = known or (len(shape) > 0 and shape[1:] == expected[1:] and len(expected) > 0)
            raise SharpwaveError(
                f"items of shape {expected} in {path!r}",
                got=f"{shape}",
                fix=f"give max_length={{{path!r}: ...}} when the buffer is made" if longer else "make them alike",
            )

    def write(self, slots: Int[Tensor, " item"], entries: Mapping[str, Tensor]) -> None:
        """Put rows of some columns where `slots` says.

        Raises:
            SharpwaveError: If there is no column of a name.
        """
        for path in entries.keys() - self._columns.keys():
            raise SharpwaveError(
                f"an entry among {', '.join(self._columns)}", got=repr(path), fix="add items that have this entry"
            )
        is_part = len(entries) < len(self._columns)
        if is_part:
            self._flush()
        self._waiting.append((slots, dict(entries)))
        if is_part or sum(len(slots) for slots, _ in self._waiting) >= MOST_WAITING:
            self._flush()

    def _flush(self) -> None:
        """Write the rows that wait: of a slot that was given twice, the last. They wait until all are written."""
        waiting = self._waiting
        if not waiting:
            return
        slots = torch.cat([slots for slots, _ in waiting])
        last = {slot: row for row, slot in enumerate(slots.tolist())}
        chosen = None if len(last) == len(slots) else torch.tensor(list(last.values()))
        for path in waiting[0][1]:
            column, parts = self._columns[path], [rows[path].cpu() for _, rows in waiting]
            fill = find_padding(path, parts[0].dtype, self.padding) if path in self._ragged else 0
            rows = torch.cat([_fit(part, column.shape, fill=fill) for part in parts])
            column.write(*((slots, rows) if chosen is None else (slots[chosen], rows[chosen])))
        self._waiting = []

    def read(self, slots: Int[Tensor, " item"]) -> dict[str, Tensor]:
        """Rows of some slots by path; entries that vary in length are cut to the longest of them."""
        return self.cut({path: column.read(slots) for path, column in self.columns.items()})

    def cut(self, entries: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rows of which entries that vary in length are as long as the longest of them."""
        for path in entries:
            lengths = entries.get(f"{path}{LENGTH}")
            if lengths is not None and lengths.numel():
                entries[path] = entries[path][:, : int(lengths.max())]
        return entries

    def pack(self, entries: Mapping[str, Tensor]) -> UInt8[Tensor, "item byte"]:
        """Rows of all columns as bytes, as many for each item; without items, nothing."""
        parts = [torch.zeros(len(next(iter(entries.values()))), 0, dtype=torch.uint8)]
        for path, column in self.columns.items():
            rows = entries[path].cpu().to(column.dtype)
            fill = find_padding(path, rows.dtype, self.padding) if path in self._ragged else 0
            rows = _fit(rows, column.shape, fill=fill).reshape(len(rows), prod(column.shape)).contiguous()
            parts.append(rows.view(torch.uint8))
        return torch.cat(parts, dim=1)

    def unpack(self, packed: UInt8[Tensor, "item byte"]) -> dict[str, Tensor]:
        """Rows by path from the bytes of `pack`; entries that vary in length are as long as their column."""
        entries, place = dict[str, Tensor](), 0
        for path, column in self.columns.items():
            width = prod(column.shape) * column.dtype.itemsize
            part = packed[:, place : place + width].flatten().clone()  # a place of its own, which its type asks for
            entries[path] = part.view(column.dtype).reshape(len(packed), *column.shape)
            place += width
        return entries

    def keep_rows(self, slots: Int[Tensor, " item"]) -> None:
        """Let the rows of some slots stay, in this order, and write zeros over all others; a mapped file too."""
        for column in self.columns.values():
            for values in (column.values, column.scales):
                if len(values):
                    kept = values[slots].clone()
                    values[len(kept) :] = 0  # to the end: entries that grew wider left bytes there
                    values[: len(kept)] = kept

    def state_dict(self, n_items: int) -> dict[str, Any]:
        """Shapes, and the content of the first slots: a copy; mapped files are not copied, so save it before `add`."""
        return {
            path: {
                "shape": list(column.shape),
                "dtype": str(column.dtype).removeprefix("torch."),
                "values": column.values[:n_items] if self.path is not None else column.values[:n_items].clone(),
                "scales": column.scales[:n_items].clone(),
            }
            for path, column in self.columns.items()
        }

    def load_state_dict(self, state: Mapping[str, Any], *, capacity: int) -> None:
        """Take up what `state_dict` gave."""
        columns = {
            path: Column(tuple(part["shape"]), getattr(torch, part["dtype"]), storage=self.storage.get(path))
            for path, part in state.items()
        }
        for path, column in columns.items():
            if state[path]["values"].dtype != column.stored_dtype:
                raise SharpwaveError(
                    f"values of {path!r} stored as {column.stored_dtype}",
                    got=f"a state with {state[path]['values'].dtype}",
                    fix="make the buffer with the storage= of the one that was saved",
                )
        self._columns, self._waiting = columns, []
        self._ragged = find_ragged(self._columns)
        self.allocate(capacity)
        for path, part in state.items():
            self.columns[path].values[: len(part["values"])] = part["values"]
            self.columns[path].scales[: len(part["scales"])] = part["scales"]


def check_memory(table: Table, capacity: int) -> None:
    """Refuse a buffer in memory that is larger than the machine's, and warn of one that takes over a quarter.

    Raises:
        SharpwaveError: If it cannot fit.
    """
    needed = capacity * table.item_bytes
    if table.path is not None or needed < LARGE_BYTES or not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise refuse_memory(table, capacity, got=f"{memory / 1e9:.1f} GB")
    if needed > memory / 4:
        warnings.warn(
            f"the replay buffer takes {needed / 1e9:.1f} GB of the machine's {memory / 1e9:.1f} GB", stacklevel=5
        )


def refuse_memory(table: Table, capacity: int, *, got: str) -> SharpwaveError:
    largest = max(table.columns, key=lambda path: table.columns[path].item_bytes)
    gigabytes = capacity * table.columns[largest].item_bytes / 1e9
    advice = "use Wake('er') and NREM(distillation=0), which store no logits, or " if largest == "logits" else ""
    return SharpwaveError(
        f"memory for {capacity} items of {table.item_bytes:,} bytes, {gigabytes:.1f} GB of it for {largest!r}",
        got=got,
        fix=f"{advice}give fewer items, n_bytes=, storage={{{largest!r}: 'uint8'}} or a path=",
    )


def _fit(rows: Tensor, shape: tuple[int, ...], *, fill: float = 0) -> Tensor:
    """Rows cut or padded along their first axis, where they vary in length."""
    if rows.shape[1:] == shape:
        return rows
    fitted = rows.new_full((len(rows), *shape), fill)
    width = min(rows.shape[1], shape[0])
    fitted[:, :width] = rows[:, :width]
    return fitted
