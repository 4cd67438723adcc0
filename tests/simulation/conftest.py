"""Nights that several tests look at, simulated once."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.recordings import Recording
from sharpwave.simulation import Nuisance, Truth, simulate_cohort, simulate_night


@pytest.fixture(scope="session")
def human_cohort() -> list[tuple[Recording, Truth]]:
    """Ten human nights of 8 h without signals."""
    return list(simulate_cohort(10, rng=np.random.default_rng(1), modalities=()))


@pytest.fixture(scope="session")
def human_night() -> tuple[Recording, Truth]:
    """Three and a half human hours with every stage and signal, and no electrode lost."""
    return simulate_night(
        "human",
        3.5,
        rng=np.random.default_rng(29),
        nuisance=Nuisance(electrode_loss=0.0),
        modalities=("eeg", "eog", "emg", "lfp", "spikes", "bold", "heart_rate", "activity", "temperature"),
    )


@pytest.fixture(scope="session")
def mouse_night() -> tuple[Recording, Truth]:
    """Two mouse hours with EEG, EMG, LFP and spikes."""
    return simulate_night(
        "mouse", 2.0, rng=np.random.default_rng(3), modalities=("eeg", "emg", "lfp", "spikes"), n_units=60
    )
