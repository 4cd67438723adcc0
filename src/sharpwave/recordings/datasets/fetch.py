"""Get a data set: copied from a local mirror, or downloaded from its authors' copy by pooch; all files are checked."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.load import DATA_VARIABLE, cache_folder, data_root, find_dataset
from sharpwave.recordings.datasets.registry import Dataset

BLOCK = 2**16
MOST_LISTED = 2**24
TIMEOUT = 30.0


def compute_checksum(folder: str | Path) -> str:
    """SHA-256 over the names and contents of all files under a folder, whatever their dates and order on disk.

    Args:
        folder: The folder; an empty one has a checksum, too.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "stages.txt").write_text("W W N1")
    ...     compute_checksum(folder)[:12]
    '5580665c28f8'
    """
    folder = Path(folder)
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{_hash_file(path)}\n".encode())
    return total.hexdigest()


def compare_checksum(name: str, folder: str | Path) -> str:
    """One sentence on whether a folder is the development copy; other subjects of a cohort are no error.

    Args:
        name: Short name or folder name of the data set.
        folder: Where its files are.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     compare_checksum("dod", folder)
    'checksum differs: other subjects or changed files'
    """
    if compute_checksum(folder) == find_dataset(name).sha256:
        return "checksum agrees: the same files as in development"
    return "checksum differs: other subjects or changed files"


def fetch_dataset(name: str, target: str | Path | None = None) -> Path:
    """Put a data set under a folder: from `SHARPWAVE_DATA` or `../shared/data` where it is there, else by download.

    An interrupted copy or download goes on where it stopped. Nothing of what is fetched is executed or unpickled.

    Args:
        name: Short name or folder name.
        target: Folder for data sets; the user's cache where omitted (a mirror is then used as it is).

    Returns:
        The data set's folder.

    Raises:
        SharpwaveError: If there is no mirror and no connection, if a file is not what was published, or if the data
            set cannot be downloaded by a program; the message then says how to get it.
        MissingExtraError: If pooch, which downloads, is not installed.

    >>> import os, tempfile
    >>> from unittest.mock import patch
    >>> with tempfile.TemporaryDirectory() as mirror, patch.dict(os.environ, SHARPWAVE_DATA=mirror):
    ...     Path(mirror, "dod-hypnograms").mkdir()
    ...     fetch_dataset("dod").name
    'dod-hypnograms'
    """
    dataset = find_dataset(name)
    mirror = _find_mirror(dataset)
    if mirror is not None and (target is None or mirror.resolve() == (Path(target) / dataset.folder).resolve()):
        return mirror
    folder = Path(target or cache_folder()) / dataset.folder
    if mirror is not None:
        _copy(mirror, folder)
        return folder
    files = _list_remote(dataset, folder)
    for remote in files:
        _download(remote, folder, dataset)
    return folder


@dataclass(frozen=True)
class _Remote:
    path: str
    url: str
    sha256: str


def _find_mirror(dataset: Dataset) -> Path | None:
    root = data_root()
    if root is None or root == cache_folder():
        return None
    return next((root / name for name in (dataset.folder, dataset.name) if (root / name).is_dir()), None)


def _copy(mirror: Path, folder: Path) -> None:
    for source in sorted(path for path in mirror.rglob("*") if path.is_file()):
        goal = folder / source.relative_to(mirror)
        if goal.is_file() and goal.stat().st_size == source.stat().st_size and _hash_file(goal) == _hash_file(source):
            continue
        goal.parent.mkdir(parents=True, exist_ok=True)
        partial = goal.with_name(goal.name + ".part")
        shutil.copyfile(source, partial)
        partial.replace(goal)


def _list_remote(dataset: Dataset, folder: Path) -> list[_Remote]:
    """Files to download, with their checksums: those of the registry, or those that the source publishes."""
    if dataset.files:
        return [_Remote(path, f"{dataset.base}{quoted}", sha256) for path, quoted, sha256 in dataset.files]
    if not dataset.sums:
        raise SharpwaveError(
            f"a local copy of {dataset.name!r}, which no program can download",
            got=f"none under {data_root() or DATA_VARIABLE}",
            fix=f"{dataset.how}; source: {dataset.source}; put the files into {folder} or set {DATA_VARIABLE}",
        )
    files = []
    for line in _read(dataset.base + dataset.sums, dataset).decode("utf-8", errors="replace").splitlines():
        sha256, _, path = line.strip().partition(" ")
        path = path.strip()
        if path.endswith(dataset.suffixes) and "/" not in path and "\\" not in path and len(sha256) == 64:
            files.append(_Remote(path, dataset.base + path, sha256))
    if not files:
        raise SharpwaveError(f"a list of files at {dataset.base}{dataset.sums}", got="none", fix=dataset.how)
    return files


def _download(remote: _Remote, folder: Path, dataset: Dataset) -> None:
    import pooch

    def resume(url: str, goal: str, _: Any) -> None:
        """A downloader for pooch that goes on from the bytes in `.part`; what it gets is checked by pooch."""
        if not (partial.is_file() and _hash_file(partial) == remote.sha256):
            _append(url, partial, dataset)
        partial.replace(goal)

    path = folder / remote.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SharpwaveError(f"a file inside {folder}", got=remote.path, fix="correct the registry")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        pooch.retrieve(remote.url, f"sha256:{remote.sha256}", fname=path.name, path=path.parent, downloader=resume)
    except ValueError as error:  # pooch's word for another checksum
        if isinstance(error, SharpwaveError):
            raise
        raise SharpwaveError(
            f"{remote.path} with SHA-256 {remote.sha256[:12]}…",
            got="another file, which was deleted",
            fix=f"try again; if it stays so, the source has changed: {dataset.source}",
        ) from error


def _append(url: str, partial: Path, dataset: Dataset) -> None:
    """Add to a file the bytes that it lacks; all of them anew where the server does not know what is asked for."""
    have = partial.stat().st_size if partial.is_file() else 0
    with partial.open("ab") as file:

        def begin(response: Any, **_: Any) -> None:
            if response.status_code == 200:  # not 206: the whole file comes
                file.truncate(0)

        try:
            _get(url, file, dataset, headers={"Range": f"bytes={have}-"} if have else {}, hooks={"response": begin})
            return
        except SharpwaveError as error:
            if not have or getattr(getattr(error.__cause__, "response", None), "status_code", None) != 416:
                raise
    partial.unlink()  # longer than the file at the source
    _append(url, partial, dataset)


def _read(url: str, dataset: Dataset) -> bytes:
    content = _Page()
    _get(url, content, dataset)
    return content.getvalue()


class _Page(io.BytesIO):
    """What stands at an address, in memory: at most 16 MiB of it."""

    def write(self, block: Any) -> int:
        return super().write(block[: MOST_LISTED - self.tell()])


def _get(url: str, file: Any, dataset: Dataset, *, headers: dict[str, str] | None = None, **options: Any) -> None:
    import pooch

    if urlsplit(url).scheme not in ("http", "https"):
        raise SharpwaveError("an http or https address", got=url, fix="correct the registry")
    headers = {"Accept-Encoding": "identity", **(headers or {})}  # bytes as they are at the source, to count and resume
    try:
        pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=BLOCK, headers=headers, **options)(url, file, None)
    except OSError as error:
        raise SharpwaveError(
            f"a connection to {urlsplit(url).netloc}",
            got=str(_find_root(error))[:150],
            fix=f"try again (it resumes), or set {DATA_VARIABLE} to a folder that holds {dataset.folder!r}; "
            f"{dataset.how}",
        ) from error


def _find_root(error: BaseException) -> BaseException:
    """The first error of a chain: "connection refused", not what each library wrapped around it."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
