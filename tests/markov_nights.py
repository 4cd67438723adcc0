"""Nights drawn from a known Markov chain of stages."""

from __future__ import annotations

import numpy as np

from sharpwave.forecasting.cohorts import EpochTable

STAY = np.array(
    [
        [0.90, 0.10, 0.00, 0.00, 0.00],
        [0.15, 0.60, 0.20, 0.00, 0.05],
        [0.02, 0.04, 0.86, 0.06, 0.02],
        [0.01, 0.00, 0.09, 0.90, 0.00],
        [0.03, 0.04, 0.03, 0.00, 0.90],
    ]
)


def draw_night(rng: np.random.Generator, *, subject: str, n_epochs: int = 500, informative: bool = False) -> EpochTable:
    """A Markov chain's night; `informative` features rise in the epoch before a change."""
    stages = np.zeros(n_epochs, dtype=np.int8)
    for epoch in range(1, n_epochs):
        stages[epoch] = rng.choice(5, p=STAY[stages[epoch - 1]])
    features = rng.normal(size=(n_epochs, 2))
    if informative:
        features[:-1, 0] += 2.5 * (np.diff(stages) != 0)
    votes = 0.8 * np.eye(5)[stages] + 0.2 * rng.dirichlet(np.ones(5), n_epochs)
    return EpochTable(subject, "made-up", stages, features, ("noise", "more noise"), votes)
