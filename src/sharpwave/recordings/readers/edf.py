"""EDF, EDF+, BDF and BDF+: any mix of rates, read lazily, with annotations as events (Kemp & Olivan 2003).

The header and the samples are read here rather than through edfio (which the tests hold this reader against): edfio
loads a BDF whole and refuses a file with one broken annotation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.edf_header import EdfChannel, EdfHeader, parse_patient, read_edf_header
from sharpwave.recordings.readers.edf_samples import EdfSamples
from sharpwave.recordings.recording import Recording, empty_events


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
    path = Path(path)
    header = read_edf_header(path)
    sources = [(channel, _samples(path, header, channel)) for channel in header.channels]
    marks = [samples for channel, samples in sources if channel.is_annotation and channel.n_samples]
    annotations = read_edf_annotations(marks) if marks else None
    onsets, gaps = _record_onsets(header, annotations)
    raw, faults = _to_raw_channels(sources, header, onsets)
    repairs = [*header.repairs, *_annotation_repairs(annotations), *gaps]
    repairs += [f"{label}: {fault}; left out" for label, fault in faults]
    if not raw and annotations is None:
        raise SharpwaveError(
            f"at least one signal in {path.name}", got="none that can be read", fix="check the header's value ranges"
        )
    assembled = assemble_signals(raw, channels=channels, overrides=overrides, unit=unit)
    subject, details = parse_patient(header)
    start = header.start
    if start is not None and annotations is not None and np.isfinite(annotations.record_onsets[0]):
        start = _shifted(start, annotations.record_onsets[0])
    return Recording(
        signals=assembled.signals,
        events=empty_events() if annotations is None else annotations.events,
        subject=subject,
        species="human" if details else assembled.species,
        start=start,
        source=path.name,
        absent=tuple(label for label, _ in faults),
        repairs=(*repairs, *assembled.repairs),
        metadata={**details, "doubtful": assembled.doubtful, "labels": assembled.labels, "device": header.recording},
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
    sources: Sequence[tuple[EdfChannel, EdfSamples]], header: EdfHeader, onsets: np.ndarray | None
) -> tuple[list[RawChannel], list[tuple[str, str]]]:
    """The signals that can be read, and (label, fault) of those that cannot; annotations are no signals."""
    raw: list[RawChannel] = []
    faults: list[tuple[str, str]] = []
    times: dict[int, np.ndarray] = {}
    for channel, samples in sources:
        if channel.is_annotation:
            continue
        if not len(samples) or not _has_range(channel):
            fault = "no usable value range in the header" if len(samples) else "no samples"
            faults.append((channel.label, fault))
            continue
        gain = (channel.physical_max - channel.physical_min) / (channel.digital_max - channel.digital_min)
        if onsets is not None and channel.n_samples not in times:
            steps = np.arange(channel.n_samples) * (header.record_duration / channel.n_samples)
            times[channel.n_samples] = (onsets[:, None] + steps).ravel()
        raw.append(
            RawChannel(
                channel.label,
                samples,
                rate=channel.n_samples / header.record_duration,
                unit=channel.unit,
                gain=gain,
                offset=channel.physical_min - channel.digital_min * gain,
                times=times.get(channel.n_samples),
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


def _record_onsets(header: EdfHeader, annotations: EdfAnnotations | None) -> tuple[np.ndarray | None, list[str]]:
    """Start of each data record in seconds from the first, where the recording has gaps; else None."""
    if not header.discontinuous:
        return None, []
    if annotations is None or not np.isfinite(annotations.record_onsets).all():
        return None, ["the file is declared discontinuous without the time of each data record; read as continuous"]
    onsets = annotations.record_onsets - annotations.record_onsets[0]
    gaps = np.diff(onsets) - header.record_duration
    if (gaps < -1e-3).any():
        return None, ["the data records of the discontinuous file are out of order or overlap; read as continuous"]
    if (gaps <= 1e-3).all():
        return None, []
    missing = gaps[gaps > 1e-3]
    return onsets, [
        f"the recording has {len(missing)} gaps of {missing.sum():.6g} s in all; the samples keep their times"
    ]


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
        events: Columns onset, duration (s), label; onsets from the start of the first data record.
        record_onsets: Start of each data record in seconds from the header's start time; NaN where not stated.
        n_broken: Annotation lists that could not be read.
    """

    events: pd.DataFrame
    record_onsets: Float[np.ndarray, " record"]
    n_broken: int


def read_edf_annotations(channels: Sequence[EdfSamples]) -> EdfAnnotations:
    """Read all annotation signals of a file; the first one keeps the time of the data records."""
    n_records = channels[0].n_records
    record_onsets = np.full(n_records, np.nan)
    rows: list[tuple[float, float, str]] = []
    n_broken = 0
    for number, channel in enumerate(channels):
        for low in range(0, n_records, _RECORDS_AT_ONCE):
            data = channel.read_bytes(low, min(low + _RECORDS_AT_ONCE, n_records))
            for record, raw in enumerate(data, start=low):
                found, broken = _parse_record(raw.tobytes())
                n_broken += broken
                if number == 0 and found and not found[0][2][0]:
                    record_onsets[record] = found[0][0]
                rows += [(onset, duration, text) for onset, duration, texts in found for text in texts if text]
    first = record_onsets[0] if n_records and np.isfinite(record_onsets[0]) else 0.0
    rows = sorted((onset - first, duration, text) for onset, duration, text in rows)
    events = pd.DataFrame(rows, columns=["onset", "duration", "label"]).astype(
        {"onset": float, "duration": float, "label": str}
    )
    return EdfAnnotations(events, record_onsets, n_broken)


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
