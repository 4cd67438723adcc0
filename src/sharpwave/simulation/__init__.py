"""Nights whose truth is known. Names load when first used, so importing costs nothing."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "effects": ["Effects", "Nuisance"],
        "hypnograms": ["fit_architecture", "load_architecture"],
        "night": ["DEMO", "SIGNALS", "simulate_cohort", "simulate_demo", "simulate_night"],
        "truth": ["Truth"],
    },
)
