"""What a learner sees at the end of an epoch: the history of stages, of votes, and of signals. All of it causal."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import N_STAGES, carry_stages
from sharpwave.forecasting.tables import compute_dwell

LAGS = 12
WINDOWS = (5, 10, 20, 40, 120)


def compute_history(stages: Int[np.ndarray, " epoch"]) -> Float[np.ndarray, "epoch feature"]:
    """What the stages up to each epoch say: recent stages, bouts, shares, changes, time of night."""
    now = carry_stages(stages)
    n_epochs = len(now)
    clock = np.arange(n_epochs)
    dwell, before = compute_dwell(stages)
    changed = np.r_[0.0, np.diff(now) != 0] if n_epochs else np.zeros(0)
    occupied = np.eye(N_STAGES)[now]
    columns = [now, dwell, before, clock, _before_that(now, dwell)]
    columns += [_lag(now, lag, fill=-1) for lag in range(1, LAGS + 1)]
    columns += [_window_mean(changed, window) for window in WINDOWS]
    for stage in range(N_STAGES):
        columns += [_window_mean(occupied[:, stage], window) for window in WINDOWS]
        columns += [np.cumsum(occupied[:, stage]), _since(occupied[:, stage] > 0)]
    return np.stack(columns, axis=1).astype(float)


def compute_vote_history(votes: Float[np.ndarray, "epoch stage"]) -> Float[np.ndarray, "epoch feature"]:
    """How the scorers' votes were shared out in the last epochs, and how uncertain they were."""
    votes = np.nan_to_num(votes, nan=1 / N_STAGES)
    entropy = -(votes * np.log(np.maximum(votes, 1e-9))).sum(axis=1)
    columns = [votes[:, stage] for stage in range(N_STAGES)] + [entropy]
    columns += [_lag(votes[:, stage], lag, fill=0) for stage in range(N_STAGES) for lag in (1, 2, 3)]
    columns += [_lag(entropy, lag, fill=0) for lag in (1, 2, 3)]
    columns += [_window_mean(entropy, window) for window in WINDOWS[:3]]
    return np.stack(columns, axis=1)


def compute_context(features: Float[np.ndarray, "epoch feature"]) -> Float[np.ndarray, "epoch column"]:
    """Each feature now, its recent means and changes, and the time of night."""
    columns: list[np.ndarray] = [np.arange(len(features), dtype=float)]
    for values in features.T:
        means = [_window_mean(values, window) for window in WINDOWS[:4]]
        squares = _window_mean(values**2, 10)
        columns += [values, values - _lag(values, 1, fill=0), *means, values - means[2]]
        columns.append(np.sqrt(np.maximum(squares - means[1] ** 2, 0)))
    return np.stack(columns, axis=1)


LATE = (2, 3, 4, 6, 8)
RATES = ((3, 10), (5, 20), (10, 40), (20, 120))
"""Lags, and pairs of windows whose difference says how a feature has moved of late, in epochs."""


def compute_movement(features: Float[np.ndarray, "epoch feature"]) -> Float[np.ndarray, "epoch column"]:
    """How each feature has moved of late: lags, spreads, differences of windows, time since a jump or extreme."""
    columns: list[np.ndarray] = []
    for values in features.T:
        columns += [_lag(values, lag, fill=0) for lag in (1, *LATE)]
        for window in (5, 20, 60):
            mean = _window_mean(values, window)
            columns.append(np.sqrt(np.maximum(_window_mean(values**2, window) - mean**2, 0)))
        columns += [_window_mean(values, short) - _window_mean(values, long) for short, long in RATES]
        jumped = np.abs(values - _lag(values, 1, fill=0)) > 1
        columns += [_since(here) for here in (jumped, values > 1.5, values < -1)]
    return np.stack(columns, axis=1) if columns else np.empty((len(features), 0))


def encode_sequence(night: EpochTable, *, stages: bool, signals: bool) -> Float[np.ndarray, "epoch input"]:
    """Inputs of a sequence model: one-hot stage and log dwell, and/or features; then the time of night in hours."""
    parts = [np.arange(len(night))[:, None] * night.epoch_length / 3600 / 4 - 1]
    if stages:
        dwell, _ = compute_dwell(night.stages)
        parts += [np.eye(N_STAGES)[carry_stages(night.stages)], np.log(dwell)[:, None] / 3]
    if signals:
        parts.append(night.features)
    return np.concatenate(parts, axis=1)


def _lag(values: np.ndarray, lag: int, *, fill: float) -> np.ndarray:
    kept = max(len(values) - lag, 0)
    return np.r_[np.full(len(values) - kept, fill), values[:kept]].astype(float)


def _window_mean(values: np.ndarray, window: int) -> np.ndarray:
    total = np.cumsum(values)
    count = np.minimum(np.arange(len(values)) + 1, window)
    return (total - _lag(total, window, fill=0)) / count


def _since(here: np.ndarray) -> np.ndarray:
    last = np.maximum.accumulate(np.where(here, np.arange(len(here)), -1))
    return np.where(last >= 0, np.arange(len(here)) - last, 999)


def _before_that(now: np.ndarray, dwell: np.ndarray) -> np.ndarray:
    """Length of the bout before the present one, in epochs; 0 in the first."""
    previous = np.arange(len(now)) - dwell
    return np.where(previous >= 0, dwell[np.maximum(previous, 0)], 0)
