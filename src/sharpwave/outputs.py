"""Results on disk: whole or not at all, in place of what is ours, and never in place of what is someone else's.

Everything is written into a temporary folder, brought to the disk (fsync), and renamed once: `replace_folder` for a
folder that is ours, `replace_files` for files that belong together among others, `replace_file` for one file. A process
that dies leaves the old results or the new ones.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from sharpwave.disk import CLOSED, exchange_folders, explaining, hash_path, lock_folder, show_path, sync, sync_names
from sharpwave.errors import SharpwaveError

READY = ".sharpwave-ready"
"""Folder of new files that are complete and being moved to their places: a reader takes those that are still there."""
REMOVED = ".removed.json"
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in any folder."""
LARGEST_HEAD = 128 << 20
"""Bytes that are read of a JSON file; the rest of a longer one is left out, so that it is no JSON."""
SMALLEST_SPACE = 16 << 20
"""Bytes that must be free before a long run begins."""
YOUNG = 5.0
"""Seconds for which a temporary folder that no process holds is left alone: its process may be about to take it."""

Owns = Callable[[Path], bool]
"""Says whether a folder is a result of ours as a whole."""


def find_strangers(folder: Path, known: Collection[str]) -> list[str]:
    """Names in a folder that are none of ours, sorted; what file managers leave does not count.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = [Path(folder, name).write_text("") for name in ("report.html", "thesis.docx")]
    ...     find_strangers(Path(folder), {"report.html", "events.tsv"})
    ['thesis.docx']
    """
    return sorted(
        item.name
        for item in os.scandir(folder)
        if item.name not in LITTER
        and not item.name.startswith((READY, ".sharpwave.partial-"))
        and not any(_is_temporary(item.name, f".{_shorten(name)}.partial-") for name in known)
        and not (item.name in known and not item.is_dir(follow_symlinks=False))
    )


def check_folder(target: str | Path, *, known: Collection[str] = (), owns: Owns | None = None) -> None:
    """Before hours of work: can results be written here, in place of nothing but results of ours?

    Args:
        target: Folder of the results; need not exist.
        known: Names of files that our results consist of.
        owns: Says whether the folder is ours as a whole, where that is not known from names of files.

    Raises:
        SharpwaveError: If it holds something of someone else's, is no folder, cannot be written, or the disk is full.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "thesis.docx").write_text("years of work")
    ...     check_folder(folder, known={"report.html"})
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected a new folder, or one of earlier results; got ...thesis.docx, which ...
    """
    real = Path(os.path.realpath(target))
    _check_ours(real, known, owns)
    with explaining(real):
        inside = _must_stay(real)
        real.parent.mkdir(parents=True, exist_ok=True)
        settle_files(real)
        partial = _make_partial(real, inside=inside)
        with _held(partial):
            (partial / "probe").write_bytes(b"probe")
            sync(partial)
            if shutil.disk_usage(partial).free < SMALLEST_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _check_ours(real: Path, known: Collection[str], owns: Owns | None) -> None:
    if not os.path.lexists(real):
        return
    if not real.is_dir():
        raise SharpwaveError("a folder for the results", got=f"{show_path(real)}, a file", fix="give another --output")
    if owns is not None and owns(real):
        return
    with explaining(real):
        strangers = find_strangers(real, known)
    if strangers:
        raise SharpwaveError(
            "a new folder, or one of earlier results",
            got=f"{show_path(real)} with {show_path(', '.join(strangers[:3]))}, which sharpwave did not write",
            fix="give another --output, or move these files elsewhere; nothing was changed",
        )


@contextlib.contextmanager
def replace_folder(target: str | Path, *, known: Collection[str] = (), owns: Owns | None = None) -> Iterator[Path]:
    """A temporary folder to write results into; when the block ends well it takes the place of `target` as a whole.

    Args:
        target: Folder of the results. Earlier results in it are replaced, so that no file of theirs stays.
        known: Names of files that our results consist of; a folder with anything else is left alone.
        owns: Says whether the folder is ours as a whole, where that is not known from names of files.

    Yields:
        The temporary folder, empty, on the same disk.

    Raises:
        SharpwaveError: If `target` holds something of someone else's, or cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as home:
    ...     for name in ("one.txt", "two.txt"):
    ...         with replace_folder(Path(home) / "out", known={"one.txt", "two.txt"}) as folder:
    ...             _ = (folder / name).write_text("results")
    ...     sorted(path.name for path in Path(home, "out").iterdir())
    ['two.txt']
    """
    real = Path(os.path.realpath(target))
    _check_ours(real, known, owns)
    if _must_stay(real):
        with replace_files(real, stale=[name for name in known if (real / name).is_file()]) as partial:
            yield partial
        return
    with explaining(real):
        real.parent.mkdir(parents=True, exist_ok=True)
        settle_files(real)
        _clean(real)
        partial = _make_partial(real)
    with _held(partial), explaining(real):
        yield partial
        sync(partial)
        if real.is_dir():
            with contextlib.suppress(OSError):
                shutil.copymode(real, partial)
        put_folder(partial, real, known=known, owns=owns)


