"""Memory reactivations: place fields, decoding, candidate events, assemblies, and what exceeds chance.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "PlaceFields": "place_fields",
    "analyse_session": "session",
    "bin_events": "counts",
    "decode_cued": "templates",
    "decode_events": "state_space",
    "decode_position": "bayes",
    "estimate_place_fields": "place_fields",
    "filter_position": "filtering",
    "find_assemblies": "assemblies",
    "find_candidates": "candidates",
    "get_position": "position",
    "score_sequences": "sequence_scores",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
