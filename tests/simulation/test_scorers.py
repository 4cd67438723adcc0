from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sharpwave.simulation import simulate_cohort


def _kappas(human_cohort, stage=None):
    values = []
    for _, truth in human_cohort:
        for one, other in combinations(truth.scorers.values(), 2):
            a, b = one.stages, other.stages
            values.append(cohen_kappa_score(a, b) if stage is None else cohen_kappa_score(a == stage, b == stage))
    return np.array(values)


def test_experts_agree_as_experts_do(human_cohort):
    assert 0.71 <= _kappas(human_cohort).mean() <= 0.81  # Lee et al. 2022


@pytest.mark.parametrize("species", ["mouse", "rat"])
def test_experts_of_rodents_agree_no_better(species):
    nights = simulate_cohort(2, species=species, hours=4.0, rng=np.random.default_rng(2), modalities=())
    assert 0.74 <= _kappas(nights).mean() <= 0.82


def test_n1_is_where_they_disagree_most(human_cohort):
    by_stage = [_kappas(human_cohort, stage).mean() for stage in range(5)]
    assert np.argmin(by_stage) == 1
    assert by_stage[1] < 0.5


def test_they_disagree_at_transitions(human_cohort):
    near, far = [], []
    for _, truth in human_cohort:
        true = truth.hypnogram.resample(30.0).stages
        moving = np.r_[False, np.diff(true) != 0]
        moving |= np.r_[moving[1:], False]
        split = np.any(np.diff([h.stages for h in truth.scorers.values()], axis=0) != 0, axis=0)
        near.append(split[moving].mean())
        far.append(split[~moving].mean())
    assert np.mean(near) > 1.8 * np.mean(far)


def test_errors_come_in_runs(human_cohort):
    correlations = []
    for _, truth in human_cohort:
        true = truth.hypnogram.resample(30.0).stages
        wrong = (next(iter(truth.scorers.values())).stages != true).astype(float)
        correlations.append(np.corrcoef(wrong[:-1], wrong[1:])[0, 1])
    assert np.mean(correlations) > 0.15


def test_consensus_keeps_the_true_number_of_shifts(human_cohort):
    true = [np.count_nonzero(np.diff(t.hypnogram.resample(30.0).stages)) for _, t in human_cohort]
    scored = [np.count_nonzero(np.diff(r.hypnogram.stages)) for r, _ in human_cohort]
    assert 0.8 < np.mean(scored) / np.mean(true) < 1.3


def test_consensus_has_probabilities_and_the_experts_are_in_the_metadata(human_cohort):
    recording, truth = human_cohort[0]
    assert recording.hypnogram.epoch_length == 30.0
    np.testing.assert_allclose(recording.hypnogram.probabilities.sum(axis=1), 1.0)
    assert recording.metadata["scorers"].keys() == truth.scorers.keys()
    assert len(truth.scorers) == 5
