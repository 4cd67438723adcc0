"""What a wearable's column holds: modality from its name, unit from its name and its values together."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from sharpwave.errors import SharpwaveError

TIME_NAMES = re.compile(
    r"(unix|epoch|start|end|event|local|utc|iso)?[ _]?(time|timestamp|time[ _]?stamp|datetime|date[ _]?time|date)"
    r"([ _]?\(?(utc|local|iso|unix|epoch|start|of day)\)?)?"
    r"[ _]?[\[(]?(s|sec|seconds|ms|us|ns|min|minutes|hours?|milliseconds)?[\])]?|t|ts",
    re.IGNORECASE,
)
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


def is_time_column(name: str) -> bool:
    """Whether a header is that of a column of times."""
    return TIME_NAMES.fullmatch(str(name).strip()) is not None


def identify_column(name: str, values: np.ndarray) -> tuple[Column, list[str]]:
    """Modality and unit of a column.

    Args:
        name: Header of the column.
        values: Its numbers, NaN where missing.

    Returns:
        The column, and sentences on what was assumed or repaired.

    Raises:
        SharpwaveError: If its values cannot be in the unit that its header says.

    >>> identify_column("skin_temp_f", np.array([93.2, 95.0]))[0].modality
    'temperature'
    """
    lowered = name.lower().replace("-", "_")
    kind = next((kind for kind, pattern in KINDS if re.search(pattern, lowered)), "other")
    if kind == "temperature":
        return _read_temperature(name, values)
    if kind == "heart_rate":
        return _read_heart_rate(name, values)
    if kind == "oxygen":
        return _read_oxygen(name, values)
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


def _read_oxygen(name: str, values: np.ndarray) -> tuple[Column, list[str]]:
    median = float(np.nanmedian(values))
    if 0.5 <= median <= 1.0:
        return Column(name, "oxygen", values, 100.0), [f"{name}: taken as a fraction; given in %"]
    if not 50 <= median <= 100:
        raise SharpwaveError(
            f"a saturation of 50 to 100 % in {name!r}", got=f"a median of {median:.4g}", fix="check the column"
        )
    return Column(name, "oxygen", values), []
