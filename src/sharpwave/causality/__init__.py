"""Whether reactivation changes sleep: estimands, estimates with their controls, and rules in words.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

from sharpwave import moved

_get, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "effects_table": ["EFFECT_COLUMNS"],
        "estimates": ["estimate_effects"],
        "series": ["NightSeries", "compute_night_series"],
    },
)
__getattr__ = moved.rename(
    __name__, {"NightCourse": "NightSeries", "compute_course": "compute_night_series"}, otherwise=_get
)
