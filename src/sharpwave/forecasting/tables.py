"""Forecasts read off tables of counts: persistence, Markov, semi-Markov.

Each table counts directly what was seen one horizon later, so that no power of a matrix has to be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from jaxtyping import Int

from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import N_STAGES, Forecast, carry_stages, compose_forecast, join_targets

DWELL_EDGES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 40, 60, 90])
"""Time in the present stage, in epochs: lower edges of the bins of the semi-Markov table."""


class Persistence:
    """The next stage is the present one; the chance that it is not is the training nights' share, always the same."""

    def __init__(self, *, observed: bool = True) -> None:
        self.observed = observed

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        now, later = join_targets(nights, horizon)
        known = later >= 0
        self.change = float((now[known] != later[known]).mean())
        self.shares = np.bincount(later[known], minlength=N_STAGES) / known.sum()
        return self

    def predict(self, night: EpochTable) -> Forecast:
        change = np.full(len(night), self.change)
        shares = np.tile(self.shares, (len(night), 1))
        if not self.observed:
            return Forecast(change, shares)
        return compose_forecast(carry_stages(night.stages), change, shares)


class Markov:
    """The stage at the horizon depends on the present stage alone.

    Args:
        prior: Pseudo-counts shared out as the training nights' stages are.
    """

    def __init__(self, *, prior: float = 2.0) -> None:
        self.prior = prior

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        now, later = join_targets(nights, horizon)
        known = later >= 0
        shares = np.bincount(later[known], minlength=N_STAGES) / known.sum()
        counts = np.zeros((N_STAGES, N_STAGES))
        np.add.at(counts, (now[known], later[known]), 1)
        self.table = _shrink(counts, shares, self.prior)
        return self

    def predict(self, night: EpochTable) -> Forecast:
        return _look_up(self.table[carry_stages(night.stages)], night)


class SemiMarkov:
    """The stage at the horizon depends on the present stage, the time spent in it, and the stage before.

    Args:
        prior: Pseudo-counts by which a cell leans on the coarser one: (stage, time, stage before) on (stage, time), and
            that on (stage).
    """

    def __init__(self, *, prior: float = 20.0) -> None:
        self.prior = prior

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        now, later = join_targets(nights, horizon)
        states = [compute_dwell(night.stages) for night in nights]
        dwell, before = (np.concatenate(parts) for parts in zip(*states, strict=True))
        known = later >= 0
        cells = np.zeros((N_STAGES, len(DWELL_EDGES), N_STAGES + 1, N_STAGES))
        np.add.at(cells, (now[known], _bin(dwell[known]), before[known], later[known]), 1)
        shares = cells.sum(axis=(0, 1, 2)) / cells.sum()
        by_stage = _shrink(cells.sum(axis=(1, 2)), shares, 2.0)
        by_time = _shrink(cells.sum(axis=2), by_stage[:, None], self.prior)
        self.table = _shrink(cells, by_time[:, :, None], self.prior)
        return self

    def predict(self, night: EpochTable) -> Forecast:
        dwell, before = compute_dwell(night.stages)
        return _look_up(self.table[carry_stages(night.stages), _bin(dwell), before], night)


def compute_dwell(stages: Int[np.ndarray, " epoch"]) -> tuple[Int[np.ndarray, " epoch"], Int[np.ndarray, " epoch"]]:
    """Epochs spent in the present stage, this one included, and the stage before it (5 where there was none)."""
    carried = carry_stages(stages)
    first = np.r_[True, np.diff(carried) != 0] if len(carried) else np.zeros(0, dtype=bool)
    onset = np.maximum.accumulate(np.where(first, np.arange(len(carried)), 0))
    before = np.where(onset > 0, carried[np.maximum(onset - 1, 0)], N_STAGES)
    return np.arange(len(carried)) - onset + 1, before


def _bin(dwell: np.ndarray) -> np.ndarray:
    return np.searchsorted(DWELL_EDGES, dwell, side="right") - 1


def _shrink(counts: np.ndarray, towards: np.ndarray, prior: float) -> np.ndarray:
    return (counts + prior * towards) / (counts.sum(axis=-1, keepdims=True) + prior)


def _look_up(rows: np.ndarray, night: EpochTable) -> Forecast:
    now = carry_stages(night.stages)
    return Forecast(1 - rows[np.arange(len(night)), now], rows)
