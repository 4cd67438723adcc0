"""Clocks of tables, scorings and people: midnight, summer time, offsets, dates in any order, Unix time, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave import moved
from sharpwave.recordings.clock_texts import (
    DAY,
    HOUR,
    is_day_first,
    is_written_out,
    join_dates,
    parse_moment,
    read_local,
    read_numbers,
)


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
    start: datetime | None = None,
    length: float | None = None,
    unit: float = 1.0,
) -> ClockColumn:
    """Times of the rows of a table or a scoring, in seconds from the first row that has one, and what was repaired.

    Read are: seconds from the start; Unix time in s, ms, µs or ns; Excel's days; 20231029023000; clock times (rolling
    over at midnight); dates with times in ISO, day-first or month-first order, with or without AM/PM, fractions and
    offsets from UTC (+02:00, Z, CEST). Offsets, where there are any, decide. Without them the clock is followed:

    - a step back by an hour to the next row is the end of summer time: later rows are an hour later;
    - an hour in which every time comes twice is that same hour, in a table that was sorted by its clock;
    - a step forward of exactly an hour more than usual is the begin of summer time where `length` says so (with the
      hour the rows do not fit the recording, without it they do), or at night on a Sunday of spring. Else it is a gap.

    Args:
        values: One time per row, as text or number.
        dates: One date per row, where the dates stand in a column of their own; None where there is none.
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
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float64)
    if dates is None and len(numbers) and np.isfinite(numbers).mean() > 0.5 and not is_written_out(numbers):
        seconds, moment, taken_for = read_numbers(numbers, unit)
        return ClockColumn(seconds, moment, moment is not None, () if taken_for is None else (taken_for,))
    texts = join_dates(values, dates)
    local, offsets = read_local(texts)
    known = np.flatnonzero(local.notna().to_numpy())
    if not known.size:
        return ClockColumn(np.full(len(texts), np.nan))
    dated = bool((local.dt.year > 1971).sum() > 0.5 * known.size)
    if dated:
        local = local.where(local.dt.year > 1971)
        known = np.flatnonzero(local.notna().to_numpy())
    first = local.iloc[known[0]].to_pydatetime()
    seconds = (local - local.iloc[known[0]]).dt.total_seconds().to_numpy(dtype=np.float64)
    if np.isfinite(offsets[known]).mean() > 0.5:
        return _follow_offsets(seconds, offsets, known, first, dated)
    repairs: list[str] = []
    if not dated:
        first = first.replace(year=1900, month=1, day=1)
        seconds, first, twelve = _roll_half_days(seconds, first)
        repairs += twelve
    if not dated or local.dt.normalize().nunique() == 1:
        seconds, midnights = _roll_midnights(seconds)
        if dated and midnights:
            repairs.append("all rows have the date of the first; times after midnight belong to the next day")
    seconds, said = follow_summer_time(seconds, first, dated=dated, start=start, length=length)
    return ClockColumn(seconds, first, dated, (*repairs, *said))


def follow_summer_time(
    seconds: Float[np.ndarray, " row"],
    first: datetime,
    *,
    dated: bool,
    start: datetime | None = None,
    length: float | None = None,
) -> tuple[Float[np.ndarray, " row"], list[str]]:
    """Seconds that passed, of seconds by a clock that may have been set back or forward by an hour.

    Args:
        seconds: Seconds by the clock in the order of the rows, NaN where unknown.
        first: Clock time of second 0.
        dated: Whether `first` has a date.
        start: Clock time of the recording's first sample; None where unknown.
        length: Length of the recording in seconds; None where unknown.

    Returns:
        The seconds, and sentences on each step that was followed.

    >>> seconds, said = follow_summer_time(np.array([0.0, 60, -3480, -3420]), datetime(2023, 10, 29, 2, 58), dated=True)
    >>> seconds.tolist()
    [0.0, 60.0, 120.0, 180.0]
    """
    known = np.flatnonzero(np.isfinite(seconds))
    if known.size < 3:
        return seconds, []
    times = seconds[known]
    steps = np.diff(times)
    ahead = steps[steps > 0]
    usual = float(np.median(ahead)) if ahead.size else 0.0
    if not 0 < usual < HOUR:
        return seconds, []
    added = np.zeros(times.size)
    said = []
    # A block of rows that was put in the wrong place is followed by a step the other way; a clock is not.
    back = np.flatnonzero((steps >= -HOUR - usual) & (steps <= -HOUR + min(max(6 * usual, 120.0), HOUR / 2)))
    for index in back:
        if _find_jump(times, int(index)) < 0.75 * HOUR:
            added[index + 1 :] += HOUR
            said.append(f"the clock goes back an hour after {_say(first, times[index], dated)}; later times count on")
    if not back.size:
        doubled, sentence = _find_doubled_hour(times, usual, first, dated)
        added += doubled
        said += sentence
    for step in _find_steps_forward(times + added, usual, first, dated, start, length):
        added[step + 1 :] -= HOUR
        said.append(f"the clock goes forward an hour after {_say(first, times[step], dated)}; no time is missing")
    followed = seconds.copy()
    followed[known] = times + added
    return followed, said


