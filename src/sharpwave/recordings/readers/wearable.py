"""Tables of a wearable: heart rate, activity, temperature, oxygen, raw EEG, at whatever times the device wrote."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.clock import ClockColumn, read_clock_column
from sharpwave.recordings.clock_texts import ZONES
from sharpwave.recordings.clock_words import find_offset_column, find_strange_word
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.files import check_file, guarded, read_text
from sharpwave.recordings.readers.wearable_beats import complete_beats, name_lone_intervals
from sharpwave.recordings.readers.wearable_columns import (
    Column,
    find_time_columns,
    find_time_unit,
    identify_column,
    is_time_column,
    name_given,
)
from sharpwave.recordings.readers.wearable_grid import drop_copies, find_gaps, order_rows, put_on_grid, spread_repeats
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.units import check_units

MOST_UNREADABLE = 0.1
REGULAR_WITHIN = 0.01
FASTEST_WEARABLE = 16.0
"""Hz: above it, columns named like electrodes are electrodes."""
_PREAMBLE = 60
FORTNIGHT = 14 * 86_400.0
SAMSUNG = {"time_offset", "datauuid"}
"""Headers of Samsung's exports, whose times are in UTC."""


def read_wearable(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
    rate: float | None = None,
) -> Recording:
    """Read a CSV or TSV table with a column of times.

    Times may be in one column or as date and time in two, in every form that `read_clock_column` reads. Rows are put in
    order, doubled times keep their first row, gaps are listed in `metadata["gaps"]` and not filled; each is declared.

    Args:
        path: `.csv`, `.tsv` or `.txt`, with a header.
        channels: Keep only these columns (headers or recognised names); all by default.
        overrides: Header → "name:modality", where a column's name does not say what it is.
        unit: Unit of electrical columns, such as "uV"; by default what makes their amplitude plausible, declared.
        rate: Rows per second of a table without times; by default times are needed.

    Returns:
        One signal per column of numbers, in SI units (V, 1/min, °C); irregular columns carry their times.

    Raises:
        SharpwaveError: If there is no time or no value, times cannot be read, or a unit contradicts its values.
    """
    path = check_file(path, "a wearable table")
    with guarded(path, "a wearable table"):
        table, said = _read_table(path)
        table, copies = drop_copies(table)
        table, beats = complete_beats(table)
        said = [*said, *copies, *beats]
        clock, used = _read_times(table, path, rate)
        if len(table) > 2 and np.nanmedian(np.diff(clock.seconds)) < 0:
            table = table.iloc[::-1].reset_index(drop=True)
            clock, used = _read_times(table, path, rate)
            said = [*said, "rows run from the newest to the oldest; they were turned round"]
        passed, spread = spread_repeats(clock.seconds, table.drop(columns=used))
        order, ordered = order_rows(passed)
        seconds = passed[order]
        start = clock.start
        if start is not None:  # second 0 is the earliest row
            start, seconds = start + timedelta(seconds=float(seconds[0])), seconds - seconds[0]
        repairs = [*said, *clock.repairs, *spread, *ordered]
        columns, ignored, named = _name_columns(table.drop(columns=used).iloc[order], seconds, overrides or {})
        repairs += named
        if channels is not None:
            columns = {label: one for label, one in columns.items() if label in channels or one.name in channels}
        signals, units = {}, {}
        for label, column in columns.items():
            signal, gridded = _to_signal(column, seconds, unit, label)
            signals[column.name] = signal
            units[column.name] = unit if unit is not None else column.unit
            repairs += [sentence for sentence in gridded if sentence not in repairs]
        signals, chosen, doubtful = check_units(signals, units)
    if not signals:
        raise SharpwaveError(
            f"a column of numbers beside the times in {path.name}",
            got=f"only {', '.join(ignored) or 'times'}",
            fix="export the values, and name them with --channel-alias 'COLUMN=NAME:MODALITY' where they are not known",
        )
    gaps = find_gaps(seconds)
    if gaps:
        longest = max(end - begin for begin, end in gaps)
        repairs.append(f"{len(gaps)} gaps without samples, the longest of {longest:.0f} s; nothing was filled in")
    return Recording(
        signals=signals,
        start=start,
        source=path.name,
        repairs=(*repairs, *chosen),
        metadata={
            "gaps": gaps,
            "ignored_columns": ignored,
            "doubtful": doubtful,
            "labels": {column.name: label for label, column in columns.items()},
        },
    )


