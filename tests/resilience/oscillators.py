"""Coupled oscillators."""

from __future__ import annotations

import numpy as np


def simulate_kuramoto(
    coupling: float, *, rng: np.random.Generator, n: int = 60, seconds: float = 60.0, rate: float = 50.0
) -> np.ndarray:
    """Phases (time, oscillator) of Kuramoto's oscillators with Gaussian speeds of spread 1 rad/s; critical near 1.6."""
    speeds, phases = rng.normal(6.0, 1.0, n), rng.uniform(0, 2 * np.pi, n)
    course = np.empty((round(seconds * rate), n))
    for index in range(len(course)):
        mean = np.exp(1j * phases).mean()
        phases = phases + (speeds + coupling * np.abs(mean) * np.sin(np.angle(mean) - phases)) / rate
        course[index] = phases
    return course
