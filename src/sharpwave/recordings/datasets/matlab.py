"""MATLAB files of at most version 7, read without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError


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
