"""Why the model says what it says: attribution, attention, latent directions, doubts, and tests of all of them."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"explanation": ["NightExplanation", "choose_forecasts", "explain_night", "weigh_modalities"]},
)
