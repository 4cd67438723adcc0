"""Real recordings of every kind here: finite, nothing early, step by step as at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.modalities import spoil_after

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import epoch_recording
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.signals.preparation import prepare_signals

EXPECTED = {
    "ucddb": {"eeg", "stages"},
    "dreams": {"eeg", "stages"},
    "dod": {"stages"},
    "walch": {"heart_rate", "activity", "stages"},
    "pd-lfp": {"features", "stages"},
    "rat-ca1": {"spikes", "position"},
    "mouse-fmri": {"bold", "stages"},
    "rest-bold": {"bold"},
    "nitime-bold": {"bold"},
    "openspindlenet": {"eeg"},
}


@pytest.mark.data
@pytest.mark.parametrize("name", EXPECTED)
def test_real_recordings(name: str, data_root: Path) -> None:
    subject = list_subjects(name, data_root)[0]
    recording = prepare_signals(load_dataset(f"{name}/{subject}", data_root))  # a scale is of the whole night
    windowed = epoch_recording(recording)
    assert EXPECTED[name] <= set(windowed.epochs)
    half = len(windowed) // 2
    spoilt = epoch_recording(spoil_after(recording, 30.0 * half, np.random.default_rng(0)))
    for key, windows in windowed.epochs.items():
        assert windows.present.any(), key
        assert np.isfinite(windows.values).all()
        np.testing.assert_array_equal(spoilt.epochs[key].values[:half], windows.values[:half])
        past = None
        for step in range(min(4, len(windowed))):
            measured = ENCODERS[key].measure(recording, windowed.grid.restrict(step, step + 1))
            assert measured is not None
            part, past = ENCODERS[key].normalise(measured, past)
            np.testing.assert_allclose(part.values[0], windows.values[step], atol=1e-4)
