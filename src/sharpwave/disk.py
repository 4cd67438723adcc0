"""What is on a disk, and what a disk says: hashes of content, locks, files brought to the disk for good, errors."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from gzip import GzipFile

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
BLOCK = 1 << 20
SETTLED = 2.0
"""Seconds after a change from which a file's times tell it from its next version."""
OWNER = "replay-buffer.lock"
"""File that says that a folder holds a buffer's values."""


def hash_path(path: str | Path) -> str:
    """SHA-256 of the content of a file, or of all files of a folder with their names; links are followed.

    Raises:
        OSError: If something cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     night = Path(folder, "night.edf")
    ...     _ = night.write_bytes(b"one")
    ...     before = hash_path(night), hash_path(folder)
    ...     _ = night.write_bytes(b"two")
    ...     before[0] == hash_path(night), before[1] == hash_path(folder)
    (False, False)
    """
    path = path if isinstance(path, Path) else Path(path)  # one behind an address stays what it is
    digest = hashlib.sha256()
    if not path.is_dir():
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        return digest.hexdigest()
    for name, part in sorted(_list_files(path)):
        digest.update(name + b"\0" + hash_path(part).encode() + b"\0")
    return digest.hexdigest()


def hash_once(paths: Iterable[Path], notes: Path, compute: Callable[[], str]) -> str:
    """A hash that was computed of the same files before, or now; so that of several processes one reads them.

    Files are the same where their names, sizes, places on the disk and times of change are. Of what changed a moment
    ago nothing is noted, since the clock of a disk has ticks.

    Args:
        paths: Files, or folders with all files in them, on this machine.
        notes: Folder in which hashes are noted; may be one that cannot be written.
        compute: Gives the hash, as `hash_path` does.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "night.edf").write_bytes(b"one")
    ...     hash_once([Path(folder)], Path(folder, "notes"), lambda: "0123")
    '0123'
    """
    digest, times = hashlib.sha256(), list[float]()
    for path in paths:
        for name, part in sorted(_list_files(path)) if path.is_dir() else [(os.fsencode(path.name), path)]:
            found = part.stat()
            digest.update(name + repr((str(part.absolute()), found.st_size, found.st_ino)).encode("utf-8", "replace"))
            digest.update(repr((found.st_mtime_ns, found.st_ctime_ns)).encode())
            times += [found.st_mtime, found.st_ctime]
    settled = time.time() - max(times, default=math.inf) > SETTLED
    note = notes / f"{digest.hexdigest()[:32]}.sha256"
    with contextlib.suppress(OSError):
        noted = note.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{64}", noted):
            return noted
    value = compute()
    if settled:
        partial = note.with_name(f"{note.name}.{os.getpid()}-{time.monotonic_ns()}")
        with contextlib.suppress(OSError):
            notes.mkdir(parents=True, exist_ok=True)
            partial.write_text(value, encoding="ascii")
            partial.replace(note)
    return value


def _list_files(folder: Path) -> Iterator[tuple[bytes, Path]]:
    """Files at any depth with their names as bytes; a link back to a folder that is being listed is not followed."""
    for here, folders, files in os.walk(folder, followlinks=True):
        above = {os.path.realpath(parent) for parent in (Path(here), *Path(here).parents)}
        folders[:] = [name for name in folders if os.path.realpath(Path(here, name)) not in above]
        for file in files:
            path = Path(here, file)
            if path.is_file():
                yield os.fsencode(path.relative_to(folder)), path


def read_start(file: IO[bytes] | GzipFile, most: int) -> bytes:
    """The first bytes of a file, in memory of the size of what is there, not of what is allowed.

    Args:
        file: The file, opened for reading bytes; it may be one that is unpacked while it is read.
        most: Number of bytes that are read at most.

    >>> from io import BytesIO
    >>> read_start(BytesIO(b"abcdef"), 4), read_start(BytesIO(b"abcdef"), 1 << 40)
    (b'abcd', b'abcdef')
    """
    blocks = []
    while most > 0 and (block := file.read(min(BLOCK, most))):
        blocks.append(block)
        most -= len(block)
    return b"".join(blocks)


