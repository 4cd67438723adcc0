"""The entries of all items of a replay buffer, a column each: preallocated, in memory or mapped from files.

Each column has its own precision. `uint8` keeps the lowest value and the step of each item, so that no value is off by
more than half a step, which is 1/510 of the item's range; `int8` keeps one scale per item and zero exactly: off by at
most 1/254 of its largest value.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave.consolidation.batches import LENGTH, find_padding, find_ragged
from sharpwave.disk import own_folder
from sharpwave.errors import SharpwaveError

LATE = ("logits", "task", "group")
"""Entries that may come with some batches only through `Sleep`, so that options may name them before."""

LARGE_BYTES = 1 << 30
"""Bytes of a buffer from which on it is held against the memory of the machine."""

MOST_WAITING = 64
"""Rows that are gathered before they are written together; reading writes them first."""

QUANTISED = {"uint8": torch.uint8, "int8": torch.int8}


class Column:
    """Rows of one shape.

    Args:
        shape: Shape of one item.
        dtype: Type in which items are given and come back.
        storage: Type in which they are stored: a torch dtype, or a key of `QUANTISED`; None, the default, keeps
            `dtype`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, *, storage: torch.dtype | str | None = None) -> None:
        is_known = (
            storage in QUANTISED if isinstance(storage, str) else storage is None or isinstance(storage, torch.dtype)
        )
        if not is_known or (isinstance(storage, str) and not dtype.is_floating_point):
            raise SharpwaveError(
                "storage as a torch dtype, or 'uint8' or 'int8' for floating values",
                got=f"{storage!r} for values of {dtype}",
                fix="give floating values, or name a torch dtype such as torch.uint8",
            )
        self.shape, self.dtype = shape, dtype
        self.quantised = storage if isinstance(storage, str) else None
        self.stored_dtype = dtype if storage is None else QUANTISED.get(storage, storage)  # type: ignore[arg-type]
        self.values = torch.empty(0)
        self.scales = torch.empty(0)

    def takes(self, rows: Tensor) -> bool:
        """Whether rows are stored without a further look: of this shape and type, which is also how they are kept."""
        kept = self.quantised is not None or self.stored_dtype == rows.dtype
        return kept and rows.dtype == self.dtype and rows.shape[1:] == self.shape

    @property
    def item_bytes(self) -> int:
        """Bytes that one item takes, its scales included."""
        scales = {"uint8": 8, "int8": 4, None: 0}[self.quantised]
        return prod(self.shape) * self.stored_dtype.itemsize + scales

    def allocate(self, capacity: int, *, path: Path | None = None) -> None:
        """Make room for a number of items, in memory or in a file that is mapped into it."""
        shape = (capacity, *self.shape)
        if path is None:
            self.values = torch.zeros(shape, dtype=self.stored_dtype)
        else:
            flat = torch.from_file(str(path), shared=True, size=prod(shape), dtype=self.stored_dtype)
            self.values = flat.view(shape)
        if self.quantised:
            self.scales = torch.zeros(capacity, 2 if self.quantised == "uint8" else 1)

    def write(self, slots: Tensor, rows: Tensor) -> None:
        """Put rows (item, ...) where `slots` (item) says."""
        if self.quantised is None:
            self.values[slots] = rows.to(self.stored_dtype)
            return
        flat = rows.reshape(len(rows), -1).float()
        if self.quantised == "uint8":
            low, high = flat.aminmax(dim=1, keepdim=True)
            step = (high - low).div_(255)
            codes = (flat - low).div_(step.masked_fill(step == 0, 1))
            self.scales[slots] = torch.cat([low, step], dim=1)
        else:
            step = flat.abs().amax(1, keepdim=True) / 127
            codes = flat / step.masked_fill(step == 0, 1)
            self.scales[slots] = step
        self.values[slots] = codes.round_().to(self.stored_dtype).view(rows.shape)

    def find_misfit(self, rows: Tensor) -> str:
        """Why some rows cannot be stored so that they come back as they are; empty if they can.

        Args:
            rows: Rows (item, ...), finite.
        """
        if rows.dtype != self.dtype and kind_of(rows.dtype) != kind_of(self.dtype):
            return f"{rows.dtype} where it was {self.dtype} before"
        stored = self.stored_dtype
        if self.quantised or rows.dtype == stored or not rows.numel() or stored == torch.bool:
            return ""
        if stored.is_floating_point:
            largest = float(rows.abs().max()) if rows.dtype.itemsize > stored.itemsize else 0.0
            return f"{largest:g}, more than {stored} can hold" if largest > torch.finfo(stored).max else ""
        if rows.is_floating_point() and bool((rows != rows.round()).any()):
            return f"fractions, which {stored} cannot hold"
        if rows.dtype == torch.bool:
            return ""
        low, high = float(rows.min()), float(rows.max())
        info = torch.iinfo(stored)
        return (
            "" if info.min <= low and high <= info.max else f"values from {low:g} to {high:g}, more than {stored} holds"
        )

    def widen(self, shape: tuple[int, ...], n_items: int, *, capacity: int, path: Path | None = None) -> None:
        """Make room for longer rows; what is stored stays.

        Args:
            shape: Shape of one item from now on.
            n_items: Number of slots that hold something.
            capacity: Number of slots.
            path: File that values are mapped from; None for memory.
        """
        rows = self.read(torch.arange(n_items))
        self.shape = shape
        self.allocate(capacity, path=path)
        fitted = rows.new_zeros(n_items, *shape)
        fitted[tuple(slice(size) for size in rows.shape)] = rows
        self.write(torch.arange(n_items), fitted)

    def read(self, slots: Tensor) -> Tensor:
        """Rows (item, ...) of some slots, in the type in which they were given."""
        rows = self.values[slots]
        if self.quantised is None:
            return rows.to(self.dtype)
        scales = self.scales[slots].view(-1, self.scales.shape[1], *(1,) * len(self.shape))
        rows = rows.float().mul_(scales[:, -1])
        return (rows.add_(scales[:, 0]) if self.quantised == "uint8" else rows).to(self.dtype)


