"""Tables of a wearable: heart rate, activity, temperature and oxygen at whatever times the device wrote them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.files import check_file, guarded, read_text
from sharpwave.recordings.readers.wearable_columns import Column, identify_column, is_time_column
from sharpwave.recordings.recording import Recording, Signal

MOST_UNREADABLE = 0.1
REGULAR_WITHIN = 0.01
GAP_FACTOR = 5.0
EPOCH_UNITS = (("s", 1e8, 1e10, 1.0), ("ms", 1e11, 1e13, 1e-3), ("µs", 1e14, 1e16, 1e-6), ("ns", 1e17, 1e19, 1e-9))
"""Unix time by its size: unit, smallest, largest (1973 to 2286), seconds."""


@dataclass(frozen=True)
class _Clock:
    """Times of the rows in seconds, and the local clock time of second 0."""

    seconds: np.ndarray
    start: datetime | None
    repairs: tuple[str, ...] = ()


def read_wearable(path: str | Path) -> Recording:
    """Read a CSV or TSV table with a column of times.

    Times may be dates (ISO 8601), Unix time in s, ms, µs or ns, or seconds from the start. Rows are put in order,
    doubled times keep their first row, gaps are listed in `metadata["gaps"]` and not filled; each is declared.

    Args:
        path: `.csv`, `.tsv` or `.txt`, with a header.

    Returns:
        One signal per column of numbers, in SI units (1/min, °C); irregular columns carry their times.

    Raises:
        SharpwaveError: If there is no time or no value, times cannot be read, or a unit contradicts its values.
    """
    path = check_file(path, "a wearable table")
    with guarded(path, "a wearable table"):
        table = _read_table(path)
        time_name = next((name for name in table.columns if is_time_column(name)), None)
        if time_name is None:
            raise SharpwaveError(
                f"a column of times in {path.name} (timestamp, time, datetime …)",
                got=f"columns {', '.join(map(str, table.columns[:8]))}",
                fix="name the column of times 'timestamp'; a table needs a header",
            )
        clock = _read_times(table[time_name], time_name)
        order, repairs = _order_rows(clock.seconds)
        seconds = clock.seconds[order]
        signals: dict[str, Signal] = {}
        ignored = []
        for name in table.columns:
            if name == time_name:
                continue
            values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)[order]
            if np.isfinite(values).mean() < 0.5 * table[name].notna().mean() or not np.isfinite(values).any():
                ignored.append(str(name))
                continue
            column, notes = identify_column(str(name), values)
            repairs += notes
            signals[str(name)] = _to_signal(column, seconds)
    if not signals:
        raise SharpwaveError(
            f"a column of numbers beside the times in {path.name}",
            got=f"only {', '.join(ignored) or 'times'}",
            fix="export the values",
        )
    gaps = _find_gaps(seconds)
    if gaps:
        longest = max(end - begin for begin, end in gaps)
        repairs.append(f"{len(gaps)} gaps without samples, the longest of {longest:.0f} s; nothing was filled in")
    return Recording(
        signals=signals,
        start=clock.start,
        source=path.name,
        repairs=(*clock.repairs, *repairs),
        metadata={"gaps": gaps, "ignored_columns": ignored},
    )


def _read_table(path: Path) -> pd.DataFrame:
    text = read_text(path).lstrip("\ufeff")
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 2:
        raise SharpwaveError(
            f"a header and rows in {path.name}", got=f"{len(lines)} lines", fix="export the table again"
        )
    delimiter = max("\t;,", key=lines[0].count)
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
    return table


def _read_times(column: pd.Series, name: str) -> _Clock:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    clock = _read_numbers(numbers, name) if np.isfinite(numbers).mean() > 0.5 else _read_dates(column)
    unreadable = ~np.isfinite(clock.seconds)
    if unreadable.mean() > MOST_UNREADABLE:
        bad = column[unreadable].iloc[0]
        raise SharpwaveError(
            f"times in the column {name!r}",
            got=f"{int(unreadable.sum())} of {len(column)} that cannot be read, such as {str(bad)[:40]!r}",
            fix="write them as 2024-03-01T23:00:00+01:00, as Unix time, or as seconds",
        )
    note = f"{int(unreadable.sum())} rows have no readable time and were left out"
    return _Clock(clock.seconds, clock.start, (*clock.repairs, *([note] if unreadable.any() else [])))


def _read_numbers(numbers: np.ndarray, name: str) -> _Clock:
    typical = abs(float(np.nanmedian(numbers)))
    for unit, low, high, factor in EPOCH_UNITS:
        if low <= typical < high:
            first = float(np.nanmin(numbers))
            start = datetime.fromtimestamp(first * factor, tz=UTC)
            return _Clock((numbers - first) * factor, start, (f"times are taken as Unix time in {unit}, in UTC",))
    lowered = name.lower()
    factor = next(
        (f for ending, f in (("ms", 1e-3), ("milli", 1e-3), ("min", 60.0), ("hour", 3600.0)) if ending in lowered), 1.0
    )
    if typical >= 1e8:
        raise SharpwaveError(
            f"times in the column {name!r} in seconds, or Unix time", got=f"{typical:.4g}", fix="write them as seconds"
        )
    return _Clock(numbers * factor, None)


def _read_dates(column: pd.Series) -> _Clock:
    moments = pd.to_datetime(column.astype(str), errors="coerce", utc=True, format="ISO8601")
    if moments.isna().mean() > MOST_UNREADABLE:
        moments = pd.to_datetime(
            column.astype(str), errors="coerce", utc=True, format="mixed", dayfirst=_is_day_first(column)
        )
    if moments.isna().all():
        return _Clock(np.full(len(column), np.nan), None)
    first = moments.min()
    seconds = (moments - first).dt.total_seconds().to_numpy(dtype=np.float64)
    offset = _find_offset(str(column.iloc[int(np.nanargmin(seconds))]))
    start = first.to_pydatetime()
    return _Clock(seconds, start.astimezone(offset) if offset is not None else start.replace(tzinfo=None))


def _is_day_first(column: pd.Series) -> bool:
    first = pd.to_numeric(column.astype(str).str.extract(r"^(\d{1,2})[/.]")[0], errors="coerce")
    second = pd.to_numeric(column.astype(str).str.extract(r"^\d{1,2}[/.](\d{1,2})[/.]")[0], errors="coerce")
    return not bool((second > 12).any()) or bool((first > 12).any())


def _find_offset(text: str) -> tzinfo | None:
    try:
        return datetime.fromisoformat(text).tzinfo
    except ValueError:
        return None


def _order_rows(seconds: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Rows in the order of time, each time once."""
    readable = np.flatnonzero(np.isfinite(seconds))
    repairs = []
    backwards = int((np.diff(seconds[readable]) < 0).sum())
    if backwards:
        repairs.append(f"times ran backwards in {backwards} places; rows were put in order")
    order = readable[np.argsort(seconds[readable], kind="stable")]
    again = np.r_[False, np.diff(seconds[order]) == 0]
    if again.any():
        repairs.append(f"{int(again.sum())} rows repeat a time; the first of each was kept")
    return order[~again], repairs


def _to_signal(column: Column, seconds: np.ndarray) -> Signal:
    modality = MODALITIES[column.modality]
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 60.0
    grid = seconds[0] + step * np.arange(len(seconds))
    regular = bool(np.abs(seconds - grid).max() <= REGULAR_WITHIN * step)
    values = column.values
    times = None
    if not regular:
        there = np.isfinite(values)
        values, times = values[there], seconds[there]
        step = float(np.median(np.diff(times))) if len(times) > 1 else step
    return Signal(
        column.name,
        values,
        1 / step,
        modality,
        start=float(seconds[0] if times is None else times[0]),
        scale=column.scale,
        offset=column.offset,
        times=times,
    )


def _find_gaps(seconds: np.ndarray) -> list[tuple[float, float]]:
    """Spans without samples, longer than five usual intervals, as (start, end) in seconds."""
    if len(seconds) < 3:
        return []
    intervals = np.diff(seconds)
    long = np.flatnonzero(intervals > GAP_FACTOR * np.median(intervals))
    return [(float(seconds[index]), float(seconds[index + 1])) for index in long]
