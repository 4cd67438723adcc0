"""Write a recording as an NWB file with h5py alone, by the schema of NWB 2 (Rübel et al. 2022, eLife 11:e78362).

pynwb is not needed to write it; that pynwb reads it, and reads the same, is tested.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_file
from sharpwave.recordings.hypnogram import STAGE_SETS, Hypnogram
from sharpwave.recordings.recording import Recording, Signal

VERSION = "2.7.0"
BLOCK = 2**22
SPECIES = {"rat": "Rattus norvegicus", "mouse": "Mus musculus", "human": "Homo sapiens"}
STATES = STAGE_SETS | {3: ("WAKE", "NREM", "REM"), 2: ("WAKE", "SLEEP")}
LOCATIONS = {"lfp": "CA1", "eeg": "cortex", "emg": "neck muscle", "eog": "eye"}
SIMULATED = "Simulated by sharpwave"
"""How the description of a session begins that no animal was recorded in."""


def write_nwb(recording: Recording, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write signals, units, sleep states and events; the file is whole or not there.

    Args:
        recording: What to write; signals may be on disk.
        path: The file, by custom `<name>.nwb`.
        overwrite: Whether a file that is there is replaced; False by default.

    Returns:
        `path`.

    Raises:
        SharpwaveError: If something is there already.

    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.recordings import MODALITIES
    >>> recording = Recording(signals={"HIP": Signal("HIP", np.zeros(100), 50.0, MODALITIES["lfp"])}, species="rat")
    >>> with TemporaryDirectory() as folder:
    ...     write_nwb(recording, Path(folder) / "rat.nwb").name
    'rat.nwb'
    """
    import h5py

    path = Path(path)
    check_nwb_path(path, overwrite=overwrite)
    with replace_file(path) as partial, h5py.File(partial, "w") as file:
        _write_head(file, recording)
        wired = {name: signal for name, signal in recording.signals.items() if signal.modality.unit == "V"}
        table = _write_electrodes(file, list(wired.values())) if wired else None
        row = 0
        for name, signal in recording.signals.items():
            if name in wired:
                width = max(len(signal.channels), 1)
                _write_electrical(file, signal, table, range(row, row + width))
                row += width
            else:
                _write_series(file, signal)
        if recording.spikes is not None and len(recording.spikes):
            _write_units(file, recording.spikes)
        if recording.hypnogram is not None:
            _write_intervals(file, "sleep_states", _list_states(recording.hypnogram), "Sleep states, as scored")
        if len(recording.events):
            _write_intervals(file, "events", recording.events, "Events, such as laps on a track")
    return path


def write_nwb_intervals(
    recording: Recording,
    tables: Mapping[str, pd.DataFrame],
    path: str | Path,
    *,
    descriptions: Mapping[str, str] | None = None,
) -> Path:
    """Write what was found in a session as an NWB file of its own, which leaves the session's file as it is.

    Args:
        recording: The session: its subject, start and sleep states are written too, its signals are not.
        tables: Name → events (onset and duration in s, and further columns), each a table of intervals.
        path: The file; one that is there is replaced.
        descriptions: Column → what it means; the name of the column by default.

    Returns:
        `path`.

    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.recordings.readers import read_recording
    >>> ripples = pd.DataFrame({"onset": [2.0], "duration": [0.1], "label": ["ripple"]})
    >>> with TemporaryDirectory() as folder:
    ...     path = write_nwb_intervals(Recording(species="rat"), {"ripples": ripples}, Path(folder) / "found.nwb")
    ...     read_recording(path).events["label"].tolist()
    ['ripple']
    """
    import h5py

    path = Path(path)
    with replace_file(path) as partial, h5py.File(partial, "w") as file:
        _write_head(file, recording)
        if recording.hypnogram is not None:
            _write_intervals(file, "sleep_states", _list_states(recording.hypnogram), "Sleep states, as scored")
        for name, table in tables.items():
            _write_intervals(file, _clean(name), table, f"Found by sharpwave: {name}", descriptions or {})
    return path


