"""Why the model says what it says: attribution, attention, latent directions, and what is out of distribution."""

from __future__ import annotations

import lazy_loader

from sharpwave import moved

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"explanation": ["Explanation", "choose_forecasts", "explain_night", "weigh_modalities"]},
)
__getattr__ = moved.rename(
    __name__, {"NightExplanation": "brainmu.explanation.explanation:Explanation"}, otherwise=_load
)
