"""Spectra, band power and depth: power is where it was put, in the right unit, and gaps stay gaps."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from sharpwave.errors import SharpwaveError
from sharpwave.signals import compute_band_power, compute_depth, compute_spectrogram, compute_spectrum

from .conftest import RATE, make_eeg


def make_sine(frequency: float, amplitude_uv: float, *, seconds: float = 120) -> np.ndarray:
    return amplitude_uv * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


def test_power_of_a_sine_is_half_its_amplitude_squared():
    spectrogram = compute_spectrogram(make_eeg(make_sine(10, 20)), max_frequency=40)
    step = spectrogram.frequencies[1]
    np.testing.assert_allclose(spectrogram.power.sum(axis=1) * step, (20e-6) ** 2 / 2, rtol=1e-3)
    assert spectrogram.frequencies[spectrogram.power.mean(axis=0).argmax()] == 10
    np.testing.assert_allclose(spectrogram.times, [15, 45, 75, 105])


def test_band_power_finds_the_band():
    table = compute_band_power(make_eeg(make_sine(13, 10)))
    assert table.columns.tolist() == ["onset", "delta", "theta", "alpha", "sigma", "beta", "gamma"]
    np.testing.assert_allclose(table["sigma"], 50e-12, rtol=1e-2)
    assert (table["delta"] < 1e-3 * table["sigma"]).all()


def test_depth_is_log_slow_wave_power():
    depth = compute_depth(make_eeg(make_sine(1.0, 40)), epoch_length=30)
    np.testing.assert_allclose(depth["depth"], np.log10(40**2 / 2), atol=0.01)
    assert compute_depth(make_eeg(np.zeros(int(60 * RATE))))["depth"].isna().all()


def test_gaps_are_declared():
    samples = make_sine(10, 20)
    samples[int(30 * RATE) : int(50 * RATE)] = np.nan
    samples[int(60 * RATE) : int(65 * RATE)] = np.nan
    spectrogram = compute_spectrogram(make_eeg(samples))
    assert np.isnan(spectrogram.power).all(axis=1).tolist() == [False, True, False, False]
    np.testing.assert_allclose(spectrogram.power[2], spectrogram.power[3], rtol=0.02, atol=1e-16)


def test_pieces_equal_the_whole(sleep_uv, monkeypatch):
    whole = compute_spectrogram(make_eeg(sleep_uv)).power
    monkeypatch.setattr("sharpwave.signals.spectra.WINDOWS_SECONDS", 60.0)
    monkeypatch.setattr("sharpwave.signals.spectra.PIECE_SECONDS", 150.0)
    np.testing.assert_allclose(compute_spectrogram(make_eeg(sleep_uv)).power, whole, rtol=1e-5)


def test_only_the_frequencies_wanted_are_kept(sleep_uv):
    whole = compute_spectrogram(make_eeg(sleep_uv))
    part = compute_spectrogram(make_eeg(sleep_uv), min_frequency=10.0, max_frequency=12.0)
    np.testing.assert_allclose(part.frequencies, np.arange(10, 12.1, 0.25))
    np.testing.assert_array_equal(part.power, whole.power[:, np.isin(whole.frequencies, part.frequencies)])


def test_spectrum_is_the_median_and_forgives_an_artefact():
    samples = make_sine(10, 20, seconds=300)
    samples[: int(20 * RATE)] *= 100
    frequencies, density = compute_spectrum(make_eeg(samples), max_frequency=40)
    assert density.sum() * frequencies[1] == pytest.approx(200e-12, rel=0.01)


def test_windows_must_hold_a_segment():
    with pytest.raises(SharpwaveError, match="windows of at least one segment"):
        compute_spectrogram(make_eeg(np.ones(1000)), window=2.0)


@pytest.mark.parametrize("rate", [100.0, 256.0, 100.5])
def test_power_is_scipys_however_large_the_offset(rate):
    samples = 1000.0 + np.random.default_rng(0).normal(0, 20, round(90 * rate))
    found = compute_spectrogram(make_eeg(samples, rate=rate), segment=2.0)
    size, window = round(2 * rate), round(30 * rate)
    for index, power in enumerate(found.power):
        first = round(index * 30 * rate)
        frequencies, expected = scipy.signal.welch(
            samples[first : first + window] * 1e-6, rate, nperseg=size, noverlap=size - size // 2
        )
        np.testing.assert_allclose(power, expected[frequencies <= 30 + 1e-9], rtol=1e-4)
