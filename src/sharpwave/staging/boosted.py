"""LightGBM on an epoch's features and their surroundings: how the learned stagers are fitted and used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave import __version__
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.signals.stage_smoothing import load_transitions, smooth_probabilities
from sharpwave.staging.weights import load_weights

EPOCH = 30.0
N_STAGES = 5


@dataclass(frozen=True)
class Recipe:
    """How one learned stager is fitted.

    Attributes:
        cohort: Data set it is trained on.
        windows: Lengths of the centred windows of `add_context`, in epochs; none where a stager has its own context.
        balance: Exponent of inverse stage frequency in the training weights: 0 none, 1 balanced.
        rounds: Number of boosting rounds.
        smoothing: Weight of each epoch's evidence against the transitions of expert hypnograms; None for no smoothing.
        n_stages: Stages that it tells apart, 5 or 3 (W, NREM, R); only five are smoothed.
    """

    cohort: str
    windows: tuple[int, ...]
    balance: float
    rounds: int
    smoothing: float | None
    n_stages: int = N_STAGES


RECIPES: dict[str, Recipe] = {
    "lightgbm-wearable": Recipe("walch", (), balance=0.3, rounds=120, smoothing=0.4),
    "lightgbm-lfp": Recipe("pd-lfp", (3, 9, 31), balance=0.5, rounds=80, smoothing=None),
    "lightgbm-heart": Recipe("slpdb-beats", (), balance=0.3, rounds=120, smoothing=None, n_stages=3),
}

_PARAMETERS: dict[str, Any] = {
    "objective": "multiclass",
    "learning_rate": 0.05,
    "num_leaves": 6,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


def fit_booster(
    tables: Sequence[pd.DataFrame],
    stages: Sequence[Int[np.ndarray, " epoch"]],
    *,
    recipe: Recipe,
    rng: np.random.Generator,
) -> Any:
    """A LightGBM booster on the scored epochs of several nights.

    Args:
        tables: Features with context, one table a night.
        stages: Stage codes of the same epochs, -1 where unscored.
        recipe: Recipe of the fit.
        rng: Seeds the subsampling.
    """
    import lightgbm

    features, codes = pd.concat(tables, ignore_index=True), np.concatenate(stages)
    keep = (codes >= 0) & features.notna().any(axis=1).to_numpy()
    counts = np.bincount(codes[keep], minlength=recipe.n_stages)
    weight = np.maximum(counts, 1.0)[codes[keep]] ** -recipe.balance
    data = lightgbm.Dataset(features[keep].to_numpy(), codes[keep], weight=weight / weight.mean())
    parameters = _PARAMETERS | {"num_class": recipe.n_stages, "seed": int(rng.integers(2**31))}
    return lightgbm.train(parameters, data, num_boost_round=recipe.rounds)


def compute_prior(
    stages: Sequence[Int[np.ndarray, " epoch"]], *, balance: float, n_stages: int = N_STAGES
) -> Float[np.ndarray, " stage"]:
    """Share of each stage as the booster saw it, after weighting."""
    codes = np.concatenate(stages)
    counts = np.bincount(codes[codes >= 0], minlength=n_stages).astype(float) ** (1 - balance)
    return counts / counts.sum()


def predict_probabilities(
    booster: Any, table: pd.DataFrame, *, recipe: Recipe, prior: Float[np.ndarray, " stage"], temperature: float
) -> Float[np.ndarray, "epoch stage"]:
    """Calibrated stage probabilities of one night; NaN where it has no features.

    Args:
        booster: From `fit_booster` or the shipped weights.
        table: Features with context.
        recipe: Recipe that the booster was fitted by.
        prior: From `compute_prior`.
        temperature: Above 1 flattens: fitted on held-out subjects.
    """
    known = table.notna().any(axis=1).to_numpy()
    probabilities = np.full((len(table), recipe.n_stages), np.nan)
    if not known.any():
        return probabilities
    probabilities[known] = booster.predict(table[known].to_numpy(), num_threads=1)
    if recipe.smoothing is not None:
        transitions = np.asarray(load_transitions()["transitions"])
        smoothed = smooth_probabilities(probabilities, transitions=transitions, prior=prior, weight=recipe.smoothing)
        probabilities[known] = smoothed[known]
    return soften(probabilities, temperature)


def soften(probabilities: Float[np.ndarray, "epoch stage"], temperature: float) -> Float[np.ndarray, "epoch stage"]:
    """Probabilities to the power 1/temperature, normalised."""
    powered = np.maximum(probabilities, 1e-6) ** (1 / temperature)
    return powered / powered.sum(axis=1, keepdims=True)


def stage_with_weights(name: str, table: pd.DataFrame) -> Hypnogram:
    """The hypnogram of one night by the shipped weights of a learned stager."""
    booster, card = load_weights(name)
    probabilities = predict_probabilities(
        booster, table, recipe=RECIPES[name], prior=np.asarray(card["prior"]), temperature=card["temperature"]
    )
    return to_hypnogram(probabilities, scorer=f"{name} (sharpwave {__version__})")


def to_hypnogram(
    probabilities: Float[np.ndarray, "epoch stage"], *, scorer: str, epoch_length: float = EPOCH
) -> Hypnogram:
    """The most probable stage of each epoch; unscored where the probabilities are NaN."""
    known = np.isfinite(probabilities).all(axis=1)
    stages = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1).astype(np.int8)
    return Hypnogram(stages, epoch_length, probabilities.shape[1], probabilities=probabilities, scorer=scorer)


def add_context(
    features: Float[np.ndarray, "epoch feature"], names: Sequence[str], *, windows: Sequence[int] = (3, 9, 21, 61)
) -> pd.DataFrame:
    """Features relative to the night, with centred means and spreads over several windows and the time of night.

    Centred windows look ahead: for staging recorded nights, never for a forecast.

    Args:
        features: One row per epoch; NaN where absent. Missing epochs stay out of their neighbours' means.
        names: Name of each column.
        windows: Lengths in epochs.

    Returns:
        One row per epoch; rows without any feature are NaN throughout.
    """
    relative = relate_to_night(pd.DataFrame(np.asarray(features, dtype=float), columns=list(names)))
    parts = [relative]
    for window in windows:
        rolling = relative.rolling(window, center=True, min_periods=1)
        parts.append(rolling.mean().add_suffix(f"_mean{window}"))
        parts.append(rolling.std().add_suffix(f"_std{window}"))
    for shift in (-2, -1, 1, 2):
        parts.append(relative.shift(shift).add_suffix(f"_shift{shift}"))
    table = pd.concat(parts, axis=1)
    table["hours"] = np.arange(len(table)) * 30.0 / 3600
    return table.mask(relative.isna().all(axis=1))


def relate_to_night(frame: pd.DataFrame) -> pd.DataFrame:
    """Centred on the night's median, in units of its 5–95 % range."""
    spread = frame.quantile(0.95) - frame.quantile(0.05)
    return (frame - frame.median()) / spread.where(spread > 0)
