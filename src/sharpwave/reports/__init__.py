"""Figures and the self-contained page of a decoded night. Names load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "plot_night": "figures",
    "write_index": "index",
    "write_index_of_summaries": "index",
    "write_report": "page",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
