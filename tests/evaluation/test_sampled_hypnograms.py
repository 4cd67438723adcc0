"""Drawn hypnograms have the probabilities they were drawn from, and errors that last."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sampled_hypnograms import sample_hypnograms
from sharpwave.recordings.hypnogram import Hypnogram

P = np.array([0.5, 0.1, 0.25, 0.05, 0.1])


def night(n_epochs: int = 60) -> Hypnogram:
    return Hypnogram(np.zeros(n_epochs, dtype=int), probabilities=np.tile(P, (n_epochs, 1)))


def test_each_epoch_has_its_probabilities() -> None:
    drawn = sample_hypnograms(night(), rng=np.random.default_rng(0), n_samples=4000)
    shares = np.stack([(drawn == stage).mean(axis=0) for stage in range(5)], axis=1)
    assert np.abs(shares - P).max() < 0.05
    assert np.abs(shares.mean(axis=0) - P).max() < 0.02


def test_errors_of_neighbours_go_together_and_are_independent_without_memory() -> None:
    def repeats(**options: float) -> float:
        drawn = sample_hypnograms(night(), rng=np.random.default_rng(0), n_samples=500, **options)
        return float((drawn[:, 1:] == drawn[:, :-1]).mean())

    assert repeats(night_share=0.0, memory=0.0) == pytest.approx((P**2).sum(), abs=0.02)
    assert repeats() > (P**2).sum() + 0.3


def test_the_same_seed_gives_the_same_nights() -> None:
    first, second = (sample_hypnograms(night(), rng=np.random.default_rng(3), n_samples=5) for _ in range(2))
    assert np.array_equal(first, second)


def test_unscored_epochs_stay_unscored() -> None:
    stages = np.zeros(10, dtype=int)
    stages[3] = -1
    probabilities = np.tile(P, (10, 1))
    probabilities[3] = np.nan
    drawn = sample_hypnograms(
        Hypnogram(stages, probabilities=probabilities), rng=np.random.default_rng(0), n_samples=50
    )
    assert (drawn[:, 3] == -1).all()
    assert (np.delete(drawn, 3, axis=1) >= 0).all()


def test_stages_alone_are_refused() -> None:
    with pytest.raises(SharpwaveError, match="a hypnogram with probabilities"):
        sample_hypnograms(Hypnogram(np.zeros(4, dtype=int)), rng=np.random.default_rng(0))