def _find_jump(times: np.ndarray, index: int) -> float:
    """The longer of the steps by which the rows before a step back enter its hour, and those after it leave it."""
    before = np.flatnonzero(times[: index + 1] < times[index + 1])
    after = np.flatnonzero(times[index + 1 :] > times[index]) + index + 1
    steps = [times[row + 1] - times[row] for row in before[-1:]] + [times[row] - times[row - 1] for row in after[:1]]
    return float(max(steps, default=0.0))


def _say(first: datetime, seconds: float, dated: bool) -> str:
    moment = first + timedelta(seconds=float(seconds))
    return f"{moment:%Y-%m-%d %H:%M:%S}" if dated else f"{moment:%H:%M:%S}"


def _find_doubled_hour(times: np.ndarray, usual: float, first: datetime, dated: bool) -> tuple[np.ndarray, list[str]]:
    """Seconds to add where a table that was sorted by its clock has an hour in which every time comes twice."""
    added = np.zeros(times.size)
    again = np.r_[False, np.diff(times) == 0]
    usual = float(np.median(np.diff(np.unique(times)))) if again.any() else usual
    if abs(again.sum() * usual - HOUR) > 0.1 * HOUR:
        return added, []
    begin, end = times[again].min(), times[again].max()
    inside = (times >= begin) & (times <= end)
    if abs(end - begin + usual - HOUR) > 0.1 * HOUR or again[inside].mean() < 0.45:
        return added, []
    added[again | (times > end)] = HOUR
    return added, [
        f"every time from {_say(first, begin, dated)} comes twice for an hour: the clock went back; both kept"
    ]


def _find_steps_forward(
    times: np.ndarray, usual: float, first: datetime, dated: bool, start: datetime | None, length: float | None
) -> list[int]:
    steps = np.diff(times)
    near = np.flatnonzero(np.abs(steps - HOUR - usual) <= max(0.5 * usual, 1.0))
    if not near.size:
        return []
    if length is not None:
        offset = 0.0 if start is None else compute_offset(first.replace(tzinfo=None), start, dated=dated)
        beyond = offset + float(times.max()) + usual - length
        allowed = max(2 * usual, 0.01 * length)
        fits = near.size == 1 and abs(beyond) > allowed and abs(beyond - HOUR) <= allowed
        return [int(near[0])] if fits else []
    return [int(index) for index in near if dated and _is_spring_night(first + timedelta(seconds=float(times[index])))]


def _is_spring_night(moment: datetime) -> bool:
    """Whether clocks are set forward at such a time: a Sunday of spring or autumn before 4:00."""
    soon = moment + timedelta(hours=1)
    return soon.weekday() == 6 and soon.hour < 5 and soon.month in (3, 4, 9, 10)


def _follow_offsets(
    seconds: np.ndarray, offsets: np.ndarray, known: np.ndarray, first: datetime, dated: bool
) -> ClockColumn:
    """Seconds by UTC, of local times that carry their offsets; a row without one has that of the row before."""
    filled = pd.Series(offsets).ffill().bfill().to_numpy()
    zone = timezone(timedelta(seconds=float(filled[known[0]])))
    passed = seconds - (filled - filled[known[0]])
    if not dated:
        passed, _ = _roll_midnights(passed)
        first = first.replace(year=1900, month=1, day=1)
    changes = np.flatnonzero(np.diff(filled[known]))
    said = [
        f"the clock changes from UTC{filled[known[i]] / HOUR:+g} to UTC{filled[known[i + 1]] / HOUR:+g} h after"
        f" {_say(first, seconds[known[i]], dated)}; times follow UTC"
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


def compute_offset(first: datetime, start: datetime, *, dated: bool) -> float:
    """Seconds from the start of a recording to a clock time; by time of day where the dates do not fit."""
    start = start.replace(tzinfo=None)
    seconds = (first - start).total_seconds()
    if dated and abs(seconds) <= 86_400:
        return seconds
    return (seconds + 43_200) % 86_400 - 43_200


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


__getattr__ = moved.rename(__name__, {"place_time": "recordings.day_times:place_time"})
