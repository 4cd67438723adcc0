"""LightGBM on causal features: one model for whether the stage changes, one for where to if it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from sharpwave.forecasting.inputs import compute_context, compute_history, compute_movement, compute_vote_history
from sharpwave.forecasting.protocols import compute_steps, compute_targets

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


SMALL = {
    "learning_rate": 0.05,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.3,
    "lambda_l2": 10.0,
    "bagging_fraction": 0.6,
}


@dataclass(frozen=True)
class EnsembleSize:
    """How large the trees of a `SignalEnsemble` are: what a cohort can teach depends on its number of people.

    Attributes:
        leaves: Leaves of a tree.
        rounds: Trees of a training.
        members: Trainings that differ in their seed.
        softness: Spread of the softened targets, in epochs; 0 for a change that counts for its own epoch alone.
    """

    leaves: int = 6
    rounds: int = 80
    members: int = 5
    softness: float = 1.0


FEW_PEOPLE, MANY_PEOPLE = EnsembleSize(), EnsembleSize(leaves=15, rounds=100, members=2, softness=0.0)
"""For some twenty people or fewer, and for more than that (chosen on 39 people of Sleep-EDF: docs/tried.md)."""


class SignalEnsemble:
    """Many small boosted trees on signals alone, where no stage is known.

    An expert's change is rarely seen in the very epoch, so in training each change counts for its neighbours too
    (a Gaussian of one epoch). The mean is over trainings with and without the features of how signals moved of late.

    Args:
        size: Size of the trees, and whether changes count for their neighbours.
    """

    def __init__(self, size: EnsembleSize = FEW_PEOPLE) -> None:
        self.size = size

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        _, later = join_targets(nights, horizon)
        known = later >= 0
        target = np.concatenate([_soften_changes(night, horizon, self.size.softness) for night in nights])
        tables = [np.concatenate(parts) for parts in zip(*(self.encode(night) for night in nights), strict=True)]
        seeds = rng.integers(2**31 - 1, size=(len(tables), self.size.members))
        self.members = [
            [_boost(table[known], target[known], self.size, seed=int(seed)) for seed in row]
            for table, row in zip(tables, seeds, strict=True)
        ]
        self.destination = _train(
            tables[0][known],
            later[known],
            DESTINATION,
            DESTINATION_ROUNDS,
            seed=int(seeds[0, 0]),
            objective="multiclass",
        )
        return self

    def predict(self, night: EpochTable) -> Forecast:
        tables = self.encode(night)
        said = [
            member.predict(table, num_threads=1)
            for table, row in zip(tables, self.members, strict=True)
            for member in row
        ]
        return Forecast(np.mean(said, axis=0), np.asarray(self.destination.predict(tables[0], num_threads=1)))

    def encode(self, night: EpochTable) -> tuple[Float[np.ndarray, "epoch input"], Float[np.ndarray, "epoch more"]]:
        """The inputs of each epoch, without and with how the features moved of late."""
        context = compute_context(night.features)
        return context, np.concatenate([context, compute_movement(night.features)], axis=1)


def _soften_changes(night: EpochTable, horizon: float, softness: float) -> Float[np.ndarray, " epoch"]:
    """Share of changes near each epoch, between 0 and 1."""
    from scipy.ndimage import gaussian_filter1d

    later = compute_targets(night.stages, compute_steps(night, horizon))
    known = (later >= 0).astype(float)
    changed = (later >= 0) & (later != night.stages)
    if not softness:
        return changed.astype(float)
    weight = gaussian_filter1d(known, softness)
    return np.clip(gaussian_filter1d(changed.astype(float), softness) / np.maximum(weight, 1e-6), 0, 1)


def _boost(inputs: np.ndarray, target: np.ndarray, size: EnsembleSize, *, seed: int) -> Any:
    import lightgbm

    parameters = {**COMMON, **SMALL, "num_leaves": size.leaves, "objective": "cross_entropy", "seed": seed}
    return lightgbm.train(parameters, lightgbm.Dataset(inputs, target), num_boost_round=size.rounds)


def _train(inputs: np.ndarray, labels: np.ndarray, options: dict, rounds: int, *, seed: int, objective: str) -> Any:
    import lightgbm

    parameters = {**COMMON, **options, "objective": objective, "bagging_fraction": 0.7, "seed": seed}
    if objective == "multiclass":
        parameters["num_class"] = N_STAGES
    return lightgbm.train(parameters, lightgbm.Dataset(inputs, labels.astype(int)), num_boost_round=rounds)
