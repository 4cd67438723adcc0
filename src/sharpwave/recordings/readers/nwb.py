"""NWB: field potentials, units, position and sleep states, found by their type wherever a lab put them.

Read with h5py by the types that the format declares (Rübel et al. 2022, eLife 11:e78362): every array stays on disk,
files with unknown extensions open, and nothing that leads out of the file is followed (`nwb_inside`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.files import check_file, guarded
from sharpwave.recordings.readers.nwb_alignment import align_parts
from sharpwave.recordings.readers.nwb_inside import InsideGroup, open_inside, read_text_value
from sharpwave.recordings.readers.nwb_series import Series, read_series
from sharpwave.recordings.readers.nwb_states import choose_hypnogram, name_state_series
from sharpwave.recordings.readers.nwb_tables import Units, read_interval_series, read_intervals, read_units
from sharpwave.recordings.readers.nwb_zarr import is_nwb_folder, open_zarr_inside
from sharpwave.recordings.recording import Recording, Signal, empty_events
from sharpwave.recordings.store.write_nwb import SIMULATED
from sharpwave.recordings.units import check_units
from sharpwave.remote import is_address, locate

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
        path: The `.nwb` file (NWB 2), or a folder of NWB as Zarr.
        unit: Unit of the electrical series, where the file is wrong about it.

    Returns:
        Electrical series as signals (scalp EEG, EOG and EMG channel by channel, others as one frame of channels),
        position and other series, units as spikes, sleep states as the hypnogram, other intervals as events.

    Raises:
        SharpwaveError: If it is not NWB, nothing in it can be read, or a unit is implausible.
    """
    path = locate(path)
    if path.is_dir():
        with guarded(path, "an NWB session as Zarr"):
            return _read(open_zarr_inside(path), path, unit)
    path = check_file(path, "an NWB file")
    with guarded(path, "an NWB file"):
        import h5py

        file = h5py.File(path.open("rb") if is_address(path) else path, "r")
        try:
            if "nwb_version" not in file.attrs and "session_start_time" not in file:
                raise SharpwaveError(
                    f"an NWB file in {path.name}", got="HDF5 of another kind", fix="convert it to NWB or EDF"
                )
            return _read(open_inside(file, where=path.name, size=path.stat().st_size), path, unit)
        except BaseException:
            file.close()  # what was read stays open; what was not must not lock the file
            raise


def open_zarr(path: str | Path) -> Recording:
    """Open a folder `.zarr`: an NWB session, or a store of ours.

    Args:
        path: The folder.

    Raises:
        SharpwaveError: If it is neither, or damaged.
    """
    from sharpwave.recordings.store import open_store

    path = locate(path)
    return read_nwb(path) if not is_address(path) and is_nwb_folder(path) else open_store(path)


@dataclass(eq=False)
class _Parts:
    """What was found in a file, each part on the clock that it has."""

    signals: dict[str, Signal] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    units: Units | None = None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def add_table(self, table: pd.DataFrame, place: str) -> None:
        name = place.rsplit("/", 1)[-1]
        self.tables[place if name in self.tables else name] = table

    def add_series(self, series: Series, place: str) -> None:
        self.repairs += series.repairs
        self.absent += [place] * series.absent
        for signal in series.signals:
            name = _unique(signal.name, place, self.signals)
            self.signals[name] = replace(signal, name=name)
            self.written[name] = series.unit
            if series.kept_unit:
                self.metadata[f"{name}_unit"] = series.kept_unit
            if series.electrodes is not None and series.electrodes.labels and len(series.signals) == 1:
                self.metadata.setdefault("electrodes", {})[name] = series.electrodes.to_dict()


