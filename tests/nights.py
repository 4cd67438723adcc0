"""A short simulated night, and files of it, for tests of the whole way."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from sharpwave.recordings.recording import Recording
from sharpwave.simulation import Truth, simulate_night


@lru_cache(maxsize=1)
def simulate_short_night() -> tuple[Recording, Truth]:
    """An hour and a half of EEG, EOG and EMG, with the experts' stages."""
    return simulate_night("human", 1.5, rng=np.random.default_rng(3), modalities=("eeg", "eog", "emg"))


def write_short_store(path: Path) -> Path:
    """The short night as a store."""
    from sharpwave.recordings.store import write_store

    return write_store(simulate_short_night()[0], path)
