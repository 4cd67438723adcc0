"""NWB: field potentials, units, position and sleep states, found by their type wherever a lab put them.

Read with h5py by the types that the format declares (Rübel et al. 2022, eLife 11:e78362): every array stays on disk,
files with unknown extensions open, and links out of the file are never followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.files import check_file, guarded
from sharpwave.recordings.readers.nwb_series import read_series
from sharpwave.recordings.readers.nwb_tables import choose_hypnogram, read_intervals, read_text_value, read_units
from sharpwave.recordings.recording import Recording, Signal, empty_events
from sharpwave.recordings.units import check_units

if TYPE_CHECKING:
    import h5py

MOST_OBJECTS = 20_000
DEEPEST = 12
SPECIES = {
    "mus musculus": "mouse",
    "mouse": "mouse",
    "rattus norvegicus": "rat",
    "rat": "rat",
    "homo sapiens": "human",
    "human": "human",
}


def read_nwb(path: str | Path, *, unit: str | None = None) -> Recording:
    """Read an NWB file; samples stay on disk until they are asked for.

    Args:
        path: The `.nwb` file (NWB 2).
        unit: Unit of the electrical series, where the file is wrong about it.

    Returns:
        Electrical series as signals (scalp EEG, EOG and EMG channel by channel, others as one frame of channels),
        position and other series, units as spikes, sleep states as the hypnogram, other intervals as events.

    Raises:
        SharpwaveError: If it is not NWB, nothing in it can be read, or a unit is implausible.
    """
    path = check_file(path, "an NWB file")
    with guarded(path, "an NWB file"):
        import h5py

        file = h5py.File(path, "r")
        if "nwb_version" not in file.attrs and "session_start_time" not in file:
            raise SharpwaveError(
                f"an NWB file in {path.name}", got="HDF5 of another kind", fix="convert it to NWB or EDF"
            )
        return _read(file, path, unit)


def _read(file: h5py.File, path: Path, unit: str | None) -> Recording:
    signals: dict[str, Signal] = {}
    units: dict[str, str] = {}
    absent: list[str] = []
    repairs: list[str] = []
    metadata: dict[str, Any] = {}
    tables: dict[str, pd.DataFrame] = {}
    spikes = None
    for place, group, kind in find_objects(file, absent):
        if kind == "Units" or place == "units":
            spikes, notes = read_units(group, path.name)
            repairs += notes
        elif kind in ("TimeIntervals", "EpochTable", "SleepStateTable") or place.startswith("intervals/"):
            tables[place.rsplit("/", 1)[-1]] = read_intervals(group, path.name)
        elif "data" in group:
            series = read_series(group, place, path.name, kind=kind, unit=unit)
            repairs += series.repairs
            metadata |= series.metadata
            absent += [place] * series.absent
            for signal in series.signals:
                name = _unique(signal.name, place, signals)
                signals[name] = replace(signal, name=name)
                units[name] = series.unit
    if unit is None:
        signals, notes, doubtful = check_units(signals, units)
        repairs += notes
        metadata["doubtful"] = doubtful
    hypnogram, events, notes = choose_hypnogram(tables)
    if not signals and spikes is None and hypnogram is None and not len(events):
        raise SharpwaveError(
            f"series, units or intervals in {path.name}",
            got=f"none that can be read ({len(absent)} declared without data)",
            fix="check that the file was written to its end",
        )
    subject = _read_subject(file)
    return Recording(
        signals=signals,
        spikes=spikes,
        hypnogram=hypnogram,
        events=events if len(events) else empty_events(),
        subject=subject.pop("subject_id", "unknown"),
        species=SPECIES.get(subject.pop("species", "").lower(), "unknown"),
        start=_read_start(file),
        source=path.name,
        absent=tuple(absent),
        repairs=(*repairs, *notes),
        metadata={**subject, **metadata},
    )


def find_objects(file: h5py.File, absent: list[str]) -> Iterator[tuple[str, h5py.Group, str]]:
    """Every typed group of a file once, as (path, group, type); names of what lies outside the file go to `absent`."""
    import h5py

    seen: set[tuple] = set()
    waiting: list[tuple[str, h5py.Group, int]] = [("", file, 0)]
    while waiting:
        place, group, depth = waiting.pop(0)
        for name in group:
            link = group.get(name, getlink=True)
            inner = f"{place}/{name}".lstrip("/")
            if isinstance(link, h5py.ExternalLink):
                absent.append(f"{inner} (in another file)")
                continue
            try:
                item = group[name]
            except (KeyError, OSError, RuntimeError):
                absent.append(f"{inner} (broken link)")
                continue
            info = h5py.h5o.get_info(item.id)
            if not isinstance(item, h5py.Group) or (info.fileno, info.addr) in seen or depth >= DEEPEST:
                continue
            seen.add((info.fileno, info.addr))
            if len(seen) > MOST_OBJECTS:
                raise SharpwaveError("an NWB file of at most 20,000 objects", got="more", fix="check the file")
            if inner.split("/")[0] in ("specifications", "general"):
                continue
            kind = read_text_value(item.attrs.get("neurodata_type", ""))
            if kind or inner.split("/")[0] in ("acquisition", "processing", "intervals", "units"):
                yield inner, item, kind
            waiting.append((inner, item, depth + 1))


def _read_subject(file: h5py.File) -> dict[str, str]:
    group = file.get("general/subject")
    fields = ("subject_id", "species", "age", "sex", "genotype", "strain")
    found = {} if group is None else {name: read_text_value(group[name][()]) for name in fields if name in group}
    return {name: text for name, text in found.items() if text}


def _read_start(file: h5py.File) -> datetime | None:
    for name in ("timestamps_reference_time", "session_start_time"):
        if name in file:
            try:
                return datetime.fromisoformat(read_text_value(file[name][()]))
            except ValueError:
                continue
    return None


def _unique(name: str, place: str, taken: dict[str, Signal]) -> str:
    parent = place.rsplit("/", 2)[0].rsplit("/", 1)[-1]
    candidates = [name, f"{parent}/{name}", *(f"{name} ({number})" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)
