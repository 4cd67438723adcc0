"""NWB files in the shapes that laboratories leave them in, written with h5py alone: any clock, unit and container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

START = "2024-03-01T22:00:00+00:00"


def open_nwb(path: Path, *, species: str = "Rattus norvegicus", start: str = START) -> h5py.File:
    """A file with nothing in it but its head."""
    file = h5py.File(path, "w")
    file.attrs["nwb_version"] = "2.7.0"
    file["session_start_time"] = start
    file["general/subject/species"] = species
    return file


def add_units(
    file: h5py.File,
    trains: Sequence[np.ndarray],
    *,
    observed: Sequence[Sequence[tuple[float, float]]] | None = None,
    dtype: str = "f8",
    resolution: float | None = None,
) -> None:
    """Sorted units, with the stretches in which each was observed where they are given."""
    group = file.create_group("units")
    group.attrs["neurodata_type"] = "Units"
    group["id"] = np.arange(len(trains))
    group["spike_times"] = np.concatenate([*trains, []]).astype(dtype)
    group["spike_times_index"] = np.cumsum([len(train) for train in trains])
    if resolution is not None:
        group["spike_times"].attrs["resolution"] = resolution
    if observed is not None:
        group["obs_intervals"] = np.array([span for spans in observed for span in spans], dtype=float)
        group["obs_intervals_index"] = np.cumsum([len(spans) for spans in observed])


def add_series(
    file: h5py.File,
    place: str,
    values: np.ndarray,
    *,
    times: np.ndarray | None = None,
    rate: float | None = None,
    start: float = 0.0,
    kind: str = "SpatialSeries",
    **attributes: Any,
) -> h5py.Group:
    """A series at a place in the file; attributes (unit, conversion) are those of its data."""
    group = file.create_group(place)
    group.attrs["neurodata_type"] = kind
    group.create_dataset("data", data=values).attrs.update(attributes)
    if rate is not None:
        group.create_dataset("starting_time", data=start).attrs["rate"] = rate
    else:
        group["timestamps"] = times
    return group


def add_electrodes(file: h5py.File, series: h5py.Group, **columns: Sequence[Any]) -> None:
    """A table of electrodes, all of which belong to a series, in order."""
    table = file.create_group("general/extracellular_ephys/electrodes")
    n_rows = len(next(iter(columns.values())))
    table["id"] = np.arange(n_rows)
    for name, values in columns.items():
        table[name] = [*values] if not isinstance(values[0], str) else np.array(values, dtype=h5py.string_dtype())
    series["electrodes"] = np.arange(n_rows)


def add_intervals(
    file: h5py.File,
    name: str,
    rows: Sequence[tuple[float, float]],
    *,
    descriptions: Mapping[str, str] | None = None,
    **columns: Sequence[Any],
) -> None:
    """A table of intervals; `descriptions` by the name of the column, "" for the table itself."""
    table = file.create_group(f"intervals/{name}")
    table.attrs["neurodata_type"] = "TimeIntervals"
    table["start_time"], table["stop_time"] = np.array(rows, dtype=float).reshape(-1, 2).T
    table["id"] = np.arange(len(rows))
    for column, values in columns.items():
        text = len(values) and isinstance(values[0], str)
        table[column] = np.array(values, dtype=h5py.string_dtype()) if text else np.array(values)
    for column, text in (descriptions or {}).items():
        (table if not column else table[column]).attrs["description"] = text


def run_to_and_fro(start: float, end: float, *, rate: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    """Times of the frames, and places in m on a track of 2 m with a little noise beside it, shape (frame, 2)."""
    times = start + np.arange(int((end - start) * rate)) / rate
    phase = (0.4 * (times - start) / 2) % 2
    noise = np.random.default_rng(0).normal(0, 0.003, (len(times), 2))
    return times, np.c_[2 * np.where(phase < 1, phase, 2 - phase), np.full(len(times), 0.5)] + noise


def fire(n_units: int, end: float, *, rate: float = 2.0, seed: int = 0) -> list[np.ndarray]:
    """Poisson trains from 0 to `end`, in s."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.uniform(0, end, rng.poisson(rate * end))) for _ in range(n_units)]
