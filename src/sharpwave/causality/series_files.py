"""A night's course as files: what `sharpwave decode` leaves for `sharpwave causality`, and what a laboratory may write.

`course.parquet` holds one row a second, `reactivations.tsv` one row an event, `candidates.tsv` one row a ripple or
burst, `cues.tsv` one row a cue; the last two may be absent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.causality.series import NightCourse
from sharpwave.errors import SharpwaveError

COURSE, REACTIVATIONS, CUES, CANDIDATES = "course.parquet", "reactivations.tsv", "cues.tsv", "candidates.tsv"
OPTIONAL = ("emg", "infraslow")


def tabulate_course(course: NightCourse) -> pd.DataFrame:
    """The course as a table: time, stage (code), n_stages, depth, usable, and emg and infraslow where known."""
    columns = {
        "time": course.time,
        "stage": course.stage,
        "n_stages": course.n_stages,
        "depth": course.depth,
        "usable": course.usable,
    }
    known = {name: getattr(course, name) for name in OPTIONAL if getattr(course, name) is not None}
    return pd.DataFrame(columns | known)


def tabulate_files(course: NightCourse) -> dict[str, pd.DataFrame]:
    """Every table that holds the course, by the name of its file."""
    tables = {COURSE: tabulate_course(course), REACTIVATIONS: course.reactivations}
    if course.candidates is not None:
        tables[CANDIDATES] = pd.DataFrame({"onset": course.candidates})
    if course.cues is not None:
        tables[CUES] = course.cues
    return tables


def write_course(course: NightCourse, folder: str | Path) -> Path:
    """Write a course into a folder, which is made where it does not exist; returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tabulate_files(course).items():
        if name == COURSE:
            table.to_parquet(folder / name, index=False)
        else:
            table.to_csv(folder / name, sep="\t", index=False, na_rep="n/a")
    return folder


def read_course(folder: str | Path, *, night: str) -> NightCourse:
    """Read a course written by `write_course`.

    Args:
        folder: That holds its files.
        night: Name of the night.

    Raises:
        SharpwaveError: If a file is missing or damaged, or lacks a column.
    """
    folder = Path(folder)
    table = _read_parquet(folder / COURSE)
    needed = ("time", "stage", "n_stages", "depth", "usable")
    missing = [name for name in needed if name not in table]
    if missing or not len(table):
        raise SharpwaveError(
            f"{COURSE} with columns {', '.join(needed)} and one row a second",
            got=f"no {', '.join(missing)}" if missing else "no rows",
            fix="decode the night again",
        )
    cues, candidates = folder / CUES, folder / CANDIDATES
    return NightCourse(
        night=night,
        time=table["time"].to_numpy(dtype=float),
        stage=table["stage"].to_numpy(dtype=np.int8),
        n_stages=int(table["n_stages"].iloc[0]),
        depth=table["depth"].to_numpy(dtype=float),
        emg=table["emg"].to_numpy(dtype=float) if "emg" in table else None,
        infraslow=table["infraslow"].to_numpy(dtype=float) if "infraslow" in table else None,
        reactivations=read_reactivations(folder / REACTIVATIONS),
        usable=table["usable"].to_numpy(dtype=bool),
        cues=read_events(cues, ("onset", "condition", "content")) if cues.is_file() else None,
        candidates=read_events(candidates, ("onset",))["onset"].to_numpy() if candidates.is_file() else None,
    )


def read_reactivations(path: str | Path) -> pd.DataFrame:
    """Reactivations from a table: onset (s) and, where the memories differ, content; sorted.

    Raises:
        SharpwaveError: If the file cannot be read or has no onsets.
    """
    table = read_events(path, ("onset",))
    content = table["content"].fillna("").astype(str) if "content" in table else pd.Series("", index=table.index)
    return table.assign(content=content.replace("", "unknown"))


def read_events(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of events with these columns, by onset.

    Raises:
        SharpwaveError: If it cannot be read, lacks a column, or has onsets that are no numbers.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else None, engine="python", na_values=["n/a"])
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise SharpwaveError(
            f"a table with columns {', '.join(columns)}",
            got=f"{path.name}: {error}",
            fix="write a TSV, one row an event",
        ) from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise SharpwaveError(
            f"{path.name} with columns {', '.join(columns)}",
            got=f"no {', '.join(missing)}",
            fix="name them so; onsets are seconds from the start of the recording",
        )
    onset = pd.to_numeric(table["onset"], errors="coerce")
    if onset.isna().any():
        raise SharpwaveError(
            f"onsets in seconds in {path.name}",
            got=f"row {int(onset.isna().argmax()) + 1} without one",
            fix="fill it in",
        )
    return table.assign(onset=onset).sort_values("onset", kind="stable", ignore_index=True)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SharpwaveError(
            "the course of a night",
            got=f"{path.name}: {str(error).splitlines()[0][:200]}",
            fix="decode the night again",
        ) from error
