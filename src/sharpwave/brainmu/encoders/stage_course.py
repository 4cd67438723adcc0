"""What a hypnogram up to each step says about its course: bouts, votes, doubt, shares, and these in combination."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sharpwave.brainmu.windows import N_STAGES

TYPES = ("W", "N1", "N2", "N3", "R", "NREM", "S", "LIGHT", "DEEP")
"""Every stage that a hypnogram of 2 to 5 stages can have; the five come first."""
SPANS = (3, 5, 10, 20, 40, 120)
LAGS = (1, 2, 3, 4, 6, 5, 8, 10, 12)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Thresholds between the votes that five scorers can give."""
LASTED = (1, 2, 3, 4, 6, 8, 12, 16, 24, 40, 60)
"""Thresholds in steps on how long a bout has lasted."""


def compute_stage_history(
    votes: Float[np.ndarray, "step type"], chosen: Float[np.ndarray, "step type"]
) -> Float[np.ndarray, "step measure"]:
    """Votes and stage now and before, how split the votes are, how long stages last, and shares so far. Causal.

    Where votes are tied, the stage chosen is not told by them, and a tie is where a change is most likely.

    Args:
        votes: Share of the votes for each type; they come first among the measures.
        chosen: 1 for the type that was settled on, all 0 where nothing is known.
    """
    rows = np.arange(len(votes))
    last = np.maximum.accumulate(np.where(chosen.any(axis=1), rows, -1))
    some = (last >= 0)[:, None]
    votes, chosen = (np.where(some, values[np.maximum(last, 0)], 0.0) for values in (votes, chosen))
    bouts = _Bouts.of(np.where(last >= 0, chosen.argmax(axis=1), -1))
    entropy = -(votes * np.log(np.maximum(votes, 1e-9))).sum(axis=1, keepdims=True)
    moved = np.abs(votes - _lag(votes, 1)).sum(axis=1, keepdims=True) / 2
    most = np.sort(votes, axis=1)[:, :-3:-1]
    columns = [votes, chosen, entropy, (votes * chosen).sum(axis=1, keepdims=True), most, moved]
    columns += [*bouts.describe(), chosen * bouts.length[:, None] / 3]
    columns += [np.log1p(rows)[:, None] / 3 - 1, rows[:, None] / 480 - 1]
    columns += [_lag(chosen, lag) for lag in LAGS] + [_lag(votes, lag) for lag in LAGS[:5]]
    columns += [_lag(entropy, lag) for lag in LAGS[:4]] + [_lag(moved, lag) for lag in LAGS[:2]]
    columns += [votes - _lag(votes, 1), votes - _span_mean(votes, SPANS[0])]
    for span in SPANS:
        columns += [_span_mean(votes, span), _span_mean(bouts.changed, span) * 2]
        columns += [_span_mean(entropy, span), _span_mean(moved, span) * 2]
    columns += [_span_mean(chosen, span) for span in (5, 20, 80)]
    so_far = np.cumsum(votes, axis=0)
    columns += [so_far / (rows[:, None] + 1), so_far / 240]
    for here in (chosen > 0, votes > 0):
        columns += [_since(here[:, kind])[:, None] for kind in range(len(TYPES))]
    columns += _cross(chosen[:, :N_STAGES], votes[:, :N_STAGES], bouts.dwell, entropy)
    return np.concatenate(columns, axis=1, dtype=np.float32)


def _cross(
    chosen: Float[np.ndarray, "step stage"],
    votes: Float[np.ndarray, "step stage"],
    dwell: Int[np.ndarray, " step"],
    entropy: Float[np.ndarray, "step one"],
) -> list[np.ndarray]:
    """Votes and dwell by thresholds, and what each of them means in each of the five stages."""
    lasted = (dwell[:, None] > np.array(LASTED)).astype(float)
    columns = [lasted, *((_lag(votes, lag) > share) * 1.0 for lag in (0, 1, 2) for share in SHARES)]
    clock = np.arange(len(votes))[:, None] / 480
    doubt = np.concatenate([entropy, _lag(entropy, 1), _lag(entropy, 2), clock], axis=1)
    for other in (votes, _lag(votes, 1), _lag(chosen, 1), lasted, doubt):
        columns.append((chosen[:, :, None] * other[:, None]).reshape(len(chosen), chosen.shape[1] * other.shape[1]))
    return columns


@dataclass(frozen=True, eq=False)
class _Bouts:
    """Runs of one stage: at each step the log of how long this one has lasted, and what came before it."""

    changed: Float[np.ndarray, "step one"]
    dwell: Int[np.ndarray, " step"]
    earlier: Int[np.ndarray, " step"]
    before: Float[np.ndarray, "step type"]
    before_that: Float[np.ndarray, "step type"]

    @classmethod
    def of(cls, now: Int[np.ndarray, " step"]) -> _Bouts:
        rows = np.arange(len(now))
        changed = np.zeros(len(now), dtype=bool)
        changed[1:] = now[1:] != now[:-1]
        onset = np.maximum.accumulate(np.where(changed, rows, 0)) if len(now) else rows
        dwell = rows - onset + 1
        earlier = np.where(onset > 0, dwell[np.maximum(onset - 1, 0)], 0)
        first = onset - earlier
        return cls(
            changed=changed[:, None].astype(float),
            dwell=dwell,
            earlier=earlier,
            before=_one_hot(np.where(onset > 0, now[np.maximum(onset - 1, 0)], -1)),
            before_that=_one_hot(np.where((onset > 0) & (first > 0), now[np.maximum(first - 1, 0)], -1)),
        )

    @property
    def length(self) -> Float[np.ndarray, " step"]:
        return np.log(self.dwell)

    def describe(self) -> list[np.ndarray]:
        """Columns of shape (step, ...)."""
        measures = [self.length / 3, 1 / self.dwell, np.minimum(self.dwell / 40, 2), np.log1p(self.earlier) / 3]
        measures += [self.dwell == steps for steps in (1, 2, 3)]
        return [np.stack(measures, axis=1), self.before, self.before_that]


def _one_hot(kinds: Int[np.ndarray, " step"]) -> Float[np.ndarray, "step type"]:
    return np.eye(len(TYPES))[np.maximum(kinds, 0)] * (kinds >= 0)[:, None]


def _lag(values: np.ndarray, lag: int) -> np.ndarray:
    kept = max(len(values) - lag, 0)
    return np.concatenate([np.zeros((len(values) - kept, values.shape[1])), values[:kept]])


def _span_mean(values: np.ndarray, span: int) -> np.ndarray:
    total = np.cumsum(values, axis=0)
    count = np.minimum(np.arange(len(values)) + 1, span)[:, None]
    return (total - _lag(total, span)) / count


def _since(here: np.ndarray) -> np.ndarray:
    """Log steps since a stage was last seen."""
    last = np.maximum.accumulate(np.where(here, np.arange(len(here)), -1))
    return np.where(last >= 0, np.log1p(np.arange(len(here)) - last) / 3, 2.5)
