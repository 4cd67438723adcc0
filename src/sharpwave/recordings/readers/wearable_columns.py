"""What a wearable's column holds: times, or a modality by its name, in a unit by its name and its values together."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.clock_texts import UNIX_UNITS
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.units import convert_unit

TIME_NAMES = re.compile(
    r"(unix|epoch|start|end|event|local|utc|iso)?[ _]?(time|timestamp|time[ _]?stamp|datetime|date[ _]?time|date)"
    r"([ _]?\(?(utc|local|iso|unix|epoch|start|of day)\)?)?"
    r"[ _]?[\[(]?(s|secs?|(milli|micro|nano)?seconds?|ms|msecs?|[uµμn]s|usecs?|min|minutes|h|hours?)?[\])]?"
    r"|t|ts"
    r"|(clock|recording|sample|measurement)[ _]?(time|date)"
    r"|heure|horodatage|uhrzeit|zeit(stempel|punkt)?|hora|ora|tijd",
    re.IGNORECASE,
)
DATE_NAMES = re.compile(r".*(date|day|datum|fecha|data|jour|tag|giorno).*", re.IGNORECASE)
KINDS: tuple[tuple[str, str], ...] = (
    ("heart_rate", r"(^|[ _])(hr|heart[ _]?rate|heartrate|bpm|pulse([ _]?rate)?)([ _(\[]|$)"),
    ("oxygen", r"(^|[ _])(spo2|sao2|o2[ _]?sat\w*|oxygen\w*)([ _(\[]|$)"),
    ("temperature", r"(temp|temperature)([ _(\[]|$)|(^|[ _])(skin|core|body)[ _]?t([ _(\[]|$)"),
    (
        "activity",
        r"(^|[ _])(activity|activities|counts?|steps?|step[ _]?count|enmo|mims?|mad|pim|zcm|movement|motion|vm|"
        r"vector[ _]?magnitude|acc\w*)([ _(\[]|$)",
    ),
)
"""Modality and how its columns are called, tried in this order; any other column of numbers is "other"."""

CELSIUS = (10.0, 45.0)
FAHRENHEIT = (60.0, 113.0)
KELVIN = (283.0, 318.0)


@dataclass(frozen=True, eq=False)
class Column:
    """A column as a signal wants it: `values * scale + offset` is in the modality's unit."""

    name: str
    modality: str
    values: np.ndarray
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""

    def find_scale(self, unit: str | None, label: str) -> tuple[float, float]:
        """Scale and offset of an electrical column in the unit that the user gave, or that its header says."""
        text = self.unit if unit is None else unit
        converted = convert_unit(text, MODALITIES[self.modality]) if text else (1.0, 0.0)
        if converted is None:
            raise SharpwaveError(
                f"a unit of voltage for the column {label!r}", got=repr(text), fix="give --unit uV, mV or V"
            )
        return converted


def name_given(label: str, name: str, modality: str, values: np.ndarray) -> Column:
    """A column that the user named: its header says the unit of a voltage, and its values that of others.

    Args:
        label: Header of the column.
        name: Name that the user gave.
        modality: Modality that the user gave.
        values: Numbers of the column, NaN where missing.
    """
    reader = {"temperature": _read_temperature, "heart_rate": _read_heart_rate, "oxygen": _read_oxygen}.get(modality)
    if reader is not None:
        return replace(reader(label, values)[0], name=name)
    return Column(name, modality, values, unit=_find_unit(label))


def _find_unit(label: str) -> str:
    found = re.search(r"[\[(](.*?)[\])]|[_ ](.?[vV])$", label)
    text = (found.group(1) or found.group(2) or "") if found else ""
    return text if convert_unit(text, MODALITIES["eeg"]) is not None else ""


def is_time_column(name: str) -> bool:
    """Whether a header is that of a column of times."""
    return TIME_NAMES.fullmatch(str(name).strip()) is not None


_TIME_UNIT = re.compile(
    r"(?:^|[ _\[(])"
    r"(?:(ms|msecs?|milliseconds?)|([uµμ]s|usecs?|microseconds?)|(ns|nanoseconds?)|(min|minutes?)|(h|hours?))[\])]?$"
)


def find_time_unit(name: str) -> float:
    """Seconds per unit of a column of times, by its header; 1 where it names none.

    >>> [find_time_unit(name) for name in ("time [ms]", "timestamp_us", "Time (min)", "sensor time")]
    [0.001, 1e-06, 60.0, 1.0]
    """
    match = _TIME_UNIT.search(name.strip().lower())
    if match is not None:
        factors = (1e-3, 1e-6, 1e-9, 60.0, 3600.0)
        return next(factor for found, factor in zip(match.groups(), factors, strict=True) if found)
    older = (("ms", 1e-3), ("milli", 1e-3), ("min", 60.0), ("hour", 3600.0))
    return next((factor for ending, factor in older if ending in name.lower()), 1.0)


