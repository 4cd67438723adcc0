"""The entries of all items of a replay buffer, a column each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave.consolidation.batches import LENGTH
from sharpwave.consolidation.columns import Column
from sharpwave.errors import SharpwaveError


class Table:
    """Rows (slots) of named columns; its shape is that of the first batch.

    Args:
        storage: Precision by entry, as for `Column`.
        max_length: Longest item of entries that vary in length; that of the first batch where omitted.
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
