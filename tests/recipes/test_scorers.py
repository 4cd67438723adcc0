"""Subsets of scorers: history and target come from the same ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import Night
from sharpwave.recipes.scorers import ScorerSubsets, rescore
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus

Scored = tuple[Night, tuple[Hypnogram, ...]]


@pytest.fixture
def scored(make_nights: Callable[..., list[Night]], rng: np.random.Generator) -> Scored:
    (night,) = make_nights(1, n_epochs=200)
    codes = [np.where(rng.random(200) < 0.2, rng.integers(0, 5, 200), night.stages) for _ in range(5)]
    return night, tuple(Hypnogram(c.astype(np.int8), 30.0, 5, 900.0, scorer=f"s{i}") for i, c in enumerate(codes))


def test_one_scorer_is_history_and_target(scored: Scored) -> None:
    night, scorers = scored
    alone = rescore(window_night(night), scorers[2:3])
    np.testing.assert_array_equal(alone.stages, scorers[2].stages)
    np.testing.assert_array_equal(alone.windows["stages"].values[:, 0, :5].argmax(axis=1), scorers[2].stages)
    assert set(alone.windows) == {"stages", "features"}


def test_several_are_their_consensus(scored: Scored) -> None:
    night, scorers = scored
    several = rescore(window_night(night), scorers[:4])
    consensus = compute_consensus(scorers[:4])
    np.testing.assert_array_equal(several.stages, consensus.stages)
    np.testing.assert_allclose(several.votes, consensus.probabilities, atol=1e-6)


def test_pieces_of_all_and_of_subsets(scored: Scored) -> None:
    night, scorers = scored
    whole = ScorerSubsets([window_night(night)], [scorers], whole=1.0)
    piece = whole.draw(np.random.default_rng(1), 50)
    assert len(piece) == 50
    starts = [first for first in range(151) if np.array_equal(night.stages[first : first + 50], piece.stages)]
    assert len(starts) == 1
    subsets = ScorerSubsets([window_night(night)], [scorers], whole=0.0)
    sizes = {round(1 / piece.votes[piece.votes > 0].min()) for piece in map(subsets.draw, rngs(30), [200] * 30)}
    assert sizes <= {1, 2, 3, 4}
    assert len(sizes) > 2


def rngs(n: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(n)]
