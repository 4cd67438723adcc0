"""What is known of the sleepers: tables of participants as laboratories write them, and which night is whose."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.spreadsheet import read_sheets
from sharpwave.recordings.readers.files import read_text
from sharpwave.recordings.units import read_age
from sharpwave.untrusted import explained

IDENTIFIERS = ("participant_id", "subject", "night")
"""Columns of a table of participants by which nights are found, best first."""
KNOWN = (*IDENTIFIERS, "age", "sex", "group", "diagnosis", "condition", "treatment", "genotype")
"""Columns that are found however they are capitalised."""
ALIASES = ("participantid", "participant", "subject_id", "subjectid", "id")
"""What a column of participants' labels is called elsewhere, best first."""
EMPTY = ("", "n/a", "N/A", "NA", "#N/A", "nan", "NaN")
"""Cells without a value; "None" is a word, such as a treatment."""
MEN, WOMEN = frozenset(("m", "male", "man")), frozenset(("f", "female", "woman", "w"))


def read_participants(path: str | Path) -> pd.DataFrame:
    """A table of participants, such as BIDS's `participants.tsv`; `n/a` is missing.

    What was understood otherwise than it stands there is a sentence in `attrs["notes"]` of the table.

    Args:
        path: A table with tabs, commas or semicolons between, or the first sheet of an `.xlsx`, with a column
            participant_id, subject or night.

    Raises:
        SharpwaveError: If it cannot be read, has no such column, or one participant is in it twice.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "people.csv")
    ...     _ = path.write_text("Participant_ID;Age;Gender\\n007;45,5 y;F\\n")
    ...     table = read_participants(path)
    >>> table.to_dict("list")
    {'participant_id': ['007'], 'age': [45.5], 'sex': ['F']}
    """
    path = Path(path)
    notes: list[str] = []
    with explained(
        "a table of participants", name=show_path(path), fix="write participant_id and covariates; one row each"
    ):
        text, mark = _read_text(path)
        how: dict[str, Any] = {
            "sep": mark,
            "na_values": EMPTY,
            "keep_default_na": False,
            "index_col": False,
            "skipinitialspace": True,
        }
        heads = pd.read_csv(io.StringIO(text), nrows=0, **how).columns
        names = _recognise([str(name) for name in heads], notes)
        labels = {old: str for old, new in names.items() if new in IDENTIFIERS}  # "007" is not 7
        table = pd.read_csv(
            io.StringIO(text), dtype=labels, decimal="," if mark == ";" else ".", low_memory=False, **how
        )
        table = table.rename(columns=names).dropna(how="all")
    column = next((name for name in IDENTIFIERS if name in table), None)
    if column is None:
        raise SharpwaveError(
            f"a column {', '.join(IDENTIFIERS[:-1])} or {IDENTIFIERS[-1]}",
            got=", ".join(map(str, table.columns[:6])) or "none",
            fix="name the column with the participants' labels participant_id",
        )
    table = _tidy(table, column, notes)
    bare = table[column].map(shorten)
    if len(twice := bare[bare.duplicated()].unique()):
        raise SharpwaveError(
            "each participant once",
            got=f"{', '.join(twice[:3])} twice",
            fix=f"remove one of the rows, or write a row a night, with a column night in the place of {column}",
        )
    _settle(table, notes)
    table.attrs["notes"] = notes
    return table


def _read_text(path: Path) -> tuple[str, str]:
    """The table as text, and what stands between its cells."""
    if path.suffix.lower() == ".xlsx":
        sheets = read_sheets(path)
        out = io.StringIO()
        for row in next(iter(sheets.values()), []):
            whole = [int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in row]
            csv.writer(out, delimiter="\t").writerow(["" if cell is None else cell for cell in whole])
        return out.getvalue(), "\t"
    text = read_text(path)
    head = text.lstrip().partition("\n")[0]
    return text, max("\t;,", key=head.count)


def _recognise(heads: Sequence[str], notes: list[str]) -> dict[str, str]:
    """What each column is called from now on."""
    plain = {head: re.sub(r"[\s-]+", "_", head.strip().lower()) for head in heads}
    names = {head: head.strip() for head in heads}
    for wanted in KNOWN:
        found = [head for head in heads if plain[head] == wanted]
        if found and wanted not in heads:
            names[found[0]] = wanted
    taken = {*names.values()}
    others = [(alias, IDENTIFIERS[0]) for alias in ALIASES] if taken.isdisjoint(IDENTIFIERS) else []
    for alias, wanted in [*others, ("gender", "sex")]:
        found = [head for head in heads if plain[head] == alias]
        if found and wanted not in {*names.values()}:
            names[found[0]] = wanted
            notes.append(f"The column {found[0].strip()} was read as {wanted}.")
    return names


