"""Figures and the self-contained page of a decoded night. Names load when first used."""

from __future__ import annotations

import lazy_loader

from sharpwave import moved

_get, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "figures": ["plot_night"],
        "index": ["write_index", "write_index_of_summaries"],
        "page": ["write_report"],
    },
)
__getattr__ = moved.rename(
    __name__,
    {
        "DecodedNight": "night.decoded:DecodedNight",
        "Spectrogram": "night.decoded:Spectrogram",
    },
    otherwise=_get,
)
