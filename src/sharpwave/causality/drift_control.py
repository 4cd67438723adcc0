"""A control that sees slow hidden causes: do the odds that an event carries a memory drift, beyond time and stage?

Lots within ten minutes cannot see what changes more slowly. Here the odds of each night are fitted by what the
estimates adjust for: a level and the spline of the hazard regression over the time of the night, so that odds which
fall or rise smoothly are no drift, and the stage. What a cause that forgets in `FORGETS` s leaves of that fit lies on
one side of it for many minutes. The statistic sums the products of what is left in blocks of `BLOCK` s, weighted by how
far such a cause remembers, over the nights, in units of the variance that trains make of chance: carriers that follow
within `TRAIN` s are no sign of a common cause. It is held against marks drawn from the fitted odds, the fit taking its
part of each draw by one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.causality.design import compute_own_columns
from sharpwave.causality.series import NightSeries

FORGETS = 2400.0
"""Time constant (s) of the drift that is looked for and planted."""

BLOCK = 150
"""Seconds within which events are summed."""

TRAIN = 10
"""Seconds within which carriers that follow each other are a train, no sign of a common cause."""

LEAST = 0.5
"""Trains cannot make carriers more even than this share of what chance makes them."""

N_DRAWS = 399
"""Marks drawn from the fitted odds."""

RIDGE = 1e-2
"""Precision of the prior on coefficients of the fit."""

MOST_STEPS = 15


@dataclass(frozen=True, eq=False)
class _Fit:
    """Odds of one night as time and stage explain them.

    Attributes:
        expected: Chance that each event carries the content.
        weighted: Columns of the fit, each event with its variance.
        removed: Coefficients that a residual of 1 at each event moves.
        second: Second of each event, in order.
        block: Block of each event, counted from 0.
    """

    expected: Float[np.ndarray, " event"]
    weighted: Float[np.ndarray, "event column"]
    removed: Float[np.ndarray, "column event"]
    second: Int[np.ndarray, " event"]
    block: Int[np.ndarray, " event"]

    def measure(self, marks: Float[np.ndarray, "event draw"]) -> Float[np.ndarray, "part draw"]:
        """Of each column of marks: products of blocks, of events within `TRAIN` s, and of each event with itself."""
        kind = marks.dtype
        left = marks - self.expected[:, None].astype(kind)
        left = left - self.weighted.astype(kind) @ (self.removed.astype(kind) @ left)
        sums = (self.block == np.arange(self.block.max() + 1)[:, None]).astype(kind) @ left
        apart = np.abs(np.subtract.outer(np.arange(len(sums)), np.arange(len(sums))))
        kernel = np.exp(-apart * BLOCK / FORGETS).astype(kind)
        total = np.vstack([np.zeros((1, left.shape[1]), kind), np.cumsum(left, axis=0)])
        begin = np.searchsorted(self.second, self.second - TRAIN)
        end = np.searchsorted(self.second, self.second + TRAIN, side="right")
        near = left * (total[end] - total[begin])
        return np.stack([(sums * (kernel @ sums)).sum(axis=0), near.sum(axis=0), (left**2).sum(axis=0)])


def check_drift(
    nights: Sequence[NightSeries],
    carries: Sequence[Bool[np.ndarray, " event"]],
    seconds: Sequence[Int[np.ndarray, " event"]],
    *,
    rng: np.random.Generator,
    odds: float = 1.0,
    n_planted: int = 0,
) -> tuple[float, Float[np.ndarray, " draw"]]:
    """Whether the odds that events carry a memory drift beyond what the time of the night and the stage explain.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        carries: Whether each candidate event of each night carries the content.
        seconds: Second of each of these events, counted from the beginning of its night, in order.
        rng: Random generator, which draws the marks.
        odds: Log odds per standard deviation by which a planted drift decides; 1 by default.
        n_planted: Number of drifts planted to measure the power; none by default.

    Returns:
        p of the events as they are, and p of each planted drift; 1 where no night has two carriers and two others.

    >>> import pandas as pd
    >>> rng, n = np.random.default_rng(0), 7200
    >>> onsets = np.arange(60, 7000, 7)
    >>> carries = rng.random(len(onsets)) < 0.2 + 0.15 * np.sin(2 * np.pi * onsets / 1500)
    >>> night = NightSeries("a", np.arange(7200.0), np.ones(n, int), 2, rng.normal(size=n), None, None,
    ...     pd.DataFrame({"onset": onsets[carries] + 0.0, "content": "maze"}), np.ones(n, bool))
    >>> check_drift([night], [carries], [onsets], rng=rng)[0] < 0.01
    True
    """
    parts = np.zeros((3, 1 + n_planted + N_DRAWS))
    for series, mine, second in zip(nights, carries, seconds, strict=True):
        if not 2 <= mine.sum() <= len(mine) - 2:
            continue
        fit = _fit(series, mine, second)
        chance = rng.random((len(mine), N_DRAWS), dtype=np.float32) < fit.expected[:, None]
        planted = _plant(fit, int(mine.sum()), odds, rng, n_planted)
        parts += fit.measure(np.column_stack([mine, planted, chance]).astype(np.float32))
    trains = np.maximum(parts[1] / np.maximum(parts[2], 1e-9), LEAST)
    form = parts[0] / trains
    drawn = np.sort(form[1 + n_planted :])
    above = N_DRAWS - np.searchsorted(drawn, form[: 1 + n_planted] - 1e-9, side="left")
    p = (1 + above) / (1 + N_DRAWS)
    return float(p[0]), p[1:]


def _fit(series: NightSeries, carries: Bool[np.ndarray, " event"], second: Int[np.ndarray, " event"]) -> _Fit:
    """A logistic regression of the marks on the time of the night and the stage."""
    stage = series.stage[second]
    own = compute_own_columns(series, second)
    spread = own.std(axis=0)
    own = np.column_stack([np.ones(len(own)), own[:, spread > 1e-6] / spread[spread > 1e-6]])
    design = np.column_stack([own, *((stage == code).astype(float) for code in np.unique(stage)[1:])])
    prior = RIDGE * np.eye(design.shape[1])
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(carries.mean() / (1 - carries.mean()))
    for _ in range(MOST_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        weighted = design * (expected * (1 - expected))[:, None]
        step = np.linalg.solve(design.T @ weighted + prior, design.T @ (carries - expected) - prior @ beta)
        beta = beta + step * min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-5:
            break
    removed = np.linalg.solve(design.T @ weighted + prior, design.T)
    block = second // BLOCK
    return _Fit(expected, weighted, removed, second, block - block.min())


def _plant(fit: _Fit, n: int, odds: float, rng: np.random.Generator, n_planted: int) -> Bool[np.ndarray, "event draw"]:
    """As many carriers, decided by time, stage, chance and a hidden drift."""
    from scipy.signal import lfilter

    keep = np.exp(-BLOCK / FORGETS)
    noise = rng.standard_normal((int(fit.block.max()) + 1, n_planted)) * np.sqrt(1 - keep**2)
    noise[0] /= np.sqrt(1 - keep**2)
    drift = lfilter([1.0], [1.0, -keep], noise, axis=0)[fit.block]
    level = np.log(fit.expected / (1 - fit.expected))[:, None]
    keys = level + odds * drift + rng.gumbel(size=drift.shape)
    return np.argsort(np.argsort(-keys, axis=0), axis=0) < n
