"""One entry of every item in a replay buffer: preallocated, in a chosen precision, in memory or mapped from a file.

`uint8` keeps the lowest value and the step of each item, so that no value is off by more than half a step, which is
1/510 of the item's range; `int8` keeps one scale per item and zero exactly: off by at most 1/254 of its largest value.
"""

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
        shape: Of one item.
        dtype: In which items are given and come back.
        storage: A floating or integer type, or a key of `QUANTISED`; None keeps `dtype`.
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
