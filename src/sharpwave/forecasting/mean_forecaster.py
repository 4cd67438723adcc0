"""Two forecasters at once: the mean of what Brainµ and LightGBM say of the next stage.

Beside Brainµ alone the mean ranks changes better on HMC; beside LightGBM it is level (docs/forecasting.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from sharpwave.forecasting.brainmu_forecaster import ShippedBrainMu
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, Forecaster
from sharpwave.forecasting.shipped import ShippedForecaster, load_shipped_forecaster

NAME = "brainmu+lightgbm"


def average_forecasts(*forecasts: Forecast) -> Forecast:
    """The mean of the probabilities of several forecasts of the same epochs.

    >>> sure = Forecast(np.array([0.1]), np.array([[0.9, 0.1]]))
    >>> other = Forecast(np.array([0.3]), np.array([[0.7, 0.3]]))
    >>> mean = average_forecasts(sure, other)
    >>> mean.change.round(2).tolist(), mean.destination.round(2).tolist()
    ([0.2], [[0.8, 0.2]])
    """
    return Forecast(
        np.mean([forecast.change for forecast in forecasts], axis=0),
        np.mean([forecast.destination for forecast in forecasts], axis=0),
    )


@dataclass
class MeanForecaster:
    """The mean of several forecasters, each of which is fitted on the same nights.

    Attributes:
        makers: How each is made.
    """

    makers: Sequence[Callable[[], Forecaster]]

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        self.members = [make().fit(nights, horizon=horizon, rng=rng) for make in self.makers]
        return self

    def predict(self, night: EpochTable) -> Forecast:
        return average_forecasts(*(member.predict(night) for member in self.members))


@dataclass
class ShippedLightGBM:
    """The shipped trees on stage history under the contract of the baselines; `fit` learns nothing."""

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        """Choose the horizon; the nights are not looked at."""
        self.model: ShippedForecaster = load_shipped_forecaster(horizon)
        return self

    def predict(self, night: EpochTable) -> Forecast:
        return self.model.predict(night)


def make_shipped_mean() -> MeanForecaster:
    """What `sharpwave decode` forecasts with: the shipped Brainµ and the shipped LightGBM, averaged."""
    return MeanForecaster((ShippedBrainMu, ShippedLightGBM))