def find_time_columns(table: pd.DataFrame) -> tuple[str, str | None] | None:
    """Header of the column of times, and of the column of dates that belongs to it; None where there are no times.

    The first column of times is taken. Where it holds clock times only, or dates only, its other half is looked for, or
    else a column that holds both.

    >>> find_time_columns(pd.DataFrame({"Date": ["28/10/2023"], "Time": ["22:00"], "HR": [60]}))
    ('Time', 'Date')
    """
    names = [name for name in table.columns if is_time_column(name)]
    names = names or [name for name in table.columns if _holds_moments(table[name])][:1]
    kinds = {name: _find_kind(table[name]) for name in table.columns if name in names or DATE_NAMES.fullmatch(name)}
    if not names:
        return None
    first = {kind: next((name for name in names if kinds[name] == kind), None) for kind in ("moment", "clock")}
    date = next((name for name, kind in kinds.items() if kind == "date"), None)
    if kinds[names[0]] in ("clock", "date"):
        if first["clock"] is not None and date is not None:
            return first["clock"], date
        if date is not None and (part := next((name for name in names if kinds[name] == "fraction"), None)):
            return part, date
        return first["moment"] or first["clock"] or names[0], None
    return names[0], date if kinds[names[0]] == "fraction" else None


def _holds_moments(column: pd.Series) -> bool:
    """Whether a column holds dates with times, or Unix time that runs forward, whatever its name is."""
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().mean() <= 0.5:
        return _find_kind(column) == "moment"
    typical = abs(float(numbers.median()))
    forward = float((numbers.diff().dropna() >= 0).mean())
    return forward > 0.99 and any(low <= typical < high for _, low, high, _ in UNIX_UNITS)


