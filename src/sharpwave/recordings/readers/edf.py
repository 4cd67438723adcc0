"""EDF, EDF+, BDF and BDF+: any mix of rates, read lazily, with annotations as events (Kemp & Olivan 2003).

The header and the samples are read here rather than through edfio (which the tests hold this reader against): edfio
loads a BDF whole and refuses a file with one broken annotation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.edf_header import (
    EdfChannel,
    EdfHeader,
    check_rates,
    parse_patient,
    read_edf_header,
)
from sharpwave.recordings.readers.edf_samples import EdfSamples, GriddedSamples
from sharpwave.recordings.readers.edf_times import RecordTimes, place_records
from sharpwave.recordings.recording import Recording, empty_events
from sharpwave.remote import locate


def read_edf(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Recording:
    """Read an EDF or BDF file; samples stay on disk until they are asked for.

    Args:
        path: The file.
        channels: Keep only these (labels or recognised names).
        overrides: Label → "name:modality", where the alias table is wrong.
        unit: Unit of the electrical channels, in place of the header's.

    Raises:
        SharpwaveError: If the file is not EDF or BDF, is damaged beyond a declared repair, or is in the wrong unit.
    """
    path = locate(path)
    header = read_edf_header(path)
    sources = [(channel, _samples(path, header, channel)) for channel in header.channels]
    marks = [samples for channel, samples in sources if channel.is_annotation and channel.n_samples]
    annotations = read_edf_annotations(marks) if marks else None
    times = _record_times(path, header, marks, annotations)
    check_rates(header, times.duration, path)
    raw, faults = _to_raw_channels(sources, times)
    subject, details, doubts = parse_patient(header)
    repairs = [*header.repairs, *doubts, *_annotation_repairs(annotations), *times.repairs]
    repairs += [f"{label}: {fault}; left out" for label, fault in faults]
    if not raw and annotations is None:
        raise SharpwaveError(
            f"at least one signal in {path.name}", got="none that can be read", fix="check the header's value ranges"
        )
    assembled = assemble_signals(raw, channels=channels, overrides=overrides, unit=unit)
    start = header.start
    if start is not None:
        start = _shifted(start, times.begin)
    return Recording(
        signals=assembled.signals,
        events=empty_events() if annotations is None else annotations.place(times.moved),
        subject=subject,
        species="human" if details else assembled.species,
        start=start,
        source=path.name,
        absent=tuple(label for label, _ in faults),
        repairs=(*repairs, *assembled.repairs),
        metadata={
            **details,
            **({"gaps": times.gaps} if times.gaps else {}),
            "doubtful": assembled.doubtful,
            "labels": assembled.labels,
            "units": assembled.units,
            "device": header.recording,
        },
    )


def _samples(path: Path, header: EdfHeader, channel: EdfChannel) -> EdfSamples:
    return EdfSamples(
        path,
        header.header_bytes + channel.first_byte,
        header.record_bytes,
        header.n_records,
        channel.n_samples,
        header.width,
    )


def _to_raw_channels(
    sources: Sequence[tuple[EdfChannel, EdfSamples]], times: RecordTimes
) -> tuple[list[RawChannel], list[tuple[str, str]]]:
    """The signals that can be read, and (label, fault) of those that cannot; annotations are no signals."""
    raw: list[RawChannel] = []
    faults: list[tuple[str, str]] = []
    for channel, samples in sources:
        if channel.is_annotation:
            continue
        if not len(samples) or not _has_range(channel):
            fault = "no usable value range in the header" if len(samples) else "no samples"
            faults.append((channel.label, fault))
            continue
        gain = (channel.physical_max - channel.physical_min) / (channel.digital_max - channel.digital_min)
        rate = channel.n_samples / times.duration
        raw.append(
            RawChannel(
                channel.label,
                _place(samples, times, rate=rate),
                rate=rate,
                unit=channel.unit,
                gain=gain,
                offset=channel.physical_min - channel.digital_min * gain,
            )
        )
    return raw, faults


def _has_range(channel: EdfChannel) -> bool:
    spans = (channel.physical_max - channel.physical_min, channel.digital_max - channel.digital_min)
    return all(np.isfinite(span) and span != 0 for span in spans)


def _annotation_repairs(annotations: EdfAnnotations | None) -> list[str]:
    if annotations is None or not annotations.n_broken:
        return []
    return [f"{annotations.n_broken} annotation lists could not be read and were left out"]


def _record_times(
    path: Path, header: EdfHeader, marks: Sequence[EdfSamples], annotations: EdfAnnotations | None
) -> RecordTimes:
    stated = np.full(header.n_records, np.nan) if annotations is None else annotations.record_onsets
    if len(marks) == sum(channel.n_samples > 0 for channel in header.channels):
        begin = float(np.nan_to_num(stated[0]))
        return RecordTimes(header.record_duration, (), np.full(header.n_records, -begin), begin=begin)
    return place_records(
        stated,
        header.record_duration,
        discontinuous=header.discontinuous,
        same=_same_records(path, header, marks),
    )


def _same_records(path: Path, header: EdfHeader, marks: Sequence[EdfSamples]) -> Callable[[int, int], bool]:
    """Whether two data records hold the same samples, whatever their annotations say."""
    kept = np.ones(header.record_bytes, dtype=bool)
    for mark in marks:
        low = mark.first_byte - header.header_bytes
        kept[low : low + mark.n_samples * header.width] = False

    def same(first: int, second: int) -> bool:
        if not (0 <= first < header.n_records and 0 <= second < header.n_records and kept.any()):
            return False
        with path.open("rb") as file:
            read = []
            for number in (first, second):
                file.seek(header.header_bytes + number * header.record_bytes)
                read.append(np.frombuffer(file.read(header.record_bytes), dtype=np.uint8))
        return bool(len(read[0]) == len(read[1]) and np.array_equal(read[0][kept], read[1][kept]))

    return same


def _place(samples: EdfSamples, times: RecordTimes, *, rate: float) -> EdfSamples | GriddedSamples:
    """The samples on a regular grid from the first record on; as they are where the recording is continuous."""
    if times.continuous:
        return samples
    counts = [(run.first * samples.n_samples, run.last * samples.n_samples) for run in times.runs]
    return GriddedSamples.place(samples, [run.onset for run in times.runs], counts, rate=rate)


def _shifted(start: datetime, seconds: float) -> datetime:
    try:
        return start + timedelta(seconds=float(seconds))
    except OverflowError:
        return start


_LIST = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14(.*)", re.DOTALL)
_RECORDS_AT_ONCE = 4096


@dataclass(frozen=True)
class EdfAnnotations:
    """Events, and when each data record starts.

    Attributes:
        events: Columns onset, duration (s), label; onsets from the header's start time.
        record_onsets: Start of each data record in seconds from the header's start time; NaN where not stated.
        n_broken: Annotation lists that could not be read.
        records: Number of the data record that each event is stored in.
    """

    events: pd.DataFrame
    record_onsets: Float[np.ndarray, " record"]
    n_broken: int
    records: Int64[np.ndarray, " event"]

    def place(self, moved: Float[np.ndarray, " record"]) -> pd.DataFrame:
        """The events, each moved as the data record that it is stored in was moved.

        Args:
            moved: Seconds to move each record; NaN where it only repeats another, as do its events.
        """
        if not moved.any():
            return self.events
        events = self.events.assign(onset=self.events["onset"] + np.nan_to_num(moved, nan=0.0)[self.records])
        if np.isnan(moved).any():
            events = events.drop_duplicates()
        return events.sort_values("onset", kind="stable", ignore_index=True)


def read_edf_annotations(channels: Sequence[EdfSamples]) -> EdfAnnotations:
    """Read all annotation signals of a file; the first one keeps the time of the data records."""
    n_records = channels[0].n_records
    record_onsets = np.full(n_records, np.nan)
    rows: list[tuple[float, float, str, int]] = []
    n_broken = 0
    for number, channel in enumerate(channels):
        for low in range(0, n_records, _RECORDS_AT_ONCE):
            data = channel.read_bytes(low, min(low + _RECORDS_AT_ONCE, n_records))
            for record, raw in enumerate(data, start=low):
                found, broken = _parse_record(raw.tobytes())
                n_broken += broken
                if number == 0 and found and not found[0][2][0]:
                    record_onsets[record] = found[0][0]
                rows += [(onset, duration, text, record) for onset, duration, texts in found for text in texts if text]
    rows.sort()
    table = pd.DataFrame(rows, columns=["onset", "duration", "label", "record"]).astype(
        {"onset": float, "duration": float, "label": str, "record": np.int64}
    )
    events = table[["onset", "duration", "label"]]
    return EdfAnnotations(events, record_onsets, n_broken, table["record"].to_numpy())


def _parse_record(raw: bytes) -> tuple[list[tuple[float, float, list[str]]], int]:
    found = []
    n_broken = 0
    for part in raw.split(b"\x14\x00"):
        part = part.strip(b"\x00")
        if not part:
            continue
        match = _LIST.fullmatch(part + b"\x14") if b"\x14" not in part else _LIST.fullmatch(part)
        onset = float(match.group(1)) if match else math.nan
        duration = float(match.group(2) or 0) if match else math.nan
        if not match or not (math.isfinite(onset) and math.isfinite(duration)):
            n_broken += 1
            continue
        texts = [_text(text) for text in match.group(3).split(b"\x14")]
        found.append((onset, duration, texts))
    return found, n_broken


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip()
