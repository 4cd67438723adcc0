"""Files that hold one column of numbers, or several: how the small public sets come."""

from __future__ import annotations

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
