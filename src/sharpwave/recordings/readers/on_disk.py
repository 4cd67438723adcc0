"""An array that stays on disk, and says in one sentence when its file turns out to be damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError

MOST_COMPRESSED = 1100
"""No more bytes than this come out of one byte of zlib (its limit is 1032)."""


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Rows of an array-like, time first, read when they are sliced.

    Attributes:
        array: Anything with `shape` and `dtype` that slices along its first axis.
        where: File and place in it, for messages.
        factors: Factor per column, where columns differ; None for 1.
        transposed: Whether time is the second axis of `array`.
        column: Keep this column only.
    """

    array: Any
    where: str
    factors: np.ndarray | None = None
    transposed: bool = False
    column: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        shape = tuple(int(length) for length in (self.array.shape[::-1] if self.transposed else self.array.shape))
        return shape if self.column is None else shape[:1]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float64) if self.factors is not None else np.dtype(self.array.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice) -> np.ndarray:
        low, high, step = key.indices(len(self))
        rows = slice(low, high)
        columns = slice(None) if self.column is None else self.column
        try:
            if self.transposed:
                values = np.asarray(self.array[columns, rows]).T
            elif self.column is not None:
                values = np.asarray(self.array[rows, columns])
            else:
                values = np.asarray(self.array[rows])
        except (Exception, MemoryError) as error:  # each library raises its own
            raise SharpwaveError(
                f"undamaged samples in {self.where}",
                got=f"{type(error).__name__}: {' '.join(str(error).split())}"[:200],
                fix="copy or export the file again",
            ) from error
        return (values if self.factors is None else values * self.factors)[::step]


def check_declared(*, declared: int, stored: int, where: str, compressed: bool) -> None:
    """Refuse an array that is declared larger than its file can hold, before anything allocates it.

    Args:
        declared: Bytes the array takes in memory.
        stored: Bytes it takes on disk.
        where: File and place in it.
        compressed: Whether the stored bytes are compressed.

    Raises:
        SharpwaveError: If the file cannot hold it.
    """
    if declared > stored * (MOST_COMPRESSED if compressed else 1):
        raise SharpwaveError(
            f"the {declared} bytes that {where} declares",
            got=f"{stored} bytes on disk",
            fix="the file is incomplete or its header is damaged: copy it again",
        )
