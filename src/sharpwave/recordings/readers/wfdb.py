"""PhysioNet's WFDB records: a header (`.hea`), samples (`.dat`, or `.mat` of the Challenge 2018), scored stages beside.

https://physionet.org/physiotools/wag/header-5.htm, signal-5.htm and annot-5.htm describe the files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.files import check_file, guarded
from sharpwave.recordings.readers.scoring import name_stage
from sharpwave.recordings.recording import Recording, empty_events
from sharpwave.recordings.sliced import Sliced

BYTES = {16: 2.0, 61: 2.0, 32: 4.0, 212: 1.5}
"""Storage formats that are read, and bytes of a sample in each."""
_TYPES = {16: "<i2", 61: ">i2", 32: "<i4"}
_INVALID = {16: -(2**15), 61: -(2**15), 32: -(2**31), 212: -(2**11)}
ANNOTATORS = (".st", ".arousal")
"""Endings of files of stages and events: of slpdb, and of the Challenge 2018."""
MOST_CHANNELS, MOST_HEADER, MOST_ANNOTATIONS = 1000, 1 << 20, 1 << 26
_SIGNAL = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)(?:\(([-+]?\d+)\))?(?:/(\S+))?")
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63


@dataclass(frozen=True, eq=False)
class WfdbSamples(Sliced):
    """One channel of a file of samples, NaN where none was recorded; read from the disk when it is sliced.

    Attributes:
        path: File of the samples.
        storage: A key of `BYTES`.
        offset: Bytes before the first sample.
        n_channels: Number of channels, whose samples take turns.
        column: Which of them this is, from 0.
        length: Number of samples.
    """

    path: Path
    storage: int
    offset: int
    n_channels: int
    column: int
    length: int

    @property
    def shape(self) -> tuple[int]:
        return (self.length,)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float64 if self.storage == 32 else np.float32)

    def _take(self, low: int, high: int) -> np.ndarray:
        first, last = low * self.n_channels, high * self.n_channels
        if self.storage == 212:
            first, skipped = first - first % 2, first % 2
            size = 3 * -(-(last - first) // 2)
            raw = np.fromfile(self.path, np.uint8, size, offset=self.offset + first // 2 * 3)
            values = _unpack(np.pad(raw, (0, size - len(raw))))[skipped : last - first]
        else:
            kind = np.dtype(_TYPES[self.storage])
            values = np.fromfile(self.path, kind, last - first, offset=self.offset + first * kind.itemsize)
        if len(values) != (high - low) * self.n_channels:
            raise SharpwaveError(f"samples in {self.path.name}", got="a file that ends before", fix="copy it again")
        found = values[self.column :: self.n_channels]
        return np.where(found == _INVALID[self.storage], np.nan, found).astype(self.dtype)


def _unpack(raw: np.ndarray) -> np.ndarray:
    """Pairs of 12-bit samples, three bytes a pair."""
    first, both, second = raw.reshape(-1, 3).astype(np.int16).T
    pairs = np.stack([first | (both & 0x0F) << 8, second | (both & 0xF0) << 4], axis=1).ravel()
    return np.where(pairs >= 2048, pairs - 4096, pairs)


def read_wfdb(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Recording:
    """Read a record of PhysioNet, with the stages and events that lie beside it (`.st`, `.arousal`).

    Args:
        path: The header (`.hea`), or the file of its samples (`.dat`, `.mat`).
        channels: Keep only these (labels or recognised names).
        overrides: Label → "name:modality", where the alias table is wrong.
        unit: Unit of the electrical channels, where the header is wrong.

    Raises:
        SharpwaveError: If it is damaged, its samples are not beside it, or they are stored in another way.
    """
    path = check_file(Path(path).with_suffix(".hea"), "a WFDB header")
    if path.stat().st_size > MOST_HEADER:
        raise SharpwaveError(f"a WFDB header of at most 1 MiB in {path.name}", got="a larger file", fix="check it")
    with guarded(path, "a WFDB record"):
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").split("\n")]
        head, *signals = [line.split(None, 8) for line in lines if line and not line.startswith("#")]
        rate, n_samples, start = _read_record(head, len(signals), path)
        raw, said = _read_channels(signals, rate, n_samples, path)
        events, scored = _read_events_beside(path, rate, max((len(c.samples) / rate for c in raw), default=0.0))
        assembled = assemble_signals(raw, channels=channels, overrides=overrides, unit=unit)
    return Recording(
        signals=assembled.signals,
        events=events,
        start=start,
        subject=path.stem,
        species=assembled.species,
        source=path.name,
        repairs=(*said, *scored, *assembled.repairs),
        metadata={"doubtful": assembled.doubtful, "labels": assembled.labels},
    )


def _read_record(head: list[str], n_lines: int, path: Path) -> tuple[float, int | None, datetime | None]:
    """Rate in Hz, number of samples where it is stated, and start where it has a date."""
    if len(head) < 2 or "/" in head[0] or not head[1].isdigit() or not 0 < int(head[1]) <= min(n_lines, MOST_CHANNELS):
        raise SharpwaveError(
            f"a record with its channels in {path.name}",
            got=f"the line {' '.join(head)[:60]!r} and {n_lines} lines of channels",
            fix="give the header of one segment; a record of several segments has to be joined first",
        )
    rate = float(re.split(r"[/(]", head[2])[0]) if len(head) > 2 else 250.0
    if not (math.isfinite(rate) and rate > 0):
        raise SharpwaveError(f"a positive rate in {path.name}", got=f"{rate} Hz", fix="correct the header")
    stated = int(head[3]) if len(head) > 3 and head[3].isdigit() else 0
    start = None
    if len(head) > 5:
        clock = head[4] if head[4].count(":") == 2 else f"0:{head[4]}"
        start = datetime.strptime(f"{head[5]} {clock.partition('.')[0]}", "%d/%m/%Y %H:%M:%S")
    return rate, stated or None, start


def _read_channels(
    lines: Sequence[list[str]], rate: float, n_samples: int | None, path: Path
) -> tuple[list[RawChannel], list[str]]:
    """The channels of the header's lines; those of one file take turns in it."""
    groups: dict[str, list[list[str]]] = {}
    for line in lines:
        groups.setdefault(line[0], []).append(line)
    found: list[RawChannel] = []
    said: list[str] = []
    for name, group in groups.items():
        match = _SIGNAL.fullmatch(group[0][1]) if len(group[0]) > 1 else None
        storage = int(match.group(1)) if match else 0
        if match is None or storage not in BYTES or match.group(2) not in (None, "1"):
            raise SharpwaveError(
                f"samples in one of the formats {', '.join(map(str, BYTES))} of WFDB, all channels at one rate",
                got=f"{group[0][1] if len(group[0]) > 1 else 'none'} in {path.name}",
                fix="convert the record to EDF (`mit2edf`, or wfdb.io.convert)",
            )
        if "/" in name or "\\" in name or name in ("~", "-"):
            raise SharpwaveError(f"samples beside {path.name}", got=repr(name)[:60], fix="put them into one folder")
        file = check_file(path.parent / name, f"the samples of {path.name}")
        offset = int(match.group(4) or 0)
        there = int((file.stat().st_size - offset) / BYTES[storage]) // len(group)
        length = there if n_samples is None else min(there, n_samples)
        if length < 1:
            raise SharpwaveError(f"samples in {name}", got="none", fix="copy it again")
        if length < (n_samples or 0):
            said.append(f"{name} ends after {length} of the {n_samples} samples that its header states")
        for column, cells in enumerate(group):
            gain, baseline, unit = _read_gain(cells)
            label = cells[8].strip() if len(cells) > 8 else f"channel {len(found) + 1}"
            samples = WfdbSamples(file, storage, offset, len(group), column, length)
            found.append(RawChannel(label, samples, rate, unit, gain=1 / gain, offset=-baseline / gain))
    return found, said