def kind_of(dtype: torch.dtype) -> str:
    """What a type holds: yes and no, whole numbers, or numbers."""
    if dtype == torch.bool:
        return "bool"
    return "number" if dtype.is_floating_point or dtype.is_complex else "integer"


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
        for path, value in entries.items():
            shape = tuple(value.shape[1:])
            if f"{path}{LENGTH}" in entries:
                shape = (self.max_length.get(path, shape[0]), *shape[1:])
            self.columns[path] = Column(shape, value.dtype, storage=self.storage.get(path))
        self._ragged = find_ragged(self._columns)

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
            self.columns[counts] = Column((), torch.int64)
            self.columns[counts].allocate(capacity, path=self._find_file(counts))
            self.columns[counts].values[:n_items] = column.shape[0]
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
        """Write the rows that wait: of a slot that was given twice, the last."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        slots = torch.cat([slots for slots, _ in waiting])
        last = {slot: row for row, slot in enumerate(slots.tolist())}
        chosen = None if len(last) == len(slots) else torch.tensor(list(last.values()))
        for path in waiting[0][1]:
            column, parts = self._columns[path], [rows[path].cpu() for _, rows in waiting]
            fill = find_padding(path, parts[0].dtype, self.padding) if path in self._ragged else 0
            rows = torch.cat([_fit(part, column.shape, fill=fill) for part in parts])
            column.write(*((slots, rows) if chosen is None else (slots[chosen], rows[chosen])))

    def read(self, slots: Int[Tensor, " item"]) -> dict[str, Tensor]:
        """Rows of some slots by path; entries that vary in length are cut to the longest of them."""
        entries = {path: column.read(slots) for path, column in self.columns.items()}
        for path in entries:
            lengths = entries.get(f"{path}{LENGTH}")
            if lengths is not None and lengths.numel():
                entries[path] = entries[path][:, : int(lengths.max())]
        return entries

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
        self._waiting = []
        self._columns = {
            path: Column(tuple(part["shape"]), getattr(torch, part["dtype"]), storage=self.storage.get(path))
            for path, part in state.items()
        }
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
