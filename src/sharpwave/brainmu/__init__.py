"""Brainµ, the foundation model: any modalities in, one latent on one clock, forecasts out.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batches": ["collate", "window_recording"],
        "checkpoints": ["load_brainmu", "save_brainmu"],
        "model": ["BrainMu"],
        "presets": ["BrainMuConfig", "configure"],
    },
)
