"""Times as tables and scorings write them: dates in any order, clock times, offsets, Unix time, Excel's days."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas.tseries.api import guess_datetime_format

from sharpwave.recordings.clock_words import check_years, write_in_ascii, write_in_english

HOUR, DAY = 3600.0, 86_400.0
NO_DATE = datetime(1900, 1, 1)
UNIX_UNITS = (("s", 1e8, 1e10, 1.0), ("ms", 1e11, 1e13, 1e-3), ("µs", 1e14, 1e16, 1e-6), ("ns", 1e17, 1e19, 1e-9))
"""Unix time by its size: unit, smallest, largest (1973 to 2286), seconds."""
EXCEL_ZERO = datetime(1899, 12, 30)
APPLE, APPLE_ZERO = (1.9e8, 9.46e8), datetime(2001, 1, 1, tzinfo=UTC)
"""Seconds since 2001 as Apple's devices count them, from 2007 to 2030; as Unix time they would be of before 2000."""
TICKS = (
    ("Windows' file time", 1.15e17, 1.5e17, datetime(1601, 1, 1)),
    (".NET's ticks", 6.2e17, 6.6e17, datetime(1, 1, 1)),
)
"""Counts of 100 ns by their size: what they are called, smallest, largest (1965 to 2091), zero."""
DAY_COUNTS = (
    ("Excel's days since 1900", 30_000, 80_000, 25_569.0),
    ("MATLAB's days (datenum)", 719_529, 760_000, 719_529.0),
    ("Julian dates", 2_440_587.5, 2_480_000, 2_440_587.5),
)
"""Days with fractions by their size: what they are called, smallest, largest (about 2080), and 1 January 1970."""
ZONES = {
    **dict.fromkeys(("Z", "UTC", "GMT", "WET"), 0),
    **dict.fromkeys(("BST", "WEST", "CET"), 1),
    **dict.fromkeys(("CEST", "EET"), 2),
    **{"EEST": 3, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
    **{"MSK": 3, "IST": 5.5, "HKT": 8, "SGT": 8, "JST": 9, "KST": 9},
    **{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7},
}
"""Names of offsets that tables carry, in hours from UTC."""
_OFFSET = re.compile(
    r"(:\d{2}(?:[:.,]\d+)*(?:\s*[AaPp][Mm])?)\s*"
    r"(?:(?:UTC|GMT)?([+-]\d{1,2})(?::?(\d{2}))?|([A-Za-z]{3,4}|[Zz]))(?:\[[\w/+-]+\])?$"
)
_CLOCK = re.compile(
    r"(?:(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})[T ,]+)?"  # date
    r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,](\d{1,9}))?)?"  # time
    r"\s*([AaPp][Mm])?(?:Z|[+-]\d\d:?\d\d)?"
)


def is_written_out(numbers: np.ndarray) -> bool:
    """Whether numbers are dates and times in digits: 20231029023000."""
    known = numbers[np.isfinite(numbers)]
    return bool(((known >= 19_000_101_000_000) & (known < 21_010_101_000_000) & (known % 100 < 60)).all())


