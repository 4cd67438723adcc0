"""Recordings, their readers and their store. Names load when first used, so importing costs nothing."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "datasets": ["load_dataset"],
        "hypnogram": ["Hypnogram", "compute_consensus"],
        "modality": ["MODALITIES", "Modality"],
        "readers": ["read_hypnogram", "read_recording"],
        "recording": ["Recording", "Signal"],
        "store": ["open_store", "write_store"],
    },
)
