"""Words and columns of times in other languages and devices: halves of the day, months, offsets from UTC.

Whatever is known is written as English tables write it ("오후 10:00" → "10:00 PM"); what is not known is named.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError

HALVES = {
    "AM": "am 오전 上午 午前 凌晨 早上 清晨 πμ de fm öö ص पूर्वाह्न vorm vormittags dop sa ap صباحا matin mañana manhã",
    "PM": "pm 오후 下午 午後 晚上 μμ du em ös م अपराह्न nachm nachmittags odp ch ip مساء soir tarde noite",
}
"""Words for the halves of the day, without dots: Korean, Chinese, Japanese, Greek, Hungarian, Swedish, Turkish, Arabic,
Hindi, German, Czech, Vietnamese, Finnish, French, Spanish, Portuguese."""

MONTHS = (
    "jan januar janvier janv ene enero gen gennaio januari janeiro",
    "feb februar fevrier fevr febrero febbraio februari fevereiro fev",
    "mar marz mrz mars marzo maart mrt marco",
    "apr avril avr abr abril aprile april",
    "may mai mayo mag maggio mei maio maj",
    "jun juni juin junio giu giugno junho",
    "jul juli juil juillet julio lug luglio julho",
    "aug august aout ago agosto augustus",
    "sep sept september septembre septiembre set settembre setembro",
    "oct okt oktober octobre octubre ott ottobre out outubro",
    "nov november novembre noviembre novembro",
    "dec dez dezember decembre dic diciembre dicembre december dezembro",
)
_ENGLISH = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH = {word: english for english, words in zip(_ENGLISH, MONTHS, strict=True) for word in words.split()}
_HALF = {word.rstrip("."): half for half, words in HALVES.items() for word in words.split()}
_TIME = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:[.,]\d{1,9})?)?"
_WORD = r"(?:d[ae] )?[^\W\d_][^\d,;:/+-]*?"
_AFTER = re.compile(rf"^(.*?)({_TIME})\s*({_WORD})\s*$")
_BEFORE = re.compile(rf"^(.*?)(?<![^\W\d_])({_WORD})\s*({_TIME})\s*$")
_NAMED_MONTH = re.compile(r"\b(\d{1,2})\.?[ -]+(?:de )?([^\W\d_]{3,11})\.?[ -]+(?:de )?(\d{4})\b")
_KNOWN = re.compile(r"[AaPp]\.?\s?[Mm]\.?|[TtZz]|[A-Z]{3,4}")
_PLAIN = r"[\d\s:./,T+-]*(?:Z|[AaPp][Mm]|[A-Z]{3,4})?"


_MARKS = r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_ZEROS = "٠۰०০๐０"
_DIGITS = {ord(zero) + digit: str(digit) for zero in _ZEROS for digit in range(10)}


def write_in_ascii(texts: pd.Series) -> pd.Series:
    """Times without marks of direction, and with the digits 0 to 9 for those of other scripts.

    Args:
        texts: One time per row.

    >>> write_in_ascii(pd.Series(["\u200e٢٢:٠٠"])).tolist()
    ['22:00']
    """
    if texts.iloc[:: max(1, len(texts) // 200)].map(str.isascii).all():
        return texts
    return texts.str.replace(_MARKS, "", regex=True).str.translate(_DIGITS)


def write_in_english(texts: pd.Series) -> pd.Series:
    """Times whose halves of the day and months are in another language, as English tables write them.

    Args:
        texts: One time per row.

    >>> write_in_english(pd.Series(["2023-05-13 오후 10:00:00", "13. Mai 2023 22:00"])).tolist()
    ['2023-05-13 10:00:00 PM', '13 May 2023 22:00']
    """
    texts = texts.str.replace(r"\s*\([^()]*\)$", "", regex=True)  # (Central European Summer Time)
    if texts.iloc[:: max(1, len(texts) // 200)].str.fullmatch(_PLAIN).all():
        return texts
    return texts.map(_write_half_day).str.replace(_NAMED_MONTH, _write_month, regex=True)


def _write_half_day(text: str) -> str:
    after, before = _AFTER.match(text), _BEFORE.match(text)
    if after is not None and (half := _HALF.get(_bare(after.group(3)))):
        return f"{after.group(1)}{after.group(2)} {half}"
    if before is not None and (half := _HALF.get(_bare(before.group(2)))):
        return f"{before.group(1)}{before.group(3)} {half}"
    return text


def _bare(word: str) -> str:
    """A word without dots, spaces and "da" before it, in small letters."""
    return re.sub(r"[.\s]", "", re.sub(r"^d[ae] ", "", unicodedata.normalize("NFC", word).casefold()))


def _write_month(match: re.Match[str]) -> str:
    day, word, year = match.groups()
    plain = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode().lower()
    return f"{day} {_MONTH[plain]} {year}" if plain in _MONTH else match.group()


def find_strange_word(text: str) -> str | None:
    """The word beside a time that is not known; None where there is none.

    >>> find_strange_word("10:00:00 xyzpm"), find_strange_word("10:00:00 PM")
    ('xyzpm', None)
    """
    for pattern, group in ((_AFTER, 3), (_BEFORE, 2)):
        match = pattern.match(str(text).strip())
        if match is not None and not _KNOWN.fullmatch(match.group(group).strip()):
            return match.group(group).strip()
    return None


OFFSET_NAMES = re.compile(
    r"(?:(?:local|device)[ _]?)?(?:time[ _]?zone|tz|(?:utc|gmt|time|time[ _]?zone|tz)[ _]?(?:offset|tz)"
    r"|offset[ _]?(?:from|to)[ _]?(?:utc|gmt))"
    r"[ _]?[\[(]?(?:ms|milliseconds?|s|sec|seconds?|min|minutes?|h|hours?)?[\])]?",
    re.IGNORECASE,
)
"""Headers of a column of offsets from UTC."""
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-]?)(\d{1,2})(?::?(\d{2}))?(?::\d{2})?")
LARGEST = 14 * 3600.0


def read_offsets(values: Sequence[Any] | pd.Series, zones: dict[str, float]) -> Float[np.ndarray, " row"]:
    """Offsets from UTC in seconds: "UTC+0200", "+02:00", "CEST", or numbers in hours, minutes, s or ms by their size.

    Args:
        values: One per row.
        zones: Names of offsets, in hours.

    Returns:
        Offsets, NaN where a row has none.

    >>> read_offsets(["UTC+0200", "CEST", "-5:30"], {"CEST": 2}).tolist(), read_offsets([120, 60], {}).tolist()
    ([7200.0, 7200.0, -19800.0], [7200.0, 3600.0])
    """
    column = pd.Series(values).reset_index(drop=True)
    texts = column.astype(str).str.strip()
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    signed = texts.str.fullmatch(r"[+-]\d{4}").mean() > 0.5  # +0200
    if np.isfinite(numbers).mean() > 0.5 and not signed:
        largest = float(np.nanmax(np.abs(numbers)))
        scale = next((s for high, s in ((14, 3600.0), (840, 60.0), (LARGEST, 1.0)) if largest <= high), 1e-3)
        offsets = numbers * scale
    else:
        offsets = texts.map(lambda text: _read_offset(text, zones)).to_numpy(dtype=np.float64)
    return np.where(np.abs(offsets) <= LARGEST, offsets, np.nan)


def _read_offset(text: str, zones: dict[str, float]) -> float:
    if text.upper() in zones:
        return zones[text.upper()] * 3600.0
    match = _OFFSET.fullmatch(text.replace("−", "-").upper())
    if match is None:
        return float("nan")
    sign, hours, minutes = match.groups()
    return (-1 if sign == "-" else 1) * (3600.0 * int(hours) + 60.0 * int(minutes or 0))


def find_offset_column(table: pd.DataFrame, zones: dict[str, float]) -> str | None:
    """Header of the column of offsets from UTC; None where there is none.

    Args:
        table: The table.
        zones: Names of offsets, in hours.

    >>> find_offset_column(pd.DataFrame({"start_time": ["22:00"], "time_offset": ["UTC+0200"]}), {})
    'time_offset'
    """
    for name in table.columns:
        if OFFSET_NAMES.fullmatch(str(name).rpartition(".")[2].strip()) and table[name].notna().any():
            offsets = read_offsets(table[name], zones)
            known = offsets[np.isfinite(offsets)]
            if known.size > 0.5 * len(table) and (np.mod(known, 900) == 0).all():  # quarters of an hour
                return str(name)
    return None


def check_years(years: Sequence[int], text: str) -> None:
    """Raise if dates are before 1678 or after 2261, which cannot be held to the nanosecond.

    Args:
        years: Years of the dates.
        text: One of them, for the message.

    Raises:
        SharpwaveError: If more than a tenth are.
    """
    strange = [year for year in years if not 1678 <= year <= 2261]
    if strange and len(strange) > 0.1 * len(years):
        hint = " (a year of the Buddhist calendar is 543 ahead)" if 2500 <= strange[0] <= 2620 else ""
        raise SharpwaveError(
            "dates from 1678 to 2261", got=f"{text!r}", fix=f"check the year{hint}, or give times in seconds"
        )
