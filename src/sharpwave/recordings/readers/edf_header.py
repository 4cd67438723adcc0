"""The header of an EDF, EDF+, BDF or BDF+ file: 256 bytes, and 256 more for each signal (Kemp et al. 1992, 2003)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.units import read_age

_FIELDS = (
    ("label", 16), ("transducer", 80), ("unit", 8), ("physical_min", 8), ("physical_max", 8),
    ("digital_min", 8), ("digital_max", 8), ("prefiltering", 80), ("n_samples", 8), ("reserved", 32),
)  # fmt: skip
_MAX_SIGNALS = 4096
_NO_DATE = date(1985, 1, 1)
_STARTDATE = re.compile(r"Startdate\s+(\d{1,2}-[A-Za-z]{3}-\d{4})\b", re.IGNORECASE)
_SLOWEST, _SLOWEST_ELECTRICAL, _FASTEST, _LONGEST = 1 / 86_400, 1.0, 1e7, 10 * 366 * 86_400.0
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


@dataclass(frozen=True)
class EdfChannel:
    """One signal as the header declares it; `first_byte` counts from the start of a data record."""

    label: str
    unit: str
    physical_min: float
    physical_max: float
    digital_min: float
    digital_max: float
    n_samples: int
    first_byte: int

    @property
    def is_annotation(self) -> bool:
        return self.label in ("EDF Annotations", "BDF Annotations")


@dataclass(frozen=True)
class EdfHeader:
    """What an EDF header says, checked against the size of the file.

    Attributes:
        width: Bytes per sample: 2 (EDF) or 3 (BDF).
        n_records: Data records that are whole in the file (the header may claim another number).
        record_duration: Length of a data record in seconds.
        repairs: Where header and file disagree, one sentence each.
    """

    width: int
    header_bytes: int
    record_bytes: int
    n_records: int
    record_duration: float
    discontinuous: bool
    plus: bool
    patient: str
    recording: str
    start: datetime | None
    channels: tuple[EdfChannel, ...]
    repairs: tuple[str, ...]


def read_edf_header(path: Path) -> EdfHeader:
    """Read and check the header.

    Raises:
        SharpwaveError: If it is not an EDF or BDF header, or contradicts the size of the file beyond repair.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(256)
        width = _sample_width(fixed, path)
        n_signals = _integer(fixed[252:256], "number of signals", path)
        if not 1 <= n_signals <= _MAX_SIGNALS:
            raise _bad(path, f"1 to {_MAX_SIGNALS} signals", f"{n_signals}")
        described = file.read(256 * n_signals)
    header_bytes = 256 * (n_signals + 1)
    if len(described) < 256 * n_signals:
        raise _bad(path, f"a header of {header_bytes} bytes for {n_signals} signals", f"a file of {size} bytes")
    channels = _channels(described, n_signals, width, path)
    record_bytes = width * sum(channel.n_samples for channel in channels)
    if record_bytes == 0:
        raise _bad(path, "samples in each data record", "none")
    record_duration = _number(fixed[244:252], "duration of a data record", path)
    if record_duration < 0 or (record_duration == 0 and not all(c.is_annotation for c in channels)):
        raise _bad(path, "a positive duration of a data record", f"{record_duration:g} s")
    n_records, repairs = _whole_records(fixed[236:244], size - header_bytes, record_bytes, path)
    if _text(fixed[184:192]) != str(header_bytes):
        repairs.append(
            f"the header states its own size as {_text(fixed[184:192]) or 'nothing'}; {header_bytes} bytes used"
        )
    reserved, recording = _text(fixed[192:236]), _text(fixed[88:168])
    start, doubts = _start(_text(fixed[168:176]), _text(fixed[176:184]), recording)
    repairs += doubts
    return EdfHeader(
        width=width,
        header_bytes=header_bytes,
        record_bytes=record_bytes,
        n_records=n_records,
        record_duration=record_duration,
        discontinuous=reserved.startswith(("EDF+D", "BDF+D")),
        plus=reserved.startswith(("EDF+", "BDF+")),
        patient=_text(fixed[8:88]),
        recording=recording,
        start=start,
        channels=channels,
        repairs=tuple(repairs),
    )


def parse_patient(header: EdfHeader) -> tuple[str, dict[str, object], list[str]]:
    """Subject code; sex and age (years) where the header gives them (EDF+: code, sex, birth date, name); and doubts.

    Names stay out: a plain EDF's field counts as a code only if it is one word with a digit in it. An age that cannot
    be, and one by the date that stands for an unknown one (1 January 1985), is left out and declared.
    """
    if not header.plus:
        return (header.patient if re.fullmatch(r"\S*\d\S*", header.patient) else "unknown"), {}, []
    code, sex, birth = [*header.patient.split(), "X", "X", "X"][:3]
    if code in ("M", "F") and sex == "X":
        code, sex = "X", code
    details: dict[str, object] = {}
    doubts: list[str] = []
    if sex in ("M", "F"):
        details["sex"] = sex
    born = _plus_date(birth)
    if born and header.start:
        age, doubt = read_age(
            math.floor((header.start.date() - born).days / 365.2425), source="the header's birth date"
        )
        if header.start.date() == _NO_DATE and not _STARTDATE.match(header.recording):
            doubts.append("the header's start date stands for an unknown one, so the age is not known")
        elif age is not None:
            details["age"] = int(age)
        doubts += [doubt] if doubt else []
    return ("unknown" if code == "X" else code), details, doubts


