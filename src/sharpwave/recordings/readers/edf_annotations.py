"""Annotations of EDF+ and BDF+: time-stamped lists in each data record (onset, 0x15, duration, 0x14, texts, 0x14)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.readers.edf_samples import EdfSamples

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
