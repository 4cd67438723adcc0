"""What a signal says: spectra, depth, waves, spindles, ripples, artefacts, stages; read piece by piece.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "artefacts": ["detect_artefacts"],
        "electrodes": ["choose_electrodes"],
        "eye_movements": ["detect_eye_movements"],
        "preparation": ["Preparation", "plan_preparation", "prepare_signals"],
        "quality": ["compute_quality"],
        "ripples": ["detect_ripples"],
        "slow_waves": ["detect_slow_waves"],
        "spectra": ["Spectrogram", "compute_band_power", "compute_depth", "compute_spectrogram", "compute_spectrum"],
        "spindles": ["detect_spindles"],
        "staging": ["rescale_signal", "stage_night"],
    },
)
