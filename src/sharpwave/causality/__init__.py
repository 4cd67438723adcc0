"""Whether reactivation moves sleep: estimands, estimates with their controls, and rules in words.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "EFFECT_COLUMNS": "rows",
    "NightCourse": "course",
    "compute_course": "course",
    "estimate_effects": "estimates",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
