"""Measures that directions are named after, on signals whose truth is known."""

from __future__ import annotations

import numpy as np

from sharpwave.brainmu.epochs import EpochGrid
from sharpwave.brainmu.explanation.measures import compute_measures
from sharpwave.recordings import Recording
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal

RATE, GRID = 128.0, EpochGrid(0.0, 30.0, 10)


def _simulate(rng: np.random.Generator) -> Recording:
    n = int(300 * RATE)
    time = np.arange(n) / RATE
    late = time >= 150
    eeg = rng.normal(0, 2e-6, n) + 40e-6 * late * np.sin(2 * np.pi * time) + 20e-6 * ~late * np.sin(12 * np.pi * time)
    eeg[-int(30 * RATE) :] = np.nan
    activity = np.where(np.arange(300) < 60, 20.0, 0.0)
    signals = {
        "C4-M1": Signal("C4-M1", eeg, RATE, MODALITIES["eeg"]),
        "activity": Signal("activity", activity, 1.0, MODALITIES["activity"]),
        "heart_rate": Signal("heart_rate", np.linspace(70, 50, 300), 1.0, MODALITIES["heart_rate"]),
    }
    return Recording(signals=signals)


def test_slow_waves_theta_movement_and_heart_rate(rng: np.random.Generator):
    found = compute_measures(_simulate(rng), GRID)
    assert {"depth", "theta", "movement", "heart rate", "time of night"} <= set(found)
    assert all(len(values) == len(GRID) for values in found.values())
    assert found["depth"][5:9].min() > found["depth"][:5].max() + 1
    assert found["theta"][:5].min() > found["theta"][5:9].max() + 1
    assert np.isnan(found["depth"][9])
    np.testing.assert_allclose(found["movement"], np.r_[np.full(2, np.log(21)), np.zeros(8)])
    np.testing.assert_allclose(np.diff(found["heart rate"]), -2.0, atol=0.1)
    np.testing.assert_allclose(found["time of night"] * 3600, 15 + 30 * np.arange(10))


def test_only_what_was_recorded_is_measured():
    assert set(compute_measures(Recording(), GRID)) == {"time of night"}
