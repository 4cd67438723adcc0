"""Exports of watches and rings that are no tables: Apple Health, Fitbit, Oura, Actiwatch (AWD).

- **Apple Health** `export.xml`: heart rate, oxygen, steps as activity; read piece by piece, numbers alone are kept.
- **Fitbit** `heart_rate-2024-03-01.json`, `steps-2024-03-01.json`: in the clock of the export, which is UTC in most.
- **Oura** API v2, `oura*.json`: heart rate; of sleep documents also the movement of every 30 s as activity.
- **Actiwatch** `.awd`: counts per epoch; seven lines of head, one value a line.

Stages that a watch says itself are counted and left out: they are no expert's.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.files import check_file, guarded, read_text
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.untrusted import parse_json

MOST_VALUES = 5_000_000
"""Values of one kind: ten years of a watch hold about one million heart rates."""
MOST_BYTES_JSON = 256 << 20
PIECE = 1 << 20
MOST_WAITING = 16 << 20
"""Bytes of one element at most: the parser keeps it in memory until it ends."""
LONGEST_GAP = 60 * 366 * 86_400.0
APPLE = {
    "HKQuantityTypeIdentifierHeartRate": "heart_rate",
    "HKQuantityTypeIdentifierOxygenSaturation": "oxygen",
    "HKQuantityTypeIdentifierStepCount": "activity",
}
APPLE_SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
AWD_EPOCHS = {"1": 15.0, "2": 30.0, "4": 60.0, "8": 120.0, "20": 300.0, "81": 2.0, "C": 60.0}
"""Seconds of an epoch by the code in the fourth line of an AWD file."""

Values = dict[str, tuple[np.ndarray, np.ndarray]]


def read_apple_health(path: str | Path) -> Recording:
    """Read heart rate, oxygen and steps of an Apple Health `export.xml`.

    Args:
        path: The file. It may be of any size; entities of its own, which can be made to fill the memory, are refused.

    Returns:
        The values by kind, each at its time; second 0 is the first, in local time.

    Raises:
        SharpwaveError: If it is no export of Apple Health, defines entities, or holds nothing that is known.
    """
    path = check_file(path, "an export of Apple Health")
    records = _AppleRecords(path)
    parser = expat.ParserCreate()
    parser.StartElementHandler = records.begin
    parser.EntityDeclHandler = records.refuse
    parser.ExternalEntityRefHandler = records.refuse
    with guarded(path, "an export of Apple Health"), path.open("rb") as file:
        given = 0
        while piece := file.read(PIECE):
            parser.Parse(piece, False)
            given += len(piece)
            if given - parser.CurrentByteIndex > MOST_WAITING:
                raise SharpwaveError(
                    f"an export of Apple Health in {path.name}", got="one element of 16 MiB", fix="export it again"
                )
        parser.Parse(b"", True)
    found = {kind: (np.array(times), np.array(values)) for kind, (times, values) in records.columns.items() if times}
    said = [f"{records.staged} stages that the watch says itself were left out"] * bool(records.staged)
    said += [f"{records.unread} records without a time or a number were left out"] * bool(records.unread)
    return _compose(path, found, start=records.first, said=said, names="heart rate, oxygen or steps")


class _AppleRecords:
    """What is kept of the elements of an export: numbers, and counts of what is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: dict[str, tuple[array[float], array[float]]] = {
            kind: (array("d"), array("d")) for kind in APPLE.values()
        }
        self.first: datetime | None = None
        self.staged = self.unread = 0
        self._rooted = False

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Take in the begin of an element."""
        if not self._rooted:
            self._rooted = True
            if name != "HealthData":
                raise SharpwaveError(
                    f"an export of Apple Health in {self.path.name}", got=f"XML of {name[:40]!r}", fix="check the file"
                )
        if name != "Record":
            return
        self.staged += attributes.get("type") == APPLE_SLEEP
        kind = APPLE.get(attributes.get("type", ""))
        if kind is None:
            return
        try:
            time, value = _read_record(kind, attributes)
        except (KeyError, ValueError):
            self.unread += 1
            return
        if self.first is None or time < self.first:
            self.first = time
        times, values = self.columns[kind]
        if len(times) >= MOST_VALUES:
            raise SharpwaveError(
                f"at most {MOST_VALUES} values of {kind} in {self.path.name}", got="more", fix="export fewer years"
            )
        times.append(time.timestamp())
        values.append(value)

    def refuse(self, *_: Any) -> int:
        """Refuse entities."""
        raise SharpwaveError(
            f"an export of Apple Health in {self.path.name}",
            got="XML with entities of its own",
            fix="export it again; entities can be made to fill the memory or to reach other files",
        )


def _read_record(kind: str, attributes: Mapping[str, str]) -> tuple[datetime, float]:
    """Time and value of one record; steps as steps a minute."""
    start = _read_apple_time(attributes["startDate"])
    value = float(attributes["value"])
    if not np.isfinite(value):
        raise ValueError(value)
    if kind == "activity":
        minutes = max((_read_apple_time(attributes["endDate"]) - start).total_seconds() / 60, 1.0)
        return start, value / minutes
    if kind == "oxygen":
        return start, 100 * value if value <= 1 else value
    return start, 60 * value if attributes.get("unit") == "count/s" else value


def _read_apple_time(text: str) -> datetime:
    """ "2023-10-23 22:14:05 +0200": local time with its offset."""
    if len(text) == 25 and text[19] == " ":
        text = f"{text[:19]}{text[20:23]}:{text[23:]}"
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time


def read_fitbit(path: str | Path) -> Recording:
    """Read a day of Fitbit's export: a list of `{"dateTime": "03/01/24 05:00:14", "value": {"bpm": 61}}`.

    Args:
        path: `heart_rate-….json` or `steps-….json`.

    Raises:
        SharpwaveError: If it is no such list.
    """
    path = check_file(path, "an export of Fitbit")
    rows = _read_json(path, "an export of Fitbit")
    kind = "activity" if path.name.lower().startswith("steps") else "heart_rate"
    times, values = [], []
    with guarded(path, "an export of Fitbit"):
        for row in rows:
            value = row["value"]["bpm"] if isinstance(row["value"], dict) else row["value"]
            times.append(datetime.strptime(row["dateTime"], "%m/%d/%y %H:%M:%S"))
            values.append(float(value))
    first = min(times, default=None)
    seconds = np.array([(time - first).total_seconds() for time in times]) if first else np.zeros(0)
    said = ["the clock is that of the export, which is UTC in most accounts: times of day may be off by the zone"]
    found = {kind: (seconds, np.array(values))} if times else {}
    return _compose(path, found, start=first, said=said, names="heart rates or steps", relative=True)


def read_oura(path: str | Path) -> Recording:
    """Read Oura's API v2: documents of heart rate, or of sleep with heart rate and movement.

    Args:
        path: `{"data": […]}`, or the list alone.

    Raises:
        SharpwaveError: If it holds neither.
    """
    path = check_file(path, "an export of Oura")
    content = _read_json(path, "an export of Oura")
    kinds: dict[str, tuple[list[float], list[float]]] = {"heart_rate": ([], []), "activity": ([], [])}
    zones: list[datetime] = []
    staged = 0
    with guarded(path, "an export of Oura"):
        for row in content["data"] if isinstance(content, dict) else content:
            if "bpm" in row:
                time = datetime.fromisoformat(row["timestamp"])
                zones.append(time)
                kinds["heart_rate"][0].append(time.timestamp())
                kinds["heart_rate"][1].append(float(row["bpm"]))
            if row.get("bedtime_start"):
                time = datetime.fromisoformat(row["bedtime_start"])
                zones.append(time)
                staged += bool(row.get("sleep_phase_5_min"))
                _add_series(kinds["heart_rate"], row.get("heart_rate"))
                for index, digit in enumerate(str(row.get("movement_30_sec") or "")):
                    kinds["activity"][0].append(time.timestamp() + 30 * index)
                    kinds["activity"][1].append(float(int(digit) - 1))
    if any(time.tzinfo is None for time in zones):
        raise SharpwaveError(f"times with an offset from UTC in {path.name}", got="none", fix="export it again")
    found = {kind: (np.array(times), np.array(values)) for kind, (times, values) in kinds.items() if times}
    said = [f"stages that the ring says itself were left out, of {staged} nights"] * bool(staged)
    if found.get("activity"):
        said.append("the ring's classes of movement (1 to 4) are taken as activity from 0 to 3")
    first = min((float(times.min()) for times, _ in found.values()), default=0.0)
    start = datetime.fromtimestamp(first, tz=min(zones).tzinfo) if zones else None
    return _compose(path, found, start=start, said=said, names="documents of heart rate or sleep")


def _add_series(column: tuple[list[float], list[float]], series: Any) -> None:
    """Values at a steady interval, some of them null."""
    if not series:
        return
    begin = datetime.fromisoformat(series["timestamp"]).timestamp()
    for index, value in enumerate(series["items"]):
        if value is not None:
            column[0].append(begin + index * float(series["interval"]))
            column[1].append(float(value))


def read_actiwatch(path: str | Path) -> Recording:
    """Read an Actiwatch's AWD file: activity counts per epoch.

    Args:
        path: Seven lines of head (identity, date, time, code of the epoch, age, serial number, sex), one count a line.

    Raises:
        SharpwaveError: If the head or a count cannot be read.
    """
    path = check_file(path, "an AWD file")
    lines = [line.strip() for line in read_text(path).split("\n")]
    if len(lines) < 8:
        raise SharpwaveError(
            f"seven lines of head and counts in {path.name}", got=f"{len(lines)} lines", fix="export it again"
        )
    code = lines[3].split()[0].upper() if lines[3] else ""
    if code not in AWD_EPOCHS:
        known = ", ".join(f"{name} ({seconds:g} s)" for name, seconds in AWD_EPOCHS.items())
        raise SharpwaveError(
            f"a code of the epoch among {known} in line 4 of {path.name}",
            got=repr(lines[3][:40]),
            fix="export it again",
        )
    start = _read_awd_time(lines[1], lines[2], path)
    counts = []
    for number, line in enumerate((line for line in lines[7:] if line), 8):
        match = re.match(r"(\d+(?:\.\d+)?)\s*M?\s*(?:[,;\t ]|$)", line)
        if match is None:
            raise SharpwaveError(f"a count in line {number} of {path.name}", got=repr(line[:40]), fix="export it again")
        counts.append(float(match[1]))
    if not counts:
        raise SharpwaveError(f"counts in {path.name}", got="a head alone", fix="export it again")
    signal = Signal("activity", np.array(counts), 1 / AWD_EPOCHS[code], MODALITIES["activity"])
    details: dict[str, Any] = {"labels": {"activity": "activity"}}
    if lines[4].isdigit():
        details["age"] = int(lines[4])
    if lines[6][:1].upper() in ("M", "F"):
        details["sex"] = lines[6][0].upper()
    return Recording(signals={"activity": signal}, start=start, source=path.name, metadata=details)


def _read_awd_time(date: str, time: str, path: Path) -> datetime:
    for pattern in ("%d-%b-%Y %H:%M", "%d-%b-%y %H:%M", "%d-%b-%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M"):
        try:
            return datetime.strptime(f"{date.strip()} {time.strip()}", pattern)
        except ValueError:
            continue
    raise SharpwaveError(
        f"a date such as 23-Oct-2023 and a time such as 12:30 in lines 2 and 3 of {path.name}",
        got=f"{date[:30]!r} and {time[:30]!r}",
        fix="export it again",
    )


def _read_json(path: Path, kind: str) -> Any:
    if path.stat().st_size > MOST_BYTES_JSON:
        raise SharpwaveError(
            f"{kind} of at most {MOST_BYTES_JSON >> 20} MiB",
            got=f"{path.stat().st_size} bytes",
            fix="export fewer days",
        )
    with guarded(path, kind):
        content = parse_json(path.read_bytes(), name=path.name)
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SharpwaveError(
            f"{kind} in {path.name}: a list of records", got="JSON of another kind", fix="export it again"
        )
    return content


def _compose(
    path: Path, found: Values, *, start: datetime | None, said: list[str], names: str, relative: bool = False
) -> Recording:
    """A recording of values at their times; second 0 is the first of them, in local time."""
    if not found or start is None:
        raise SharpwaveError(
            f"{names} in {path.name}", got="none", fix="export them, or check that it is the right file"
        )
    zero = 0.0 if relative else min(float(times.min()) for times, _ in found.values())
    signals = {}
    for kind, (times, values) in found.items():
        order = np.argsort(times, kind="stable")
        times, values = times[order] - zero, values[order]
        first = np.r_[True, np.diff(times) > 0]
        times, values = times[first], values[first]
        if times[-1] > LONGEST_GAP or not np.isfinite(values).all():
            raise SharpwaveError(
                f"times within 60 years, and numbers, in {path.name}",
                got=f"{times[-1] / 86400:.0f} days",
                fix="check the clock of the device",
            )
        if (~first).any():
            said = [
                *said,
                f"{int((~first).sum())} values of {kind.replace('_', ' ')} at the same time as another were left out",
            ]
        step = float(np.median(np.diff(times))) if len(times) > 1 else 60.0
        signals[kind] = Signal(kind, values, 1 / step, MODALITIES[kind], start=float(times[0]), times=times)
    return Recording(
        signals=signals,
        start=start.replace(tzinfo=None),
        source=path.name,
        repairs=tuple(said),
        metadata={"labels": {kind: kind for kind in signals}},
    )
