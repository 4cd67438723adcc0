"""The entries of all items of a replay buffer, a column each: preallocated, in memory or mapped from files.

Each column has its own precision. `uint8` keeps the lowest value and the step of each item, so that no value is off by
more than half a step, which is 1/510 of the item's range; `int8` keeps one scale per item and zero exactly: off by at
most 1/254 of its largest value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave.consolidation.batches import LENGTH
from sharpwave.errors import SharpwaveError

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
        if isinstance(storage, str) and (storage not in QUANTISED or not dtype.is_floating_point):
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
            low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
            step = (high - low) / 255
            codes = (flat - low) / torch.where(step > 0, step, 1)
            self.scales[slots] = torch.cat([low, step], dim=1)
        else:
            step = flat.abs().amax(1, keepdim=True) / 127
            codes = flat / torch.where(step > 0, step, 1)
            self.scales[slots] = step
        self.values[slots] = codes.round().to(self.stored_dtype).view(rows.shape)

    def read(self, slots: Tensor) -> Tensor:
        """Rows (item, ...) of some slots, in the type in which they were given."""
        rows = self.values[slots]
        if self.quantised is None:
            return rows.to(self.dtype)
        scales = self.scales[slots].view(-1, self.scales.shape[1], *(1,) * len(self.shape))
        rows = rows.float() * scales[:, -1]
        return (rows + scales[:, 0] if self.quantised == "uint8" else rows).to(self.dtype)


class Table:
    """Rows (slots) of named columns; its shape is that of the first batch.

    Args:
        storage: Type in which each entry is stored, as for `Column`.
        max_length: Length of the longest item of each entry that varies in length; that of the first batch where
            omitted.
        path: Folder of the files that values are mapped from; in memory where omitted.
    """

    def __init__(
        self, storage: Mapping[str, torch.dtype | str], *, max_length: Mapping[str, int], path: Path | None = None
    ) -> None:
        self.storage, self.max_length, self.path = dict(storage), dict(max_length), path
        self.columns: dict[str, Column] = {}

    @property
    def item_bytes(self) -> int:
        """Bytes that one item takes; 0 before the first batch."""
        return sum(column.item_bytes for column in self.columns.values())

    def describe(self, entries: Mapping[str, Tensor]) -> None:
        """Take the columns' shapes from a first batch."""
        for path, value in entries.items():
            shape = tuple(value.shape[1:])
            if f"{path}{LENGTH}" in entries:
                shape = (self.max_length.get(path, shape[0]), *shape[1:])
            self.columns[path] = Column(shape, value.dtype, storage=self.storage.get(path))

    def allocate(self, capacity: int) -> None:
        """Make room for a number of items."""
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)
        for path, column in self.columns.items():
            file = None if self.path is None else self.path / f"{path.replace('/', '.')}.bin"
            column.allocate(capacity, path=file)

    def check(self, entries: Mapping[str, Tensor]) -> None:
        """Raise where a batch is not like the first.

        Raises:
            SharpwaveError: If entries or shapes differ.
        """
        columns = self.columns
        if entries.keys() == columns.keys() and all(columns[p].shape == v.shape[1:] for p, v in entries.items()):
            return
        if entries.keys() != columns.keys():
            raise SharpwaveError(
                f"items with the entries {', '.join(columns)}",
                got=", ".join(entries),
                fix="give the same entries each time, or use another buffer",
            )
        for path, value in entries.items():
            expected, shape = columns[path].shape, tuple(value.shape[1:])
            varies = f"{path}{LENGTH}" in entries
            fits = shape[1:] == expected[1:] if varies else shape == expected
            if not fits or (varies and int(entries[f"{path}{LENGTH}"].max()) > expected[0]):
                raise SharpwaveError(
                    f"items of shape {expected} in {path!r}",
                    got=f"{shape}",
                    fix=f"give max_length={{{path!r}: ...}} when the buffer is made" if varies else "make them alike",
                )

    def write(self, slots: Int[Tensor, " item"], entries: Mapping[str, Tensor]) -> None:
        """Put rows of some columns where `slots` says.

        Raises:
            SharpwaveError: If there is no column of a name.
        """
        for path, rows in entries.items():
            if path not in self.columns:
                raise SharpwaveError(
                    f"an entry among {', '.join(self.columns)}", got=repr(path), fix="add items that have this entry"
                )
            self.columns[path].write(slots, _fit(rows.cpu(), self.columns[path].shape))

    def read(self, slots: Int[Tensor, " item"]) -> dict[str, Tensor]:
        """Rows of some slots by path; entries that vary in length are cut to the longest of them."""
        entries = {path: column.read(slots) for path, column in self.columns.items()}
        for path in entries:
            lengths = entries.get(f"{path}{LENGTH}")
            if lengths is not None and lengths.numel():
                entries[path] = entries[path][:, : int(lengths.max())]
        return entries

    def state_dict(self, n_items: int) -> dict[str, Any]:
        """Shapes, and the content of the first slots."""
        return {
            path: {
                "shape": list(column.shape),
                "dtype": str(column.dtype).removeprefix("torch."),
                "values": column.values[:n_items].clone(),
                "scales": column.scales[:n_items].clone(),
            }
            for path, column in self.columns.items()
        }

    def load_state_dict(self, state: Mapping[str, Any], *, capacity: int) -> None:
        """Take up what `state_dict` gave."""
        self.columns = {
            path: Column(tuple(part["shape"]), getattr(torch, part["dtype"]), storage=self.storage.get(path))
            for path, part in state.items()
        }
        self.allocate(capacity)
        for path, part in state.items():
            self.columns[path].values[: len(part["values"])] = part["values"]
            self.columns[path].scales[: len(part["scales"])] = part["scales"]


def _fit(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Rows cut or padded with zeros along their first axis, where they vary in length."""
    if rows.shape[1:] == shape:
        return rows
    fitted = rows.new_zeros(len(rows), *shape)
    width = min(rows.shape[1], shape[0])
    fitted[:, :width] = rows[:, :width]
    return fitted