def _read_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    text = read_text(path).lstrip("\ufeff")
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 2:
        raise SharpwaveError(
            f"a header and rows in {path.name}", got=f"{len(lines)} lines", fix="export the table again"
        )
    lone = name_lone_intervals(lines)
    lines = lines if lone is None else [lone, *lines]
    head = _find_header(lines)
    lines = lines[head:]
    delimiter = _find_delimiter(lines[0])
    table = pd.read_csv(
        io.StringIO("\n".join(lines)), sep=delimiter, quoting=csv.QUOTE_MINIMAL, skipinitialspace=True, index_col=False
    )
    table.columns = [str(name).strip() for name in table.columns]
    if delimiter == ";":  # decimal commas come with semicolons
        for name in table.columns:
            if not pd.api.types.is_numeric_dtype(table[name]):
                plain = table[name].astype(str).str.replace(",", ".", regex=False)
                numbers = pd.to_numeric(plain, errors="coerce")
                if numbers.notna().mean() > 0.5:
                    table[name] = numbers
    passed = [line for line in text.split("\n") if line.strip()][:head]
    passed = [line for line in passed if not line.lower().startswith("sep=")]
    said = [f"{len(passed)} lines before the header were passed over"] if passed else []
    return table, said if lone is None else [f"the numbers have no header and were taken for intervals: {lone!r}"]


def _find_header(lines: Sequence[str]) -> int:
    """The line with the header: the first that names a column of times beside others; the first line otherwise."""
    for number, line in enumerate(lines[:_PREAMBLE]):
        cells = next(csv.reader([line], delimiter=_find_delimiter(line)))
        if len(cells) > 1 and any(is_time_column(cell) for cell in cells):
            return number
    return 1 if lines[0].lower().startswith("sep=") and len(lines) > 2 else 0


def _find_delimiter(line: str) -> str:
    return max("\t;,", key=line.count)


def _read_times(table: pd.DataFrame, path: Path, rate: float | None) -> tuple[ClockColumn, list[str]]:
    """The clock of the rows, and the columns that it was read from."""
    found = find_time_columns(table)
    if found is None:
        if rate is not None and rate > 0:
            return ClockColumn(np.arange(len(table)) / rate), []
        raise SharpwaveError(
            f"a column of times in {path.name} (timestamp, time, datetime …)",
            got=f"columns {', '.join(map(str, table.columns[:8]))}",
            fix="name the column of times 'timestamp', or give --rate in Hz; a table needs a header",
        )
    name, date = found
    unit = find_time_unit(name)
    offset = find_offset_column(table.drop(columns=[name, *([] if date is None else [date])]), ZONES)
    clock = read_clock_column(
        table[name],
        dates=None if date is None else table[date],
        offsets=None if offset is None else table[offset],
        universal="utc" in name.lower() or _is_of_samsung(list(table.columns)),
        unit=unit,
    )
    if clock.start is None and unit == 1:
        clock = _take_for_milliseconds(clock)
    if date is None and clock.start is not None and _repeats_days(clock.seconds):
        raise SharpwaveError(
            f"a time of day for every row of {path.name}",
            got=f"dates alone in the column {name!r}",
            fix="export the time of day too, in the same column or in one named 'time'",
        )
    unreadable = ~np.isfinite(clock.seconds)
    if unreadable.mean() > MOST_UNREADABLE:
        bad = table[name][unreadable].iloc[0]
        word = find_strange_word(str(bad))
        if word is not None:
            raise SharpwaveError(
                f"times in the column {name!r} of 24 hours, or with AM and PM",
                got=f"{str(bad)[:40]!r}, in which {word!r} is not known",
                fix="export them in English or with 24 hours, such as 2024-03-01T23:00:00",
            )
        raise SharpwaveError(
            f"times in the column {name!r}",
            got=f"{int(unreadable.sum())} of {len(table)} that cannot be read, such as {str(bad)[:40]!r}"
            f" in row {int(np.flatnonzero(unreadable)[0]) + 1}",
            fix="write them as 2024-03-01T23:00:00+01:00, as Unix time, or as seconds",
        )
    if clock.start is None and np.nanmedian(np.abs(clock.seconds)) >= 1e8:
        typical = float(np.nanmedian(clock.seconds))
        raise SharpwaveError(
            f"times in the column {name!r} in seconds, or Unix time", got=f"{typical:.4g}", fix="write them as seconds"
        )
    note = f"{int(unreadable.sum())} rows have no readable time and were left out"
    used = [one for one in (name, date, offset) if one is not None]
    repairs = (*clock.repairs, *([note] if unreadable.any() else []))
    if clock.start is not None and not clock.dated:
        repairs = (*repairs, "times have no dates; 1 January 1900 stands for the first day")
    return ClockColumn(clock.seconds, clock.start, clock.dated, repairs), used


