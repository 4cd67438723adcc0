"""Times that a person writes: "23:10", "23.10", "23h10", "11:10 PM", a date and a time, or seconds."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from sharpwave.errors import SharpwaveError

HALF_DAY = timedelta(hours=12)
_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?:(?:[:.]|\s?(?:h|H|Uhr|u)\s?)(?P<minute>\d{2})(?:[:.m'](?P<second>\d{2}(?:[.,]\d{1,6})?)s?)?(?:\s?(?:m|min|Uhr|h))?"
    r"|\s?(?:h|H|Uhr))?\s?(?P<half>[AaPp]\.?\s?[Mm]\.?)?"
)
_DATED = re.compile(
    r"(?:(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})|(?P<d2>\d{1,2})[./](?P<m2>\d{1,2})[./](?P<y2>\d{4}))(?:[T,]\s?|\s+)(?P<rest>\S.*)"
)
_OFFSET = re.compile(r"(?<=\d)\s?(?:Z|[+-]\d{2}:?\d{2})$")
_DIGITS = re.compile(r"([01]\d|2[0-3])[0-5]\d|[1-9]|1\d|2[0-3]")
_SECONDS = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[eE]\d+)?)\s*(?:s|sec|seconds?)?")


def read_day_time(text: str) -> tuple[date | None, time] | None:
    """Date, where there is one, and time of day; None where the text is no time of day.

    Args:
        text: Time as a person wrote it. "23.10" is a time of day, as in the header of an EDF; "2310" is not.

    >>> [read_day_time(text)[1].isoformat() for text in ("23.10", "23h10", "11:10 PM", "2026-01-31T23:10:30")]
    ['23:10:00', '23:10:00', '23:10:00', '23:10:30']
    """
    text = str(text).strip()
    day = None
    if dated := _DATED.fullmatch(text):
        year, month, number = (dated["y"] or dated["y2"], dated["m"] or dated["m2"], dated["d"] or dated["d2"])
        try:
            day = date(int(year), int(month), int(number))
        except ValueError:
            return None
        text = _OFFSET.sub("", dated["rest"].strip())
    elif has_offset(text) and ":" in text:
        text = _OFFSET.sub("", text)
    match = _CLOCK.fullmatch(text)
    if match is None or not (match["minute"] or match["half"] or re.search(r"[hHUu]", text)):
        return None
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    second = float((match["second"] or "0").replace(",", "."))
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"].lower().startswith("p") else 0)
    if hour == 24 and not minute and not second:
        hour = 0
        day = None if day is None else day + timedelta(days=1)
    if hour > 23 or minute > 59 or second >= 60:
        return None
    return day, time(hour, minute, int(second), int(second % 1 * 1e6))


def has_offset(text: str) -> bool:
    """Whether a time says how far it is from UTC.

    >>> has_offset("2026-01-31T23:10+01:00"), has_offset("23:10 -0500"), has_offset("23:10")
    (True, True, False)
    """
    return _OFFSET.search(text.strip()) is not None


def place_time(time: str | float | None, start: datetime | None, *, duration: float | None = None) -> float | None:
    """Seconds from the start of a recording, of a time of day or a number of seconds; None stays None.

    A time of day is taken to lie within twelve hours of the start, before or after it. Digits alone ("2310") are
    seconds or a time of day, whichever of the two lies within the recording.

    Args:
        time: Time as the user gave it; see `read_day_time`. A number (no text) is always seconds.
        start: Clock time of the first sample, where known.
        duration: Length of the recording in seconds, where known.

    Raises:
        SharpwaveError: If it is no time, may be two, or cannot be placed because the start is not known.

    >>> start = datetime(2026, 1, 31, 23, 50)
    >>> [place_time(time, start) for time in ("00:10", "0.10", "12:10 AM", "2026-02-01 00:10", "1200", 1200)]
    [1200.0, 1200.0, 1200.0, 1200.0, 1200.0, 1200.0]
    """
    if time is None or isinstance(time, int | float):
        return None if time is None else float(time)
    text = str(time).strip()
    if _DIGITS.fullmatch(text) and start is not None and duration is not None:
        return _place_digits(text, start, duration)
    found = read_day_time(text)
    if found is None:
        seconds = _SECONDS.fullmatch(text)
        if seconds is None or re.fullmatch(r"\d{1,2}\.\d{2}", text):  # 12.75 is neither
            raise SharpwaveError(
                "a clock time like 23:10, or seconds from the start",
                got=repr(time),
                fix="write hours and minutes (23:10, 23.10, 23h10, 11:10 PM), a date and a time, or seconds",
            )
        return float(seconds.group(1))
    if start is None:
        raise SharpwaveError(
            "seconds from the start, because this recording does not say when it began",
            got=f"the clock time {text}",
            fix="give the time in seconds from the start of the recording",
        )
    day, clock = found
    offset = _OFFSET.search(text)
    if offset and start.tzinfo is not None:
        start = start.astimezone(datetime.strptime(offset.group().strip(), "%z").tzinfo)
    start = start.replace(tzinfo=None)
    if day is not None:
        return (datetime.combine(day, clock) - start).total_seconds()
    moment = datetime.combine(start.date(), clock)
    if moment < start - HALF_DAY:
        moment += 2 * HALF_DAY
    elif moment > start + HALF_DAY:
        moment -= 2 * HALF_DAY
    return (moment - start).total_seconds()


def _place_digits(text: str, start: datetime, duration: float) -> float:
    """Digits alone: seconds, or hours and minutes, whichever the recording holds."""
    written = f"{text[:-2]}:{text[-2:]}" if len(text) > 2 else f"{text}:00"
    clock = place_time(written, start)
    assert clock is not None
    seconds = float(text)
    if 0 <= seconds <= duration and 0 <= clock <= duration and seconds != clock:
        raise SharpwaveError(
            "a time that can be read in one way",
            got=f"{text}, which may be {written} or {int(text)} seconds; the recording holds both",
            fix=f"write {written}, or {int(text)}s",
        )
    return clock if 0 <= clock <= duration else seconds
