"""Stages and events of a night for other programs: annotations as EDF+, and as text that EDFbrowser imports.

The EDF+ holds annotations alone: one signal "EDF Annotations" in records of no length, in the standard's own texts
("Sleep stage N2", https://www.edfplus.info/specs/edftexts.html), one for each epoch. edfio writes no such file, so it
is written here; MNE, edfio and our own reader are its oracles in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import show_path
from sharpwave.night.decoded import DecodedNight
from sharpwave.outputs import replace_file
from sharpwave.recordings import Recording
from sharpwave.recordings.store.write_nwb import write_nwb_intervals

ANNOTATIONS = EDF, TEXT, NWB = "annotations.edf", "annotations.txt", "annotations.nwb"
RECORD_BYTES = 15_360
"""Bytes of a record: a quarter of what the standard recommends at most."""
LONGEST_TEXT = 120
_TEXTS = {
    "spindle": "Sleep spindle",
    "slow_wave": "Slow wave",
    "arousal": "EEG arousal",
    "apnea": "Apnea",
    "obstructive_apnea": "Obstructive apnea",
    "central_apnea": "Central apnea",
    "mixed_apnea": "Mixed apnea",
    "hypopnea": "Hypopnea",
    "leg_movement": "Limb movement",
    "periodic_leg_movement": "Periodic leg movement",
}


def tabulate_annotations(night: DecodedNight) -> pd.DataFrame:
    """Stages, lights and events of a night in one table: onset, duration (s), text; in order of onset.

    Args:
        night: The decoded night. Unscored epochs are "Sleep stage ?", as the standard has it.

    >>> from sharpwave.recordings import Hypnogram
    >>> stages = Hypnogram.from_labels(["W", "N2"])
    >>> night = DecodedNight(
    ...     identifier="a", source="", duration=60, hypnogram=stages, stager="", verdict="usable", night_start=5.0
    ... )
    >>> tabulate_annotations(night).to_numpy().tolist()
    [[0.0, 30.0, 'Sleep stage W'], [5.0, 0.0, 'Lights off'], [30.0, 30.0, 'Sleep stage N2']]
    """
    stages = night.hypnogram
    tables = [
        pd.DataFrame(
            {
                "onset": stages.onsets,
                "duration": stages.epoch_length,
                "text": [f"Sleep stage {label}" for label in stages.labels],
            }
        )
    ]
    lights = {"Lights off": night.night_start, "Lights on": night.night_end}
    known = {text: time for text, time in lights.items() if time is not None}
    tables.append(pd.DataFrame({"onset": list(known.values()), "duration": 0.0, "text": list(known)}))
    if len(night.events):
        names = [_name_event(row) for row in night.events.to_dict("records")]
        events = night.events[["onset", "duration"]].astype(float).fillna(0.0)
        tables.append(events.assign(text=names))
    table = pd.concat([one for one in tables if len(one)], ignore_index=True)
    return table.sort_values("onset", kind="stable", ignore_index=True)


def _name_event(row: Mapping[Any, Any]) -> str:
    """The event in the standard's words, with its channel as EDFbrowser writes it: "Sleep spindle@@C4-M1"."""
    label = str(row["label"])
    text = _TEXTS.get(label) or label.replace("_", " ").capitalize()
    channel = row.get("channel")
    return f"{text}@@{channel}" if isinstance(channel, str) and channel else text


def write_annotations(night: DecodedNight, folder: Path) -> list[Path]:
    """Write `annotations.edf` and `annotations.txt`; of an animal also `annotations.nwb`, with a table a kind of event.

    Args:
        night: The decoded night.
        folder: Where they go; it must exist.

    Returns:
        The paths.
    """
    table = tabulate_annotations(night)
    written = [
        write_edf_annotations(table, folder / EDF, start=night.start, code=night.subject or night.identifier),
        _write_text(table, folder / TEXT),
    ]
    return written if night.species == "human" else [*written, write_nwb_annotations(night, folder / NWB)]


