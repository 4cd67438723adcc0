"""What every forecaster takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import compute_steps, compute_targets

N_STAGES = 5


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected of a night at the end of each epoch.

    Attributes:
        change: Probability that the stage at the horizon differs from the present one, shape (epoch,).
        destination: Probability of each stage at the horizon, rows summing to 1, shape (epoch, stage).

    >>> forecast = Forecast(np.array([0.1, 0.4]), np.array([[0.9, 0.1, 0, 0, 0], [0.4, 0.6, 0, 0, 0]]))
    >>> forecast.destination.argmax(axis=1).tolist()
    [0, 1]
    """

    change: Float[np.ndarray, " epoch"]
    destination: Float[np.ndarray, "epoch stage"]


class Forecaster(Protocol):
    """Learns from nights, then says what comes next in others. Row t of a forecast uses nothing after epoch t.

    >>> from sharpwave.forecasting import FORECASTERS
    >>> nights = [EpochTable("s1", "made up", np.array([0, 0, 1, 2, 2, 2] * 20), np.empty((120, 0)))]
    >>> chain = FORECASTERS["observed"]["markov"]().fit(nights, horizon=30.0, rng=np.random.default_rng(0))
    >>> chain.predict(nights[0]).change.round(2).tolist()[:4]
    [0.51, 0.51, 0.98, 0.33]
    """

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        """Learn from whole nights what `horizon` seconds ahead looks like."""

    def predict(self, night: EpochTable) -> Forecast:
        """Forecast from each epoch of a night; in the signal-only protocol its stages are hidden."""


def join_targets(
    nights: Sequence[EpochTable], horizon: float
) -> tuple[Int[np.ndarray, " epoch"], Int[np.ndarray, " epoch"]]:
    """Present and later stage of all nights, one after the other; -1 where either is unknown.

    Raises:
        SharpwaveError: If there is nothing to learn from.
    """
    now = [night.stages for night in nights]
    later = [compute_targets(night.stages, compute_steps(night, horizon)) for night in nights]
    if not nights or not any((stages >= 0).any() for stages in later):
        raise SharpwaveError(
            f"nights with scored epochs {horizon:g} s apart", got=f"{len(nights)} without", fix="train on longer nights"
        )
    return np.concatenate(now).astype(int), np.concatenate(later).astype(int)


def carry_stages(stages: Int[np.ndarray, " epoch"]) -> Int[np.ndarray, " epoch"]:
    """The last stage scored up to each epoch; wake before the first."""
    last = np.maximum.accumulate(np.where(stages >= 0, np.arange(len(stages)), -1))
    return np.where(last >= 0, stages[np.maximum(last, 0)], 0).astype(int)


def compose_forecast(
    now: Int[np.ndarray, " epoch"],
    change: Float[np.ndarray, " epoch"],
    given_change: Float[np.ndarray, "epoch stage"],
) -> Forecast:
    """Stay with 1 - `change`; otherwise go where `given_change` says, which never is the present stage."""
    rows = np.arange(len(now))
    elsewhere = given_change + 1e-9
    elsewhere[rows, now] = 0
    destination = change[:, None] * elsewhere / elsewhere.sum(axis=1, keepdims=True)
    destination[rows, now] = 1 - change
    return Forecast(change, destination)


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
