"""Nights whose course is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sharpwave.evaluation.cohorts import Night
from sharpwave.evaluation.multimodal.learning import Budget
from sharpwave.evaluation.multimodal.nights import PairedNight
from sharpwave.evaluation.multimodal.splits import pair_night

STAY = np.array(
    [
        [0.90, 0.10, 0.00, 0.00, 0.00],
        [0.15, 0.60, 0.20, 0.00, 0.05],
        [0.02, 0.04, 0.86, 0.06, 0.02],
        [0.01, 0.00, 0.09, 0.90, 0.00],
        [0.03, 0.04, 0.03, 0.00, 0.90],
    ]
)


def draw_night(rng: np.random.Generator, *, subject: str, n_epochs: int = 500, informative: bool = False) -> Night:
    """A Markov chain's night; `informative` features rise in the epoch before a change."""
    stages = np.zeros(n_epochs, dtype=np.int8)
    for epoch in range(1, n_epochs):
        stages[epoch] = rng.choice(5, p=STAY[stages[epoch - 1]])
    features = rng.normal(size=(n_epochs, 2))
    if informative:
        features[:-1, 0] += 2.5 * (np.diff(stages) != 0)
    votes = 0.8 * np.eye(5)[stages] + 0.2 * rng.dirichlet(np.ones(5), n_epochs)
    return Night(subject, "made-up", stages, features, ("noise", "more noise"), votes)


@pytest.fixture
def make_nights(rng: np.random.Generator) -> Callable[..., list[Night]]:
    def make(n: int, **options: object) -> list[Night]:
        return [draw_night(rng, subject=f"s{index}", **options) for index in range(n)]  # type: ignore[arg-type]

    return make


@pytest.fixture
def pair_nights(make_nights: Callable[..., list[Night]]) -> Callable[..., list[PairedNight]]:
    """The same nights in both forms: for the baselines and for Brainµ."""

    def pair(n: int, **options: object) -> list[PairedNight]:
        return [pair_night(night) for night in make_nights(n, **options)]

    return pair


@pytest.fixture
def tiny() -> Budget:
    """Enough to learn a plain sign."""
    shape = {"width": 16, "n_layers": 1, "n_heads": 2, "window": 90.0, "dropout": 0.0, "direct": True}
    return Budget(steps=40, batch=6, piece=30, learning_rate=1e-2, shape=shape)
