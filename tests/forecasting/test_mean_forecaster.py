"""Two forecasters averaged, and the external benchmark's histories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sharpwave.benchmarks.forecast.external import make_history
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast
from sharpwave.forecasting.mean_forecaster import MeanForecaster, make_shipped_mean
from sharpwave.recordings.hypnogram import Hypnogram

NIGHT = EpochTable("s", "made up", np.array([0, 1, 2, 2, 3, 2] * 20, dtype=np.int8), np.empty((120, 0)))


@dataclass
class Constant:
    p: float

    def fit(self, nights, *, horizon, rng):
        return self

    def predict(self, night: EpochTable) -> Forecast:
        rows = np.full((len(night), 5), self.p / 4)
        rows[:, 0] = 1 - self.p
        return Forecast(np.full(len(night), self.p), rows)


def test_the_mean_lies_between_and_stays_a_probability() -> None:
    mean = MeanForecaster((lambda: Constant(0.2), lambda: Constant(0.6))).fit([], horizon=30.0, rng=None)
    said = mean.predict(NIGHT)
    np.testing.assert_allclose(said.change, 0.4)
    np.testing.assert_allclose(said.destination.sum(axis=1), 1)


def test_the_shipped_mean_is_the_mean_of_the_shipped_two() -> None:
    model = make_shipped_mean().fit([], horizon=30.0, rng=np.random.default_rng(0))
    said, parts = model.predict(NIGHT), [member.predict(NIGHT) for member in model.members]
    np.testing.assert_allclose(said.change, (parts[0].change + parts[1].change) / 2)
    rows, now = np.arange(len(NIGHT)), NIGHT.stages
    np.testing.assert_allclose(1 - said.destination[rows, now], said.change, atol=1e-9)
    assert np.abs(parts[0].change - parts[1].change).max() > 0.02


def test_a_history_is_told_by_one_and_judged_by_another() -> None:
    told = Hypnogram(np.array([-1, 0, 1, -1, 2, 2, 3], dtype=np.int8), 30.0)
    expert = Hypnogram(np.array([0, 0, 2, 2, 2, -1], dtype=np.int8), 30.0)
    history = make_history("s", told, expert)
    assert history.seen.stages.tolist() == [0, 1, -1, 2]
    assert history.truth.stages.tolist() == [0, 2, -1, 2]
