"""Planted differences between states come out, and nothing where nothing was planted."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.dynamics.states import contrast_states, contrast_surrogates, contrast_transitions
from sharpwave.resilience.windows import TRANSITION, Windows

STATES = ("W",) * 4 + ("N2",) * 2 + ("N3",) * 2 + (TRANSITION,) * 3
BEFORE = (*STATES[:8], "W", "W", "W")
AFTER = (*STATES[:8], "N2", "N2", "N2")


def make_windows(transition: float) -> Windows:
    synchrony = np.array([0.2] * 4 + [0.6] * 4 + [0.4] * 3)
    metastability = np.array([0.01] * 4 + [0.03] * 4 + [transition] * 3)
    entropy = np.array([0.9] * 4 + [0.5] * 4 + [0.7] * 3)
    values = {"synchrony": synchrony, "metastability": metastability, "spectral_entropy": entropy}
    random = {"spectral_entropy": np.full(11, 0.9)}
    return Windows(np.arange(11.0), STATES, BEFORE, AFTER, values, random)


def test_states() -> None:
    found = contrast_states([make_windows(0.1)], "NREM", "wake")
    assert found["measured"]["spectral_entropy"] == pytest.approx([-0.4])
    assert found["phase-randomised"]["spectral_entropy"] == pytest.approx([0.0])
    assert contrast_states([make_windows(0.1)], "REM", "wake") == {"measured": {}, "phase-randomised": {}}


def test_surrogates() -> None:
    found = contrast_surrogates([make_windows(0.1)])
    assert found["spectral_entropy"] == pytest.approx([(0.0 * 4 - 0.4 * 4 - 0.2 * 3) / 11])


def test_a_window_of_two_states_varies_by_that_alone() -> None:
    spliced = (0.01 + 0.03) / 2 + (0.2 - 0.6) ** 2 / 4
    found = contrast_transitions([make_windows(spliced)])
    assert found["minus spliced windows"]["metastability"] == pytest.approx([0.0])
    assert found["minus whole windows"]["metastability"] == pytest.approx([spliced - 0.02])


def test_spliced_is_the_variance_of_two_halves(rng: np.random.Generator) -> None:
    first, second = rng.normal(0.2, 0.1, 100_000), rng.normal(0.6, 0.2, 100_000)
    expected = (first.var() + second.var()) / 2 + (first.mean() - second.mean()) ** 2 / 4
    assert np.concatenate([first, second]).var() == pytest.approx(expected)
