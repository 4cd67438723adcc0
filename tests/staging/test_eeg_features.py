"""Features of one EEG channel: what they tell apart, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal
from sharpwave.staging.eeg_features import FEATURES, RATE, compute_eeg_features


def eeg(samples: np.ndarray, rate: float = 100.0) -> Signal:
    return Signal("EEG", samples.astype(np.float32), rate, MODALITIES["eeg"])


def noise(seconds: float, rate: float = 100.0, seed: int = 0) -> np.ndarray:
    return 1e-5 * np.cumsum(np.random.default_rng(seed).standard_normal(int(seconds * rate)) * 0.1)


def tone(frequency: float, seconds: float, rate: float = 100.0) -> np.ndarray:
    return 3e-5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize(
    ("frequency", "band"), [(0.7, "slow"), (2, "delta"), (6, "theta"), (9.5, "alpha"), (13, "sigma")]
)
def test_a_tone_fills_its_band(frequency: float, band: str) -> None:
    row = compute_eeg_features(eeg(tone(frequency, 30) + 1e-7 * noise(30)))[0]
    shares = {name.removeprefix("share_"): row[i] for i, name in enumerate(FEATURES) if name.startswith("share_")}
    assert max(shares, key=lambda name: shares[name]) == band
    assert shares[band] > np.log(0.5)


def test_scale_moves_the_amplitude_and_nothing_else() -> None:
    samples = noise(90)
    first, scaled = compute_eeg_features(eeg(samples)), compute_eeg_features(eeg(1000 * samples))
    np.testing.assert_allclose(scaled[:, :-1], first[:, :-1], atol=1e-3)
    np.testing.assert_allclose(scaled[:, -1] - first[:, -1], 2 * np.log(1000), atol=1e-3)


def test_the_sampling_rate_hardly_matters() -> None:
    slow = noise(300, rate=RATE, seed=1)
    fast = resample_poly(slow, 4, 1)
    low, high = compute_eeg_features(eeg(slow, RATE)), compute_eeg_features(eeg(fast, 200.0))
    spread = np.maximum(low.std(axis=0), 0.05)
    assert np.median(np.abs(high - low) / spread) < 0.1


def test_frequencies_above_20_hz_do_not_count() -> None:
    samples = noise(60)
    clean, loud = compute_eeg_features(eeg(samples)), compute_eeg_features(eeg(samples + tone(40, 60)))
    shares = [i for i, name in enumerate(FEATURES) if name.startswith("share_")]
    np.testing.assert_allclose(loud[:, shares], clean[:, shares], atol=0.05)


def test_a_part_gives_the_same_numbers_as_the_whole() -> None:
    samples = noise(300)
    whole = compute_eeg_features(eeg(samples))
    part = compute_eeg_features(eeg(samples), start=120.0, n_epochs=3)
    np.testing.assert_allclose(part, whole[4:7])


def test_missing_and_flat_epochs_are_nan_and_leave_their_neighbours_alone() -> None:
    samples = noise(150)
    whole = compute_eeg_features(eeg(samples))
    samples[3000:6000] = np.nan
    samples[9000:12000] = 0
    found = compute_eeg_features(eeg(samples))
    assert np.isnan(found[[1, 3]]).all()
    assert np.isfinite(found[[0, 2, 4]]).all()
    np.testing.assert_allclose(found[[0, 2]], whole[[0, 2]], atol=0.3)
