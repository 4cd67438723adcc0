from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, compute_consensus

stages = st.lists(st.integers(-1, 4), min_size=1, max_size=60).map(lambda codes: np.array(codes, dtype=np.int8))


def test_bouts_are_the_runs_of_one_stage():
    bouts = Hypnogram.from_labels(["W", "W", "N2", "?", "N2"], start=10).bouts()
    assert bouts["stage"].tolist() == ["W", "N2", "?", "N2"]
    assert bouts["onset"].tolist() == [10, 70, 100, 130]
    assert bouts["duration"].tolist() == [60, 30, 30, 30]


@given(stages)
def test_bouts_cover_the_night_and_alternate(codes):
    bouts = Hypnogram(codes).bouts()
    assert bouts["duration"].sum() == 30 * len(codes)
    assert all(bouts["stage"].to_numpy()[1:] != bouts["stage"].to_numpy()[:-1])


@given(stages)
def test_finer_epochs_and_back_is_the_same_night(codes):
    hypnogram = Hypnogram(codes)
    fine = hypnogram.resample(5)
    assert np.array_equal(fine.stages, np.repeat(codes, 6))
    assert np.array_equal(fine.resample(30).stages, codes)


def test_resample_takes_what_holds_most_and_drops_a_part_of_an_epoch():
    fine = Hypnogram(np.array([2] * 4 + [3] * 2 + [-1] * 4 + [0] * 2 + [1] * 3, dtype=np.int8), 5.0)
    assert fine.resample(30).labels == ["N2", "?"]


def test_resample_to_epochs_that_do_not_divide():
    hypnogram = Hypnogram(np.array([0, 1, 1], dtype=np.int8), 20.0)
    assert hypnogram.resample(30).labels == ["W", "N1"]


@given(stages, st.integers(2, 4))
def test_merge_keeps_probability(codes, n_stages):
    rng = np.random.default_rng(len(codes))
    probabilities = rng.dirichlet(np.ones(5), len(codes))
    merged = Hypnogram(codes, probabilities=probabilities).merge(n_stages)
    assert merged.probabilities.shape == (len(codes), n_stages)
    assert np.allclose(merged.probabilities.sum(axis=1), 1)
    assert np.array_equal(merged.stages == 0, codes == 0)
    assert np.array_equal(merged.stages < 0, codes < 0)


def test_merge_cannot_split():
    with pytest.raises(SharpwaveError, match="fewer than 2 stages"):
        Hypnogram(np.array([0, 1]), n_stages=2).merge(5)


def test_at_is_unscored_outside():
    hypnogram = Hypnogram.from_labels(["W", "N1"], start=30)
    assert hypnogram.at(np.array([0.0, 30.0, 59.9, 60.0, 90.0])).tolist() == [-1, 0, 0, 1, -1]


def test_restrict_keeps_whole_epochs_on_the_same_clock():
    part = Hypnogram.from_labels(["W", "N1", "N2", "N3"]).restrict(20, 100)
    assert part.labels == ["N1", "N2"]
    assert part.start == 30


def test_codes_and_labels_are_checked():
    with pytest.raises(SharpwaveError, match=r"stage codes from -1 .* to 4; got codes from 0 to 7"):
        Hypnogram(np.array([0, 7]))
    with pytest.raises(SharpwaveError, match="got S2"):
        Hypnogram.from_labels(["W", "S2"])
    with pytest.raises(SharpwaveError, match="2, 3, 4 or 5 stages"):
        Hypnogram(np.array([0]), n_stages=6)
    with pytest.raises(SharpwaveError, match="positive, finite epoch length"):
        Hypnogram(np.array([0]), 0.0)
    with pytest.raises(SharpwaveError, match="one integer stage code per epoch"):
        Hypnogram(np.array([0.5]))


def test_probabilities_are_checked():
    with pytest.raises(SharpwaveError, match=r"shape \(2, 5\)"):
        Hypnogram(np.array([0, 1]), probabilities=np.ones((2, 4)) / 4)
    with pytest.raises(SharpwaveError, match="sum to 1"):
        Hypnogram(np.array([0, 1]), probabilities=np.ones((2, 5)))


def test_a_hypnogram_is_frozen():
    hypnogram = Hypnogram(np.array([0, 1]))
    with pytest.raises(ValueError, match="read-only"):
        hypnogram.stages[0] = 2


def test_consensus_is_the_majority_and_its_votes():
    scorers = [Hypnogram.from_labels(labels) for labels in (["W", "N2", "?"], ["W", "N2", "?"], ["N1", "N3", "?"])]
    consensus = compute_consensus(scorers)
    assert consensus.labels == ["W", "N2", "?"]
    assert np.allclose(consensus.probabilities[0], [2 / 3, 1 / 3, 0, 0, 0])
    assert np.isnan(consensus.probabilities[2]).all()


def test_a_tie_goes_to_the_scorer_who_agrees_most():
    scorers = [Hypnogram.from_labels(labels) for labels in (["N1", "R", "R"], ["N2", "R", "R"], ["N3", "W", "N1"])]
    assert compute_consensus(scorers).labels[0] == "N1"
    assert compute_consensus([scorers[1], scorers[0], scorers[2]]).labels[0] == "N2"


def test_consensus_wants_the_same_epochs():
    with pytest.raises(SharpwaveError, match="scorings of the same 2 epochs"):
        compute_consensus([Hypnogram.from_labels(["W", "W"]), Hypnogram.from_labels(["W"])])


def test_to_yasa_keeps_every_stage():
    hypnogram = Hypnogram.from_labels(["W", "N1", "N2", "N3", "R", "?"])
    assert hypnogram.to_yasa().hypno.tolist() == ["WAKE", "N1", "N2", "N3", "REM", "UNS"]


def test_a_networks_night_counts_in_steps():
    night = Hypnogram(np.array([0, 0, 1, 2]), 100, 3, unit="step")
    assert night.bouts()["duration"].tolist() == [200, 100, 100]
    assert night.labels == ["W", "W", "NREM", "R"]
