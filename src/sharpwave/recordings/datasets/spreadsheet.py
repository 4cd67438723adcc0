"""Plain tables out of `.xlsx` files, read by openpyxl; what an untrusted file could do to memory is refused before."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

from sharpwave.errors import SharpwaveError

MOST_BYTES = 2**28
MOST_ROWS, MOST_COLUMNS = 2**20, 2**14
Cell = float | str | None


def read_sheets(path: Path) -> dict[str, list[list[Cell]]]:
    """Rows of every sheet, by its name.

    Args:
        path: `.xlsx` file.

    Returns:
        Cells as numbers, texts, or None where empty; formulas as the values that were saved with them. Rows end at
        their last cell that holds something, and rows without any are left out.

    Raises:
        SharpwaveError: If the file is missing, is no spreadsheet, or is too large.
        MissingExtraError: If openpyxl is not installed.

    >>> import tempfile
    >>> from openpyxl import Workbook
    >>> book = Workbook()
    >>> book.active.append(["cortex", 1, 2.5])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     book.save(Path(folder) / "bold.xlsx")
    ...     read_sheets(Path(folder) / "bold.xlsx")
    {'Sheet': [['cortex', 1.0, 2.5]]}
    """
    if not path.is_file():
        raise SharpwaveError(
            f"the file {path.name}", got=f"nothing there in {path.parent}", fix="fetch the data set again"
        )
    try:
        _check_parts(path)
        return _read(path)
    except (SharpwaveError, ModuleNotFoundError):
        raise
    except Exception as error:  # zipfile, zlib, the parser and openpyxl each raise their own
        raise SharpwaveError(
            f"a spreadsheet in {path.name}",
            got=f"{type(error).__name__}: {error}"[:200],
            fix="fetch the data set again",
        ) from error


def _check_parts(path: Path) -> None:
    """Refuse a file whose parts would fill the memory, or whose XML has a document type (and maybe entities)."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.file_size > MOST_BYTES:
                raise SharpwaveError(
                    "sheets of at most 256 MiB", got=f"{part.filename} of more", fix="fetch the data set again"
                )
            content = archive.read(part)
            if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
                raise SharpwaveError(
                    "a spreadsheet without a document type",
                    got=f"one in {part.filename}",
                    fix="fetch the data set again",
                )


def _read(path: Path) -> dict[str, list[list[Cell]]]:
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and links, which hold no numbers
        book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            sheets = {}
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # what the file says of its size need not be true
                sheets[sheet.title] = _read_rows(sheet.iter_rows(values_only=True))
            return sheets
        finally:
            book.close()


def _read_rows(rows: Iterable[tuple[object, ...]]) -> list[list[Cell]]:
    found: list[list[Cell]] = []
    for number, row in enumerate(rows):
        if number >= MOST_ROWS or len(row) > MOST_COLUMNS:
            raise SharpwaveError(
                "at most 1,048,576 rows and 16,384 columns",
                got=f"row {number + 1} of {len(row):,} columns",
                fix="fetch the data set again",
            )
        cells = [_to_cell(value) for value in row]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            found.append(cells)
    return found


def _to_cell(value: object) -> Cell:
    """Numbers as floats, also where their format makes them dates; texts as they are."""
    from openpyxl.utils.datetime import to_excel

    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        value = to_excel(value)
    return float(value)  # type: ignore[arg-type]
