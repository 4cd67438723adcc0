"""What the shipped weights may learn from, and that a fold's subjects are nowhere in its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.training.crops import Alternation, RandomCrops, pick_source
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.recipes.sources import (
    FewModalities,
    Forecasting,
    SamplingWeights,
    ScorerSubsets,
    combine_sources,
    load_forecasting,
    load_machine_nights,
    rescore,
    simulate_windowed,
)
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus

SHARES = SamplingWeights(forecasting=0.5, staging=0.2, unlabelled=0.2, human=0.05, rodent=0.05)


@pytest.fixture
def nights(make_nights: Callable[..., list[EpochTable]]) -> list[EpochedRecording]:
    return [replace(window_night(night), cohort="walch") for night in make_nights(4, n_epochs=60)]


def test_subjects_left_out_are_never_drawn(nights: list[EpochedRecording]) -> None:
    forecasting = Forecasting({"walch": nights}, ()).without({"walch/s1", "dod/s2"})
    assert forecasting.subjects == ["walch/s0", "walch/s2", "walch/s3"]
    source = forecasting.make_source()
    drawn = {source.draw(np.random.default_rng(seed), 30).subject for seed in range(40)}
    assert drawn == {"s0", "s2", "s3"}


def test_an_update_takes_one_kind_of_recording(nights: list[EpochedRecording]) -> None:
    other = [replace(night, cohort="other") for night in nights]
    source = Alternation([(RandomCrops(nights), 0.7), (RandomCrops(other), 0.3)])
    cohorts = []
    for seed in range(60):
        picked = pick_source(source, np.random.default_rng(seed))
        found = {picked.draw(np.random.default_rng([seed, piece]), 30).cohort for piece in range(4)}
        assert len(found) == 1
        cohorts += found
    assert 0.5 < np.mean([cohort == "walch" for cohort in cohorts]) < 0.9


def test_few_modalities_at_a_time(rng: np.random.Generator) -> None:
    (night,) = simulate_windowed("human", 1, rng=rng, hours=0.5, modalities=("heart_rate", "activity", "temperature"))
    assert night.cohort == "simulated-human"
    source = FewModalities(RandomCrops([night]), ("heart_rate", "activity", "temperature"), most=1, longest=20)
    seen = []
    for seed in range(20):
        picked = pick_source(source, np.random.default_rng(seed))
        pieces = [picked.draw(np.random.default_rng([seed, index]), 60) for index in range(3)]
        assert len({tuple(piece.epochs) for piece in pieces}) == 1
        assert all(len(piece) == 20 for piece in pieces)
        seen.append(set(pieces[0].epochs))
    assert all(len(names - {"stages"}) == 1 for names in seen)
    assert any("stages" in names for names in seen)
    assert any("stages" not in names for names in seen)


def test_everything_in_one_mixture(nights: list[EpochedRecording]) -> None:
    source = combine_sources(Forecasting({"walch": nights}, ()), SHARES, unlabelled=[replace(nights[0], cohort="rest")])
    drawn = {
        pick_source(source, np.random.default_rng(seed)).draw(np.random.default_rng(0), 9).cohort for seed in range(99)
    }
    assert drawn == {"walch", "rest"}


def test_no_cohorts_is_said(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="at least one of the cohorts"):
        load_forecasting(tmp_path)


def test_a_damaged_cohort_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    assert load_machine_nights(tmp_path) == []
    (tmp_path / "boas-hypnograms").mkdir()
    (tmp_path / "boas-hypnograms" / "boas.npz").write_bytes(b"no archive")
    with pytest.raises(SharpwaveError, match=r"boas\.npz"):
        load_machine_nights(tmp_path)


Scored = tuple[EpochTable, tuple[Hypnogram, ...]]


@pytest.fixture
def scored(make_nights: Callable[..., list[EpochTable]], rng: np.random.Generator) -> Scored:
    (night,) = make_nights(1, n_epochs=200)
    codes = [np.where(rng.random(200) < 0.2, rng.integers(0, 5, 200), night.stages) for _ in range(5)]
    return night, tuple(Hypnogram(c.astype(np.int8), 30.0, 5, 900.0, scorer=f"s{i}") for i, c in enumerate(codes))


def test_one_scorer_is_history_and_target(scored: Scored) -> None:
    night, scorers = scored
    alone = rescore(window_night(night), scorers[2:3])
    np.testing.assert_array_equal(alone.stages, scorers[2].stages)
    np.testing.assert_array_equal(alone.epochs["stages"].values[:, 0, :5].argmax(axis=1), scorers[2].stages)
    assert set(alone.epochs) == {"stages", "features"}


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
