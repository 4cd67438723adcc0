"""The table of a cohort: a row a night and statistic, with what is known of the sleeper; kept up to date by key."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.reports.participants import IDENTIFIERS, match_nights, shorten

SUMMARY = "summary.json"
OWN = ("night", "subject", "name", "value", "unit", "low", "high", "verdict", "stager", "species", "simulated", "start",
       "key", "file_size", "file_time")  # fmt: skip
"""Columns of ours; a covariate of the same name is renamed."""
LARGEST = 64 << 20
"""Bytes of the largest summary that is read."""
LOG = "log.txt"
UNKNOWN = "unknown"
"""Subject of a recording that does not say whose it is."""


@dataclass(frozen=True, eq=False)
class CohortTable:
    """The nights of a cohort.

    Attributes:
        rows: One row a night and statistic: night (folder, relative to the cohort's), subject, name, value, unit, low
            and high (80 % interval), verdict, stager, species, simulated, start, key, and covariates.
        n_read: Summaries that were read now; those of other nights had not changed.
        damaged: Nights whose summary cannot be read, or holds no statistics.
        failed: Nights of which there is a log and no summary.
        covariates: Names of the columns that came from the table of participants.
        participant: Name of the column with its labels; empty where there is none.
        without_night: Participants of whom there is no night.
        without_participant: Nights of nobody in the table of participants.
        notes: Sentences on what of that table was understood otherwise than it stands there.
    """

    rows: pd.DataFrame
    n_read: int
    damaged: list[str]
    failed: list[str] = field(default_factory=list)
    covariates: list[str] = field(default_factory=list)
    participant: str = ""
    without_night: list[str] = field(default_factory=list)
    without_participant: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def list_losses(self, *, most: int = 20) -> list[str]:
        """Sentences on the nights and participants that are in one place only, with the first of their names."""
        kinds = (
            ("night", "whose summary cannot be read, or holds no statistics", self.damaged),
            ("night", "that failed", self.failed),
            ("participant", "without a night", self.without_night),
            ("night", "of no participant in the table", self.without_participant),
        )
        return [
            f"{len(names)} {noun}{'s' * (len(names) != 1)} {what}: {', '.join(names[:most])}"
            + ", …" * (len(names) > most)
            for noun, what, names in kinds
            if names
        ]

    def find_people(self) -> pd.Series:
        """Whose each row is: the participant's label, or the subject, or, where neither is known, the night."""
        rows = self.rows
        people = rows["subject"].where(rows["subject"] != "", rows["night"])
        return rows[self.participant].fillna(people) if self.participant else people


def tabulate_cohort(
    folder: str | Path, *, participants: pd.DataFrame | None = None, earlier: pd.DataFrame | None = None
) -> CohortTable:
    """Tabulate all nights with results below a folder.

    Args:
        folder: Results of `sharpwave decode` or `sharpwave bids`; searched at any depth.
        participants: What is known of the sleepers; see `sharpwave.reports.participants`. None where nothing is.
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
    for path in _find_results(root, SUMMARY):
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
    whole["subject"] = whole["subject"].replace(UNKNOWN, "")
    failed = [_name_night(root, path) for path in _find_results(root, LOG) if not _find_beside(path).exists()]
    return _join(CohortTable(whole, n_read, damaged, failed), participants)


def _find_results(root: Path, wanted: str) -> Iterator[Path]:
    for here, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name == wanted or name.endswith(f"_desc-sharpwave_{wanted}"):
                yield Path(here, name)


def _find_beside(log: Path) -> Path:
    """The summary that belongs to a log."""
    return log.with_name(log.name.removesuffix(LOG) + SUMMARY)


def _name_night(root: Path, path: Path) -> str:
    """The folder of a night; of BIDS derivatives the night's entities, after the folder of the data set."""
    folders = path.parent.relative_to(root)
    if path.name in (SUMMARY, LOG):
        return show_path(folders.as_posix())
    above = [*takewhile(lambda name: not name.startswith("sub-"), folders.parts)]
    return show_path("/".join([*above, path.name.rpartition("_desc-sharpwave_")[0]]))


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
        ] or None  # fmt: skip
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _join(table: CohortTable, participants: pd.DataFrame | None) -> CohortTable:
    if participants is None:
        return table
    rows = table.rows
    column = next(name for name in IDENTIFIERS if name in participants)
    nights = rows.drop_duplicates("night")[["night", "subject"]]
    labels = [shorten(label) for label in participants[column]]
    places, notes = match_nights(nights, labels)
    place = rows["night"].map(places).to_numpy()
    names: dict[str, str] = {}
    taken = {*OWN}
    for name in map(str, participants):
        new = name
        while new in taken:  # ours keep their names
            new = f"participant_{new}"
        taken.add(new)
        names[name] = new
    known = participants.rename(columns=names)
    of_night = known.reset_index(drop=True).reindex(place).reset_index(drop=True)  # of -1 nothing is known
    used = {*places.values()}
    return replace(
        table,
        rows=pd.concat([rows, of_night], axis=1),
        covariates=[names[name] for name in map(str, participants) if name != column],
        participant=names[column],
        without_night=[label for number, label in enumerate(labels) if number not in used],
        without_participant=sorted(night for night, number in places.items() if number < 0),
        notes=[*participants.attrs.get("notes", []), *notes],
    )


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