def write_nwb_annotations(night: DecodedNight, path: Path) -> Path:
    """Write sleep states and events as tables of intervals of an NWB file, which pynwb reads.

    Args:
        night: The decoded night; each kind of event becomes a table, such as `ripples`.
        path: The file.

    Returns:
        The path.
    """
    known = Recording(
        hypnogram=night.hypnogram,
        subject=night.subject or night.identifier,
        species=night.species,
        start=night.start,
        source=f"{'simulated' if night.simulated else 'decoded by sharpwave'}: {night.source}",
    )
    kinds = dict.fromkeys(night.events["label"].astype(str)) if len(night.events) else {}
    tables = {f"{kind}s": night.events[night.events["label"] == kind].reset_index(drop=True) for kind in kinds}
    return write_nwb_intervals(known, tables, path)


def write_edf_annotations(table: pd.DataFrame, path: Path, *, start: datetime | None, code: str = "X") -> Path:
    """Write annotations as an EDF+ file without signals.

    Args:
        table: Columns onset, duration (s, 0 where it has none), text.
        path: The file.
        start: Local clock time of second 0; 1 January 1985 at 0:00, which stands for none, where not known.
        code: Code of the subject; spaces become "_".

    Returns:
        The path.
    """
    records = list(_fill_records(table))
    begin = (start or datetime(1985, 1, 1)).replace(tzinfo=None)
    fraction = begin.microsecond / 1e6
    plain = show_path(code).encode("ascii", "replace").decode().replace("?", "_").replace(" ", "_")[:50] or "X"
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    date = f"{begin:%d}-{months[begin.month - 1]}-{begin:%Y}" if start is not None else "X"
    year = f"{begin.year % 100:02d}" if 1985 <= begin.year <= 2084 else "yy"
    fields = (
        ("0", 8), (f"{plain} X X X", 80), (f"Startdate {date} X sharpwave X", 80), (f"{begin:%d.%m}.{year}", 8),
        (f"{begin:%H.%M.%S}", 8), ("512", 8), ("EDF+C", 44), (str(len(records)), 8), ("0", 8), ("1", 4),
        ("EDF Annotations", 16), ("", 80), ("", 8), ("-1", 8), ("1", 8), ("-32768", 8), ("32767", 8), ("", 80),
        (str(RECORD_BYTES // 2), 8), ("", 32),
    )  # fmt: skip
    header = b"".join(text.encode("ascii")[:size].ljust(size) for text, size in fields)
    keeping = f"+{fraction:g}\x14\x14\0".encode()
    with replace_file(path) as partial, partial.open("wb") as file:
        file.write(header)
        for record in records:
            file.write((keeping + record).ljust(RECORD_BYTES, b"\0"))
    return path


def _fill_records(table: pd.DataFrame) -> Iterator[bytes]:
    """The annotations as time-stamped lists, as many to a record as fit behind its own time."""
    room, content = RECORD_BYTES - 24, b""
    for onset, duration, text in table[["onset", "duration", "text"]].itertuples(index=False):
        lasting = f"\x15{_write_seconds(duration)}" if duration > 0 else ""
        sign = "-" if onset < 0 else "+"
        one = f"{sign}{_write_seconds(abs(onset))}{lasting}\x14{_clean(text)}\x14\0".encode()
        if len(content) + len(one) > room:
            yield content
            content = b""
        content += one
    yield content


def _write_seconds(seconds: float) -> str:
    """Seconds to 0.1 ms, as few digits as that takes."""
    return f"{np.round(seconds, 4):.4f}".rstrip("0").rstrip(".")


def _clean(text: str) -> str:
    """A text without the characters that the format itself uses, of a length that programs show."""
    kept = "".join(letter if letter.isprintable() else " " for letter in show_path(text))
    return kept[:LONGEST_TEXT]


def _write_text(table: pd.DataFrame, path: Path) -> Path:
    """As EDFbrowser writes annotations as text, and imports them: Onset,Duration,Annotation; seconds from the start."""
    lines = [
        f"{'-' if onset < 0 else '+'}{abs(onset):.7f},{f'{duration:.7f}' if duration > 0 else ''},"
        + _clean(text).replace(",", ";")
        for onset, duration, text in table[["onset", "duration", "text"]].itertuples(index=False)
    ]
    with replace_file(path) as partial:
        partial.write_text("\n".join(["Onset,Duration,Annotation", *lines]) + "\n", encoding="utf-8")
    return path
