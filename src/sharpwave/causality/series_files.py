"""A night's time series as files: what `sharpwave decode` leaves for `sharpwave causality`, or a laboratory writes.

`course.parquet` holds one row a second, `reactivations.tsv` one row an event, `candidates.tsv` one row a ripple or
burst, `cues.tsv` one row a cue; the last two may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.causality.series import NightSeries, cover_seconds
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.untrusted import explained, make_cells_safe, restore_cell

SERIES, REACTIVATIONS, CUES, CANDIDATES = "course.parquet", "reactivations.tsv", "cues.tsv", "candidates.tsv"
OPTIONAL = ("emg", "infraslow")


def from_tables(
    hypnogram: Hypnogram | Sequence[str],
    reactivations: pd.DataFrame | str | Path,
    depth: pd.DataFrame,
    *,
    night: str,
    emg: pd.DataFrame | None = None,
    candidates: Sequence[float] | None = None,
    arousals: pd.DataFrame | None = None,
    artefacts: pd.DataFrame | None = None,
    cues: pd.DataFrame | str | Path | None = None,
) -> NightSeries:
    """One night for `estimate_effects` from a laboratory's own tables; no recording is needed.

    Args:
        hypnogram: Stages of the night, or their names for epochs of 30 s.
        reactivations: onset (s from the start of the night) and, where memories differ, content; or the file of it.
        depth: Depth of sleep over time: onset (s) and depth (dB of slow-wave power, or any measure that rises with
            depth); a value holds until the next onset, the last one as long as the one before.
        night: Name of the night; nights are the unit of every interval.
        emg: Muscle power over time: onset (s) and emg (dB); None where there is none.
        candidates: Onsets (s) of all events in which a reactivation could have been found; None where unknown.
        arousals: onset and duration (s) of brief arousals, which count as wake; None where unknown.
        artefacts: onset and duration (s) of what is left out; None for nothing.
        cues: onset (s), condition ("cue" or "sham") and content of randomised stimulation, or the file of it.

    Raises:
        SharpwaveError: If a table lacks a column, has onsets that are no numbers, or reactivations lie outside.

    >>> depth = pd.DataFrame({"onset": np.arange(0.0, 90.0, 4.0), "depth": 1.0})
    >>> found = pd.DataFrame({"onset": [40.0], "content": ["maze"]})
    >>> series = from_tables(["W", "N2", "N2"], found, depth, night="first")
    >>> series.contents, int(series.usable.sum())
    (('maze',), 90)
    """
    hypnogram = hypnogram if isinstance(hypnogram, Hypnogram) else Hypnogram.from_labels(hypnogram)
    time = np.arange(int(hypnogram.end), dtype=float)
    levels = _hold(depth, "depth", time)
    stage = hypnogram.at(time).astype(np.int8)
    stage[cover_seconds(arousals, time) & (stage > 0)] = 0
    marks = reactivations if isinstance(reactivations, pd.DataFrame) else read_reactivations(reactivations)
    marks = marks if "content" in marks else marks.assign(content="unknown")
    _check_within(marks, hypnogram.end)
    return NightSeries(
        night=night,
        time=time,
        stage=stage,
        n_stages=hypnogram.n_stages,
        depth=levels,
        emg=None if emg is None else _hold(emg, "emg", time),
        infraslow=None,
        reactivations=marks.sort_values("onset", ignore_index=True) if "onset" in marks else marks,
        usable=(stage >= 0) & np.isfinite(levels) & ~cover_seconds(artefacts, time),
        cues=read_cues(cues) if isinstance(cues, str | Path) else cues,
        candidates=None if candidates is None else np.sort(np.asarray(candidates, dtype=float)),
    )


def _check_within(marks: pd.DataFrame, end: float) -> None:
    outside = (marks["onset"] < 0) | (marks["onset"] >= end) if "onset" in marks else np.zeros(0, bool)
    if outside.any():
        raise SharpwaveError(
            f"reactivations within the night, 0 to {end:g} s",
            got=f"{int(outside.sum())} of {len(outside)} outside",
            fix="give onsets in seconds from the start of the night, not samples or clock times",
        )


def _hold(table: pd.DataFrame, name: str, time: np.ndarray) -> np.ndarray:
    """The value of each second, each held until the next onset; NaN before the first and after the last."""
    if missing := [column for column in ("onset", name) if column not in table]:
        raise SharpwaveError(
            f"a table of {name} with columns onset and {name}", got=f"no {', '.join(missing)}", fix="name them so"
        )
    table = table.sort_values("onset")
    onset, values = table["onset"].to_numpy(dtype=float), table[name].to_numpy(dtype=float)
    if len(onset) < 2 or not np.isfinite(onset).all():
        raise SharpwaveError(
            f"at least two values of {name} with onsets in seconds", got=f"{len(onset)}", fix="give them over the night"
        )
    index = np.searchsorted(onset, time + 1e-6, side="right") - 1
    inside = (index >= 0) & (time < onset[-1] + (onset[-1] - onset[-2]))
    return np.where(inside, values[np.maximum(index, 0)], np.nan)


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