def _find_kind(column: pd.Series) -> str:
    """What a column of times holds: "moment" (date and time), "date", "clock", "fraction" (of a day) or "number"."""
    known = column.dropna()
    known = known.iloc[:: max(1, len(known) // 50)]
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.notna().mean() > 0.5:
        digits = numbers.between(19_000_101, 21_000_101) & (numbers % 1 == 0)
        if digits.all() or ((numbers.between(30_000, 80_000) & (numbers % 1 == 0)).all() and column.nunique() < 400):
            return "date" if digits.all() or DATE_NAMES.fullmatch(str(column.name)) else "number"
        return "fraction" if numbers.between(0, 1).all() and column.nunique() > 1 else "number"
    texts = known.astype(str).str.strip()
    if texts.str.fullmatch(r"\d{1,2}\.\d{2}\.\d{2}").all() and not DATE_NAMES.fullmatch(str(column.name)):
        return "clock"
    month = r"\d{1,4}[-/. ](?:\d{1,2}|[A-Za-z]{3,})[-/., ]+\d{1,4}|[A-Za-z]{3,} \d{1,2},? \d{4}|\d{8}T"
    dated = texts.str.contains(month, regex=True).mean() > 0.5
    timed = (
        texts.str.contains(
            r"\d:\d|T\d{4}|[ T]\d{1,2}\.\d{2}\.\d{2}$|^\d{1,2}[.h]\d{2}(?:[.:]\d{2})?$", regex=True
        ).mean()
        > 0.5
    )
    midnight = dated and texts.str.contains(r"[ T]0?0[:.]00(?:[:.]00(?:\.0+)?)?$", regex=True).all()
    return ("date" if not timed or midnight else "moment") if dated else "clock" if timed else "text"


def identify_column(name: str, values: np.ndarray, *, electrical: bool = False) -> tuple[Column, list[str]]:
    """Modality and unit of a column.

    Args:
        name: Header of the column.
        values: Its numbers, NaN where missing.
        electrical: Whether the table is fast enough for columns named like electrodes to be electrodes; by default not.

    Returns:
        The column, and sentences on what was assumed or repaired.

    Raises:
        SharpwaveError: If its values cannot be in the unit that its header says.

    >>> identify_column("skin_temp_f", np.array([93.2, 95.0]))[0].modality
    'temperature'
    """
    lowered = name.lower().replace("-", "_")
    if (seconds := find_interval_unit(name, values)) is not None:
        return _read_intervals(name, values, seconds)
    kind = next((kind for kind, pattern in KINDS if re.search(pattern, lowered)), "other")
    if kind == "temperature":
        return _read_temperature(name, values)
    if kind == "heart_rate":
        return _read_heart_rate(name, values)
    if kind == "oxygen":
        return _read_oxygen(name, values)
    if kind == "other" and electrical:
        bare = re.sub(r"^(raw|eeg)[ _.-]+|[ _]*[\[(].*[\])]$|[ _](?=[^ _]?[vV]$)[^ _]+", "", name, flags=re.IGNORECASE)
        known = recognise_channel(bare)
        if known.modality in ("eeg", "eog", "emg", "ecg"):
            return Column(known.name, known.modality, values, unit=_find_unit(name)), []
    return Column(name, kind, values), []


def _read_temperature(name: str, values: np.ndarray) -> tuple[Column, list[str]]:
    median = float(np.nanmedian(values))
    stated = _stated_scale(name)
    ranges = {"C": CELSIUS, "F": FAHRENHEIT, "K": KELVIN}
    fitting = [unit for unit, (low, high) in ranges.items() if low <= median <= high]
    if not fitting or (stated is not None and stated not in fitting):
        expected = {"C": "10 to 45 °C", "F": "60 to 113 °F", "K": "283 to 318 K"}
        raise SharpwaveError(
            f"temperatures of {expected[stated] if stated else ' or '.join(expected.values())} in {name!r}",
            got=f"a median of {median:.4g}" + (f", which would fit °{fitting[0]}" if fitting else ""),
            fix="correct the unit in the column's name, for example skin_temp_c or skin_temp_f",
        )
    unit = stated or fitting[0]
    scale, offset = {"C": (1.0, 0.0), "F": (5 / 9, -160 / 9), "K": (1.0, -273.15)}[unit]
    said = [] if stated else [f"{name}: no unit in the header; taken as {'K' if unit == 'K' else '°' + unit}"]
    return Column(name, "temperature", values, scale, offset), said


def _stated_scale(name: str) -> str | None:
    match = re.search(r"(°|deg|[_ (\[])\s*(c|f|k|celsius|fahrenheit|kelvin)\s*[)\]]?$", name.strip(), re.IGNORECASE)
    return match.group(2)[0].upper() if match else None


def _read_heart_rate(name: str, values: np.ndarray) -> tuple[Column, list[str]]:
    worn = np.where(values > 0, values, np.nan)
    n_off = int((values <= 0).sum())
    notes = [f"{name}: {n_off} values of 0 are no heart rate; they are missing"] if n_off else []
    median = float(np.nanmedian(worn)) if np.isfinite(worn).any() else float("nan")
    if re.search(r"hz", name, re.IGNORECASE) and 0.3 <= median <= 4:
        return Column(name, "heart_rate", worn, 60.0), notes
    if not (np.isnan(median) or 20 <= median <= 1000):
        raise SharpwaveError(
            f"a heart rate in beats per minute in {name!r}",
            got=f"a median of {median:.4g}" + (", which would fit Hz" if 0.3 <= median <= 4 else ""),
            fix="name the column heart_rate_hz where it is in Hz",
        )
    return Column(name, "heart_rate", worn), notes


INTERVAL_NAMES = re.compile(
    r"(^|[ _])(rr|rri|r_r|nn|nni|ibi|inter[ _]?beat|beat[ _]to[ _]beat)([ _]?intervals?)?([ _(\[]|$)"
)
"""Headers of a column of intervals between heart beats."""
INTERVALS = {1.0: (0.3, 2.0), 1e-3: (300.0, 2000.0)}
"""Seconds per unit, and between what the usual interval then lies."""


def find_interval_unit(name: str, values: np.ndarray) -> float | None:
    """Seconds per unit of a column of intervals between beats; None where it is none, by its header or its values.

    >>> find_interval_unit("RR-interval [ms]", np.array([812.0, 790.0])), find_interval_unit("rr", np.array([14.0]))
    (0.001, None)
    """
    if INTERVAL_NAMES.search(name.lower().replace("-", "_")) is None or not np.isfinite(values).any():
        return None
    median = float(np.nanmedian(values))
    return next((unit for unit, (low, high) in INTERVALS.items() if low <= median <= high), None)


def _read_intervals(name: str, values: np.ndarray, seconds: float) -> tuple[Column, list[str]]:
    gaps = values * seconds
    usual = (gaps >= INTERVALS[1.0][0]) & (gaps <= INTERVALS[1.0][1])
    odd = int((np.isfinite(gaps) & ~usual).sum())
    notes = [f"{name}: intervals between beats ({'s' if seconds == 1 else 'ms'}), read as heart rate"]
    notes += [f"{name}: {odd} intervals are implausible and missing"] if odd else []
    return Column(name, "heart_rate", np.where(usual, 60 / np.where(usual, gaps, 1.0), np.nan)), notes


def _read_oxygen(name: str, values: np.ndarray) -> tuple[Column, list[str]]:
    median = float(np.nanmedian(values))
    if 0.5 <= median <= 1.0:
        return Column(name, "oxygen", values, 100.0), [f"{name}: taken as a fraction; given in %"]
    if not 50 <= median <= 100:
        raise SharpwaveError(
            f"a saturation of 50 to 100 % in {name!r}", got=f"a median of {median:.4g}", fix="check the column"
        )
    return Column(name, "oxygen", values), []
