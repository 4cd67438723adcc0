"""Spectra by stage: planted power and exponents come back, rhythms and bad epochs do not count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Hypnogram, Signal
from sharpwave.signals.spectra import compute_spectrogram
from sharpwave.signals.stage_spectra import fit_aperiodic, mark_clean, summarise_spectra

NAMES = ("W", "N1", "N2", "N3", "R")
RATE = 100.0


def make_noise(exponent: float, seconds: float, *, rng: np.random.Generator, rhythm: float = 0.0) -> np.ndarray:
    """Noise whose power falls with f to `exponent`, 20 µV, with a rhythm at 10 Hz of `rhythm` µV."""
    n = int(seconds * RATE)
    frequencies = np.fft.rfftfreq(n, 1 / RATE)
    size = np.zeros(len(frequencies))
    size[frequencies >= 0.2] = frequencies[frequencies >= 0.2] ** (-exponent / 2)
    noise = np.fft.irfft(size * (rng.normal(size=len(size)) + 1j * rng.normal(size=len(size))), n)
    return 20 * noise / noise.std() + rhythm * np.sin(2 * np.pi * 10 * np.arange(n) / RATE)


def test_planted_exponents_come_back_also_under_a_rhythm() -> None:
    """IRASA beside the trivial baseline: a straight line through the spectrum, which the rhythm bends."""
    rng = np.random.default_rng(0)
    parts = {"N2": (1.2, 25.0), "N3": (2.2, 0.0)}
    samples = np.concatenate([make_noise(exponent, 300, rng=rng, rhythm=size) for exponent, size in parts.values()])
    signal = Signal("C4", samples, RATE, MODALITIES["eeg"], scale=1e-6)
    stages = Hypnogram.from_labels(["N2"] * 10 + ["N3"] * 10)
    table = fit_aperiodic(signal, stages, rng=rng).set_index("stage")
    assert list(table.index) == ["N2", "N3"]
    for name, (exponent, _) in parts.items():
        assert table.loc[name, "exponent"] == pytest.approx(exponent, abs=0.15)
        assert table.loc[name, "low"] <= table.loc[name, "exponent"] <= table.loc[name, "high"]
        assert table.loc[name, "fit"] > 0.95
    assert table["to_hz"].tolist() == [25.0, 25.0]


def test_band_power_is_that_of_a_planted_rhythm() -> None:
    times = np.arange(int(600 * RATE)) / RATE
    wave = np.where(times < 300, 20 * np.sin(2 * np.pi * 10 * times), 30 * np.sin(2 * np.pi * 2 * times))
    found = compute_spectrogram(Signal("C4", wave, RATE, MODALITIES["eeg"], scale=1e-6), max_frequency=30.0)
    stages = np.array([0] * 10 + [3] * 10)
    cycles = np.array([0] * 10 + [1] * 5 + [2] * 5)
    curves, power = summarise_spectra(found.power * 1e12, found.frequencies, stages, NAMES, cycles=cycles)
    assert list(power["cycle"]) == ["all", "all", "1", "2"]
    rows = power.set_index(["stage", "cycle"])
    assert rows.loc[("W", "all"), "alpha"] == pytest.approx(200, rel=0.02)
    assert rows.loc[("N3", "all"), "delta"] == pytest.approx(450, rel=0.02)
    assert rows.loc[("N3", "2"), "delta_share"] == pytest.approx(1.0, abs=0.01)
    assert float(curves["frequency"][curves["N3"].argmax()]) == 2.0
    assert list(curves.columns) == ["frequency", "W", "N3"]


def test_bad_and_unscored_epochs_are_left_out() -> None:
    frequencies = np.arange(121) / 4
    power = np.ones((12, 121))
    power[5] = 1e6
    power[6] = np.nan
    times = np.arange(12) * 30.0 + 15
    spans = pd.DataFrame({"onset": [170.0], "duration": [3.0]})
    stages = np.where(mark_clean(times, 30.0, spans), 2, -1)
    stages[0] = -1
    _, table = summarise_spectra(power, frequencies, stages, NAMES)
    assert table["epochs"].tolist() == [9]
    assert table["delta"].tolist() == [3.5]
    assert mark_clean(times, 30.0, None).all()
    assert not len(summarise_spectra(power[:3], frequencies, np.full(3, 2), NAMES)[1])


def test_what_cannot_be_separated_is_refused() -> None:
    rng = np.random.default_rng(0)
    slow = Signal("C4", np.zeros(4000), 40.0, MODALITIES["eeg"])
    with pytest.raises(SharpwaveError, match="rate of at least 50 Hz"):
        fit_aperiodic(slow, Hypnogram.from_labels(["N2"] * 3), rng=rng)
    flat = Signal("C4", np.zeros(60_000), RATE, MODALITIES["eeg"])
    assert not len(fit_aperiodic(flat, Hypnogram.from_labels(["N2"] * 20), rng=rng))
