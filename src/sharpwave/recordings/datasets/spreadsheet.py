"""Plain tables out of `.xlsx` files, without a spreadsheet library: cells of numbers and shared strings."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from sharpwave.errors import SharpwaveError

MOST_BYTES = 2**28
Cell = float | str | None


def read_sheets(path: Path) -> dict[str, list[list[Cell]]]:
    """Rows of every sheet, by its name.

    Args:
        path: `.xlsx` file.

    Returns:
        Cells as numbers, texts, or None where empty.

    Raises:
        SharpwaveError: If the file is missing or is no spreadsheet.
    """
    if not path.is_file():
        raise SharpwaveError(
            f"the file {path.name}", got=f"nothing there in {path.parent}", fix="fetch the data set again"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            strings = _read_strings(archive)
            sheets = _parse(archive, "xl/workbook.xml").findall(".//{*}sheet")
            names = [sheet.get("name", "") for sheet in sheets]
            return {
                name: _read_rows(_parse(archive, f"xl/worksheets/sheet{number}.xml"), strings)
                for number, name in enumerate(names, 1)
            }
    except SharpwaveError:
        raise
    except Exception as error:  # zipfile, zlib and the parser each raise their own
        raise SharpwaveError(
            f"a spreadsheet in {path.name}",
            got=f"{type(error).__name__}: {error}"[:200],
            fix="fetch the data set again",
        ) from error


def _parse(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise SharpwaveError("sheets of at most 256 MiB", got=f"{name} of more", fix="fetch the data set again")
    content = archive.read(name)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise SharpwaveError(
            "a spreadsheet without a document type", got=f"one in {name}", fix="fetch the data set again"
        )
    return ElementTree.fromstring(content)


def _read_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    items = _parse(archive, "xl/sharedStrings.xml").findall("{*}si")
    return ["".join(text.text or "" for text in item.iter() if text.tag.endswith("}t")) for item in items]


def _read_rows(sheet: ElementTree.Element, strings: list[str]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for row in sheet.iter():
        if not row.tag.endswith("}row"):
            continue
        cells: list[Cell] = []
        for cell in row:
            column = _column_of(cell.get("r", ""), len(cells))
            if column > 2**14:
                raise SharpwaveError("at most 16,384 columns", got=f"column {column}", fix="fetch the data set again")
            cells += [None] * (column - len(cells) + 1)
            cells[column] = _value_of(cell, strings)
        rows.append(cells)
    return rows


def _column_of(reference: str, default: int) -> int:
    letters = re.match(r"[A-Z]{1,3}", reference)
    if letters is None:
        return default
    number = 0
    for letter in letters.group():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _value_of(cell: ElementTree.Element, strings: list[str]) -> Cell:
    value = cell.find("{*}v")
    if value is None or value.text is None:
        return None
    if cell.get("t") == "s":
        return strings[int(value.text)]
    try:
        return float(value.text)
    except ValueError:
        return value.text
