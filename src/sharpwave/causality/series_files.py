"""A night's time series as files: what `sharpwave decode` leaves for `sharpwave causality`, or a laboratory writes.

`course.parquet` holds one row a second, `reactivations.tsv` one row an event, `candidates.tsv` one row a ripple or
burst, `cues.tsv` one row a cue; the last two may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.causality.series import NightSeries
from sharpwave.errors import SharpwaveError
from sharpwave.untrusted import explained, make_cells_safe, restore_cell

SERIES, REACTIVATIONS, CUES, CANDIDATES = "course.parquet", "reactivations.tsv", "cues.tsv", "candidates.tsv"
OPTIONAL = ("emg", "infraslow")


def tabulate_series(series: NightSeries) -> pd.DataFrame:
    """The time series as a table: time, stage (code), n_stages, depth, usable, and emg and infraslow where known."""
    columns = {
        "time": series.time,
        "stage": series.stage,
        "n_stages": series.n_stages,
        "depth": series.depth,
        "usable": series.usable,
    }
    known = {name: getattr(series, name) for name in OPTIONAL if getattr(series, name) is not None}
    return pd.DataFrame(columns | known)


def tabulate_files(series: NightSeries) -> dict[str, pd.DataFrame]:
    """Every table that holds the night, by the name of its file: parquet for the time series, TSV for events."""
    tables = {SERIES: tabulate_series(series), REACTIVATIONS: series.reactivations}
    if series.candidates is not None:
        tables[CANDIDATES] = pd.DataFrame({"onset": series.candidates})
    if series.cues is not None:
        tables[CUES] = series.cues
    return tables


def write_tables(tables: Mapping[str, pd.DataFrame], folder: str | Path) -> Path:
    """Write tables into a folder, which is made where it does not exist.

    Args:
        tables: Tables by the name of their file, as `tabulate_files` gives them. What ends in `.parquet` is written as
            parquet, everything else as TSV, with `n/a` where a value is missing.
        folder: Folder of the night.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        if name.endswith(".parquet"):
            table.to_parquet(folder / name, index=False)
        else:
            make_cells_safe(table).to_csv(folder / name, sep="\t", index=False, na_rep="n/a", float_format="%.10g")
    return folder


def read_series(folder: str | Path, *, night: str) -> NightSeries:
    """Read a folder that holds the tables of `tabulate_files`.

    Args:
        folder: Folder that holds its files.
        night: Name of the night.

    Raises:
        SharpwaveError: If a file is missing or damaged, or lacks a column.
    """
    folder = Path(folder)
    table = _read_parquet(folder / SERIES)
    needed = ("time", "stage", "n_stages", "depth", "usable")
    missing = [name for name in needed if name not in table]
    if missing or not len(table):
        raise SharpwaveError(
            f"{SERIES} with columns {', '.join(needed)} and one row a second",
            got=f"no {', '.join(missing)}" if missing else "no rows",
            fix="decode the night again",
        )
    cues, candidates = folder / CUES, folder / CANDIDATES
    return NightSeries(
        night=night,
        time=table["time"].to_numpy(dtype=float),
        stage=table["stage"].to_numpy(dtype=np.int8),
        n_stages=int(table["n_stages"].iloc[0]),
        depth=table["depth"].to_numpy(dtype=float),
        emg=table["emg"].to_numpy(dtype=float) if "emg" in table else None,
        infraslow=table["infraslow"].to_numpy(dtype=float) if "infraslow" in table else None,
        reactivations=read_reactivations(folder / REACTIVATIONS),
        usable=table["usable"].to_numpy(dtype=bool),
        cues=read_cues(cues) if cues.is_file() else None,
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


def read_cues(path: str | Path) -> pd.DataFrame:
    """Randomised cues from a table: onset (s), condition ("cue" or "sham") and, where the memories differ, content.

    Raises:
        SharpwaveError: If the file cannot be read, or has no onsets or conditions.
    """
    table = read_events(path, ("onset", "condition"))
    content = table["content"].fillna("unknown").astype(str) if "content" in table else "unknown"
    return table.assign(content=content, condition=table["condition"].astype(str).str.strip().str.lower())


def read_events(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of events with these columns, by onset.

    Raises:
        SharpwaveError: If it cannot be read, lacks a column, or has onsets that are no numbers.
    """
    path = Path(path)
    with explained(f"a table with columns {', '.join(columns)}", name=path.name, fix="write a TSV, one row an event"):
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else None, engine="python", na_values=["n/a"])
    table = table.rename(columns=restore_cell).map(lambda cell: restore_cell(cell) if isinstance(cell, str) else cell)
    missing = [name for name in columns if name not in table]
    if missing:
        raise SharpwaveError(
            f"{path.name} with columns {', '.join(columns)}",
            got=f"no {', '.join(missing)}",
            fix="name them so; onsets are seconds from the start of the recording",
        )
    onset = pd.to_numeric(table["onset"], errors="coerce").astype(float)
    if onset.isna().any():
        raise SharpwaveError(
            f"onsets in seconds in {path.name}",
            got=f"row {int(onset.isna().argmax()) + 1} without one",
            fix="fill it in",
        )
    return table.assign(onset=onset).sort_values("onset", kind="stable", ignore_index=True)


def _read_parquet(path: Path) -> pd.DataFrame:
    with explained("the time series of a night", name=path.name, fix="decode the night again"):
        return pd.read_parquet(path)


__getattr__ = moved.rename(
    __name__, {"COURSE": "SERIES", "tabulate_course": "tabulate_series", "read_course": "read_series"}
)
