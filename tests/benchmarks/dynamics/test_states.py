"""Planted differences between states come out, and nothing where nothing was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sharpwave.benchmarks.dynamics.states import contrast_states, contrast_surrogates
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


def test_what_is_more_than_linear_coupling() -> None:
    one = make_windows(0.1)
    draws = {"coupling kept": {"metastability": np.full((11, 19), 0.02)}}
    found = contrast_states([replace(one, draws=draws)], "NREM", "wake")
    assert found["coupling kept"]["metastability"] == pytest.approx([0.0])
    assert found["measured minus coupling kept"]["metastability"] == pytest.approx([0.02])