def _read_gain(cells: Sequence[str]) -> tuple[float, float, str]:
    """Counts per unit, the count at 0, and the unit."""
    match = _GAIN.fullmatch(cells[2]) if len(cells) > 2 else None
    if match is None:
        return 200.0, 0.0, "mV"
    zero = float(cells[4]) if len(cells) > 4 and re.fullmatch(r"[-+]?\d+", cells[4]) else 0.0
    gain = float(match.group(1))
    return gain if math.isfinite(gain) and gain else 200.0, float(match.group(2) or zero), match.group(3) or "mV"


def _read_events_beside(path: Path, rate: float, duration: float) -> tuple[pd.DataFrame, list[str]]:
    """Stages and events of the files beside a header: onset, duration (s, 0 where open), label."""
    rows: list[tuple[float, float, str]] = []
    said = []
    for ending in ANNOTATORS:
        file = path.with_suffix(ending)
        if file.is_file() and 0 < file.stat().st_size <= MOST_ANNOTATIONS:
            texts = read_annotations(file, rate)
            rows += _name_events(texts)
            said.append(f"stages and events are those of {file.name}")
    rows = [row for row in rows if 0 <= row[0] < duration]
    if not rows:
        return empty_events(), []
    table = pd.DataFrame(rows, columns=["onset", "duration", "label"]).sort_values("onset", kind="stable")
    return table.reset_index(drop=True), said