def read_numbers(
    numbers: Float[np.ndarray, " row"], unit: float
) -> tuple[Float[np.ndarray, " row"], datetime | None, str | None]:
    """Seconds of times that are numbers; the first one's clock time where they have one; what they were taken for.

    Args:
        numbers: Unix time in s, ms, µs or ns, Windows' or .NET's counts of 100 ns, Apple's seconds, days of Excel or
            MATLAB, Julian dates, or times from the start; NaN where unknown.
        unit: Seconds per unit of times from the start.
    """
    known = numbers[np.isfinite(numbers)]
    if unit == 1.0 and (day := _read_fractions(numbers, known)) is not None:
        return day
    typical, zero = abs(float(np.median(known))), float(known[0])
    if zero < 0.5 * typical:  # from the start, however large
        return numbers * unit, None, None
    for name, low, high, begin in TICKS:
        if low <= typical < high:
            moment = begin + timedelta(microseconds=zero / 10)
            return (numbers - zero) * 1e-7, moment.replace(tzinfo=UTC), f"times are taken as {name}, in UTC"
    if APPLE[0] <= typical < APPLE[1]:
        moment = APPLE_ZERO + timedelta(seconds=zero)
        return numbers - zero, moment, "times are taken as Apple's seconds since 2001, in UTC"
    for name, low, high, factor in UNIX_UNITS:
        if low <= typical < high:
            moment = datetime.fromtimestamp(zero * factor, tz=UTC)
            return (numbers - zero) * factor, moment, f"times are taken as Unix time in {name}, in UTC"
    steps = np.diff(known)
    for name, low, high, days in DAY_COUNTS:
        if low <= typical < high and len(steps) and 0 < float(np.median(np.abs(steps))) <= 1 / 24 and (zero % 1):
            moment = datetime(1970, 1, 1) + timedelta(seconds=round((zero - days) * DAY, 2))
            return np.round((numbers - zero) * DAY, 3), moment, f"times are taken as {name}"
    return numbers * unit, None, None


def _read_fractions(numbers: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, datetime, str] | None:
    """Times of day as spreadsheets keep them, in parts of a day (.5 is noon); None where they are no such times.

    Their steps are whole seconds of at most five minutes, which as seconds would be too short for any row.
    """
    if len(known) < 3 or known.min() < 0 or known.max() >= 2:
        return None
    steps = np.diff(known) * DAY
    steps = np.where(steps < -DAY / 2, steps + DAY, steps)  # over midnight
    usual = float(np.median(steps))
    if not 0.99 <= usual <= 300 or (np.abs(steps - np.rint(steps)) > 0.02).mean() > 0.1:
        return None
    days = np.cumsum(np.r_[0.0, np.diff(known) < -0.5])
    seconds = np.full(len(numbers), np.nan)
    seconds[np.isfinite(numbers)] = np.round((known - known[0] + days) * DAY, 3)
    first = NO_DATE + timedelta(seconds=round(float(known[0]) * DAY, 2) % DAY)
    return seconds, first, "times are taken as parts of a day"


def join_dates(values: Sequence[Any] | pd.Series, dates: Sequence[Any] | pd.Series | None) -> pd.Series:
    """Each row's date and time as one text; the time alone where there are no dates."""
    texts = _texts(values).str.replace(r"^1(?:899-12-3[01]|900-01-0[01]|970-01-01)[T ]", "", regex=True)
    if dates is None:
        return texts
    days = _texts(dates).str.replace(r"[T ]0{1,2}[:.]00([:.]00(\.0+)?)?$", "", regex=True)
    days = days.str.replace(r"^((?:19|20)\d\d)(\d\d)(\d\d)$", r"\1-\2-\3", regex=True)
    serial = pd.to_numeric(days, errors="coerce")
    if serial.between(30_000, 80_000).mean() > 0.5:
        days = (pd.Timestamp(EXCEL_ZERO) + pd.to_timedelta(serial, unit="D")).dt.strftime("%Y-%m-%d")
    fractions = pd.to_numeric(texts, errors="coerce")
    if fractions.between(0, 1).mean() > 0.5:  # Excel's part of a day
        texts = (pd.Timestamp(NO_DATE) + pd.to_timedelta((fractions * DAY).round(), unit="s")).dt.strftime("%H:%M:%S")
    return days.str.cat(texts, sep=" ")


def _texts(values: Sequence[Any] | pd.Series) -> pd.Series:
    texts = write_in_ascii(pd.Series(values).reset_index(drop=True).astype(str))
    return texts.str.strip().str.replace(r"(?<=\d)\.0$", "", regex=True)


