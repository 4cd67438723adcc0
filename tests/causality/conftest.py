from __future__ import annotations

import numpy as np
import pytest

from sharpwave.causality import NightSeries
from sharpwave.night.planted import simulate_night_series
from sharpwave.simulation import Effects


def simulate_nights(effects: Effects, *, n: int = 4, hours: float = 3.0, seed: int = 0) -> list[NightSeries]:
    streams = np.random.default_rng(seed).spawn(n)
    return [
        simulate_night_series("mouse", hours, rng=rng, effects=effects, night=str(i))[0]
        for i, rng in enumerate(streams)
    ]


@pytest.fixture(scope="session")
def planted_nights() -> list[NightSeries]:
    """Aversive lightens (3 ×) and makes shallow (2 dB), rewarding the opposite, neutral nothing."""
    return simulate_nights(Effects.planted(hazard_ratio=3.0, depth=2.0))


@pytest.fixture(scope="session")
def null_nights() -> list[NightSeries]:
    return simulate_nights(Effects(), seed=1)


@pytest.fixture(scope="session")
def reverse_nights() -> list[NightSeries]:
    """Depth changes the rate of ripples, and nothing else."""
    return simulate_nights(Effects(rate_per_db=0.2), seed=2)
