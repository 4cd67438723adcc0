"""Sleep for language models: a memory of tokens, objectives that models name themselves, and dreams.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "dreams": ["Dreams"],
        "memory": ["TokenMemory"],
        "objective": ["make_objective"],
    },
)