def read_local(texts: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Local times (in 1900 where there is no date) and their offsets from UTC in seconds, NaN where there is none.

    Args:
        texts: One time per row: clock times, or dates and times.
    """
    if texts.str.endswith(".").any():
        texts = texts.str.replace(r"(?i)\b([ap])\.\s?m\.", r"\1m", regex=True)
    texts = write_in_english(texts)
    texts, days = _take_days(texts)
    found = texts.str.extract(_OFFSET)
    hours = (
        pd.to_numeric(found[1])
        + np.where(found[1].str.startswith("-", na=False), -1, 1) * pd.to_numeric(found[2].fillna("0")) / 60
    )
    hours = hours.fillna(found[3].str.upper().map(ZONES)).where(lambda h: h.abs() <= 14)
    has = hours.notna()
    if has.any():
        texts = texts.where(~has, texts.str.replace(_OFFSET, r"\1", regex=True).str.strip())
    digits = texts.str.fullmatch(r"(19|20)\d{12}")
    local = pd.to_datetime(texts, errors="coerce", format="%Y%m%d%H%M%S" if digits.mean() > 0.5 else "ISO8601")
    day_first = is_day_first(texts)
    if local.isna().mean() > 0.1:
        form = guess_datetime_format(next((text for text in texts if text), ""), dayfirst=day_first)
        if (form is not None and "%H" in form) or (form is not None and "%I" in form):
            local = _better(local, pd.to_datetime(texts, errors="coerce", format=form))
    if local.isna().mean() > 0.1:
        whole = texts.str.replace(r"^(\d{1,2}/\d{1,2}/\d{2,4}|\d{1,2}[-.]\d{1,2}[-.]\d{4})$", r"\1 00:00", regex=True)
        moments = [parse_moment(text, day_first=day_first) for text in whole]
        check_years([m.year for m in moments if m is not None], str(texts.iloc[0]))
        held = [m if m is not None and 1678 <= m.year <= 2261 else None for m in moments]
        local = _better(local, pd.Series(held, index=texts.index, dtype="datetime64[ns]"))
    if local.isna().mean() > 0.1 and texts.str.contains(r"[A-Za-z]{3}", regex=True).mean() > 0.5:
        local = _better(local, pd.to_datetime(texts, errors="coerce", format="mixed", dayfirst=True))
    if days is not None:
        local = local + pd.to_timedelta(days, unit="D")
    return local, hours.to_numpy(dtype=np.float64) * HOUR


def _take_days(texts: pd.Series) -> tuple[pd.Series, pd.Series | None]:
    """Times whose hours run on over 24 (25:30:00) within a day, and the whole days taken off; None where none do."""
    found = texts.str.extract(r"^(.*?\s)?(\d{2,3})(:\d{2}(?::\d{2}(?:[.,]\d+)?)?)$")
    hours = pd.to_numeric(found[1])
    if not (hours > 24).any() or hours.max() > 24 * 31 or hours.notna().mean() < 0.9:
        return texts, None
    days = (hours // 24).fillna(0)
    within = found[0].fillna("") + (hours % 24).fillna(0).astype(int).astype(str).str.zfill(2) + found[2].fillna("")
    return within.where(hours.notna(), texts), days


def _better(first: pd.Series, second: pd.Series) -> pd.Series:
    return second if second.notna().sum() > first.notna().sum() else first


def is_day_first(texts: pd.Series) -> bool:
    """Whether dates are day/month/year: by a number over 12, else by which of the two changes from row to row."""
    heads = pd.Series(texts.str[:10].unique(), dtype=str)
    pairs = heads.str.extract(r"^(\d{1,2})[-/.](\d{1,2})[-/.]").dropna().astype(int)
    if (pairs > 12).any(axis=None):
        return not bool((pairs[1] > 12).any())
    return bool(pairs[1].nunique() <= pairs[0].nunique())


def parse_moment(text: str, *, day_first: bool) -> datetime | None:
    """Local time of "31/01/2026 11:50 PM" or "23:50:30", which is in 1900; None where it is no time.

    Args:
        text: Clock time, or date and time.
        day_first: Whether 01/02 is the first of February.

    >>> str(parse_moment("31.01.2026 23:50", day_first=True))
    '2026-01-31 23:50:00'
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    a, b, c, hour, minute, second, fraction, half = match.groups()
    try:
        base = NO_DATE
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
