"""Samples that are read or computed when they are sliced: what every array-like of this package is made from.

A class says its shape and type, and how to take a stretch of time; everything else that NumPy's arrays do when they are
sliced along time is here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np


class Sliced(ABC):
    """An array-like, time first, of which only what is sliced is read.

    >>> class Squares(Sliced):
    ...     shape, dtype = (5,), np.dtype(np.int64)
    ...
    ...     def _take(self, low, high):
    ...         return np.arange(low, high) ** 2
    >>> squares = Squares()
    >>> squares[1:4].tolist(), int(squares[-1]), squares[::-2].tolist(), squares[[3, 0]].tolist(), len(squares)
    ([1, 4, 9], 16, [16, 4, 0], [9, 0], 5)
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Length along each axis, time first."""

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """Type of the values."""

    @abstractmethod
    def _take(self, low: int, high: int) -> np.ndarray:
        """Samples low to high (excluded), of which there is at least one."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        time, *rest = key if isinstance(key, tuple) else (key,)
        if time is Ellipsis:
            return self[:] if not rest else self[:][key]
        if isinstance(time, int | np.integer):
            return self._take_one(int(time))[tuple(rest)]
        values = self._take_slice(time) if isinstance(time, slice) else self._take_places(np.asarray(time))
        return values[(slice(None), *rest)] if rest else values

    def _take_one(self, time: int) -> Any:
        index = time + (len(self) if time < 0 else 0)
        if not 0 <= index < len(self):
            raise IndexError(f"sample {time} of {len(self)}")
        return self._take(index, index + 1)[0]

    def _take_slice(self, key: slice) -> np.ndarray:
        places = range(*key.indices(len(self)))
        if not places:
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        low, high = min(places[0], places[-1]), max(places[0], places[-1])
        values = self._take(low, high + 1)
        return values if places.step == 1 else values[:: places.step]

    def _take_places(self, places: np.ndarray) -> np.ndarray:
        """Samples at these places, or where a mask is true."""
        places = np.flatnonzero(places) if places.dtype == bool else places.astype(np.int64)
        if not places.size:
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        places = np.where(places < 0, places + len(self), places)
        low, high = int(places.min()), int(places.max())
        if low < 0 or high >= len(self):
            raise IndexError(f"samples {low} to {high} of {len(self)}")
        return self._take(low, high + 1)[places - low]


@dataclass(frozen=True, eq=False)
class Column(Sliced):
    """One column of a table that may lie on disk.

    Attributes:
        table: Array-like of shape (time, column).
        index: Number of the column, from 0.

    >>> Column(np.arange(6).reshape(3, 2), 1)[1:].tolist()
    [3, 5]
    """

    table: Any
    index: int

    @property
    def shape(self) -> tuple[int]:
        return (self.table.shape[0],)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.table.dtype)

    def _take(self, low: int, high: int) -> np.ndarray:
        return np.asarray(self.table[low:high, self.index])
