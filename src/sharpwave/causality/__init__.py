"""Whether reactivation changes sleep: estimands, estimates with their controls, and rules in words.

A night is a `NightSeries` (`series`; its files: `series_files`). `design` and `outcomes` make regressors and outcomes
of it; `matching`, `hazards`, `directions` and `randomised` estimate effects, with the intervals of `intervals`;
`estimates` asks every question and `rules` puts the answers into sentences. Beside them stand the check by
`surrogates`, the picture of `peri_event`, and what a session's reactivations have to do with `memory`.

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
        "series_files": ["from_tables"],
    },
)
__getattr__ = moved.rename(
    __name__, {"NightCourse": "NightSeries", "compute_course": "compute_night_series"}, otherwise=_get
)
