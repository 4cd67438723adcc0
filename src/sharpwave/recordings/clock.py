"""Clocks of tables, scorings and people: midnight, summer time, offsets, dates in any order, Unix time, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave import moved
from sharpwave.recordings.clock_steps import describe_moment, follow_reset, follow_summer_time
from sharpwave.recordings.clock_texts import (
    DAY,
    HOUR,
    NO_DATE,
    ZONES,
    is_day_first,
    is_written_out,
    join_dates,
    parse_moment,
    read_local,
    read_numbers,
)
from sharpwave.recordings.clock_words import read_offsets


@dataclass(frozen=True, eq=False)
class ClockColumn:
    """A column of times, read.

    Attributes:
        seconds: Seconds from the first row's time, shape (row,), in the order of the rows; NaN where a time cannot be
            read. A clock that was set back or forward is already followed: these seconds are those that passed.
        start: Local clock time of second 0, with its offset from UTC where the column has one; None for plain seconds.
        dated: Whether `start` has a date; without one it is 1 January 1900.
        repairs: What was found out or repaired, one sentence each, for `recording.repairs`.
    """

    seconds: Float[np.ndarray, " row"]
    start: datetime | None = None
    dated: bool = False
    repairs: tuple[str, ...] = ()


def read_clock_column(
    values: Sequence[Any] | pd.Series,
    *,
    dates: Sequence[Any] | pd.Series | None = None,
    offsets: Sequence[Any] | pd.Series | None = None,
    universal: bool = False,
    start: datetime | None = None,
    length: float | None = None,
    unit: float = 1.0,
) -> ClockColumn:
    """Times of the rows of a table or a scoring, in seconds from the first row that has one, and what was repaired.

    Read are: seconds from the start; Unix time in s, ms, µs or ns, Excel's days and the like (see `read_numbers`);
    20231029023000; clock times (rolling over at midnight); dates with times in ISO, day-first or month-first order,
    with or without AM/PM (in many languages), fractions and offsets from UTC (+02:00, Z, CEST), which may stand in a
    column of their own. Offsets, where there are any, decide. Without them the clock is followed:

    - a step back by an hour to the next row is the end of summer time: later rows are an hour later;
    - another step back after which rows go on is a clock that was set (as when a watch is synchronised);
    - an hour in which every time comes twice is that same hour, in a table that was sorted by its clock;
    - a step forward of exactly an hour more than usual is the begin of summer time where `length` says so (with the
      hour the rows do not fit the recording, without it they do), or at night on a Sunday of spring. Else it is a gap.

    Args:
        values: One time per row, as text or number.
        dates: One date per row, where the dates stand in a column of their own; None where there is none.
        offsets: One offset from UTC per row, where they stand in a column of their own; see `read_offsets`.
        universal: Whether times beside such a column are in UTC; by default they are local, unless only UTC makes them
            steady where the offset changes.
        start: Clock time of the recording's first sample, where the rows belong to a recording; None where unknown.
        length: Length of that recording in seconds; None where unknown.
        unit: Seconds per unit of plain numbers (60 for minutes); by default they are seconds.

    Returns:
        Seconds, start and repairs. Plain seconds keep their own zero; all others begin at 0 with the first row.

    >>> clock = read_clock_column(["23:59:30", "00:00:00", "00:00:30"])
    >>> clock.seconds.tolist(), str(clock.start.time())
    ([0.0, 30.0, 60.0], '23:59:30')
    >>> autumn = ["2023-10-29 02:58", "2023-10-29 02:59", "2023-10-29 02:00", "2023-10-29 02:01"]
    >>> autumn = read_clock_column(autumn)
    >>> autumn.seconds.tolist(), autumn.repairs
    ([0.0, 60.0, 120.0, 180.0], ('the clock goes back an hour after 2023-10-29 02:59:00; later times count on',))
    """
    beside = None if offsets is None else read_offsets(offsets, ZONES)
    numbers = pd.to_numeric(_drop_thousands(values), errors="coerce").to_numpy(dtype=np.float64)
    if dates is None and len(numbers) and np.isfinite(numbers).mean() > 0.5 and not is_written_out(numbers):
        seconds, moment, taken_for = read_numbers(numbers, unit)
        if moment is not None and moment.tzinfo is not None and beside is not None:
            moment = moment.astimezone(_zone(beside[np.flatnonzero(np.isfinite(seconds))[0]]))
        dated = moment is not None and moment.year > NO_DATE.year
        return ClockColumn(seconds, moment, dated, () if taken_for is None else (taken_for,))
    texts = join_dates(values, dates)
    local, shifts = read_local(texts)
    known = np.flatnonzero(local.notna().to_numpy())
    if not known.size:
        return ClockColumn(np.full(len(texts), np.nan))
    dated = bool((local.dt.year > 1971).sum() > 0.5 * known.size)
    if dated:
        local = local.where(local.dt.year > 1971)
        known = np.flatnonzero(local.notna().to_numpy())
    first = local.iloc[known[0]].to_pydatetime()
    seconds = (local - local.iloc[known[0]]).dt.total_seconds().to_numpy(dtype=np.float64)
    if np.isfinite(shifts[known]).mean() > 0.5:
        return _follow_offsets(seconds, shifts, known, first, dated)
    if beside is not None and np.isfinite(beside[known]).mean() > 0.5:
        return _follow_column(seconds, beside, known, first, dated, universal=universal)
    repairs: list[str] = []
    if dated and _lacks_halves(local.iloc[known]):
        day = first.replace(hour=0, minute=0, second=0, microsecond=0)
        seconds = (local - local.dt.normalize()).dt.total_seconds().to_numpy(dtype=np.float64)
        seconds = seconds - seconds[known[0]]
        seconds, rolled, repairs = _roll_half_days(seconds, first.replace(year=1900, month=1, day=1))
        first = day.replace(hour=rolled.hour, minute=rolled.minute, second=rolled.second)
        return ClockColumn(_roll_midnights(seconds)[0], first, dated, tuple(repairs))
    if not dated:
        first = first.replace(year=1900, month=1, day=1)
        seconds, first, twelve = _roll_half_days(seconds, first)
        repairs += twelve
    if not dated or local.dt.normalize().nunique() == 1:
        seconds, midnights = _roll_midnights(seconds)
        if dated and midnights:
            repairs.append("all rows have the date of the first; times after midnight belong to the next day")
    if dated:
        seconds, reset = follow_reset(seconds, local)
        repairs += reset
    seconds, said = follow_summer_time(seconds, first, dated=dated, start=start, length=length)
    return ClockColumn(seconds, first, dated, (*repairs, *said))


def _drop_thousands(values: Sequence[Any] | pd.Series) -> pd.Series:
    """The column without commas between thousands: "1,684,015,200"."""
    column = pd.Series(values)
    if column.dtype != object or not column.astype(str).str.fullmatch(r"\d{1,3}(,\d{3}){3,}").mean() > 0.5:
        return column
    return column.astype(str).str.replace(",", "", regex=False)


def _lacks_halves(local: pd.Series) -> bool:
    """Whether dated times are of twelve hours without AM or PM: hours 1 to 12, and half a day back in one date."""
    hours = local.dt.hour
    if len(local) < 3 or not hours.between(1, 12).all():
        return False
    back = local.diff().dt.total_seconds() < -DAY / 2 + HOUR
    same = local.dt.normalize().diff() == pd.Timedelta(0)
    return bool((back & same).any())


def _zone(seconds: float) -> timezone:
    return timezone(timedelta(seconds=float(np.nan_to_num(seconds))))


def _follow_column(
    seconds: np.ndarray, offsets: np.ndarray, known: np.ndarray, first: datetime, dated: bool, *, universal: bool
) -> ClockColumn:
    """Seconds by UTC, of times beside a column of offsets: local ones, or UTC where only that makes them steady."""
    filled = pd.Series(offsets).ffill().bfill().to_numpy()
    if np.ptp(filled[known]) > 0 and not universal:
        by_utc, local = (np.sort(s[known]) for s in (seconds, seconds - filled))
        universal = _count_steady(by_utc) > _count_steady(local)
    if not universal:
        found = _follow_offsets(seconds, filled, known, first, dated)
        said = "local times, and their offsets from UTC in a column of its own"
        return replace(found, repairs=(said, *found.repairs))
    zone = _zone(filled[known[0]])
    start = first.replace(tzinfo=UTC).astimezone(zone)
    return ClockColumn(seconds, start, dated, ("times are in UTC, with the offset of local time beside them",))


def _count_steady(times: np.ndarray) -> int:
    """How many steps are nearly the usual one."""
    steps = np.diff(times)
    usual = float(np.median(steps)) if steps.size else 0.0
    return int((np.abs(steps - usual) <= 0.5 * usual).sum())


def _follow_offsets(
    seconds: np.ndarray, offsets: np.ndarray, known: np.ndarray, first: datetime, dated: bool
) -> ClockColumn:
    """Seconds by UTC, of local times that carry their offsets; a row without one has that of the row before."""
    filled = pd.Series(offsets).ffill().bfill().to_numpy()
    zone = _zone(filled[known[0]])
    passed = seconds - (filled - filled[known[0]])
    if not dated:
        passed, _ = _roll_midnights(passed)
        first = first.replace(year=1900, month=1, day=1)
    changes = np.flatnonzero(np.diff(filled[known]))
    said = [
        f"the clock changes from UTC{filled[known[i]] / HOUR:+g} to UTC{filled[known[i + 1]] / HOUR:+g} h after"
        f" {describe_moment(first, seconds[known[i]], dated)}; times follow UTC"
        for i in changes[:3]
    ]
    return ClockColumn(passed, first.replace(tzinfo=zone), dated, tuple(said))


def _roll_half_days(seconds: np.ndarray, first: datetime) -> tuple[np.ndarray, datetime, list[str]]:
    """Seconds of clock times of twelve hours without AM or PM: they fall from 12:59 to 1:00 and never pass 12:59."""
    known = np.flatnonzero(np.isfinite(seconds))
    hours = (seconds[known] + first.hour * HOUR + first.minute * 60 + first.second) / HOUR
    steps = np.diff(seconds[known])
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    turns = np.abs(steps + DAY / 2 - usual) <= 2 * usual
    if not turns.any() or hours.min() < 1 or hours.max() >= 13:
        return seconds, first, []
    rolled = seconds.copy()
    rolled[known[1:]] += DAY / 2 * np.cumsum(turns)
    first = first.replace(hour=first.hour + 12) if 6 <= first.hour < 12 else first
    return rolled, first, ["clock times have twelve hours and no AM or PM: 6 to 12 at the start is taken as evening"]


def _roll_midnights(seconds: np.ndarray) -> tuple[np.ndarray, int]:
    """Seconds of clock times without dates, a day later after each midnight; and how many midnights there are."""
    known = np.flatnonzero(np.isfinite(seconds))
    steps = np.diff(seconds[known])
    midnights = (steps < -DAY / 2).astype(int) - (steps > DAY - HOUR).astype(int)
    rolled = seconds.copy()
    rolled[known[1:]] += DAY * np.cumsum(midnights)
    return rolled, int(midnights.sum())


def parse_times(texts: Sequence[str]) -> tuple[Float[np.ndarray, " row"], datetime | None, bool]:
    """Seconds from the first time, and the clock time of the first.

    Args:
        texts: One per row; seconds ("30.0"), clock times ("23:59:30", rolling over at midnight), or dates and times.

    Returns:
        Seconds, shape (row,), NaN where a time cannot be read; the clock time of the first row (None for plain
        seconds); whether that clock time has a date.
    """
    numbers = np.array([_float(text) for text in texts])
    if np.isfinite(numbers).mean() > 0.5 if len(numbers) else True:
        return numbers, None, False
    day_first = is_day_first(pd.Series(texts, dtype=str))
    moments = [parse_moment(text, day_first=day_first) for text in texts]
    known = [moment for moment in moments if moment is not None]
    if not known:
        return np.full(len(texts), np.nan), None, False
    dated = all(moment.year > 1900 for moment in known)
    seconds = np.array([np.nan if moment is None else (moment - known[0]).total_seconds() for moment in moments])
    return (seconds if dated else _roll_midnights(seconds)[0]), known[0], dated


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


__getattr__ = moved.rename(
    __name__,
    {"place_time": "recordings.day_times:place_time", "compute_offset": "recordings.clock_steps:compute_offset"},
)