def check_rates(header: EdfHeader, record_duration: float, path: Path) -> None:
    """Refuse a length of the data records with which no signal could have been sampled.

    Args:
        header: The header.
        record_duration: Length of a data record in seconds, as it would be used.
        path: The file, for the message.

    Raises:
        SharpwaveError: If the fastest signal would be slower than a sample a day or faster than 10 MHz, the file longer
            than ten years, or every brain or muscle signal slower than 1 Hz.
    """
    signals = [channel for channel in header.channels if not channel.is_annotation and channel.n_samples]
    if not signals:
        return
    fastest = max(signals, key=lambda channel: channel.n_samples)
    electrical = [c for c in signals if MODALITIES[recognise_channel(c.label).modality].unit == "V"]
    judged = max(electrical, key=lambda channel: channel.n_samples, default=fastest)
    rate = judged.n_samples / record_duration
    slowest = _SLOWEST_ELECTRICAL if electrical else _SLOWEST
    total = header.n_records * record_duration
    if slowest <= rate and fastest.n_samples / record_duration <= _FASTEST and total <= _LONGEST:
        return
    raise _bad(
        path,
        f"a duration of a data record that gives {judged.label!r} a possible sampling rate",
        f"{record_duration:g} s for {judged.n_samples} samples, which is {rate:.3g} Hz, and {total:.3g} s in all",
    )


def _channels(described: bytes, n_signals: int, width: int, path: Path) -> tuple[EdfChannel, ...]:
    columns: dict[str, list[bytes]] = {}
    offset = 0
    for name, length in _FIELDS:
        columns[name] = [described[offset + i * length : offset + (i + 1) * length] for i in range(n_signals)]
        offset += n_signals * length
    channels = []
    first_byte = 0
    for i in range(n_signals):
        label = _text(columns["label"][i])
        n_samples = _integer(columns["n_samples"][i], f"samples per record of {label!r}", path)
        if n_samples < 0:
            raise _bad(path, f"samples per record of {label!r} of 0 or more", f"{n_samples}")
        ranges = {
            name: _number_or_nan(columns[name][i])
            for name in ("physical_min", "physical_max", "digital_min", "digital_max")
        }
        channels.append(
            EdfChannel(label, _text(columns["unit"][i]), n_samples=n_samples, first_byte=first_byte, **ranges)
        )
        first_byte += width * n_samples
    return tuple(channels)


def _whole_records(declared_field: bytes, data_bytes: int, record_bytes: int, path: Path) -> tuple[int, list[str]]:
    n_records, rest = divmod(data_bytes, record_bytes)
    if n_records == 0:
        raise _bad(path, f"at least one data record of {record_bytes} bytes", f"{data_bytes} bytes of data")
    declared = _integer(declared_field, "number of data records", path)
    repairs = []
    if declared != n_records:
        claim = "leaves the number of data records open" if declared == -1 else f"claims {declared} data records"
        repairs.append(f"the header {claim}; the file holds {n_records}, which were read")
    if rest:
        repairs.append(f"the last data record is cut short after {rest} of {record_bytes} bytes and was left out")
    return n_records, repairs


def _sample_width(fixed: bytes, path: Path) -> int:
    if len(fixed) < 256:
        raise _bad(path, "a header of at least 256 bytes", f"{len(fixed)} bytes")
    if fixed[:8] == b"\xffBIOSEMI":
        return 3
    if fixed[:8].strip() == b"0":
        return 2
    raise _bad(path, "the version field '0' (EDF) or 'BIOSEMI' (BDF)", repr(fixed[:8].decode("latin-1")))


def _start(day: str, clock: str, recording: str) -> tuple[datetime | None, list[str]]:
    """Start of the recording, and doubts; EDF+ states the date once more, with the century, and for all years."""
    days, times = ([int(value) for value in re.findall(r"\d+", text)] for text in (day, clock))
    stated = _STARTDATE.match(recording)
    on, said = (_plus_date(stated.group(1)) if stated else None), None
    if len(days) == 3:
        dd, mm, yy = days
        try:
            said = date(yy if yy > 99 else yy + (1900 if yy >= 85 else 2000), mm, dd)
        except ValueError:
            said = None
    try:
        hour, minute, second = times
        found = datetime.combine(on or said or date.min, time(hour, minute, second))
    except ValueError:
        return None, ["the header's start date or time cannot be read; the clock time is unknown"]
    if on is None and said is None:
        return None, ["the header's start date or time cannot be read; the clock time is unknown"]
    if on and said and (on.day, on.month, on.year % 100) != (said.day, said.month, said.year % 100):
        return found, [f"the header gives two start dates, {said} and {on} (Startdate); {on} was used"]
    return found, []


def _plus_date(text: str) -> date | None:
    match = re.fullmatch(r"(\d{1,2})-([A-Za-z]{3})-(\d{4})", text)
    if not match or match.group(2).upper() not in _MONTHS:
        return None
    try:
        return date(int(match.group(3)), _MONTHS.index(match.group(2).upper()) + 1, int(match.group(1)))
    except ValueError:
        return None


def _text(field: bytes) -> str:
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.replace("\x00", " ").strip()


def _integer(field: bytes, name: str, path: Path) -> int:
    text = _text(field)
    if not re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", text, flags=re.ASCII):
        raise _bad(path, f"a whole number for the {name}", repr(text))
    return int(text.partition(".")[0])


def _number(field: bytes, name: str, path: Path) -> float:
    value = _number_or_nan(field)
    if not math.isfinite(value):
        raise _bad(path, f"a number for the {name}", repr(_text(field)))
    return value


def _number_or_nan(field: bytes) -> float:
    try:
        return float(_text(field).replace(",", "."))
    except ValueError:
        return math.nan


def _bad(path: Path, expected: str, got: str) -> SharpwaveError:
    return SharpwaveError(
        f"{expected} in the EDF header of {path.name}",
        got=got,
        fix="check that the file is EDF or BDF and complete, or export it again",
    )
