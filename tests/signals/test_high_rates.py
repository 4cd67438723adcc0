"""Lowered rates keep what sleep needs, whatever is read at once, and remember what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.recordings import MODALITIES, Signal
from sharpwave.signals import high_rates
from sharpwave.signals.high_rates import lower_rate

RATE = 30_000.0


def make_fast(*, gap: slice | None = None) -> tuple[Signal, np.ndarray]:
    times = np.arange(int(4 * RATE)) / RATE
    slow = 50 * np.sin(2 * np.pi * 10 * times) + 20 * np.sin(2 * np.pi * 200 * times)
    samples = slow + 300 * np.sin(2 * np.pi * 9000 * times)
    if gap is not None:
        samples[gap] = np.nan
    return Signal("LFP", samples, RATE, MODALITIES["lfp"], scale=1e-6), 1e-6 * slow[::30]


def test_what_is_slow_stays_and_what_is_fast_goes():
    signal, slow = make_fast()
    lowered = lower_rate(signal)
    assert (lowered.rate, len(lowered), lowered.duration) == (1000.0, 4000, 4.0)
    np.testing.assert_allclose(lowered.read(0.1, 3.9), slow[100:3900], atol=3e-8)


@pytest.mark.parametrize("block", [400, 30_000])
def test_any_part_is_the_same_part_of_the_whole(monkeypatch, block):
    signal, _ = make_fast(gap=slice(50_000, 50_100))
    whole = lower_rate(signal).read()
    monkeypatch.setattr(high_rates, "BLOCK", block)
    np.testing.assert_array_equal(lower_rate(signal).read(), whole)
    np.testing.assert_array_equal(lower_rate(signal).read(1.234, 2.345), whole[1234:2345])


def test_a_gap_stays_a_gap():
    signal, slow = make_fast(gap=slice(50_000, 50_100))
    lowered = lower_rate(signal).read()
    missing = np.flatnonzero(np.isnan(lowered))
    assert missing.min() in range(1655, 1668)
    assert missing.max() in range(1668, 1682)
    np.testing.assert_allclose(lowered[100:1600], slow[100:1600], atol=3e-8)


def test_usual_rates_are_left_alone():
    signal = Signal("C4-M1", np.zeros(9), 5000.0, MODALITIES["eeg"])
    assert lower_rate(signal) is signal
