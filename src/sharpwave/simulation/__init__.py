"""Nights whose truth is known. Names load when first used, so importing costs nothing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "DEMO": "night",
    "Effects": "effects",
    "Nuisance": "nuisance",
    "SIGNALS": "night",
    "Truth": "truth",
    "fit_architecture": "hypnograms",
    "load_architecture": "hypnograms",
    "simulate_cohort": "night",
    "simulate_demo": "night",
    "simulate_night": "night",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