def _read(file: InsideGroup, path: Path, unit: str | None) -> Recording:
    parts = _Parts()
    for place, group, kind in find_objects(file):
        if kind == "Units" or place == "units":
            found, notes = read_units(group, path.name)
            parts.units = found or parts.units
            parts.repairs += notes
        elif kind in ("TimeIntervals", "EpochTable", "SleepStateTable") or place.startswith("intervals/"):
            parts.add_table(read_intervals(group, path.name), place)
        elif kind == "IntervalSeries":
            parts.add_table(read_interval_series(group, path.name), place)
        elif group.declares("data"):
            parts.add_series(read_series(group, place, path.name, kind=kind, unit=unit), place)
    aligned = align_parts(parts.signals, parts.units, parts.tables, start=_read_start(file), file=path.name)
    signals, repairs, metadata = aligned.signals, [*parts.repairs, *aligned.repairs], parts.metadata
    metadata["units"] = parts.written
    spiking, said = (None, list[str]()) if aligned.units is None else aligned.units.fit_observed()
    repairs += said
    if aligned.offset:
        metadata["clock_offset_s"] = aligned.offset
    if unit is None:
        signals, notes, doubtful = check_units(signals, parts.written)
        repairs += notes
        metadata["doubtful"] = doubtful
    hypnogram, events, notes = choose_hypnogram(aligned.tables)
    notes += name_state_series(signals)
    metadata["states_sought"] = True
    if not signals and aligned.units is None and hypnogram is None and not len(events):
        raise SharpwaveError(
            f"series, units or intervals in {path.name}",
            got=f"none that can be read ({len(parts.absent)} declared without data)",
            fix="check that the file was written to its end",
        )
    subject, absent = _read_subject(file), parts.absent
    absent += [said for said in file.allowance.outside if said.removesuffix("/data (in another file)") not in absent]
    return Recording(
        signals=signals,
        spikes=None if spiking is None else spiking.to_spikes(),
        hypnogram=hypnogram,
        events=events if len(events) else empty_events(),
        subject=subject.pop("subject_id", "unknown"),
        species=SPECIES.get(subject.pop("species", "").lower(), "unknown"),
        start=aligned.start,
        source=f"simulated ({path.name})"
        if _read_text(file, "session_description").startswith(SIMULATED)
        else path.name,
        absent=tuple(absent),
        repairs=(*repairs, *notes),
        metadata={**subject, **metadata},
    )


def find_objects(file: InsideGroup) -> Iterator[tuple[str, InsideGroup, str]]:
    """Every typed group inside a file once, as (path, group, type)."""
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[InsideGroup, int]] = [(file, 0)]
    while waiting:
        group, depth = waiting.pop(0)
        for name in group:
            item = group.get(name)
            if not isinstance(item, InsideGroup) or item.address in seen or depth >= DEEPEST:
                continue
            seen.add(item.address)
            if len(seen) > MOST_OBJECTS:
                raise SharpwaveError("an NWB file of at most 20,000 objects", got="more", fix="check the file")
            top = item.place.split("/")[0]
            if top in ("specifications", "general"):
                continue
            kind = read_text_value(item.attribute("neurodata_type", ""))
            if kind or top in ("acquisition", "processing", "intervals", "units"):
                yield item.place, item, kind
            waiting.append((item, depth + 1))


def _read_subject(file: InsideGroup) -> dict[str, str]:
    fields = ("subject_id", "species", "age", "sex", "genotype", "strain")
    found = {name: _read_text(file, f"general/subject/{name}") for name in fields}
    return {name: text for name, text in found.items() if text}


def _read_start(file: InsideGroup) -> datetime | None:
    for name in ("timestamps_reference_time", "session_start_time"):
        try:
            return datetime.fromisoformat(_read_text(file, name))
        except ValueError:
            continue
    return None


def _read_text(file: InsideGroup, path: str) -> str:
    array = file.array(path)
    return "" if array is None else array.read_text()


def _unique(name: str, place: str, taken: dict[str, Signal]) -> str:
    parent = place.rsplit("/", 2)[0].rsplit("/", 1)[-1]
    candidates = [name, f"{parent}/{name}", *(f"{name} ({number})" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)
