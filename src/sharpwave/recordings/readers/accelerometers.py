"""Accelerometers of the wrist and hip: ActiGraph (.gt3x, .csv), GENEActiv (.bin, .csv), Actiware exports (.csv).

By their published layouts, in pieces: of raw acceleration the activity of every 30 s is kept, the Euclidean norm minus
one, negative values as zero (ENMO, van Hees et al. 2013, 10.1371/journal.pone.0061691), in mg. Counts stay counts.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.files import check_file, guarded
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 30.0
LONGEST = 400 * 86_400.0
"""Seconds that one recording may last."""
MOST_RECORD = 1 << 16
MOST_INFO = 1 << 20
MOST_LINE = 1 << 14
ROWS = 500_000
MOST_RUN = 600
"""Records that are decoded at once."""
SEPARATOR, ACTIVITY, ACTIVITY2 = 0x1E, 0x00, 0x1A
SAID = "activity is the Euclidean norm of the acceleration minus 1 g, in mg, as a mean over 30 s"


class EnmoSum:
    """Mean of the norm minus 1 g over each epoch, added piece by piece.

    >>> enmo = EnmoSum()
    >>> enmo.add(0.0, np.array([[0.0, 0.0, 1.5], [0.0, 1.0, 0.0]]), rate=1.0)
    >>> enmo.compute().tolist()
    [250.0]
    """

    def __init__(self) -> None:
        self._sums = np.zeros(1024)
        self._counts = np.zeros(1024)
        self._last = 0

    def add(self, second: float, g: Float[np.ndarray, "sample axis"], *, rate: float) -> None:
        """Add samples in g whose first was taken at `second` from the start."""
        if not len(g):
            return
        end = second + len(g) / rate
        if not 0 <= second <= end <= LONGEST:
            raise SharpwaveError("samples within 400 days of the first", got=f"{second:.0f} s", fix="check the clock")
        index = ((second + np.arange(len(g)) / rate) // EPOCH).astype(int)
        if index[-1] >= len(self._sums):
            more = np.zeros(int(index[-1]) + 1)
            self._sums, self._counts = np.r_[self._sums, more], np.r_[self._counts, more]
        values = np.maximum(np.sqrt((g.astype(np.float64) ** 2).sum(axis=1)) - 1.0, 0.0) * 1000
        first, last = int(index[0]), int(index[-1]) + 1
        self._sums[first:last] += np.bincount(index - first, values, minlength=last - first)
        self._counts[first:last] += np.bincount(index - first, minlength=last - first)
        self._last = max(self._last, last)

    def compute(self) -> Float[np.ndarray, " epoch"]:
        """The mean of each epoch in mg; NaN where there was no sample."""
        counts = self._counts[: self._last]
        with np.errstate(invalid="ignore"):
            return np.where(counts > 0, self._sums[: self._last] / counts, np.nan)


def read_gt3x(path: str | Path) -> Recording:
    """Read an ActiGraph `.gt3x` archive: records of one second in `log.bin`.

    Args:
        path: The file.

    Returns:
        Activity of every 30 s; seconds that the device did not record (idle sleep mode, broken records) are absent.

    Raises:
        SharpwaveError: If it is no such archive, or of the older kind without `log.bin`.
    """
    path = check_file(path, "an ActiGraph archive")
    with guarded(path, "an ActiGraph archive"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "info.txt" not in names or "log.bin" not in names:
            raise SharpwaveError(
                f"info.txt and log.bin in {path.name}",
                got=", ".join(names[:6]) or "nothing",
                fix="older devices write activity.bin: export such a file as CSV with ActiLife",
            )
        with archive.open("info.txt") as file:
            info = _read_info(file.read(MOST_INFO).decode("utf-8-sig", errors="replace"))
        rate = float(info.get("Sample Rate", "30"))
        serial = info.get("Serial Number", "")
        scale = float(info.get("Acceleration Scale", "341" if serial[:3] in ("NEO", "CLE") else "256"))
        if not (0 < rate <= 1000 and scale > 0):
            raise SharpwaveError(f"a rate and scale in {path.name}", got=f"{rate} Hz, {scale}", fix="download it again")
        enmo, first, broken = EnmoSum(), None, 0
        run = _Run(enmo, scale)
        with archive.open("log.bin") as log:
            for kind, stamp, payload, sound in _list_records(log):
                if not sound:
                    broken += 1
                elif kind in (ACTIVITY, ACTIVITY2) and len(payload) > 1:
                    first = stamp if first is None else first
                    run.add(kind, stamp - first, payload)
        run.flush()
    if first is None:
        raise SharpwaveError(f"records of activity in {path.name}", got="none", fix="download the device again")
    said = [SAID] + [f"{broken} records with a wrong checksum were left out"] * bool(broken)
    return _to_recording(path, enmo.compute(), start=datetime(1970, 1, 1) + timedelta(seconds=first), said=said)


class _Run:
    """Records of seconds that follow each other, decoded together."""

    def __init__(self, enmo: EnmoSum, scale: float) -> None:
        self._enmo, self._scale = enmo, scale
        self._payloads: list[bytes] = []
        self._like: tuple[int, int, int] | None = None
        self._begin = 0

    def add(self, kind: int, second: int, payload: bytes) -> None:
        """Take a record; those before it are decoded where it does not continue them."""
        like = (kind, len(payload), second - len(self._payloads))
        if like != self._like or len(self._payloads) >= MOST_RUN:
            self.flush()
            self._begin, self._like = second, (kind, len(payload), second)
        self._payloads.append(payload)

    def flush(self) -> None:
        """Decode what was taken."""
        if self._like is None or not self._payloads:
            return
        kind, length, _ = self._like
        if kind == ACTIVITY2:
            counts = np.concatenate([_unpack_words(payload) for payload in self._payloads])
        elif length % 9 == 0:  # two samples fill nine bytes
            counts = unpack_activity(b"".join(self._payloads))
        else:
            counts = np.concatenate([unpack_activity(payload) for payload in self._payloads])
        self._enmo.add(float(self._begin), counts / self._scale, rate=max(len(counts) / len(self._payloads), 1e-9))
        self._payloads = []


def _read_info(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _list_records(log: IO[bytes]) -> Iterator[tuple[int, int, bytes, bool]]:
    """Type, time in s, payload and whether the checksum fits, of each record."""
    while len(head := log.read(8)) == 8:
        size = int.from_bytes(head[6:8], "little")
        if head[0] != SEPARATOR or size > MOST_RECORD:
            return
        payload = log.read(size)
        checksum = log.read(1)
        if len(payload) < size or not checksum:
            return
        folded = np.bitwise_xor.reduce(np.frombuffer(head + payload, dtype=np.uint8))
        yield head[1], int.from_bytes(head[2:6], "little"), payload, int(~folded & 0xFF) == checksum[0]


def unpack_activity(payload: bytes) -> Float[np.ndarray, "sample 3"]:
    """Samples x, y, z of 12 bits each, most significant bit first; the device writes y, x, z.

    Args:
        payload: Bytes of a record; half a byte may be left over.

    >>> unpack_activity(bytes([0x00, 0x1F, 0xFF, 0x7F, 0xF0])).tolist()
    [[-1.0, 1.0, 2047.0]]
    """
    bits = np.frombuffer(payload, dtype=np.uint8)
    whole = len(bits) // 3 * 3
    three = bits[:whole].reshape(-1, 3).astype(np.int32)
    pairs = np.stack([(three[:, 0] << 4) | (three[:, 1] >> 4), ((three[:, 1] & 15) << 8) | three[:, 2]], axis=1).ravel()
    rest = bits[whole:].astype(np.int32)
    if len(rest) == 2:
        pairs = np.r_[pairs, (rest[0] << 4) | (rest[1] >> 4)]
    axes = pairs[: len(pairs) // 3 * 3].reshape(-1, 3)
    signed = np.where(axes > 2047, axes - 4096, axes)
    return signed[:, [1, 0, 2]].astype(np.float64)


def _unpack_words(payload: bytes) -> Float[np.ndarray, "sample 3"]:
    words = np.frombuffer(payload[: len(payload) // 6 * 6], dtype="<i2")
    return words.reshape(-1, 3).astype(np.float64)


def read_geneactiv(path: str | Path) -> Recording:
    """Read a GENEActiv `.bin`: pages of 300 samples in hexadecimal text, with calibration in the head.

    Args:
        path: The file.

    Returns:
        Activity of every 30 s, and the temperature of each page.

    Raises:
        SharpwaveError: If it is no such file, or has no pages.
    """
    path = check_file(path, "a GENEActiv recording")
    known: dict[str, str] = {}
    page: dict[str, str] = {}
    enmo, first, inside = EnmoSum(), None, False
    seconds: list[float] = []
    warmth: list[float] = []
    with guarded(path, "a GENEActiv recording"), path.open(encoding="latin-1") as file:
        while line := file.readline(MOST_LINE):
            text = line.strip()
            if text == "Recorded Data":
                page, inside = {}, True
            elif ":" in text:
                key, _, value = text.partition(":")
                (page if inside else known)[key.strip()] = value.strip()
            elif len(text) >= 12 and re.fullmatch(r"[0-9A-Fa-f]+", text):
                time = datetime.strptime(page["Page Time"], "%Y-%m-%d %H:%M:%S:%f")
                first = first or time
                rate = float(page.get("Measurement Frequency", known.get("Measurement Frequency", "0").split()[0]))
                second = (time - first).total_seconds()
                enmo.add(second, _unpack_page(text, known), rate=rate)
                seconds.append(second)
                warmth.append(float(page.get("Temperature", "nan")))
    if first is None:
        raise SharpwaveError(f"pages of samples in {path.name}", got="none", fix="extract the device again")
    recording = _to_recording(path, enmo.compute(), start=first, said=[SAID])
    if np.isfinite(warmth).all() and len(seconds) > 1 and (np.diff(seconds) > 0).all():
        rate = 1 / float(np.median(np.diff(seconds)))
        times = np.array(seconds)
        warm = Signal("temperature", np.array(warmth), rate, MODALITIES["temperature"], times=times)
        return replace(recording, signals={**recording.signals, "temperature": warm})
    return recording


def _unpack_page(text: str, known: dict[str, str]) -> Float[np.ndarray, "sample 3"]:
    """x, y, z in g: three signed numbers of 12 bits, then 12 bits of light and button, in each 48."""
    raw = np.frombuffer(bytes.fromhex(text[: len(text) // 12 * 12]), dtype=np.uint8).reshape(-1, 6).astype(np.int32)
    axes = np.stack(
        [(raw[:, 0] << 4) | (raw[:, 1] >> 4), ((raw[:, 1] & 15) << 8) | raw[:, 2], (raw[:, 3] << 4) | (raw[:, 4] >> 4)],
        axis=1,
    )
    signed = np.where(axes > 2047, axes - 4096, axes).astype(np.float64)
    gain = np.array([float(known[f"{axis} gain"]) for axis in "xyz"])
    offset = np.array([float(known[f"{axis} offset"]) for axis in "xyz"])
    return (signed * 100 - offset) / gain


def read_accelerometer_table(path: str | Path) -> Recording:
    """Read an export as CSV of ActiGraph, GENEActiv or Actiware, whose head gives start and epoch.

    Args:
        path: The file.

    Returns:
        Counts of each epoch (of three axes the length of their vector), or activity of every 30 s from raw samples.

    Raises:
        SharpwaveError: If its head lacks the start, or it has no rows.
    """
    path = check_file(path, "an export of an accelerometer")
    with guarded(path, "an export of an accelerometer"):
        with path.open(encoding="latin-1") as file:
            head = [file.readline(MOST_LINE).strip().lstrip("ï»¿") for _ in range(400)]
        if "ActiGraph" in head[0]:
            return _read_actigraph(path, head)
        if "GENEActiv" in head[0]:
            return _read_geneactiv_table(path, head)
        return _read_actiware(path, head)


def _read_actigraph(path: Path, head: list[str]) -> Recording:
    text = "\n".join(head[:15])
    time = re.search(r"^Start Time,?\s*([\d:]+)", text, re.MULTILINE)
    date = re.search(r"^Start Date,?\s*([\d./-]+)", text, re.MULTILINE)
    epoch = re.search(r"^Epoch Period \(hh:mm:ss\),?\s*(\d+):(\d+):(\d+)", text, re.MULTILINE)
    rules = [index for index, line in enumerate(head) if re.match(r"-{8,}[^A-Za-z]*$", line.strip(","))]
    if time is None or date is None or epoch is None or not rules:
        raise SharpwaveError(
            f"Start Time, Start Date and Epoch Period in {path.name}", got="a head without them", fix="export it again"
        )
    day_first = re.search(r"date format ([dMy]+)", head[0])
    pattern = "%d/%m/%Y" if day_first and day_first[1].startswith("d") else "%m/%d/%Y"
    start = datetime.strptime(f"{re.sub('[.-]', '/', date[1])} {time[1]}", f"{pattern} %H:%M:%S")
    begin = rules[-1] + 1
    cells = [cell.strip() for cell in head[begin].split(",")]
    named = not re.fullmatch(r"-?[\d.]+", cells[0])
    length = 3600 * int(epoch[1]) + 60 * int(epoch[2]) + int(epoch[3])
    frames = pd.read_csv(path, skiprows=begin, header=0 if named else None, chunksize=ROWS, encoding="latin-1")
    rate = re.search(r"at (\d+) Hz", head[0])
    if length == 0 or "Accelerometer X" in cells:
        hertz = float(rate[1]) if rate else 30.0
        pieces = (np.asarray(frame[[f"Accelerometer {axis}" for axis in "XYZ"]], dtype=float) for frame in frames)
        return _to_recording(path, _add_all(pieces, hertz), start=start, said=[SAID])
    table = pd.concat(list(frames), ignore_index=True)
    axes = [name for name in table if re.fullmatch(r"axis ?[123]", str(name).lower())] if named else [*table][:3]
    counts = np.sqrt((table[axes].to_numpy(dtype=float) ** 2).sum(axis=1)) if len(axes) == 3 else table[axes[0]]
    return _to_recording(path, np.asarray(counts, dtype=float), start=start, epoch=float(length))


def _read_geneactiv_table(path: Path, head: list[str]) -> Recording:
    pattern = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d):(\d{3}),"
    matches = [re.match(pattern, line) for line in head]
    begin = next((index for index, m in enumerate(matches) if m), None)
    rate = next((m for line in head if (m := re.match(r"Measurement Frequency[,:]\s*([\d.]+)", line))), None)
    if begin is None or rate is None:
        wanted = f"a Measurement Frequency, and rows that begin with a time, in {path.name}"
        raise SharpwaveError(wanted, got="a head without them", fix="export it again with the GENEActiv software")
    clock = np.array([f"{m[1]}.{m[2]}" for m in matches if m], dtype="datetime64[ms]")
    start, hertz = clock[0].item(), float(rate[1])
    epoch = float(np.median(np.diff(clock).astype(float))) / 1e3 if len(clock) > 1 else 0.0
    if epoch >= 1:
        return _read_geneactiv_epochs(path, begin, epoch=epoch, rate=hertz, start=start)
    frames = pd.read_csv(path, skiprows=begin, header=None, usecols=[1, 2, 3], chunksize=ROWS, encoding="latin-1")
    enmo = _add_all((frame.to_numpy(dtype=float) for frame in frames), hertz)
    return _to_recording(path, enmo, start=start, said=[SAID])


def _read_geneactiv_epochs(path: Path, begin: int, *, epoch: float, rate: float, start: datetime) -> Recording:
    """Rows of an epoch each: activity from SVMgs, the sum of the norms minus 1 g over its samples."""
    sums = pd.read_csv(path, skiprows=begin, header=None, usecols=[7], encoding="latin-1")[7].to_numpy(dtype=float)
    said = f"activity is SVMgs by sample, in mg, as a mean over {epoch:g} s"
    return _to_recording(path, 1e3 * sums / (rate * epoch), start=start, epoch=epoch, said=[said])


def _add_all(pieces: Iterator[np.ndarray], rate: float) -> Float[np.ndarray, " epoch"]:
    enmo, done = EnmoSum(), 0
    for piece in pieces:
        enmo.add(done / rate, piece, rate=rate)
        done += len(piece)
    return enmo.compute()


def _read_actiware(path: Path, head: list[str]) -> Recording:
    lines = path.read_text(encoding="latin-1").splitlines() if path.stat().st_size < 1 << 28 else head
    begin = next(
        (i for i, line in enumerate(lines) if re.match(r'"?Line"?,"?Date"?,"?Time"?', line.strip("ï»¿"))), None
    )
    if begin is None:
        raise SharpwaveError(
            f"a line 'Line,Date,Time,...' in {path.name}", got="none", fix="export it with the epoch-by-epoch data"
        )
    rows = [line for line in lines[begin:] if line.strip()]
    table = pd.read_csv(StringIO("\n".join(rows)), index_col=False)
    clock, said = _read_clock(table["Date"].astype(str) + " " + table["Time"].astype(str), path)
    steps = np.diff(clock)
    counts = pd.to_numeric(table["Activity"], errors="coerce").to_numpy(dtype=float)
    if "Off-Wrist Status" in table:
        off = pd.to_numeric(table["Off-Wrist Status"], errors="coerce").to_numpy(dtype=float) == 1
        counts[off] = np.nan
        said += [f"{int(off.sum())} epochs off the wrist are missing"] * bool(off.any())
    epoch = float(np.median(steps)) if len(steps) else EPOCH
    start = datetime(1970, 1, 1) + timedelta(seconds=float(clock[0]))
    return _to_recording(path, counts, start=start, epoch=epoch, said=said)


def _read_clock(texts: pd.Series, path: Path) -> tuple[np.ndarray, list[str]]:
    """Seconds of each row; of day and month the order in which rows follow each other."""
    found: dict[bool, np.ndarray] = {}
    for day_first in (False, True):
        times = pd.to_datetime(texts, dayfirst=day_first, format="mixed", errors="coerce")
        if times.notna().all():
            seconds = times.to_numpy().astype("datetime64[s]").astype(float)
            if len(seconds) < 2 or np.abs(np.diff(seconds)).max() < 2 * 86_400:
                found[day_first] = seconds
    if not found:
        raise SharpwaveError(
            f"dates and times that follow each other in {path.name}", got=repr(texts.iloc[0]), fix="export it again"
        )
    both = len(found) == 2 and not np.array_equal(found[False], found[True])
    return found.get(False, found.get(True, np.zeros(0))), ["dates were read with the month first"] * both


def _to_recording(
    path: Path, values: Float[np.ndarray, " epoch"], *, start: datetime, epoch: float = EPOCH, said: Any = ()
) -> Recording:
    if not np.isfinite(values).any() or epoch <= 0:
        raise SharpwaveError(f"activity in {path.name}", got="none", fix="check the export")
    absent = int((~np.isfinite(values)).sum())
    said = [*said, *([f"{absent} of {len(values)} epochs were not recorded"] * bool(absent))]
    signal = Signal("activity", values, 1 / epoch, MODALITIES["activity"])
    known = {"labels": {"activity": "activity"}}
    return Recording(
        signals={"activity": signal},
        species="human",
        start=start,
        source=path.name,
        repairs=tuple(said),
        metadata=known,
    )