def check_nwb_path(path: Path, *, overwrite: bool) -> None:
    """Before anything is made: can a file be written here?

    Raises:
        SharpwaveError: If a folder is there, or a file that may not be replaced.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise SharpwaveError("a new path", got=f"{show_path(path)} exists", fix="choose another path, or --overwrite")


def _type(group: Any, kind: str, *, namespace: str = "core", **attributes: Any) -> Any:
    """An object of the schema, with its type."""
    group.attrs["neurodata_type"] = kind
    group.attrs["namespace"] = namespace
    group.attrs["object_id"] = str(uuid.uuid4())
    for name, value in attributes.items():
        group.attrs[name] = value
    return group


def _write_head(file: Any, recording: Recording) -> None:
    start = recording.start or datetime(2000, 1, 1, tzinfo=UTC)
    start = start if start.tzinfo is not None else start.replace(tzinfo=UTC)
    simulated = recording.source.startswith("simulated")
    _type(file, "NWBFile", nwb_version=VERSION)
    words = {
        "identifier": str(uuid.uuid4()),
        "session_description": f"{SIMULATED}: no animal was recorded" if simulated else recording.source or "recording",
        "session_start_time": start.isoformat(),
        "timestamps_reference_time": start.isoformat(),
    }
    for name, text in words.items():
        file[name] = text
    file["file_create_date"] = np.array([datetime.now(UTC).isoformat()], dtype=object)
    for name in ("acquisition", "analysis", "general", "processing", "stimulus/presentation", "stimulus/templates"):
        file.create_group(name)
    subject = _type(file.create_group("general/subject"), "Subject")
    subject["subject_id"] = recording.subject or "unknown"
    subject["species"] = SPECIES.get(recording.species, recording.species or "unknown")


def _write_table(
    group: Any, kind: str, description: str, n_rows: int, columns: dict[str, tuple[Any, str]], **how: Any
) -> Any:
    """A DynamicTable with its columns."""
    _type(group, kind, description=description, colnames=np.array(list(columns), dtype=object), **how)
    _type(group.create_dataset("id", data=np.arange(n_rows)), "ElementIdentifiers", namespace="hdmf-common")
    for name, (values, words) in columns.items():
        _type(group.create_dataset(name, data=values), "VectorData", namespace="hdmf-common", description=words)
    return group


def _write_electrodes(file: Any, signals: Sequence[Signal]) -> Any:
    """One electrode for each channel of the electrical series."""
    import h5py

    _type(file.create_group("general/devices/amplifier"), "Device")
    rows = [(name, signal.modality.name) for signal in signals for name in (signal.channels or (signal.name,))]
    groups = {}
    for modality in dict.fromkeys(modality for _, modality in rows):
        place = f"general/extracellular_ephys/{modality}"
        words = {"description": modality, "location": LOCATIONS.get(modality, "unknown")}
        groups[modality] = _type(file.create_group(place), "ElectrodeGroup", **words)
        groups[modality]["device"] = h5py.SoftLink("/general/devices/amplifier")
    columns = {
        "location": (np.array([LOCATIONS.get(kind, "unknown") for _, kind in rows], dtype=object), "where it lies"),
        "group": (np.array([groups[kind].ref for _, kind in rows], dtype=h5py.ref_dtype), "its group"),
        "group_name": (np.array([kind for _, kind in rows], dtype=object), "name of its group"),
        "label": (np.array([name for name, _ in rows], dtype=object), "name of the channel"),
    }
    table = file.create_group("general/extracellular_ephys/electrodes")
    return _write_table(table, "DynamicTable", "electrodes", len(rows), columns, namespace="hdmf-common")


def _write_electrical(file: Any, signal: Signal, table: Any, rows: Sequence[int]) -> None:
    place = "acquisition"
    if signal.modality.name == "lfp":
        module, container = "processing/ecephys", "processing/ecephys/LFP"
        if module not in file:
            _type(file.create_group(module), "ProcessingModule", description="field potentials")
        if container not in file:
            _type(file.create_group(container), "LFP")
        place = container
    group = _type(
        file[place].create_group(_clean(signal.name)), "ElectricalSeries", comments="", description=signal.modality.name
    )
    _write_data(group, signal, "volts")
    region = group.create_dataset("electrodes", data=np.array(rows))
    _type(region, "DynamicTableRegion", namespace="hdmf-common", description="its channels", table=table.ref)


def _write_series(file: Any, signal: Signal) -> None:
    """Position as a SpatialSeries of metres, everything else as a plain series."""
    if signal.modality.name != "position":
        group = _type(
            file["acquisition"].create_group(_clean(signal.name)),
            "TimeSeries",
            comments="",
            description=signal.modality.name,
        )
        _write_data(group, signal, signal.modality.unit or "unknown")
        return
    if "processing/behavior" not in file:
        _type(file.create_group("processing/behavior"), "ProcessingModule", description="where the animal was")
        _type(file.create_group("processing/behavior/Position"), "Position")
    group = _type(
        file["processing/behavior/Position"].create_group(_clean(signal.name)),
        "SpatialSeries",
        comments="",
        description="position",
    )
    _write_data(group, signal, "meters")
    group["reference_frame"] = "start of the track"


def _write_data(group: Any, signal: Signal, unit: str) -> None:
    """Samples as they are stored, piece by piece, with the factor that makes them SI, and their clock."""
    n_samples = len(signal)
    kind = np.asarray(signal.samples[:1]).dtype
    shape = (n_samples, *np.asarray(signal.samples[:1]).shape[1:])
    data = group.create_dataset(
        "data", shape=shape, dtype=kind, chunks=True if n_samples else None, compression="gzip", compression_opts=1
    )
    step = max(BLOCK // max(int(np.prod(shape[1:])), 1), 1)
    for low in range(0, n_samples, step):
        data[low : low + step] = np.asarray(signal.samples[low : low + step])
    for name, value in {"conversion": signal.scale, "offset": signal.offset, "resolution": -1.0, "unit": unit}.items():
        data.attrs[name] = value
    if signal.times is None:
        clock = group.create_dataset("starting_time", data=float(signal.start))
        clock.attrs["rate"], clock.attrs["unit"] = np.float32(signal.rate), "seconds"
    else:
        clock = group.create_dataset("timestamps", data=np.asarray(signal.times, dtype=np.float64))
        clock.attrs["interval"], clock.attrs["unit"] = np.int32(1), "seconds"


def _write_units(file: Any, spikes: Any) -> None:
    trains = [np.asarray(spikes[unit].t, dtype=np.float64) for unit in spikes]
    ends = np.cumsum([len(train) for train in trains]).astype(np.uint64)
    columns = {"spike_times": (np.concatenate(trains), "times of the spikes, in s")}
    table = _write_table(file.create_group("units"), "Units", "sorted units", len(trains), columns)
    table["id"][:] = np.array([int(unit) for unit in spikes])
    index = table.create_dataset("spike_times_index", data=ends)
    words = {"description": "end of each unit", "target": table["spike_times"].ref}
    _type(index, "VectorIndex", namespace="hdmf-common", **words)


def _list_states(hypnogram: Hypnogram) -> pd.DataFrame:
    """Stretches of one stage; unscored ones are left out."""
    stages, length = np.asarray(hypnogram.stages), hypnogram.epoch_length
    edges = np.r_[0, np.flatnonzero(np.diff(stages)) + 1, len(stages)]
    rows = [
        (hypnogram.start + low * length, (high - low) * length, STATES[hypnogram.n_stages][int(stages[low])])
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if stages[low] >= 0
    ]
    return pd.DataFrame(rows, columns=["onset", "duration", "label"])


def _write_intervals(
    file: Any, name: str, events: pd.DataFrame, description: str, words: Mapping[str, str] | None = None
) -> None:
    """A table of intervals; numbers and texts are kept, "n/a" where a text is missing."""
    onset, duration = events["onset"].to_numpy(float), events["duration"].to_numpy(float)
    columns: dict[str, tuple[Any, str]] = {
        "start_time": (onset, "start, in s"),
        "stop_time": (onset + duration, "end, in s"),
    }
    for column in events:
        values = events[column]
        if column in ("onset", "duration") or not values.notna().any():
            continue
        plain = pd.api.types.is_numeric_dtype(values)
        kept = (
            values.to_numpy()
            if plain
            else values.astype(object).where(values.notna(), "n/a").astype(str).to_numpy(object)
        )
        columns[str(column)] = (kept, (words or {}).get(str(column), str(column)))
    _write_table(file.create_group(f"intervals/{name}"), "TimeIntervals", description, len(events), columns)


def _clean(name: str) -> str:
    return name.replace("/", "-").replace(":", "-")