def _must_stay(real: Path) -> bool:
    """Whether a folder cannot be exchanged for another: a disk of its own, where a shell stands, in a closed folder."""
    if not real.is_dir():
        return False
    here = Path.cwd()
    if os.path.ismount(real) or real == here or real in here.parents:
        return True
    try:
        os.rmdir(_make_partial(real))
    except OSError as error:
        return error.errno in CLOSED
    return False


def _make_partial(real: Path, *, inside: bool = False) -> Path:
    """A new folder with a name of its own, beside a folder or in it."""
    name = "sharpwave" if inside else _shorten(real.name)
    path = (real if inside else real.parent) / f".{name}.partial-{secrets.token_hex(6)}"
    path.mkdir()
    return path


def _is_temporary(name: str, kind: str) -> bool:
    return name.startswith(kind) and re.fullmatch("[0-9a-f]{12}", name.removeprefix(kind)) is not None


def _shorten(name: str) -> str:
    encoded = os.fsencode(name)
    return name if len(encoded) < 200 else hashlib.sha256(encoded).hexdigest()[:32]


@contextlib.contextmanager
def _held(partial: Path) -> Iterator[None]:
    """While a process holds a temporary folder nobody cleans it away; if the block fails it goes."""
    lock = lock_folder(partial)
    try:
        yield
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _clean(real: Path, *, inside: bool = False) -> None:
    """Remove temporary folders of processes that died; put back what one was exchanging."""
    home, name = (real, "sharpwave") if inside else (real.parent, _shorten(real.name))
    for kind in (f".{name}.old-", f".{name}.partial-"):
        for path in [Path(item.path) for item in os.scandir(home) if _is_temporary(item.name, kind) and item.is_dir()]:
            with contextlib.suppress(OSError):
                if "old" in kind and not os.path.lexists(real):
                    os.rename(path, real)
                elif time.time() - path.stat().st_ctime > YOUNG and (lock := lock_folder(path)) is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(lock)


