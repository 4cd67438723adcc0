"""What a signal says: spectra, depth, waves, spindles, ripples, artefacts, stages; read piece by piece.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Spectrogram": "spectra",
    "compute_band_power": "band_power",
    "compute_depth": "depth",
    "compute_quality": "quality",
    "compute_spectrogram": "spectra",
    "compute_spectrum": "spectra",
    "detect_artefacts": "artefacts",
    "detect_eye_movements": "eye_movements",
    "detect_ripples": "ripples",
    "detect_slow_waves": "slow_waves",
    "detect_spindles": "spindles",
    "rescale_signal": "amplitude",
    "stage_night": "staging",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