def read_annotations(path: Path, rate: float) -> list[tuple[float, str]]:
    """Time in seconds and text of each annotation that has a text, of a file in MIT's format.

    Args:
        path: File of annotations.
        rate: Rate of the record in Hz, in which times count unless the file states another.

    Raises:
        SharpwaveError: If it ends within an annotation.
    """
    content = path.read_bytes()
    found: list[tuple[float, str]] = []
    at, time = 0, 0
    while at + 2 <= len(content):
        word = int.from_bytes(content[at : at + 2], "little")
        kind, more = word >> 10, word & 0x3FF
        at += 2
        if not word:
            break
        if kind == _SKIP:
            high, low = (int.from_bytes(content[k : k + 2], "little") for k in (at, at + 2))
            time += (high << 16 | low) - (1 << 32 if high & 0x8000 else 0)
            at += 4
        elif kind == _AUX:
            text = content[at : at + more].decode("latin-1").strip("\x00 ")
            at += more + more % 2
            if resolution := re.fullmatch(r"## time resolution: ([\d.]+)", text):
                rate = float(resolution.group(1)) or rate
            elif text:
                found.append((time / rate, text))
        elif kind not in (_NUM, _SUB, _CHN):
            time += more
    if at > len(content):
        raise SharpwaveError(f"whole annotations in {path.name}", got="a file that was cut", fix="copy it again")
    return found


def _name_events(texts: Sequence[tuple[float, str]]) -> list[tuple[float, float, str]]:
    """Onset, duration and label: "W" and "2 HA" are stages, "(resp_hypopnea" begins what "resp_hypopnea)" ends."""
    rows, begun = [], dict[str, float]()
    for onset, text in texts:
        stage = name_stage(text.split()[0], digits=True)
        if stage is not None:
            rows.append((onset, 0.0, f"Sleep stage {stage}"))
        elif text.startswith("("):
            begun[text[1:]] = onset
        elif text.endswith(")") and text[:-1] in begun:
            first = begun.pop(text[:-1])
            rows.append((first, onset - first, _name_event(text[:-1])))
    return rows


def _name_event(text: str) -> str:
    """The Challenge's name of an event in words: "resp_obstructiveapnea" is an obstructive apnea."""
    group, _, kind = text.partition("_")
    if group == "resp":
        return kind.replace("apnea", " apnea").strip()
    return "RERA" if kind == "rera" else f"{group} ({kind})" if kind else group