def _is_of_samsung(columns: Sequence[str]) -> bool:
    """Whether a table is an export of Samsung's, in which times are in UTC."""
    return {name.lower() for name in columns} >= SAMSUNG or any(name.startswith("com.samsung.") for name in columns)


def _take_for_milliseconds(clock: ClockColumn) -> ClockColumn:
    """Plain numbers that would be weeks of seconds with hours between rows, as milliseconds; declared."""
    known = clock.seconds[np.isfinite(clock.seconds)]
    steps = np.diff(known)
    if known.size < 10 or np.ptp(known) < FORTNIGHT or not np.median(np.abs(steps)) >= 1000 or (known % 1).any():
        return clock
    said = f"times are taken as milliseconds: as seconds, rows would be {np.median(np.abs(steps)) / 3600:.3g} h apart"
    return ClockColumn(clock.seconds / 1000, None, False, (*clock.repairs, said))


def _repeats_days(seconds: np.ndarray) -> bool:
    """Whether all times are midnights, and days repeat."""
    known = seconds[np.isfinite(seconds)]
    return bool(known.size > 2 and (known % 86_400 == 0).all() and np.unique(known).size < 0.6 * known.size)


def _name_columns(
    table: pd.DataFrame, seconds: np.ndarray, overrides: Mapping[str, str]
) -> tuple[dict[str, Column], list[str], list[str]]:
    """The columns of numbers by their headers, the headers without numbers, and sentences on what was assumed."""
    strange = [label for label in overrides if label.strip().lower() not in {name.lower() for name in table.columns}]
    if strange:
        raise SharpwaveError(
            f"aliases of the columns {', '.join(table.columns[:12])}",
            got=f"--channel-alias of {', '.join(strange)}",
            fix="write LABEL=NAME:MODALITY with the header as LABEL",
        )
    wanted = {label.strip().lower(): identity for label, identity in overrides.items()}
    fast = len(seconds) > 1 and np.ptp(seconds) < len(seconds) / FASTEST_WEARABLE
    columns: dict[str, Column] = {}
    ignored, said = [], []
    for label in table.columns:
        values = pd.to_numeric(table[label], errors="coerce").to_numpy(dtype=np.float64)
        if np.isfinite(values).mean() < 0.5 * table[label].notna().mean() or not np.isfinite(values).any():
            ignored.append(str(label))
            continue
        if label.lower() in wanted:
            identity = recognise_channel(label, overrides={label: wanted[label.lower()]})
            columns[label] = name_given(label, identity.name, identity.modality, values)
            continue
        column, notes = identify_column(str(label), values, electrical=fast)
        columns[label] = column
        said += notes
    return columns, ignored, said


def _to_signal(column: Column, seconds: np.ndarray, unit: str | None, label: str) -> tuple[Signal, list[str]]:
    modality = MODALITIES[column.modality]
    scale, offset = column.scale, column.offset
    said: list[str] = []
    if modality.unit == "V":
        scale, offset = column.find_scale(unit, label)
    values, times = column.values, None
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 60.0
    span = float(seconds[-1] - seconds[0]) / max(len(seconds) - 1, 1)
    step = span if abs(span / step - 1) < REGULAR_WITHIN else step
    grid = seconds[0] + step * np.arange(len(seconds))
    start = float(seconds[0])
    if np.abs(seconds - grid).max() > REGULAR_WITHIN * step or (modality.unit == "V" and not step > 0):
        if modality.unit == "V":
            values, step, said = put_on_grid(values, seconds)
        else:
            there = np.isfinite(values)
            values, times = values[there], seconds[there]
            start = float(times[0])
            step = float(np.median(np.diff(times))) if len(times) > 1 else step
    signal = Signal(column.name, values, 1 / step, modality, start=start, scale=scale, offset=offset, times=times)
    return signal, said
