"""sharpwave reads sleep and memory in brains, and gives sleep to neural networks.

    import sharpwave as sw

    night = sw.decode("night.edf", age=34)      # a path, a data set's name, MNE's Raw, pynapple, arrays by channel
    night.verdict, night.statistics, night.hypnogram
    night.plot(); night.save("results"); night.to_mne(); night.to_pynapple()

A recording in:     read, load_dataset, from_arrays, from_mne, from_pynapple, simulate_night, read_hypnogram
A night out:        decode, DecodedNight
A network:          card (what damage costs yours, and how it comes back); consolidation.Sleep
Nouns:              Recording, Hypnogram; every error is a SharpwaveError: expected, got, fix
Parts (sw.NAME):    night, recordings, signals, staging, forecasting, evaluation, reports, live: nights
                    reactivation, causality: replay, and whether it moves sleep (sw.causality.from_tables)
                    brainmu: the foundation model; consolidation, resilience: networks that sleep, and what it is for
                    simulation: nights whose truth is known; integrations: Lightning, Transformers

Everything loads when it is first used: importing this costs milliseconds.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

from sharpwave import moved

__version__ = "0.1.0"

moved.install()

_get, _, _names = lazy_loader.attach(
    __name__,
    submodules=[
        "brainmu",
        "causality",
        "consolidation",
        "evaluation",
        "forecasting",
        "integrations",
        "live",
        "night",
        "reactivation",
        "recordings",
        "reports",
        "resilience",
        "signals",
        "simulation",
        "staging",
    ],
    submod_attrs={
        "api": ["card", "decode", "read"],
        "errors": ["SharpwaveError"],
        "night": ["decode_recording"],
        "night.decoded": ["DecodedNight"],
        "recordings": ["Hypnogram", "Recording", "load_dataset", "read_hypnogram", "read_recording"],
        "recordings.in_memory": ["from_arrays", "from_mne", "from_pynapple"],
        "simulation": ["simulate_night"],
    },
)
_UNLISTED = {"decode_recording", "read_recording"}
"""What `decode` and `read` call; they stay importable from here, but one verb for an idea is listed."""

__all__ = [
    "DecodedNight",
    "Hypnogram",
    "Recording",
    "SharpwaveError",
    "card",
    "decode",
    "from_arrays",
    "from_mne",
    "from_pynapple",
    "load_dataset",
    "read",
    "read_hypnogram",
    "simulate_night",
]


def __getattr__(name: str) -> Any:
    return _get(name)


def __dir__() -> list[str]:
    return sorted({*_names, "__version__"} - _UNLISTED)
