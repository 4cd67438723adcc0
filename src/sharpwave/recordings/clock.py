"""Times of day and where they lie in a recording: clock times across midnight, dates in either order, seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError


def place_time(time: str | float | None, start: datetime | None) -> float | None:
    """Seconds from the start of a recording, of "23:10", "23:10:30" or a number of seconds; None stays None.

    A clock time is taken to lie within twelve hours of the start, before or after it.

    Args:
        time: Time as the user gave it.
        start: Clock time of the first sample, where known.

    Raises:
        SharpwaveError: If it is no time, or a clock time cannot be placed because the start is not known.

    >>> place_time("00:10", datetime(2026, 1, 31, 23, 50))
    1200.0
    """
    if time is None:
        return None
    try:
        return float(time)
    except ValueError:
        pass
    for pattern in ("%H:%M", "%H:%M:%S"):
        try:
            clock = datetime.strptime(str(time), pattern).time()
            break
        except ValueError:
            continue
    else:
        raise SharpwaveError("a clock time like 23:10, or seconds", got=repr(time), fix="write hours and minutes")
    if start is None:
        raise SharpwaveError(
            "seconds from the start, because this recording does not say when it began",
            got=f"the clock time {time}",
            fix="give --lights-off and --lights-on in seconds",
        )
    moment = datetime.combine(start.date(), clock, tzinfo=start.tzinfo)
    if moment < start - timedelta(hours=12):
        moment += timedelta(days=1)
    elif moment > start + timedelta(hours=12):
        moment -= timedelta(days=1)
    return (moment - start).total_seconds()


_CLOCK = re.compile(
    r"(?:(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})[T ,]+)?"  # date
    r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,](\d{1,9}))?)?"  # time
    r"\s*([AaPp][Mm])?(?:Z|[+-]\d\d:?\d\d)?"
)
_NO_DATE = datetime(1900, 1, 1)


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
    matches = [_CLOCK.fullmatch(text.strip()) for text in texts]
    day_first = _day_first([match for match in matches if match and match.group(1)])
    moments = [_moment(match, day_first=day_first) if match else None for match in matches]
    known = [moment for moment in moments if moment is not None]
    if not known:
        return np.full(len(texts), np.nan), None, False
    dated = all(match.group(1) for match in matches if match)
    seconds = np.array([np.nan if moment is None else (moment - known[0]).total_seconds() for moment in moments])
    return (seconds if dated else _unwrapped(seconds)), known[0], dated


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


def _day_first(matches: Sequence[re.Match[str]]) -> bool:
    return not any(len(match.group(1)) <= 2 and int(match.group(2)) > 12 for match in matches)


def _moment(match: re.Match[str], *, day_first: bool) -> datetime | None:
    a, b, c, hour, minute, second, fraction, half = match.groups()
    try:
        base = _NO_DATE
        if a is not None:
            year, month, day = (a, b, c) if len(a) == 4 else (c, b, a) if day_first else (c, a, b)
            base = datetime(int(year) + (2000 if len(year) <= 2 else 0), int(month), int(day))
        hours = int(hour) % 12 + (12 if half.lower() == "pm" else 0) if half else int(hour)
        if hours > 24 or int(minute) > 59 or int(second or 0) > 60:
            return None
        return base + timedelta(
            hours=hours, minutes=int(minute), seconds=int(second or 0) + float(f"0.{fraction or 0}")
        )
    except (ValueError, OverflowError):
        return None


def _unwrapped(seconds: np.ndarray) -> np.ndarray:
    out = seconds.copy()
    days = 0.0
    previous = np.nan
    for index, value in enumerate(seconds):
        if np.isfinite(value):
            if np.isfinite(previous) and value < previous - 43_200:
                days += 86_400
            out[index] = value + days
            previous = value
    return out
