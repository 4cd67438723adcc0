"""One entry of all items of a replay buffer, in a precision of its own: in memory, or mapped from a file."""

from __future__ import annotations

from math import prod
from pathlib import Path

import torch
from torch import Tensor

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
        fitted = rows.new_zeros(n_items, *shape)
        fitted[tuple(slice(size) for size in rows.shape)] = rows
        wider = Column(shape, self.dtype, storage=self.quantised or self.stored_dtype)
        wider.allocate(capacity, path=path)
        wider.write(torch.arange(n_items), fitted)
        self.shape, self.values, self.scales = wider.shape, wider.values, wider.scales

    def read(self, slots: Tensor) -> Tensor:
        """Rows (item, ...) of some slots, in the type in which they were given."""
        rows = self.values[slots]
        if self.quantised is None:
            return rows.to(self.dtype)
        scales = self.scales[slots].view(-1, self.scales.shape[1], *(1,) * len(self.shape))
        rows = rows.float().mul_(scales[:, -1])
        return (rows.add_(scales[:, 0]) if self.quantised == "uint8" else rows).to(self.dtype)


def kind_of(dtype: torch.dtype) -> str:
    """What a type holds: yes and no, whole numbers, numbers, or complex ones."""
    if dtype == torch.bool:
        return "bool"
    if dtype.is_complex:
        return "complex"
    return "number" if dtype.is_floating_point else "integer"
