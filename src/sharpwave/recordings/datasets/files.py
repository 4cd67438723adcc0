"""Files of the small public sets: columns of numbers, and MATLAB files (to version 7), whose code is never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError


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
