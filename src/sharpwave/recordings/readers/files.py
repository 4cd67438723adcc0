"""What every reader shares: files that can be read, text in any encoding, and arrays that stay on disk.

Whatever a library raises on a bad file becomes one readable error that names the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings.sliced import Sliced
from sharpwave.remote import locate


@contextmanager
def guarded(path: str | Path, kind: str) -> Iterator[list[warnings.WarningMessage]]:
    """Turn any library error while reading `path` into a `SharpwaveError`; its cause is kept.

    Args:
        path: The file, for the message.
        kind: What it should be ("an EDF file").

    Yields:
        The warnings raised inside, so that a reader can declare them as repairs.

    Raises:
        MissingExtraError: If a library that reads the format is not installed.
        SharpwaveError: If the file is missing or cannot be read.
    """
    path = locate(path)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    except SharpwaveError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "sharpwave"):
            raise
        raise MissingExtraError(package, extra="brain") from error
    except FileNotFoundError as error:
        missing = Path(error.filename).name if error.filename else path.name
        raise SharpwaveError(
            f"{kind} at {path}",
            got=f"no file {missing}",
            fix="check the path, and that files that belong together lie together",
        ) from error
    except PermissionError as error:
        raise SharpwaveError(
            f"{kind} that may be read", got=f"no permission for {path.name}", fix="check its permissions"
        ) from error
    except (Exception, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or "no further message"
        raise SharpwaveError(
            f"{kind} in {path.name}",
            got=f"one that cannot be read ({type(error).__name__}: {reason})",
            fix="check that the file is complete and of the format its name says, or export it again",
        ) from error


def check_file(path: str | Path, kind: str) -> Path:
    """The path, if it is a file with something in it.

    Raises:
        SharpwaveError: If it does not exist, is a folder, or is empty.
    """
    path = locate(path)
    if not path.exists():
        raise SharpwaveError(f"{kind} at {path}", got="no such file", fix="check the path")
    if path.is_dir():
        raise SharpwaveError(f"{kind} at {path}", got="a folder", fix="name a file in it")
    if path.stat().st_size == 0:
        raise SharpwaveError(f"{kind} in {path.name}", got="an empty file", fix="copy or export it again")
    return path


_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_MAX_BYTES = 1 << 30


def read_text(path: Path) -> str:
    """The whole text, lines ended by "\\n".

    Raises:
        SharpwaveError: If it is too large or binary.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise SharpwaveError(
            "a text file of at most 1 GiB", got=f"{path.name} of {path.stat().st_size} bytes", fix="convert it to EDF"
        )
    raw = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _guessed(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise SharpwaveError(
            f"text in {path.name}", got="a binary file", fix="check the file's name: its ending decides how it is read"
        )
    text = text.replace("\ufeff", "").removesuffix("\x1a")  # marks of encodings within joined files; the end, in DOS
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _guessed(raw: bytes) -> str:
    sample = raw[:4096]
    if len(sample) >= 4 and len(sample) % 2 == 0:
        if sample[1::2].count(0) > 0.8 * len(sample) / 2:
            return "utf-16-le"
        if sample[::2].count(0) > 0.8 * len(sample) / 2:
            return "utf-16-be"
    return "utf-8"


MOST_COMPRESSED = 1100
"""No more bytes than this come out of one byte of zlib (its limit is 1032)."""


@dataclass(frozen=True, eq=False)
class OnDisk(Sliced):
    """Rows of an array-like, time first, read when they are sliced.

    Attributes:
        array: Anything with `shape` and `dtype` that slices along its first axis.
        where: File and place in it, for messages.
        factors: Factor per column, where columns differ; None for 1.
        transposed: Whether time is the second axis of `array`.
        column: Index of the only column to keep; None keeps all.
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

    def _take(self, low: int, high: int) -> np.ndarray:
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
        return values if self.factors is None else values * self.factors


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
