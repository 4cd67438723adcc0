"""One flat arena of bytes, in blocks of one size: whatever was freed fits whatever comes, so nothing is lost to gaps.

A record takes as many blocks as it needs, wherever they are free, and less than one block of them stays empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from sharpwave.disk import own_folder
from sharpwave.errors import SharpwaveError

BLOCK = 64
"""Bytes of a block."""

FILE = "tokens.bin"
"""File of an arena that is mapped into memory."""


class Arena:
    """Records of bytes within an exact number of bytes.

    Args:
        n_blocks: Number of blocks.
        path: Folder of the file that the blocks are mapped from; None, the default, keeps them in memory.

    Attributes:
        n_used: Number of blocks that hold something.

    Example:
        >>> arena = Arena(4)
        >>> blocks = arena.write(b"one" * 30)
        >>> len(blocks), arena.read(blocks, 90) == b"one" * 30
        (2, True)
        >>> arena.free(blocks)
        >>> arena.n_used
        0
    """

    def __init__(self, n_blocks: int, *, path: Path | None = None) -> None:
        self.n_blocks, self.path, self.n_used = n_blocks, path, 0
        self._lock: IO[str] | None = None
        if path is None:
            self._values = torch.from_numpy(np.zeros((n_blocks, BLOCK), dtype=np.uint8))
        else:
            self._lock = own_folder(path, [path / FILE])
            flat = torch.from_file(str(path / FILE), shared=True, size=n_blocks * BLOCK, dtype=torch.uint8)
            self._values = flat.view(n_blocks, BLOCK)
        self._bytes = self._values.numpy()
        self._freed: list[int] = []
        self._top = 0

    @staticmethod
    def count_blocks(n_bytes: int) -> int:
        """Blocks that a record of so many bytes takes."""
        return -(-n_bytes // BLOCK)

    def write(self, record: bytes) -> list[int]:
        """Store a record.

        Returns:
            Its blocks, for `read` and `free`.

        Raises:
            SharpwaveError: If there is no room for it.
        """
        n_blocks = self.count_blocks(len(record))
        if self.n_used + n_blocks > self.n_blocks:
            raise SharpwaveError(
                f"room for a record of {len(record)} bytes",
                got=f"{(self.n_blocks - self.n_used) * BLOCK} free bytes",
                fix="free other records first",
            )
        reused = min(n_blocks, len(self._freed))
        blocks = [self._freed.pop() for _ in range(reused)]
        blocks += range(self._top, self._top + n_blocks - reused)
        self._top += n_blocks - reused
        self.n_used += n_blocks
        self._put(blocks, record)
        return blocks

    def overwrite(self, blocks: Sequence[int], record: bytes) -> None:
        """Put another record of the same number of blocks in place of one."""
        self._put(blocks, record)

    def read(self, blocks: Sequence[int], n_bytes: int) -> bytes:
        """The bytes of a record."""
        return self._bytes[list(blocks)].tobytes()[:n_bytes]

    def free(self, blocks: Sequence[int]) -> None:
        """Give the blocks of a record free."""
        self._freed += blocks
        self.n_used -= len(blocks)

    def wipe(self) -> None:
        """Write zeros over all blocks that no record holds, also of records that were given up long ago."""
        self._bytes[self._freed] = 0
        self._bytes[self._top :] = 0

    def get_values(self) -> UInt8[Tensor, "block byte"]:
        """The blocks up to the last that was ever used: not a copy."""
        return self._values[: self._top]

    def get_all(self) -> UInt8[Tensor, "block byte"]:
        """All blocks: not a copy."""
        return self._values

    def load_values(self, values: UInt8[Tensor, "block byte"], used: Sequence[int]) -> None:
        """Take up what `get_values` gave.

        Args:
            values: The blocks.
            used: Numbers of those that records hold.

        Raises:
            SharpwaveError: If they are no blocks of an arena of this size, or two records share one.
        """
        is_fit = values.dtype == torch.uint8 and values.ndim == 2 and values.shape[1] == BLOCK
        taken = set(used)
        if not is_fit or len(values) > self.n_blocks or len(taken) < len(used):
            raise SharpwaveError(
                f"at most {self.n_blocks} blocks of {BLOCK} bytes, each of one record",
                got=f"{values.dtype} of shape {tuple(values.shape)} for {len(used)} blocks, {len(taken)} of them apart",
                fix="make the memory with the size it had, and load a state that was not changed",
            )
        if taken and not 0 <= min(taken) <= max(taken) < len(values):
            raise SharpwaveError(
                f"records in blocks 0 to {len(values) - 1}",
                got=f"blocks {min(taken)} to {max(taken)}",
                fix="load a state that was not changed",
            )
        if values.data_ptr() != self._values.data_ptr():
            self._values[: len(values)].copy_(values)
        self._top, self.n_used = len(values), len(taken)
        self._freed = [block for block in range(self._top) if block not in taken]

    def _put(self, blocks: Sequence[int], record: bytes) -> None:
        padded = record.ljust(len(blocks) * BLOCK, b"\0")
        self._bytes[list(blocks)] = np.frombuffer(padded, dtype=np.uint8).reshape(len(blocks), BLOCK)
