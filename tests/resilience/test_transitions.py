"""A peak of metastability that was planted round transitions is found; a mere step from state to state is none."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.resilience.transitions import compute_residual_variance, find_transitions, measure_transitions
from sharpwave.resilience.windows import WindowSettings

RATE, EPOCH, N_CHANNELS = 20.0, 60.0, 6
SETTINGS = WindowSettings(30.0, (0.5, 4.0), (0.5, 9.0))
HYPNOGRAM = Hypnogram(np.tile(np.array([0, 1], dtype=np.int8), 12), EPOCH, n_stages=3)


def make_signals(rng: np.random.Generator, *, peak: float) -> np.ndarray:
    """Channels that share more in one state than in the other; round transitions the share comes and goes."""
    times = np.arange(0, HYPNOGRAM.end, 1 / RATE)
    shared = np.where(HYPNOGRAM.at(times) == 1, 0.7, 0.3)
    slow = np.convolve(rng.normal(size=times.size), np.hanning(60), mode="same")
    slow /= slow.std()
    distance = np.abs((times + EPOCH / 2) % EPOCH - EPOCH / 2)
    shared = np.clip(shared + peak * slow * (distance < 12), 0.0, 1.0)[:, None]
    common = rng.normal(size=(times.size, 1))
    return np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=(times.size, N_CHANNELS))


def measure(signals: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    def read(begin: float, end: float) -> np.ndarray:
        return signals[max(0, int(np.ceil(begin * RATE))) : max(0, int(np.ceil(end * RATE)))]

    found = measure_transitions(read, RATE, span=(0.0, HYPNOGRAM.end), hypnogram=HYPNOGRAM, rng=rng, settings=SETTINGS)
    assert found.n == 23
    return found.excess, found.low


def test_a_planted_peak_is_found_and_a_step_is_none() -> None:
    rng = np.random.default_rng(0)
    planted = [measure(make_signals(rng, peak=0.5), rng)[1] > 0 for _ in range(6)]
    steps = [measure(make_signals(rng, peak=0.0), rng)[1] > 0 for _ in range(6)]
    assert np.mean(planted) >= 0.8
    assert np.mean(steps) <= 1 / 6


def test_what_is_left_after_a_course() -> None:
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=600)
    for course in (np.repeat([0.2, 0.7], 300), np.linspace(0.2, 0.7, 600), np.zeros(600)):
        assert compute_residual_variance(course + noise) == pytest.approx(0.0025, rel=0.25)


def test_transitions_are_found_by_the_second() -> None:
    stages = Hypnogram(
        np.array([0] * 47 + [1] * 60 + [-1] * 5 + [1] * 60 + [0] * 4 + [1] * 60, dtype=np.int8), 1.0, n_stages=3
    )
    assert find_transitions(stages, span=(0.0, stages.end), length=30.0) == [47.0]


def test_one_channel_has_no_synchrony(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="two channels"):
        measure(make_signals(rng, peak=0.0)[:, :1], rng)
