"""Times of day and where they lie in a recording: clock times across midnight, dates in either order, seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from jaxtyping import Float

from sharpwave import moved

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


__getattr__ = moved.rename(__name__, {"place_time": "recordings.day_times:place_time"})
