"""The main job: a recording in; stages, forecast, events, effects and how far to trust them out.

Names load when first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "decode": ["decode_recording"],
        "decoded": ["DecodedNight"],
        "prepare": ["PreparedNight", "prepare_night"],
    },
)
