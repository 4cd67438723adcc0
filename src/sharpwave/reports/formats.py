"""How numbers and stages look, the same way everywhere on the page.

Stage colours keep a contrast of at least 3:1 on white and stay apart under colour-blindness; rows, labels and a hatch
on REM carry the stage as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

STAGE_COLOURS: dict[str, str] = {
    "W": "#B67416",
    "R": "#931755",
    "N1": "#389BD0",
    "N2": "#2960AD",
    "N3": "#051738",
    "LIGHT": "#389BD0",
    "DEEP": "#051738",
    "NREM": "#2960AD",
    "S": "#2960AD",
}

STAGE_WORDS: dict[str, str] = {
    "W": "Wake",
    "R": "REM",
    "LIGHT": "Light",
    "DEEP": "Deep",
    "S": "Sleep",
}

MISSING = "–"


def show(value: Any, *, like: Iterable[Any] = ()) -> str:
    """A value in few digits; an en dash where it is undefined.

    Args:
        value: Anything; numbers are shortened, all else becomes text.
        like: Numbers that stand beside it and get as many decimals.

    >>> show(412.5), show(0.7634), show(3), show(float("nan")), show(9.0, like=[11.5])
    ('412.5', '0.76', '3', '–', '9.0')
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, float, np.integer, np.floating)):
        if not np.isfinite(value):
            return MISSING
        return f"{value:.{_count_decimals([value, *like])}f}".replace("-", "−")
    return str(value) or MISSING


def _count_decimals(values: Iterable[Any]) -> int:
    finite = np.array([value for value in values if is_number(value)], dtype=float)
    size = float(np.abs(finite).max(initial=0.0))
    if np.array_equal(finite, np.round(finite)) or size >= 1000:
        return 0
    if size >= 10:
        return 1
    return 2 if size >= 0.1 else 1 - int(np.floor(np.log10(size)))


def show_interval(low: Any, high: Any, *, like: Iterable[Any] = ()) -> str:
    """Both ends of an interval, or an en dash where there is none."""
    beside = [low, high, *like]
    low, high = show(low, like=beside), show(high, like=beside)
    return MISSING if MISSING in (low, high) else f"{low} to {high}"


def order_stages(names: Sequence[str]) -> list[str]:
    """Stage names from the top row down: wake, REM, then sleep from light to deep.

    >>> order_stages(("W", "N1", "N2", "N3", "R"))
    ['W', 'R', 'N1', 'N2', 'N3']
    """
    return [name for name in ("W", "R") if name in names] + [name for name in names if name not in ("W", "R")]


_WORDS = {
    "kappa": "κ",
    "macro_f1": "macro-F1",
    "auprc": "AUPRC",
    "auroc": "AUROC",
    "apnea_hypopnea_index": "Apnoea–hypopnoea index (AHI)",
    "oxygen_desaturation_index": "Oxygen desaturation index (ODI)",
    "periodic_leg_movement_index": "Periodic leg movement index (PLMI)",
}


def show_name(name: str) -> str:
    """A name from a table as a reader would write it.

    >>> show_name("rem_latency"), show_name("R_share"), show_name("N2"), show_name("kappa")
    ('REM latency', 'REM, share', 'N2', 'κ')
    """
    if name in _WORDS:
        return _WORDS[name]
    stem = name.removesuffix("_share")
    if stem in STAGE_COLOURS:
        return STAGE_WORDS.get(stem, stem) + (", share" if stem != name else "")
    words = name.replace("_", " ")
    words = "REM" + words[3:] if words.startswith("rem ") else words
    return words[:1].upper() + words[1:]


def show_duration(seconds: float) -> str:
    """A length of time in hours and minutes.

    >>> show_duration(27000), show_duration(600), show_duration(7 * 86400)
    ('7 h 30 min', '10 min', '7 d 0 h')
    """
    minutes = round(seconds / 60)
    if minutes >= 48 * 60:
        return f"{minutes // 1440} d {minutes % 1440 // 60} h"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def is_number(value: Any) -> bool:
    """True for a finite number."""
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))
