"""Files of the small public sets: columns of numbers, MATLAB files (to version 7), NumPy archives; no code is run."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.untrusted import explained

MOST_BYTES = 2**30
"""Unpacked bytes of an archive that are taken: the largest public one has 10 million."""


def read_columns(path: Path, *, skip: int = 0) -> np.ndarray:
    """Numbers of a plain text file, shape (row,) or (row, column).

    Raises:
        SharpwaveError: If the file is missing or holds anything but numbers.
    """
    if not path.is_file():
        raise SharpwaveError(
            f"the file {path.name}", got=f"nothing there in {path.parent}", fix="fetch the data set again"
        )
    try:
        lines = path.read_text(encoding="latin-1").splitlines()[skip:]
        rows = [line.replace(",", " ").split() for line in lines if line.strip()]
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise SharpwaveError(
            f"only numbers in {path.name}", got=str(error)[:120], fix="fetch the data set again"
        ) from error
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def require_subject(subject: str, known: list[str], *, dataset: str) -> None:
    """Raise unless `subject` is one of `known`.

    Raises:
        SharpwaveError: Naming the subjects there are.
    """
    if subject not in known:
        shown = ", ".join(known[:8]) + (" …" if len(known) > 8 else "")
        raise SharpwaveError(
            f"a subject of {dataset}: {shown or 'none found in this folder'}",
            got=repr(subject),
            fix="list them with `sharpwave datasets list`, or point SHARPWAVE_DATA at the folder that holds the data",
        )


def read_matlab(path: Path, name: str) -> np.ndarray:
    """One variable of a `.mat` file.

    Raises:
        SharpwaveError: If the file is missing or damaged, or lacks the variable.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise SharpwaveError(
            f"the file {path.name}", got=f"nothing there in {path.parent}", fix="fetch the data set again"
        )
    try:
        content = loadmat(path, variable_names=[name])
    except Exception as error:  # scipy raises whatever the damage leads to
        raise SharpwaveError(
            f"a MATLAB file in {path.name}",
            got=f"{type(error).__name__}: {error}"[:200],
            fix="fetch the data set again",
        ) from error
    if name not in content:
        raise SharpwaveError(
            f"the variable {name!r} in {path.name}", got="none of that name", fix="fetch the data set again"
        )
    return content[name]


def iterate_structs(cells: np.ndarray, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], np.void]]:
    """Every struct in nested cell arrays, as (indices from 1, struct)."""
    if cells.dtype.names is not None:
        if cells.size:
            yield path, cells.flat[0]
    elif cells.dtype == object and len(path) < 8:
        for index, inner in enumerate(cells.flat, 1):
            if isinstance(inner, np.ndarray):
                yield from iterate_structs(inner, (*path, index))


def read_archive(path: Path, names: Collection[str] = ()) -> Mapping[str, np.ndarray]:
    """All arrays of an `.npz` file, by name; the last few files read are kept in memory.

    Args:
        path: The file.
        names: Arrays that must be there.

    Raises:
        SharpwaveError: If the file is missing, damaged or too large, or lacks one of the arrays.
    """
    if not path.is_file():
        raise SharpwaveError(
            f"the file {path.name}", got=f"nothing there in {path.parent}", fix="fetch the data set again"
        )
    arrays = _unpack(path, path.stat().st_mtime_ns)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise SharpwaveError(
            f"arrays {', '.join(names)} in {path.name}",
            got=f"no {', '.join(missing)}",
            fix="use the data set's own file",
        )
    return arrays


@lru_cache(maxsize=4)
def _unpack(path: Path, changed: int) -> Mapping[str, np.ndarray]:
    with explained("a readable .npz file", name=path.name, fix="fetch the data set again"):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MOST_BYTES:
            raise SharpwaveError(f"at most {MOST_BYTES} bytes", got=f"{size} in {path.name}", fix="split the file")
        with np.load(path, allow_pickle=False) as file:
            return MappingProxyType({name: file[name] for name in file.files})


def read_table(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """The rows of a table whose columns are separated by tabs, as texts; [] where there is no such file.

    Raises:
        SharpwaveError: If it cannot be read, or lacks a column.
    """
    import csv

    if not path.is_file():
        return []
    with explained(f"a table with columns {', '.join(columns)}", name=path.name, fix="fetch the data set again"):
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
        missing = [name for name in columns if rows and name not in rows[0]]
        if missing:
            raise KeyError(", ".join(missing))
        return rows
