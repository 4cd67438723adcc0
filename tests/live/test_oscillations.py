"""Bursts online: planted ones are told soon after they begin, none where none is, the same in chunks of any size."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.live.oscillations import RIPPLES, SPINDLES, BurstSettings, BurstState, step_bursts


def make_noise(seconds: float, rate: float) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(0, 1, round(seconds * rate)).cumsum() * 0.2 + rng.normal(0, 3, round(seconds * rate))


def plant(samples: np.ndarray, rate: float, onset: float, *, seconds: float, frequency: float, size: float) -> None:
    first, n = round(onset * rate), round(seconds * rate)
    times = np.arange(n) / rate
    samples[first : first + n] += size * np.sin(np.pi * times / seconds) * np.sin(2 * np.pi * frequency * times)


def find(settings: BurstSettings, samples: np.ndarray, rate: float, n: int = 8) -> list[float]:
    state, told = BurstState(), []
    for begin in range(0, len(samples), n):
        _, after = step_bursts(settings, state, samples[begin : begin + n].tolist(), rate=rate)
        if after.told is not None and after.told != state.told:
            told.append(after.told / rate)
        state = after
    return told


@pytest.mark.parametrize("rate", [100.0, 256.0])
def test_planted_spindles_are_told_within_half_a_second(rate: float) -> None:
    samples, onsets = make_noise(90, rate), [30.0, 41.0, 55.0, 72.0]
    for onset in onsets:
        plant(samples, rate, onset, seconds=1.2, frequency=13.0, size=40.0)
    told = find(SPINDLES, samples, rate)
    assert len(told) == len(onsets)
    assert all(0.0 < a - b < 0.6 for a, b in zip(told, onsets, strict=True))


def test_nothing_is_told_where_nothing_is_planted() -> None:
    assert find(SPINDLES, make_noise(90, 128.0), 128.0) == []


def test_planted_ripples_are_told_within_twenty_milliseconds() -> None:
    samples, onsets = make_noise(40, 1000.0), [15.0, 21.3, 30.7]
    for onset in onsets:
        plant(samples, 1000.0, onset, seconds=0.08, frequency=190.0, size=60.0)
    told = find(RIPPLES, samples, 1000.0)
    assert len(told) == len(onsets)
    assert all(0.0 < a - b < 0.03 for a, b in zip(told, onsets, strict=True))


def test_chunks_of_any_size_give_the_same() -> None:
    samples = make_noise(40, 128.0)
    plant(samples, 128.0, 25.0, seconds=1.2, frequency=13.0, size=40.0)
    assert find(SPINDLES, samples, 128.0, 1) == find(SPINDLES, samples, 128.0, 13)
    assert find(SPINDLES, samples, 128.0, 1)


def test_a_rate_that_cannot_show_ripples_says_unknown() -> None:
    assert step_bursts(RIPPLES, BurstState(), [0.0] * 5120, rate=256.0)[0] is None
