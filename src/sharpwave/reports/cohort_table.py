"""The table of a cohort: a row a night and statistic, with what is known of the sleeper; kept up to date by key."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.untrusted import explained

SUMMARY = "summary.json"
OWN = ("night", "subject", "name", "value", "unit", "low", "high", "verdict", "stager", "species", "simulated", "start",
       "key", "file_size", "file_time")  # fmt: skip
"""Columns of ours; a covariate of the same name is renamed."""
LARGEST = 64 << 20
"""Bytes of the largest summary that is read."""
IDENTIFIERS = ("participant_id", "subject", "night")
"""Columns of a table of participants by which nights are found, best first."""


@dataclass(frozen=True, eq=False)
class CohortTable:
    """The nights of a cohort.

    Attributes:
        rows: One row a night and statistic: night (folder, relative to the cohort's), subject, name, value, unit, low
            and high (80 % interval), verdict, stager, species, simulated, start, key, and covariates.
        n_read: Summaries that were read now; those of other nights had not changed.
        damaged: Nights whose summary cannot be read.
        covariates: Names of the columns that came from the table of participants.
        without_night: Participants of whom there is no night.
        without_participant: Nights of nobody in the table of participants.
    """

    rows: pd.DataFrame
    n_read: int
    damaged: list[str]
    covariates: list[str]
    without_night: list[str]
    without_participant: list[str]


def tabulate_cohort(
    folder: str | Path, *, participants: pd.DataFrame | None = None, earlier: pd.DataFrame | None = None
) -> CohortTable:
    """Tabulate all nights with results below a folder.

    Args:
        folder: Results of `sharpwave decode` or `sharpwave bids`; searched at any depth.
        participants: What is known of the sleepers; see `read_participants`. None where nothing is.
        earlier: Rows of an earlier call. A night whose summary has the size and time that it had then is not read.

    Raises:
        SharpwaveError: If there are no results.

    >>> from tempfile import TemporaryDirectory
    >>> content = {"subject": "01", "statistics": [{"name": "sleep_latency", "value": 9.0, "unit": "min"}]}
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "summary.json").write_text(json.dumps(content))
    ...     table = tabulate_cohort(folder, participants=pd.DataFrame({"participant_id": ["sub-01"], "age": [34]}))
    >>> table.rows[["subject", "name", "value", "age"]].values.tolist()
    [['01', 'sleep_latency', 9.0, 34]]
    """
    root = Path(folder)
    known = _group_earlier(earlier)
    kept, fresh, damaged, n_read = [], [], [], 0
    for path in _find_summaries(root):
        night, state = _name_night(root, path), path.stat()
        stamp = (state.st_size, state.st_mtime_ns)
        if known.get(night, (None, None))[0] == stamp:
            kept.append(known[night][1])
            continue
        n_read += 1
        rows = _read_rows(path, night, stamp)
        if rows is None:
            damaged.append(night)
        else:
            fresh += rows
    tables = [pd.DataFrame(fresh, columns=list(OWN))] if fresh else []
    if kept and earlier is not None:
        tables.append(earlier.loc[np.concatenate(kept), list(OWN)])
    if not tables:
        raise SharpwaveError(
            "results of nights", got=f"no {SUMMARY} with statistics below {show_path(root)}", fix="decode nights first"
        )
    whole = pd.concat(tables, ignore_index=True).sort_values(["night"], kind="stable", ignore_index=True)
    return _join(whole, participants, n_read, damaged)


def _find_summaries(root: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name == SUMMARY or name.endswith(f"_{SUMMARY}"):
                yield Path(here, name)


def _name_night(root: Path, path: Path) -> str:
    if path.name != SUMMARY:
        return show_path(path.name.removesuffix(f"_{SUMMARY}").removesuffix("_desc-sharpwave"))
    return show_path(path.parent.relative_to(root).as_posix())


def _group_earlier(earlier: pd.DataFrame | None) -> dict[str, tuple[tuple[int, int], np.ndarray]]:
    """Stamp and row labels of each night that is known."""
    if earlier is None or not {*OWN} <= {*earlier.columns}:
        return {}
    places = earlier.groupby("night", sort=False, observed=True).indices
    size, time = earlier["file_size"].to_numpy(), earlier["file_time"].to_numpy()
    labels = earlier.index.to_numpy()
    return {str(night): ((int(size[at[0]]), int(time[at[0]])), labels[at]) for night, at in places.items()}


def _read_rows(path: Path, night: str, stamp: tuple[int, int]) -> list[tuple[Any, ...]] | None:
    """The rows of a night; None where its summary is damaged."""
    try:
        if stamp[0] > LARGEST:
            return None
        content = json.loads(path.read_bytes())
        texts = [str(content.get(name) or "") for name in ("verdict", "stager", "species")]
        key = str((content.get("hashes") or {}).get("key", ""))
        tail = (*texts, bool(content.get("simulated", False)), str(content.get("start") or ""), key, *stamp)
        subject = str(content.get("subject") or "")
        return [
            (night, subject, str(row["name"]), *(_number(row.get("value")),), str(row.get("unit") or ""),
             _number(row.get("low")), _number(row.get("high")), *tail)
            for row in content["statistics"]
        ]  # fmt: skip
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def read_participants(path: str | Path) -> pd.DataFrame:
    """A table of participants, such as BIDS's `participants.tsv`; `n/a` is missing.

    Args:
        path: A TSV or CSV with a column participant_id, subject or night.

    Raises:
        SharpwaveError: If it cannot be read, has no such column, or one participant is in it twice.
    """
    path = Path(path)
    with explained(
        "a table of participants", name=show_path(path), fix="write participant_id and covariates; one row each"
    ):
        separator = "," if path.suffix.lower() == ".csv" else "\t"
        labels = dict.fromkeys(IDENTIFIERS, str)  # "007" is not 7
        table = pd.read_csv(path, sep=separator, na_values=["n/a"], comment=None, dtype=labels)
    column = next((name for name in IDENTIFIERS if name in table), None)
    if column is None:
        raise SharpwaveError(
            f"a column {', '.join(IDENTIFIERS[:-1])} or {IDENTIFIERS[-1]}",
            got=", ".join(map(str, table.columns[:6])),
            fix="name the column with the participants' labels participant_id",
        )
    table[column] = table[column].astype(str)
    twice = table[column][table[column].duplicated()].unique()
    if len(twice):
        raise SharpwaveError("each participant once", got=f"{', '.join(twice[:3])} twice", fix="remove one of the rows")
    return table


def _join(rows: pd.DataFrame, participants: pd.DataFrame | None, n_read: int, damaged: list[str]) -> CohortTable:
    if participants is None:
        return CohortTable(rows, n_read, damaged, [], [], [])
    column = next(name for name in IDENTIFIERS if name in participants)
    nights = rows.drop_duplicates("night")[["night", "subject"]]
    labels = [_shorten(label) for label in participants[column]]
    by_label = {label: place for place, label in enumerate(labels)}
    places = {
        night: next((by_label[name] for name in _list_names(night, subject) if name in by_label), -1)
        for night, subject in zip(nights["night"], nights["subject"], strict=True)
    }
    place = rows["night"].map(places).to_numpy()
    covariates = participants.drop(columns=column).rename(
        columns=lambda name: f"participant_{name}" if name in OWN else str(name)
    )
    taken = covariates.reset_index(drop=True).reindex(place).reset_index(drop=True)  # of -1 nothing is known
    used = {*places.values()}
    return CohortTable(
        pd.concat([rows, taken], axis=1),
        n_read,
        damaged,
        [str(name) for name in covariates],
        [label for number, label in enumerate(labels) if number not in used],
        sorted(night for night, number in places.items() if number < 0),
    )


def _shorten(label: object) -> str:
    return str(label).removeprefix("sub-")


def _list_names(night: str, subject: str) -> list[str]:
    """Labels under which a night may stand in a table of participants."""
    parts = [part for folder in night.split("/") for part in folder.split("_") if part.startswith("sub-")]
    return [_shorten(name) for name in (subject, *parts, night, night.rpartition("/")[2])]


def find_outliers(rows: pd.DataFrame, *, far: float = 3.5, most: int = 100) -> pd.DataFrame:
    """Values far from the cohort's: more than 3.5 robust standard deviations from the median of their statistic.

    Args:
        rows: Rows of `CohortTable`.
        far: Distance in robust standard deviations (1.4826 × median absolute deviation).
        most: Rows returned at most, the farthest first.

    >>> rows = pd.DataFrame({"night": list("abcdef"), "name": "W", "value": [10.0, 11.0, 9.0, 10.0, 12.0, 90.0]})
    >>> find_outliers(rows)["night"].tolist()
    ['f']
    """
    middle = rows.groupby("name")["value"].transform("median")
    off = (rows["value"] - middle).abs()
    spread = 1.4826 * off.groupby(rows["name"]).transform("median")
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = ((rows["value"] - middle) / spread).where(spread > 0)
    found = rows.assign(median=middle, distance=distance)
    found = found[found["distance"].abs() > far]
    return found.sort_values("distance", key=lambda value: -value.abs(), kind="stable", ignore_index=True).head(most)
