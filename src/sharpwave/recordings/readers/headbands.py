"""Headbands and open boards: Muse (Mind Monitor), OpenBCI, Dreem's HDF5; by their own descriptions of the formats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.files import OnDisk, check_file, guarded
from sharpwave.recordings.recording import Recording

MOST_TABLE = 2 << 30
MUSE_RATE = 256.0
LEAST_RATE = 32.0
"""Rows a second from which on raw EEG can be staged: below it sigma is not there."""
MOST_RATE = 1024.0
MOST_PAUSES = 48 * 3600.0
"""Seconds that all pauses of a file may last: more are several nights, or a clock that was set."""
MUSE = {"RAW_TP9": "TP9", "RAW_AF7": "AF7", "RAW_AF8": "AF8", "RAW_TP10": "TP10"}
LONGEST_JUMP = 5.0
"""Seconds between rows from which on there was a pause."""


def read_mind_monitor(
    path: str | Path, *, overrides: Mapping[str, str] | None = None, unit: str | None = None
) -> Recording:
    """Read a CSV that Mind Monitor wrote from a Muse.

    Args:
        path: The file, written with the raw EEG ("constant" interval: one row a sample).
        overrides: Channel → "name:modality".
        unit: Unit of the electrical channels, where the file is wrong about it.

    Returns:
        TP9, AF7, AF8 and TP10 in V, without the offset of the device, at the rate of the rows; pauses are gaps.

    Raises:
        SharpwaveError: If it has no raw EEG, or was written too seldom, as once a second.
    """
    path = _check_size(path, "a CSV of Mind Monitor")
    with guarded(path, "a CSV of Mind Monitor"):
        table = pd.read_csv(path, usecols=lambda name: name in (*MUSE, "TimeStamp", "Elements"), low_memory=False)
        present = [name for name in MUSE if name in table]
        table = table[table[present].notna().any(axis=1)] if present else table.iloc[:0]
        if not len(table):
            raise SharpwaveError(
                f"columns {', '.join(MUSE)} in {path.name}",
                got="none with numbers",
                fix="record with raw EEG switched on",
            )
        times = pd.to_datetime(table["TimeStamp"], format="mixed").to_numpy()
        seconds = (times - times[0]).astype("timedelta64[us]").astype(float) / 1e6
    rate, places, said = _place_rows(seconds, path)
    channels = []
    for name in present:
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
        whole = np.full(places[-1] + 1, np.nan, dtype=np.float32)
        whole[places] = values - np.nanmedian(values)
        channels.append(RawChannel(MUSE[name], whole, rate, "uV"))
    start = pd.Timestamp(times[0]).to_pydatetime()
    return _compose(path, channels, start=start, said=said, overrides=overrides, unit=unit)


def _place_rows(seconds: np.ndarray, path: Path) -> tuple[float, np.ndarray, list[str]]:
    """Rate, the sample that each row is, and what to declare: rows in a run are even, a pause stays a gap.

    Times of single rows jitter with the radio, so only those at the beginning of a run are believed.
    """
    steps = np.diff(seconds, prepend=-np.inf)
    starts = np.flatnonzero(np.abs(steps) > LONGEST_JUMP)
    ends = np.append(starts[1:], len(seconds))
    lasted = float(np.sum(seconds[ends - 1] - seconds[starts]))
    found = (len(seconds) - len(starts)) / max(lasted, 1e-9) if len(seconds) > len(starts) else 0.0
    if not LEAST_RATE <= found <= MOST_RATE:
        raise SharpwaveError(
            f"about {MUSE_RATE:g} rows a second in {path.name}, {LEAST_RATE:g} at the least",
            got=f"{found:.3g}",
            fix="record with the interval 'constant', or export to EDF",
        )
    paused = float(np.sum(np.maximum(steps[starts[1:]], 0)))
    if paused > MOST_PAUSES:
        raise SharpwaveError(
            f"pauses of at most {MOST_PAUSES / 3600:g} h in {path.name}",
            got=f"{paused / 3600:.0f} h",
            fix="cut the file at its pauses, one night a file",
        )
    is_usual = abs(found - MUSE_RATE) <= 0.1 * MUSE_RATE
    rate = MUSE_RATE if is_usual else float(round(found))
    said = [f"rows are taken as {rate:g} a second: their times jitter with the radio"]
    said += [f"a Muse gives {MUSE_RATE:g} rows a second, this file has {found:.4g}"] * (not is_usual)
    back = steps[starts] < 0
    back[0] = False
    if len(starts) - 1 > back.sum():
        said.append(
            f"{len(starts) - 1 - back.sum()} pauses of more than {LONGEST_JUMP:g} s are gaps, as their times say"
        )
    said += [f"the clock went back by {-steps[start]:.0f} s: what follows is taken to go on" for start in starts[back]]
    late = lasted - (len(seconds) - len(starts)) / rate
    said += [f"rows for {late:.0f} s are not there and are not filled in: times are early by up to that"] * (late > 1)
    places = np.arange(len(seconds))
    shift = 0
    for start in starts:
        shift = max(shift, round(seconds[start] * rate) - start)
        places[start:] = np.arange(start, len(seconds)) + shift
    return rate, places, said


def read_openbci(path: str | Path, *, overrides: Mapping[str, str] | None = None, unit: str | None = None) -> Recording:
    """Read a text file of the OpenBCI GUI (`OpenBCI-RAW-….txt`).

    Args:
        path: The file; its head says how many channels and at which rate.
        overrides: Channel → "name:modality", since the board only numbers them ("EXG Channel 0").
        unit: Unit of the electrical channels, where it is not the µV of the GUI.

    Returns:
        Each channel in V; what `overrides` does not name is EEG by its number.

    Raises:
        SharpwaveError: If the head lacks the rate, or rows do not fit it.
    """
    path = _check_size(path, "a text file of OpenBCI")
    with guarded(path, "a text file of OpenBCI"):
        with path.open(encoding="latin-1") as file:
            head = [line for line, _ in zip(file, range(30), strict=False)]
        notes = [line for line in head if line.startswith("%")]
        stated = re.search(r"Sample Rate\s*=\s*([\d.]+)", "".join(notes))
        if stated is None or not float(stated[1]) > 0:
            raise SharpwaveError(f"a line '%Sample Rate = ... Hz' in {path.name}", got="none", fix="add it")
        rate = float(stated[1])
        first = head[len(notes)] if len(head) > len(notes) else ""
        named = "EXG" in first
        table = pd.read_csv(path, skiprows=len(notes), header=0 if named else None, skipinitialspace=True)
        declared = re.search(r"Number of channels\s*=\s*(\d+)", "".join(notes))
        columns = [c for c in table if str(c).startswith("EXG Channel")] if named else list(table)[1:]
        columns = columns[: int(declared[1])] if declared else columns[:8]
        if not columns or not len(table):
            raise SharpwaveError(f"channels in {path.name}", got="none", fix="check that it is the raw data file")
        said = _count_lost(table.iloc[:, 0].to_numpy(dtype=float))
        start = _find_start(table, named)
        values = {f"EXG {i}": pd.to_numeric(table[c], errors="coerce").to_numpy() for i, c in enumerate(columns)}
    given = {name: f"{name}:eeg" for name in values} | dict(overrides or {})
    channels = [
        RawChannel(name, (one - np.nanmedian(one)).astype(np.float32), rate, "uV") for name, one in values.items()
    ]
    recording = _compose(path, channels, start=start, said=said, overrides=given, unit=unit)
    return replace(recording, species="human")


def _count_lost(counter: np.ndarray) -> list[str]:
    """How many samples the counter of the board (0 to 255, or to 200) says were lost on the way."""
    if len(counter) < 2 or not np.isfinite(counter).all():
        return []
    top = counter.max() + 1
    steps = np.diff(counter) % top
    even = steps[steps > 0]
    usual = float(np.median(even)) if len(even) else 1.0  # the Daisy board counts by two
    lost = int(np.sum(np.maximum(steps[steps > 0] / usual - 1, 0)))
    return [f"{lost} samples were lost on the radio and are not filled in: times after them are too early"] * bool(lost)


def _find_start(table: pd.DataFrame, named: bool) -> datetime | None:
    if not named or "Timestamp (Formatted)" not in table:
        return None
    start = pd.to_datetime(str(table["Timestamp (Formatted)"].iloc[0]).strip(), errors="coerce")
    return None if pd.isna(start) else start.to_pydatetime()


def read_dreem(path: str | Path, *, overrides: Mapping[str, str] | None = None, unit: str | None = None) -> Recording:
    """Read an HDF5 file of Dreem: `signals/eeg/F3_O1` and the like, and a hypnogram where there is one.

    Args:
        path: The `.h5` file, as of the Dreem Open Datasets.
        overrides: Channel → "name:modality".
        unit: Unit of the electrical channels, where the file is wrong about it.

    Returns:
        The signals, on disk; the hypnogram (0 W … 4 REM, −1 unscored, 30 s) as the expert's.

    Raises:
        SharpwaveError: If it holds no signals, leads to other files, or a group lacks its rate.
    """
    from sharpwave.recordings.readers.nwb_inside import check_links

    path = check_file(path, "an HDF5 file of Dreem")
    with guarded(path, "an HDF5 file of Dreem"):
        import h5py

        check_links(str(path), where=path.name)
        file = h5py.File(path, "r")
        group = file.get("signals")
        channels = list(_list_dreem(group, path)) if isinstance(group, h5py.Group) else []
        stages = file.get("hypnogram")
        hypnogram = None
        if isinstance(stages, h5py.Dataset) and stages.ndim == 1 and 0 < stages.size < 100_000:
            codes = np.asarray(stages[:], dtype=int)
            hypnogram = Hypnogram(np.where((codes >= 0) & (codes <= 4), codes, -1).astype(np.int8), 30.0, 5)
        begin = file.attrs.get("start_time")
    if not channels:
        raise SharpwaveError(f"signals/eeg/... in {path.name}", got="none", fix="check that it is a file of Dreem")
    start = (
        datetime.fromtimestamp(float(begin), tz=UTC).replace(tzinfo=None)
        if isinstance(begin, int | float | np.number)
        else None
    )
    recording = _compose(path, channels, start=start, said=[], overrides=overrides, unit=unit)
    return replace(recording, hypnogram=hypnogram, species="human")


def _list_dreem(group: Any, path: Path) -> list[RawChannel]:
    channels = []
    for kind in group:
        inner = group[kind]
        rate = float(inner.attrs.get("fs", 0))
        if not rate > 0:
            raise SharpwaveError(f"a rate (fs) of signals/{kind} in {path.name}", got="none", fix="export it again")
        unit = inner.attrs.get("unit", b"uV")
        unit = unit.decode() if isinstance(unit, bytes) else str(unit)
        for name in inner:
            label = name.replace("_", "-")
            channels.append(RawChannel(label, OnDisk(inner[name], f"{path.name}:/{kind}/{name}"), rate, unit))
    return channels


def _check_size(path: str | Path, kind: str) -> Path:
    path = check_file(path, kind)
    if path.stat().st_size > MOST_TABLE:
        raise SharpwaveError(f"{kind} of at most 2 GiB", got=f"{path.name}, which is larger", fix="convert it to EDF")
    return path


def _compose(
    path: Path,
    channels: list[RawChannel],
    *,
    start: datetime | None,
    said: list[str],
    overrides: Mapping[str, str] | None,
    unit: str | None,
) -> Recording:
    assembled = assemble_signals(channels, overrides=overrides, unit=unit)
    return Recording(
        signals=assembled.signals,
        species=assembled.species,
        start=start,
        source=path.name,
        repairs=(*said, *assembled.repairs),
        metadata={"doubtful": assembled.doubtful, "labels": assembled.labels, "units": assembled.units},
    )
