"""The memory benchmark: long recordings that are never held whole, and a command that must succeed."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from sharpwave.benchmarks.decode.memory import measure
from sharpwave.benchmarks.decode.nights import DECODED, STORE_RATE, Repeated, write_long_store
from sharpwave.recordings import open_store


def test_repeated_samples_are_those_of_the_pattern():
    pattern = np.arange(10, dtype=np.int16)
    repeated, whole = Repeated(pattern, 47), np.resize(pattern, 47)
    for low, high in ((0, 47), (3, 8), (8, 33), (40, 100), (47, 50)):
        np.testing.assert_array_equal(repeated[low:high], whole[low:high])


def test_the_store_has_the_channels_and_length_it_says(tmp_path):
    recording = open_store(write_long_store(tmp_path / "long.zarr", hours=1.2, n_channels=6))
    assert list(recording.signals)[:4] == list(DECODED)
    assert len(recording.signals) == 6
    eeg = recording["C4-M1"]
    assert len(eeg) == round(1.2 * 3600 * STORE_RATE)
    np.testing.assert_array_equal(eeg.read(0, 60), eeg.read(3600, 3660))


def test_a_failed_decoding_is_no_measurement(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        measure(tmp_path / "absent.zarr", tmp_path / "out")
