"""Sleep for networks: wake takes in experience, NREM replays it, REM recombines it.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "NREM": "nrem",
    "REM": "rem",
    "FixedRatio": "schedule",
    "Homeostasis": "homeostasis",
    "Objective": "objective",
    "Probe": "probe",
    "Protection": "protection",
    "ReplayBuffer": "buffer",
    "Sleep": "sleep",
    "SleepReport": "report",
    "TwoProcess": "schedule",
    "Wake": "wake",
    "compute_wake_loss": "wake",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
