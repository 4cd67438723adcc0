"""Steps of a clock: summer time, a watch that is set, a device that begins at its factory's date.

Rows that only stand in the wrong place are told apart from a clock that was set: a step the other way follows them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.clock_texts import DAY, HOUR

YEAR = 366 * DAY
LEAST_SET, MOST_SET = 120.0, 2
"""Fewest seconds by which a clock is set back, where rows are close; and how often at most in one table."""


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
            said.append(
                f"the clock goes back an hour after {describe_moment(first, times[index], dated)}; later times count on"
            )
    for row, amount in _find_set_back(times, usual, back):
        added[row + 1 :] += amount
        said.append(
            f"the clock is set back by {amount / 60:g} min after {describe_moment(first, times[row], dated)}; "
            "later times count on"
        )
    if not back.size and not said:
        doubled, sentence = _find_doubled_hour(times, usual, first, dated)
        added += doubled
        said += sentence
    for step in _find_steps_forward(times + added, usual, first, dated, start, length):
        added[step + 1 :] -= HOUR
        moment = describe_moment(first, times[step], dated)
        said.append(f"the clock goes forward an hour after {moment}; no time is missing")
    followed = seconds.copy()
    followed[known] = times + added
    return followed, said


def _find_set_back(times: np.ndarray, usual: float, summer: np.ndarray) -> list[tuple[int, float]]:
    """Rows after which a clock was set back, other than by summer time, and by how many seconds.

    Rows that only stand in the wrong place, or that repeat a stretch, are none of these.
    """
    steps = np.diff(times)
    back = np.flatnonzero(steps < 0)
    if not 0 < back.size <= MOST_SET:
        return []
    found = []
    for index in np.setdiff1d(back, summer):
        amount = usual - steps[index]
        before, after = times[index] - times[: index + 1].min(), times[index + 1 :].max() - times[index + 1]
        likely = max(LEAST_SET, 3 * usual) <= amount <= min(3 * HOUR, 0.6 * before, 0.6 * after)
        if likely and _add_jumps(times, int(index), usual) < 0.5 * amount:
            found.append((int(index), float(amount)))
    return found


def follow_reset(seconds: np.ndarray, local: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Seconds of a device whose first rows have the date of its factory, 1 January of some year, before it was set.

    Args:
        seconds: Seconds by the clock in the order of the rows, NaN where unknown.
        local: The clock times.

    Returns:
        The seconds, and a sentence where rows were moved.

    >>> local = pd.Series(pd.to_datetime([f"2023-05-13 22:0{minute}" for minute in range(5)]))
    >>> local[0] = pd.Timestamp(2000, 1, 1)
    >>> np.diff(follow_reset((local - local[0]).dt.total_seconds().to_numpy(), local)[0]).tolist()
    [60.0, 60.0, 60.0, 60.0]
    """
    known = np.flatnonzero(np.isfinite(seconds))
    far = np.flatnonzero(np.diff(seconds[known]) > YEAR)
    if far.size != 1 or 2 * (far[0] + 1) > known.size:
        return seconds, []
    last = int(far[0])
    moment = local.iloc[known[last]]
    if (moment.month, moment.day) != (1, 1):
        return seconds, []
    steps = np.diff(seconds[known])
    followed = seconds.copy()
    followed[known[: last + 1]] += steps[last] - np.median(steps)
    return followed, [
        f"the first {last + 1} rows are of {moment:%Y-%m-%d}, before the clock was set; they were put right before "
        "those that follow"
    ]


def _add_jumps(times: np.ndarray, index: int, usual: float) -> float:
    """Seconds by which rows jump forward round a step back, within the times that come twice by it."""
    before = np.flatnonzero(times[: index + 1] < times[index + 1])
    after = np.flatnonzero(times[index + 1 :] > times[index]) + index + 1
    first = int(before[-1]) if before.size else 0
    last = int(after[0]) if after.size else times.size - 1
    steps = np.diff(times[first : last + 1])
    return float((steps[steps > 3 * usual] - usual).sum())


def _find_jump(times: np.ndarray, index: int) -> float:
    """The longer of the steps by which the rows before a step back enter its hour, and those after it leave it."""
    before = np.flatnonzero(times[: index + 1] < times[index + 1])
    after = np.flatnonzero(times[index + 1 :] > times[index]) + index + 1
    steps = [times[row + 1] - times[row] for row in before[-1:]] + [times[row] - times[row - 1] for row in after[:1]]
    return float(max(steps, default=0.0))


def describe_moment(first: datetime, seconds: float, dated: bool) -> str:
    """A time in words: with its date where there is one.

    >>> describe_moment(datetime(2023, 10, 29, 2), 90.0, dated=False)
    '02:01:30'
    """
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
    when = describe_moment(first, begin, dated)
    return added, [f"every time from {when} comes twice for an hour: the clock went back; both kept"]


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


def compute_offset(first: datetime, start: datetime, *, dated: bool) -> float:
    """Seconds from the start of a recording to a clock time; by time of day where the dates do not fit."""
    start = start.replace(tzinfo=None)
    seconds = (first - start).total_seconds()
    if dated and abs(seconds) <= 86_400:
        return seconds
    return (seconds + 43_200) % 86_400 - 43_200
