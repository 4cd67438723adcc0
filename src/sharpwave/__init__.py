"""sharpwave reads sleep and memory in brains, and gives sleep to neural networks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sharpwave import moved

__version__ = "0.1.0"

moved.install()

_HOMES = {
    "Hypnogram": "recordings",
    "Recording": "recordings",
    "SharpwaveError": "errors",
    "decode_recording": "night.decode",
    "load_dataset": "recordings",
    "read_hypnogram": "recordings",
    "read_recording": "recordings",
    "simulate_night": "simulation",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
