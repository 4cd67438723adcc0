"""Targets and splits: nobody is on both sides, and nothing past the end is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.boosting import _soften_changes
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.inputs import compute_movement
from sharpwave.forecasting.protocols import (
    compute_base_rate,
    compute_steps,
    compute_targets,
    hide_stages,
    leave_one_subject_out,
    split_by_subject,
)


def test_targets_are_later_stages() -> None:
    stages = np.array([0, 1, -1, 2, 3])
    assert compute_targets(stages, 1).tolist() == [1, -1, -1, 3, -1]
    assert compute_targets(stages, 3).tolist() == [2, 3, -1, -1, -1]
    assert compute_targets(stages, 9).tolist() == [-1] * 5


def test_horizon_must_be_whole_epochs(make_nights: Callable) -> None:
    night = make_nights(1, n_epochs=10)[0]
    assert compute_steps(night, 300) == 10
    with pytest.raises(SharpwaveError, match="whole epochs of 30 s"):
        compute_steps(night, 45)


def test_every_subject_is_tested_once_and_never_trained_on(make_nights: Callable, rng: np.random.Generator) -> None:
    nights = make_nights(7, n_epochs=10)
    nights.append(replace(nights[0]))
    tested = []
    for training, testing in split_by_subject(nights, n_folds=3, rng=rng):
        assert not {night.subject for night in training} & {night.subject for night in testing}
        tested += [id(night) for night in testing]
    assert sorted(tested) == sorted(map(id, nights))
    assert len(list(leave_one_subject_out(nights))) == 7
    with pytest.raises(SharpwaveError, match="at least two subjects"):
        list(split_by_subject(nights[:1], n_folds=3, rng=rng))


def test_hidden_stages_are_gone(make_nights: Callable) -> None:
    hidden = hide_stages(make_nights(1, n_epochs=10)[0])
    assert (hidden.stages == -1).all()
    assert hidden.votes is None


def test_base_rate_counts_changes(make_nights: Callable) -> None:
    night = replace(make_nights(1, n_epochs=5)[0], stages=np.array([0, 0, 1, 1, -1]))
    assert compute_base_rate([night], 30.0) == pytest.approx(1 / 3)


def test_softened_targets_keep_every_change_and_stay_near_it() -> None:
    stages = np.zeros(60, dtype=np.int8)
    stages[30:] = 2
    night = EpochTable("s", "made up", stages, np.empty((60, 0)))
    soft = _soften_changes(night, 30.0, 1.0)
    assert soft.argmax() == 29
    assert abs(soft[20:40].sum() - 1) < 0.01
    assert soft[:24].max() < 1e-3
    assert np.flatnonzero(_soften_changes(night, 30.0, 0.0)).tolist() == [29]


def test_movement_of_features_looks_back_alone_and_tells_a_jump(rng: np.random.Generator) -> None:
    features = rng.normal(0, 0.1, (200, 2))
    features[120:, 1] += 5
    whole, past = compute_movement(features), compute_movement(features[:130])
    np.testing.assert_allclose(whole[:130], past)
    assert not np.allclose(whole[119], whole[120], atol=1)
    assert compute_movement(np.empty((9, 0))).shape == (9, 0)
