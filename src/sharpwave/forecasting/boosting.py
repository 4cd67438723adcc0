"""LightGBM on causal features: one model for whether the stage changes, one for where to if it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import (
    N_STAGES,
    Forecast,
    carry_stages,
    compose_forecast,
    join_targets,
)
from sharpwave.forecasting.inputs import compute_context, compute_history, compute_vote_history

CHANGE = {"num_leaves": 15, "learning_rate": 0.06, "min_data_in_leaf": 60, "feature_fraction": 0.5, "lambda_l2": 5.0}
CHANGE_ROUNDS = 100
DESTINATION = {
    "num_leaves": 7,
    "learning_rate": 0.08,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
}
DESTINATION_ROUNDS = 50
COMMON = {
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "bagging_freq": 1,
    "max_bin": 63,
}


class Boosting:
    """Gradient-boosted trees (Ke et al. 2017).

    Args:
        stages: Whether the stages up to now are among the inputs (the observed protocol).
        signals: Whether the night's features are.
        votes: Whether the scorers' votes up to now are; nights without votes get those of one scorer.
    """

    def __init__(self, *, stages: bool = True, signals: bool = False, votes: bool = False) -> None:
        self.stages, self.signals, self.votes = stages, signals, votes

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        now, later = join_targets(nights, horizon)
        inputs = np.concatenate([self.encode(night) for night in nights])
        known = later >= 0
        changed = known & (now != later)
        seed = int(rng.integers(2**31 - 1))
        self.change = _train(inputs[known], changed[known], CHANGE, CHANGE_ROUNDS, seed=seed, objective="binary")
        rows = changed if self.stages else known
        self.destination = _train(
            inputs[rows], later[rows], DESTINATION, DESTINATION_ROUNDS, seed=seed, objective="multiclass"
        )
        return self

    def predict(self, night: EpochTable) -> Forecast:
        inputs = self.encode(night)
        change = np.asarray(self.change.predict(inputs, num_threads=1))
        destination = np.asarray(self.destination.predict(inputs, num_threads=1))
        if self.stages:
            return compose_forecast(carry_stages(night.stages), change, destination)
        return Forecast(change, destination)

    def encode(self, night: EpochTable) -> Float[np.ndarray, "epoch input"]:
        """The inputs of each epoch of a night."""
        parts = []
        if self.stages:
            parts.append(compute_history(night.stages))
        if self.signals:
            parts.append(compute_context(night.features))
        if self.votes:
            single = np.eye(N_STAGES)[carry_stages(night.stages)]
            parts.append(compute_vote_history(single if night.votes is None else night.votes))
        return np.concatenate(parts, axis=1)


def _train(inputs: np.ndarray, labels: np.ndarray, options: dict, rounds: int, *, seed: int, objective: str) -> Any:
    import lightgbm

    parameters = {**COMMON, **options, "objective": objective, "bagging_fraction": 0.7, "seed": seed}
    if objective == "multiclass":
        parameters["num_class"] = N_STAGES
    return lightgbm.train(parameters, lightgbm.Dataset(inputs, labels.astype(int)), num_boost_round=rounds)
