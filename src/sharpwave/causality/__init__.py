"""Whether reactivation moves sleep: estimands, estimates with their controls, and rules in words.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "effects_table": ["EFFECT_COLUMNS"],
        "estimates": ["estimate_effects"],
        "series": ["NightCourse", "compute_course"],
    },
)
