"""Brainµ, the foundation model: any modalities in, one latent on one clock, forecasts out.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "BrainMu": "model",
    "BrainMuConfig": "presets",
    "collate": "batches",
    "configure": "presets",
    "load_brainmu": "checkpoints",
    "save_brainmu": "checkpoints",
    "window_recording": "batches",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
