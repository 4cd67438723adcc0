"""Where a clock time lies in a recording."""

from __future__ import annotations

from datetime import datetime, timedelta

from sharpwave.errors import SharpwaveError


def place_time(time: str | float | None, start: datetime | None) -> float | None:
    """Seconds from the start of a recording, of "23:10", "23:10:30" or a number of seconds; None stays None.

    A clock time is taken to lie within twelve hours of the start, before or after it.

    Args:
        time: What the user gave.
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