def hash_files(folder: str | Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """SHA-256 of each file of a folder, by its name.

    Args:
        folder: The folder.
        names: Names of the files; None for all that lie in the folder itself.
    """
    folder = Path(folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_file()) if names is None else names
    return {name: hash_path(folder / name) for name in names}


def find_changed(folder: str | Path, hashes: Mapping[str, str]) -> list[str]:
    """Names of files that are missing or are not what they were when `hash_files` was called.

    >>> find_changed("nowhere", {"events.tsv": "0" * 64})
    ['events.tsv']
    """
    folder = Path(folder)
    return [name for name, wanted in hashes.items() if _hash_or_none(folder / name) != wanted]


def _hash_or_none(path: Path) -> str | None:
    try:
        return hash_path(path)
    except OSError:
        return None


def sync(folder: Path) -> None:
    """Bring a folder's files and their names to the disk, so that a loss of power cannot take them."""
    for here, _, files in os.walk(folder):
        for file in files:
            path = Path(here, file)
            if not path.is_symlink():
                _sync(path, os.O_RDWR)
        sync_names(Path(here))


def sync_names(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    try:
        descriptor = os.open(path, flags)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in (*FULL, errno.EIO):
            raise
    finally:
        os.close(descriptor)


def lock_folder(folder: Path, *, wait: bool = False) -> int | None:
    """A lock on a folder as a file descriptor; None where another process has it, or folders cannot be locked.

    Args:
        folder: The folder; nothing is written into it. Closing the descriptor gives it free.
        wait: Whether to wait until another process gives it free.
    """
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def exchange_folders(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    here, exchange = -100, 2
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def show_path(path: object) -> str:
    """A path or other text as text that can be printed and written: bytes that are no UTF-8 become �.

    >>> show_path("nuit_\\udce9.edf")
    'nuit_�.edf'
    """
    return re.sub("[\ud800-\udfff]", "�", str(path))


def explain_error(error: BaseException, target: str | Path) -> SharpwaveError | None:
    """An error of writing in words; None for what is no matter of the disk.

    Args:
        error: What was raised. Libraries wrap errors of the system in their own, so its text is looked at as well.
        target: What was to be written.

    >>> print(explain_error(OSError(28, "No space left on device"), "out"))
    expected room on the disk for out; got No space left on device. Fix: make room, or give another --output; ...
    """
    number = error.errno if isinstance(error, OSError) else None
    said = next((code for code in FULL if os.strerror(code) in str(error)), None)
    if number in FULL or said is not None:
        return SharpwaveError(
            f"room on the disk for {show_path(target)}",
            got=os.strerror(said or number or errno.ENOSPC),
            fix="make room, or give another --output; what was there before is unchanged",
        )
    if number in CLOSED:
        return SharpwaveError(
            f"permission to write {show_path(target)}",
            got=f"{os.strerror(number or errno.EACCES)} ({show_path(getattr(error, 'filename', '') or target)})",
            fix="change the permissions, or give another --output",
        )
    if number in (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EBUSY, errno.EXDEV, errno.EIO):
        return SharpwaveError(
            f"a folder that can be written at {show_path(target)}",
            got=f"{os.strerror(number or errno.EIO)} ({show_path(getattr(error, 'filename', '') or target)})",
            fix="give another --output",
        )
    return None


@contextlib.contextmanager
def explaining(target: str | Path) -> Iterator[None]:
    """Errors of writing a target that are raised in the block are said in words; all others pass."""
    try:
        yield
    except SharpwaveError:
        raise
    except Exception as error:
        explained = explain_error(error, target)
        if explained is None:
            raise
        raise explained from error


def own_folder(folder: Path, files: list[Path]) -> IO[str]:
    """Take a folder for one buffer, for as long as what is returned lives.

    Args:
        folder: The folder; made if it does not exist.
        files: Files that will be written there.

    Raises:
        SharpwaveError: If another buffer has it, two entries would share a file, or files in it are not a buffer's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if len(set(files)) < len(files):
        raise SharpwaveError(
            "entries whose files have different names",
            got=", ".join(file.name for file in files),
            fix="rename an entry: / and . in names become the same",
        )
    strangers = [file.name for file in files if file.exists()]
    if strangers and not (folder / OWNER).exists():
        raise SharpwaveError(
            "an empty folder for the buffer's values", got=f"{strangers[0]} of something else", fix="give another path="
        )
    lock = (folder / OWNER).open("a", encoding="utf-8")
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise SharpwaveError(
            "a folder of its own for each buffer",
            got=f"{folder.name}, which another buffer writes to",
            fix="give another path=",
        ) from error
    return lock
