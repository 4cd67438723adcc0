"""Encoder of the stage history, by hand or machine, hard or with probabilities: an MLP on what it says so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.brainmu.encoders.behaviour import PerceptronEncoder
from sharpwave.brainmu.encoders.contract import Kind
from sharpwave.brainmu.windows import Grid, Windows, align_stages
from sharpwave.recordings.recording import Recording

TYPES = ("W", "N1", "N2", "N3", "R", "NREM", "S", "LIGHT", "DEEP")
"""Every stage that a hypnogram of 2 to 5 stages can have."""
SPANS = (3, 5, 10, 20, 40, 120)
LAGS = (1, 2, 3, 4, 6, 8)
MEMORY = 2880
"""Steps of earlier history that are remembered where steps come one by one: a day."""


@dataclass(frozen=True)
class StageHistory(Kind):
    """The hypnogram up to each step, as one channel."""

    n_targets: int = len(TYPES)

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """Votes at each step, as far as epochs have ended by then, shape (step, 1, type)."""
        if recording.hypnogram is None:
            return None
        stages, votes, n_stages = align_stages(recording.hypnogram, grid, ended=True)
        return Windows(spread_votes(votes, n_stages)[:, None], (stages >= 0)[:, None], ("stages",))

    def relate(self, windows: Windows, past: np.ndarray | None = None) -> tuple[Windows, np.ndarray]:
        """What is known of the stages at each step, shape (step, 1, measure)."""
        before = np.zeros((0, len(TYPES)), dtype=np.float32) if past is None else past
        votes = np.concatenate([before, windows.values[:, 0]])
        values = compute_stage_history(votes)[len(before) :]
        return replace(windows, values=values[:, None]), votes[-MEMORY:]

    def build(self, width: int) -> nn.Module:
        return PerceptronEncoder(count_measures(), width)

    def summarise(self, values: Tensor) -> Tensor:
        """The votes."""
        return values[..., : len(TYPES)]


def spread_votes(votes: Float[np.ndarray, "step stage"], n_stages: int) -> Float[np.ndarray, "step type"]:
    """Votes among two to five stages as votes among all `TYPES`."""
    from sharpwave.recordings.hypnogram import STAGE_SETS

    out = np.zeros((len(votes), len(TYPES)), dtype=np.float32)
    for column, name in enumerate(STAGE_SETS[n_stages]):
        out[:, TYPES.index(name)] = votes[:, column]
    return out


def count_measures() -> int:
    """Numbers that `compute_stage_history` gives per step."""
    return compute_stage_history(np.zeros((1, len(TYPES)), np.float32)).shape[1]


def compute_stage_history(votes: Float[np.ndarray, "step type"]) -> Float[np.ndarray, "step measure"]:
    """Votes now and before, their uncertainty, how long the likeliest stage has lasted, and shares so far. Causal."""
    n_steps = len(votes)
    rows = np.arange(n_steps)
    some = votes.sum(axis=1) > 0
    last = np.maximum.accumulate(np.where(some, rows, -1))
    held = np.where((last >= 0)[:, None], votes[np.maximum(last, 0)], 0.0)
    now = np.where(last >= 0, held.argmax(axis=1), -1)
    changed = np.r_[False, now[1:] != now[:-1]] if n_steps else np.zeros(0, dtype=bool)
    onset = np.maximum.accumulate(np.where(changed, rows, 0)) if n_steps else rows
    dwell = rows - onset + 1
    before = np.where(onset > 0, now[np.maximum(onset - 1, 0)], -1)
    earlier = np.where(onset > 0, dwell[np.maximum(onset - 1, 0)], 0)
    entropy = -(held * np.log(np.maximum(held, 1e-9))).sum(axis=1)
    columns = [held, np.log(dwell)[:, None] / 3, np.log1p(earlier)[:, None] / 3, entropy[:, None]]
    columns.append(np.log1p(rows)[:, None] / 3 - 1)
    columns.append(rows[:, None] / 480 - 1)
    columns.append(np.eye(len(TYPES))[np.maximum(before, 0)] * (before >= 0)[:, None])
    columns += [_lag(held, lag) for lag in LAGS]
    columns += [_lag(entropy[:, None], lag) for lag in LAGS[:3]]
    for span in SPANS:
        columns.append(_span_mean(held, span))
        columns.append(_span_mean(changed[:, None].astype(float), span) * 2)
        columns.append(_span_mean(entropy[:, None], span))
    columns.append(np.cumsum(held, axis=0) / (rows[:, None] + 1))
    columns += [_since(held[:, kind] > 0.5)[:, None] for kind in range(len(TYPES))]
    return np.concatenate(columns, axis=1, dtype=np.float32)


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