def _tidy(table: pd.DataFrame, column: str, notes: list[str]) -> pd.DataFrame:
    """Cells without blanks around them, and only rows that say of whom they are."""
    for name in table.columns[[values.dtype == object for _, values in table.items()]]:
        table[name] = table[name].map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    if nameless := int(table[column].isna().sum()):
        notes.append(f"{nameless} row{'s' * (nameless != 1)} without {column} left out.")
        table = table[table[column].notna()]
    return table.reset_index(drop=True)


def _settle(table: pd.DataFrame, notes: list[str]) -> None:
    """Ages in words as numbers; words for men and women as M and F, where they are written in several ways."""
    if "age" in table and table["age"].dtype == object:
        read = [read_age(age)[0] for age in table["age"]]
        lost = [str(cell) for cell, age in zip(table["age"], read, strict=True) if age is None and not pd.isna(cell)]
        if lost:
            notes.append(f"{len(lost)} age{'s' * (len(lost) != 1)} left out that cannot be read, such as {lost[0]!r}.")
        table["age"] = pd.Series([None if age is None else float(age) for age in read], dtype=float)
    if "sex" in table:
        words = table["sex"].dropna().astype(str).str.lower()
        known = words.map(lambda word: "M" if word in MEN else "F" if word in WOMEN else None)
        if known.nunique() < table.loc[known.dropna().index, "sex"].nunique():
            table.loc[known.dropna().index, "sex"] = known.dropna()
            notes.append("Words for men and women were written in several ways; they are M and F here.")
        if len(words) and known.isna().all():
            shown = ", ".join(words.drop_duplicates()[:3])
            notes.append(f"Sex is written {shown}: write M and F to compare men and women.")


def shorten(label: object) -> str:
    """A label without BIDS's `sub-`."""
    return str(label).removeprefix("sub-")


def match_nights(nights: pd.DataFrame, labels: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Whose night each is.

    By subject, folder or name as they are written; where that finds nobody, whatever the capitals and zeros in front,
    if it is one participant and one subject that differ so.

    Args:
        nights: A row a night: night, subject.
        labels: Labels of the participants.

    Returns:
        Place among the labels by night, -1 where there is none; and sentences on what was not matched letter by letter.

    >>> match_nights(pd.DataFrame({"night": ["a", "b"], "subject": ["001", "77"]}), ["1", "2"])[0]
    {'a': 0, 'b': -1}
    """
    places = {shorten(label): place for place, label in enumerate(labels)}
    loose: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        loose.setdefault(_loosen(label), []).append(place)
    found: dict[str, int] = {}
    nearly: dict[int, dict[str, list[str]]] = {}
    for night, subject in zip(nights["night"], nights["subject"], strict=True):
        names = _list_names(night, subject)
        found[night] = next((places[name] for name in names if name in places), -1)
        if found[night] < 0:
            near = [(loose[_loosen(name)][0], name) for name in names if len(loose.get(_loosen(name), ())) == 1]
            for place, name in near[:1]:
                nearly.setdefault(place, {}).setdefault(name, []).append(night)
    notes = []
    for place, by_name in nearly.items():
        if len(by_name) == 1 and place not in found.values():
            ((name, of),) = by_name.items()
            found |= dict.fromkeys(of, place)
            notes.append(f"{name} was taken for {labels[place]}")
    if notes:
        more = f", and {len(notes) - 3} more" if len(notes) > 3 else ""
        notes = [f"Labels differ in capitals or zeros: {', '.join(notes[:3])}{more}."]
    return found, notes


def _loosen(label: object) -> str:
    text = shorten(label).strip().casefold()
    return (text.lstrip("0") or "0") if text.isdigit() else text


def _list_names(night: str, subject: str) -> list[str]:
    """Labels under which a night may stand in a table of participants."""
    parts = [part for folder in night.split("/") for part in folder.split("_") if part.startswith("sub-")]
    return [shorten(name) for name in (subject, *parts, night, night.rpartition("/")[2]) if name]
