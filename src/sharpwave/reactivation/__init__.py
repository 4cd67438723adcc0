"""Memory reactivations: place fields, decoding, candidate events, assemblies, and what exceeds chance.

From `position` and `counts` of spikes come `place_fields`. With them `decoding` finds where the animal was in a run,
and `state_space` what an event of `candidates` replays. `sequence_scores` and `significance` say which events exceed
chance; `session` does all of it for a recording. Without a track there are `assemblies`, and after cues `templates`.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "assemblies": ["find_assemblies"],
        "candidates": ["find_candidates"],
        "counts": ["bin_events"],
        "decoding": ["decode_position", "filter_position"],
        "place_fields": ["PlaceFields", "estimate_place_fields"],
        "position": ["get_position"],
        "sequence_scores": ["score_sequences"],
        "session": ["analyse_session"],
        "state_space": ["decode_events"],
        "templates": ["decode_cued"],
    },
)
