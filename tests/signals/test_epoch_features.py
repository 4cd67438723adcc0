"""Features of epochs against antropy and SciPy."""

from __future__ import annotations

import antropy
import numpy as np
import pytest
import scipy.signal
import scipy.stats

from sharpwave.signals.epoch_features import (
    compute_epoch_features,
    compute_higuchi_dimension,
    compute_median_spectrum,
    compute_permutation_entropy,
)


@pytest.fixture
def epochs(rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((6, 3000))
    noise[1] = np.cumsum(noise[1]) - np.cumsum(noise[1]).mean()
    noise[2] = np.round(noise[2])
    noise[3] *= np.linspace(0, 5, 3000)
    return noise


def test_entropy_and_fractal_dimension_equal_antropy(epochs):
    np.testing.assert_allclose(
        compute_permutation_entropy(epochs), antropy.perm_entropy(epochs, normalize=True), rtol=1e-12
    )
    expected = [antropy.higuchi_fd(epoch) for epoch in epochs]
    np.testing.assert_allclose(compute_higuchi_dimension(epochs), expected, rtol=1e-9)


def test_shape_equals_antropy(epochs):
    features = compute_epoch_features(epochs, kind="eeg")
    mobility, complexity = antropy.hjorth_params(epochs, axis=1)
    np.testing.assert_allclose(features["hmob"], mobility, rtol=1e-10)
    np.testing.assert_allclose(features["hcomp"], complexity, rtol=1e-10)
    np.testing.assert_array_equal(features["nzc"], antropy.num_zerocross(epochs, axis=1))
    np.testing.assert_allclose(features["petrosian"], antropy.petrosian_fd(epochs, axis=1), rtol=1e-12)


def test_moments_equal_scipy(epochs):
    features = compute_epoch_features(epochs, kind="emg")
    np.testing.assert_allclose(features["std"], epochs.std(axis=1, ddof=1))
    np.testing.assert_allclose(features["iqr"], scipy.stats.iqr(epochs, axis=1))
    np.testing.assert_allclose(features["skew"], scipy.stats.skew(epochs, axis=1), atol=1e-12)
    np.testing.assert_allclose(features["kurt"], scipy.stats.kurtosis(epochs, axis=1), atol=1e-12)


def test_spectrum_equals_scipy(epochs):
    frequencies, density = compute_median_spectrum(epochs)
    theirs, expected = scipy.signal.welch(epochs, 100, window="hamming", nperseg=500, average="median")
    kept = (theirs >= 0.4) & (theirs <= 30)
    np.testing.assert_allclose(frequencies, theirs[kept])
    np.testing.assert_allclose(density, expected[:, kept], rtol=1e-9)


def test_each_kind_has_its_own_features(epochs):
    assert "dt" in compute_epoch_features(epochs, kind="eeg")
    assert "dt" not in compute_epoch_features(epochs, kind="eog")
    assert "sigma" not in compute_epoch_features(epochs, kind="emg")
