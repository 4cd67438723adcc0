"""Get a data set: copied from a local mirror, or downloaded from its authors' copy; every file is checked."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.load import DATA_VARIABLE, cache_folder, data_root, find_dataset
from sharpwave.recordings.datasets.registry import Dataset

BLOCK = 2**20
TIMEOUT = 30.0


def compute_checksum(folder: str | Path) -> str:
    """SHA-256 over the names and contents of all files under a folder, whatever their dates and order on disk."""
    folder = Path(folder)
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{_hash_file(path)}\n".encode())
    return total.hexdigest()


def compare_checksum(name: str, folder: str | Path) -> str:
    """One sentence on whether a folder is the development copy; other subjects of a cohort are no error."""
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
    path = folder / remote.path
    if path.is_file() and _hash_file(path) == remote.sha256:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    have = partial.stat().st_size if partial.is_file() else 0
    resumed, response = _open(remote.url, have, dataset)
    try:
        with response, partial.open("ab" if resumed else "wb") as file:
            shutil.copyfileobj(response, file, BLOCK)
    except OSError as error:
        raise _offline(remote.url, error, dataset) from error
    if _hash_file(partial) != remote.sha256:
        partial.unlink()
        raise SharpwaveError(
            f"{remote.path} with SHA-256 {remote.sha256[:12]}…",
            got="another file, which was deleted",
            fix=f"try again; if it stays so, the source has changed: {dataset.source}",
        )
    partial.replace(path)


def _read(url: str, dataset: Dataset) -> bytes:
    _, response = _open(url, 0, dataset)
    with response:
        return response.read(16 * BLOCK)


def _open(url: str, have: int, dataset: Dataset) -> tuple[bool, HTTPResponse]:
    """An open response, and whether it goes on from the byte asked for."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise SharpwaveError("an http or https address", got=url, fix="correct the registry")
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # all bytes are there already
            return _open(url, 0, dataset)
        raise _offline(url, error, dataset) from error
    except OSError as error:
        raise _offline(url, error, dataset) from error
    return response.status == 206, response


def _offline(url: str, error: OSError, dataset: Dataset) -> SharpwaveError:
    return SharpwaveError(
        f"a connection to {urlsplit(url).netloc}",
        got=str(error)[:150],
        fix=f"try again (it resumes), or set {DATA_VARIABLE} to a folder that holds {dataset.folder!r}; {dataset.how}",
    )


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
