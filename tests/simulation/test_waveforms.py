"""Noise has the spectrum that was asked for, in blocks as in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from sharpwave.simulation import waveforms as noise


def _make(n, seed=0, weights=None):
    f = noise.compute_frequencies(256.0)
    spectrum = noise.compute_spectrum(f, level=2.0, exponent=1.5, steep=3.0, bumps=((13.0, 1.0, 5.0),))
    blocks = noise.shape_noise(
        n,
        rate=256.0,
        spectra=[spectrum],
        compute_weights=weights or (lambda times: np.ones((1, len(times)), np.float32)),
        white=noise.draw_white(np.random.default_rng(seed)),
    )
    return np.concatenate([block for _, block in blocks]), f, spectrum


def test_noise_has_the_spectrum_it_was_given():
    signal, f, spectrum = _make(256 * 1200)
    g, power = welch(signal, 256.0, nperseg=1024)
    band = (g > 1) & (g < 100)
    error = np.log(power[band] / np.interp(g[band], f, spectrum))
    assert abs(error.mean()) < 0.03
    assert np.abs(error).max() < 0.5


def test_noise_is_continuous_over_blocks():
    signal, _, _ = _make(3 * noise.BLOCK + 100)
    steps = np.abs(np.diff(signal))
    seams = [steps[k * noise.BLOCK - 1] for k in (1, 2, 3)]
    assert len(signal) == 3 * noise.BLOCK + 100
    assert max(seams) < np.percentile(steps, 99.9)


def test_a_longer_night_begins_like_a_shorter_one():
    short, _, _ = _make(noise.BLOCK + 10)
    long, _, _ = _make(2 * noise.BLOCK)
    np.testing.assert_array_equal(short, long[: len(short)])


def test_nothing_comes_of_no_weight():
    signal, _, _ = _make(5000, weights=lambda times: np.zeros((1, len(times)), np.float32))
    assert not signal.any()


@pytest.mark.parametrize("first", [-3, 0, 8, 20])
def test_waveforms_are_cut_at_the_ends(first):
    signal = np.zeros(10)
    noise.add_at(signal, np.arange(1.0, 6.0), first)
    whole = np.zeros(60)
    whole[20 + first : 25 + first] = np.arange(1.0, 6.0)
    np.testing.assert_array_equal(signal, whole[20:30])