def put_folder(partial: Path, target: str | Path, *, known: Collection[str] = (), owns: Owns | None = None) -> None:
    """Put a complete folder, which lies beside `target`, in its place as `replace_folder` does; what was there goes."""
    real = Path(os.path.realpath(target))
    for _ in range(100):
        try:
            os.rename(partial, real)  # where there is nothing, or an empty folder
            return sync_names(real.parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        try:
            _check_ours(real, known, owns)
        except SharpwaveError as error:  # someone put something there while we worked: the results are kept
            kept = real.with_name(f"{_shorten(real.name)}-{secrets.token_hex(3)}")
            os.rename(partial, kept)
            raise SharpwaveError(error.expected, got=error.got, fix=f"the results are in {show_path(kept)}") from None
        if exchange_folders(partial, real):
            sync_names(real.parent)
            shutil.rmtree(partial, ignore_errors=True)
            return None
        old = real.with_name(f".{_shorten(real.name)}.old-{secrets.token_hex(6)}")
        try:
            os.rename(real, old)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # another process may have put it back
            os.rename(partial, real)
            sync_names(real.parent)
            shutil.rmtree(old, ignore_errors=True)
            return None
    raise OSError(errno.EBUSY, "other processes keep replacing it", str(real))


@contextlib.contextmanager
def replace_files(folder: str | Path, *, ready: str = READY, stale: Sequence[str] = ()) -> Iterator[Path]:
    """A temporary folder for files that belong together; when the block ends well all of them count at once.

    The complete folder is renamed to `ready` within `folder`: from then on readers that use `locate_file` see the new
    files. They are then moved to their places, by this process or, if it dies, by the next one.

    Args:
        folder: Where the files go, beside whatever else there is; made if it does not exist.
        ready: Name of the folder of complete files, one for each set of files that is written on its own.
        stale: Files of earlier results that go, relative to `folder`, unless they are written anew.

    Yields:
        The temporary folder; files in it lie as they shall lie in `folder`.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as home:
    ...     with replace_files(home) as folder:
    ...         _ = (folder / "a.txt").write_text("1"), (folder / "b.txt").write_text("2")
    ...     sorted(path.name for path in Path(home).iterdir())
    ['a.txt', 'b.txt']
    """
    real = Path(os.path.realpath(folder))
    with explaining(real):
        real.mkdir(parents=True, exist_ok=True)
        settle_files(real, ready=ready)
        _clean(real, inside=True)
        partial = _make_partial(real, inside=True)
    with _held(partial), explaining(real):
        yield partial
        gone = [name for name in stale if not (partial / name).exists()]
        if gone:
            (partial / REMOVED).write_text(json.dumps(gone), encoding="utf-8")
        sync(partial)
        for _ in range(100):
            settle_files(real, ready=ready)
            try:
                os.rename(partial, real / ready)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        else:
            raise OSError(errno.EBUSY, "other processes keep writing into it", str(real))
        sync_names(real)
        settle_files(real, ready=ready)


def settle_files(folder: str | Path, *, ready: str = READY) -> None:
    """Move complete files of `replace_files` to their places, where a process died before it had done so."""
    real = Path(os.path.realpath(folder))
    if not (real / ready).is_dir():
        return
    lock = lock_folder(real, wait=True)
    try:
        home = real / ready
        with contextlib.suppress(OSError, ValueError):
            for name in json.loads((home / REMOVED).read_text(encoding="utf-8")):
                if _is_below(name):
                    (real / name).unlink(missing_ok=True)
            (home / REMOVED).unlink()
        for here, _, files in os.walk(home, topdown=False):
            for file in files:
                target = real / Path(here, file).relative_to(home)
                target.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    os.replace(Path(here, file), target)
            with contextlib.suppress(OSError):
                os.rmdir(here)
        sync_names(real)
    finally:
        if lock is not None:
            os.close(lock)


def _is_below(name: object) -> bool:
    return isinstance(name, str) and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


def locate_file(folder: str | Path, name: str, *, ready: str = READY) -> Path:
    """Where a file of `replace_files` is: among the complete ones that are still to be moved, or in its place.

    >>> str(locate_file("state", "state.json"))
    'state/state.json'
    """
    waiting = Path(folder) / ready / name
    return waiting if waiting.is_file() else Path(folder) / name


def read_head(folder: str | Path, head: str, body: str) -> tuple[str, Path]:
    """Text of a JSON file and path of the large file that it describes, both written at once.

    Args:
        folder: Folder of both.
        head: Name of the JSON file. Its entry "sha256", where it has one, is the hash of the other's content.
        body: Name of the large file.

    Raises:
        SharpwaveError: If the two were written at different times.
        OSError: If one cannot be read.
    """
    for left in (2, 1, 0):
        with locate_file(folder, head).open("rb") as file:
            text = file.read(min(LARGEST_HEAD, os.fstat(file.fileno()).st_size)).decode("utf-8")
        path = locate_file(folder, body)
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        wanted = content.get("sha256") if isinstance(content, dict) else None
        with contextlib.suppress(FileNotFoundError):
            if wanted is None or hash_path(path) == wanted:
                return text, path
        time.sleep(0.05 * left)  # a process may be replacing them at this moment
    raise SharpwaveError(
        f"{head} and {body} that belong together",
        got=f"{show_path(Path(folder).name)}: {body} is not the one that {head} was written with",
        fix="write both again, or take both from one copy",
    )


@contextlib.contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """A temporary name to write a file at; when the block ends well the file takes the place of `path`.

    It lies in a folder that this process holds; what a killed process leaves, the next one that writes `path` removes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as home:
    ...     with replace_file(Path(home) / "page.html") as page:
    ...         _ = page.write_text("whole")
    ...     [file.name for file in Path(home).iterdir()]
    ['page.html']
    """
    real = Path(os.path.realpath(path))
    with explaining(real):
        real.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # where names may not be read, files can be written all the same
            _clean(real)
        partial = _make_partial(real)
    with _held(partial), explaining(real):
        yield partial / real.name
        with (partial / real.name).open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial / real.name, real)
        sync_names(real.parent)


def write_file(path: str | Path, content: str | bytes) -> Path:
    """Write a small file, whole or not at all; text as UTF-8.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as home:
    ...     write_file(Path(home) / "a.txt", "whole").read_text()
    'whole'
    """
    with replace_file(path) as partial:
        partial.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return Path(path)
