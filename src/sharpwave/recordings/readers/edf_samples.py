"""One signal of an EDF or BDF file, read from disk where it is sliced: a day of 32 channels costs no memory.

`EdfSamples` is what the file holds; `GriddedSamples` lays it on a regular grid where the recording has gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Int64, UInt8

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.sliced import Sliced

_BLOCK_BYTES = 1 << 23
_SMALL_RECORD = 1 << 13


@dataclass(frozen=True)
class EdfSamples(Sliced):
    """Stored integers of one signal, as an array-like that reads what is sliced.

    Attributes:
        path: The file.
        first_byte: Byte of the file at which the signal's samples begin in the first data record.
        record_bytes: Length of a data record.
        n_records: Number of data records.
        n_samples: The signal's samples in each.
        width: Bytes per sample: 2 or 3, little-endian, signed.
    """

    path: Path
    first_byte: int
    record_bytes: int
    n_records: int
    n_samples: int
    width: int

    @property
    def shape(self) -> tuple[int]:
        return (self.n_records * self.n_samples,)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int16 if self.width == 2 else np.int32)

    def _take(self, low: int, high: int) -> np.ndarray:
        first, last = low // self.n_samples, -(-high // self.n_samples)
        values = self._decoded(self.read_bytes(first, last)).ravel()
        return values[low - first * self.n_samples : high - first * self.n_samples]

    def read_bytes(self, first: int, last: int) -> UInt8[np.ndarray, "record byte"]:
        """The signal's bytes in data records first..last, shape (record, byte)."""
        length = self.n_samples * self.width
        out = np.empty((last - first, length), dtype=np.uint8)
        with self.path.open("rb", buffering=0) as file:
            if self.record_bytes < _SMALL_RECORD or 4 * length >= self.record_bytes:
                self._read_in_blocks(file, out, first)
            else:
                self._read_one_by_one(file, out, first)
        return out

    def _read_one_by_one(self, file: RawIOBase, out: np.ndarray, first: int) -> None:
        length = out.shape[1]
        flat = out.data.cast("B")
        for row in range(len(out)):
            file.seek(self.first_byte + (first + row) * self.record_bytes)
            if file.readinto(flat[row * length : (row + 1) * length]) != length:
                raise self._shrunk()

    def _read_in_blocks(self, file: RawIOBase, out: np.ndarray, first: int) -> None:
        length = out.shape[1]
        step = max(1, _BLOCK_BYTES // self.record_bytes)
        for row in range(0, len(out), step):
            count = min(step, len(out) - row)
            span = (count - 1) * self.record_bytes + length
            file.seek(self.first_byte + (first + row) * self.record_bytes)
            block = np.empty(count * self.record_bytes, dtype=np.uint8)
            if file.readinto(block.data[:span]) != span:
                raise self._shrunk()
            out[row : row + count] = block.reshape(count, self.record_bytes)[:, :length]

    def _shrunk(self) -> SharpwaveError:
        return SharpwaveError(
            f"{self.path.name} to stay as it was when its header was read",
            got="a shorter file",
            fix="read it again when it is no longer written to",
        )

    def _decoded(self, data: np.ndarray) -> np.ndarray:
        if self.width == 2:
            return data.view("<i2").astype(np.int16, copy=False)
        parts = data.reshape(len(data), -1, 3)
        padded = np.zeros((*parts.shape[:2], 4), dtype=np.uint8)
        padded[..., 1:] = parts
        return padded.view("<i4")[..., 0] >> 8


@dataclass(frozen=True)
class GriddedSamples(Sliced):
    """Stretches of a signal on a regular grid, NaN between them; an array-like that reads what is sliced.

    Attributes:
        recorded: The samples that exist, as an array-like; whole numbers up to 24 bits stay exact in float32.
        first: Place on the grid of each stretch's first sample, ascending.
        source: Place in `recorded` of each stretch's first sample.
        length: Number of samples of each stretch.
        rest: Lengths of the axes after time.
    """

    recorded: Any
    first: Int64[np.ndarray, " stretch"]
    source: Int64[np.ndarray, " stretch"]
    length: Int64[np.ndarray, " stretch"]
    rest: tuple[int, ...] = ()

    @classmethod
    def place(cls, recorded: Any, onsets: Sequence[float], counts: Sequence[tuple[int, int]], *, rate: float) -> Self:
        """Lay stretches on the grid that begins at 0 s; none moves by more than half a sample.

        Args:
            recorded: The samples that exist.
            onsets: Start of each stretch in seconds, ascending.
            counts: Half-open range in `recorded` of each.
            rate: Sampling rate in Hz.
        """
        ranges = np.asarray(counts, dtype=np.int64).reshape(-1, 2)
        first = np.floor(np.asarray(onsets, dtype=float) * rate + 0.5 + 1e-9).astype(np.int64)
        return cls(recorded, first, ranges[:, 0], ranges[:, 1] - ranges[:, 0])

    @property
    def shape(self) -> tuple[int, ...]:
        return (int((self.first + self.length).max(initial=0)), *self.rest)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def _take(self, low: int, high: int) -> np.ndarray:
        out = np.full((high - low, *self.rest), np.nan, dtype=np.float32)
        begin = max(int(np.searchsorted(self.first, low, side="right")) - 1, 0)
        for stretch in range(begin, int(np.searchsorted(self.first, high, side="left"))):
            start = int(self.first[stretch])
            lowest, highest = max(low, start), min(high, start + int(self.length[stretch]))
            if highest > lowest:
                source = int(self.source[stretch]) - start
                out[lowest - low : highest - low] = self.recorded[source + lowest : source + highest]
        return out
