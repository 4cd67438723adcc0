"""How numbers and stages look, the same way everywhere on the page.

Stage colours keep a contrast of at least 3:1 on white and stay apart under colour-blindness; rows, labels and a hatch
on REM carry the stage as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

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

STAGE_COLOURS_DARK: dict[str, str] = {
    "W": "#E0A34A",
    "R": "#E879B4",
    "N1": "#3C7FAE",
    "N2": "#5FA0EE",
    "N3": "#DCE7FF",
    "LIGHT": "#3C7FAE",
    "DEEP": "#DCE7FF",
    "NREM": "#5FA0EE",
    "S": "#5FA0EE",
}
"""The same on a dark page: deeper sleep is brighter, as it is darker on a light one. Both stand in `page.css`."""

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


def split_sentences(words: str) -> list[str]:
    """The sentences of a text, so that the first ones can stand before the rest.

    >>> split_sentences("One of 2.5 s. It holds (as q = .04). (No cause.) No more")
    ['One of 2.5 s.', 'It holds (as q = .04).', '(No cause.)', 'No more']
    """
    return [sentence for sentence in re.split(r"(?:(?<=[.!?])|(?<=[.!?]\))) +(?=[A-Z(])", words) if sentence]


def tint(colour: str, strength: float) -> tuple[str, str]:
    """A cell of a heat map: the colour mixed with white, and the class of text that can be read on it.

    Args:
        colour: The full colour, as "#rrggbb".
        strength: Share of it, 0 (white) to 1.

    >>> tint("#2960AD", 1.0), tint("#2960AD", 0.0)
    (('#2960ad', 'on-dark'), ('#ffffff', 'on-light'))
    """
    full = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], dtype=float)
    mixed = np.round(255 + (full - 255) * min(max(strength, 0.0), 1.0)).astype(int)
    light = compute_luminance(mixed)
    css = "on-dark" if 1.05 / (light + 0.05) > (light + 0.05) / (compute_luminance(_INK) + 0.05) else "on-light"
    return "#" + "".join(f"{channel:02x}" for channel in mixed), css


_INK = np.array([0x0B, 0x0F, 0x14])
"""Colour of text on a light cell, in either scheme."""


def compute_luminance(rgb: Int[np.ndarray, " channel"]) -> float:
    """Relative luminance of a colour (WCAG 2.2), 0 to 1, from channels of 0 to 255."""
    shares = np.asarray(rgb) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def is_number(value: Any) -> bool:
    """True for a finite number."""
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))
