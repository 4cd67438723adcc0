"""sharpwave reads sleep and memory in brains, and gives sleep to neural networks."""

from __future__ import annotations

import lazy_loader

from sharpwave import moved

__version__ = "0.1.0"

moved.install()

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "errors": ["SharpwaveError"],
        "night.decode": ["decode_recording"],
        "recordings": ["Hypnogram", "Recording", "load_dataset", "read_hypnogram", "read_recording"],
        "simulation": ["simulate_night"],
    },
)
__all__ += ["__version__"]
