"""Recordings, their readers and their store. Names load when first used, so importing costs nothing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Hypnogram": "hypnogram",
    "compute_consensus": "hypnogram",
    "MODALITIES": "modality",
    "Modality": "modality",
    "Recording": "recording",
    "Signal": "recording",
    "read_recording": "readers",
    "read_hypnogram": "readers",
    "open_store": "store",
    "write_store": "store",
    "load_dataset": "datasets",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
