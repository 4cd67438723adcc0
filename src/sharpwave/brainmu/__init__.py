"""Brainµ, the foundation model: any modalities in, one latent on one clock, forecasts out.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

from sharpwave import moved

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checkpoints": ["load_brainmu", "save_brainmu"],
        "epochs": ["collate", "epoch_recording"],
        "model": ["BrainMu"],
        "presets": ["BrainMuConfig", "configure"],
    },
)
__getattr__ = moved.rename(__name__, {"window_recording": "brainmu.epochs:epoch_recording"}, otherwise=_load)
