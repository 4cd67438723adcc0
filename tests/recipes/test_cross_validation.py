"""Folds over all cohorts at once, and calibration that helps people whom it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sharpwave.brainmu.checkpoints import make_lite
from sharpwave.brainmu.model import BrainMu
from sharpwave.evaluation.metrics import compute_log_loss
from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import compose_forecast
from sharpwave.recipes.cross_validation import (
    OutOfFold,
    calibrate_folds,
    fit_calibrations,
    forecast_folds,
    name_subject,
    split_cohorts,
)
from sharpwave.recipes.sources import Forecasting


def test_every_subject_is_tested_once_by_who_has_not_seen_it(make_nights: Callable[..., list[EpochTable]]) -> None:
    nights = make_nights(7, n_epochs=40)
    cohorts = {
        "walch": [replace(n, cohort="walch") for n in nights[:5]],
        "ucddb": [replace(n, cohort="ucddb") for n in nights[5:]],
    }
    folds = split_cohorts(cohorts, n_folds=3, rng=np.random.default_rng(0))
    tested = [name_subject(night) for _, testing in folds for night in testing]
    assert sorted(tested) == sorted(name_subject(night) for group in cohorts.values() for night in group)
    for training, testing in folds:
        assert not {name_subject(n) for n in training} & {name_subject(n) for n in testing}
        assert len(training) + len(testing) == 7


def overconfident(nights: list[EpochTable], rng: np.random.Generator) -> OutOfFold:
    """Forecasts with the right order and far too much confidence."""
    said = {}
    for night in nights:
        changed = np.r_[np.diff(night.stages) != 0, False]
        logit = 3 * (rng.normal(size=len(night)) + 1.5 * changed) + 1
        said[name_subject(night)] = compose_forecast(
            night.stages.astype(int), 1 / (1 + np.exp(-logit)), np.ones((len(night), 5))
        )
    return {("observed", 30.0): said}


def lose(nights: list[EpochTable], forecasts: OutOfFold) -> float:
    said = [forecasts["observed", 30.0][name_subject(night)].change[:-1] for night in nights]
    return compute_log_loss(np.concatenate([np.diff(n.stages) != 0 for n in nights]), np.concatenate(said))


def test_calibration_lowers_the_loss_of_people_it_was_not_fitted_on(
    make_nights: Callable[..., list[EpochTable]], rng: np.random.Generator
) -> None:
    nights = make_nights(6)
    raw = overconfident(nights, rng)
    members = [{name_subject(night) for night in nights[part::3]} for part in range(3)]
    assert lose(nights, calibrate_folds(raw, members, nights)) < 0.5 * lose(nights, raw)
    slope, intercept = fit_calibrations(raw, nights)["observed +30"]
    assert 0 < slope < 1
    assert intercept < -0.5


def test_each_fold_is_forecast_by_a_model_of_its_own(make_nights: Callable[..., list[EpochTable]]) -> None:
    nights = [replace(night, cohort="walch") for night in make_nights(3, n_epochs=40)]
    forecasting = Forecasting({"walch": [window_night(night) for night in nights]}, ())
    folds = split_cohorts({"walch": nights}, n_folds=3, rng=np.random.default_rng(0))
    trained: list[tuple[list[str], int]] = []

    def train_model(left: Forecasting, seed: int) -> BrainMu:
        trained.append((left.subjects, seed))
        return make_lite(seed=seed, modalities=("stages", "features"), width=16, n_layers=1, n_heads=2).eval()

    raw, members = forecast_folds(forecasting, folds, train_model=train_model, seed=5)
    for (subjects, seed), tested, index in zip(trained, members, range(3), strict=True):
        assert set(subjects) | tested == set(forecasting.subjects)
        assert not set(subjects) & tested
        assert seed == 5 + index
    assert [len(part) for part in members] == [1, 1, 1]
    for said in raw.values():
        assert said.keys() == {name_subject(night) for night in nights}
