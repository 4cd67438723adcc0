"""Encoder of the stage history, by hand or machine, hard or with probabilities: an MLP on what it says so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpwave.brainmu.encoders.behaviour import PerceptronEncoder
from sharpwave.brainmu.encoders.contract import Kind
from sharpwave.brainmu.encoders.stage_course import TYPES, compute_stage_history
from sharpwave.brainmu.windows import N_STAGES, Grid, Windows, align_stages
from sharpwave.recordings.recording import Recording

MEMORY = 1440
"""Steps of earlier history that are remembered where steps come one by one: 12 hours."""


@dataclass(frozen=True)
class StageHistory(Kind):
    """The hypnogram up to each step, as one channel."""

    n_targets: int = len(TYPES)

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """Votes and stage at each step, as far as epochs have ended by then, shape (step, 1, 2 · type)."""
        if recording.hypnogram is None:
            return None
        return measure_stages(*align_stages(recording.hypnogram, grid, ended=True))

    def relate(self, windows: Windows, past: np.ndarray | None = None) -> tuple[Windows, np.ndarray]:
        """What is known of the stages at each step, shape (step, 1, measure)."""
        before = np.zeros((0, 2 * len(TYPES)), dtype=np.float32) if past is None else past
        told = np.concatenate([before, windows.values[:, 0]])
        values = compute_stage_history(*np.split(told, 2, axis=1))[len(before) :]
        return replace(windows, values=values[:, None]), told[-MEMORY:]

    def build(self, width: int) -> nn.Module:
        return PerceptronEncoder(count_measures(), width)

    def summarise(self, values: Tensor) -> Tensor:
        """The votes."""
        return values[..., : len(TYPES)]


def measure_stages(stages: Int[np.ndarray, " step"], votes: Float[np.ndarray, "step stage"], n_stages: int) -> Windows:
    """Stages and votes that are already on the grid, as `StageHistory.measure` gives them."""
    chosen = np.zeros((len(stages), N_STAGES), dtype=np.float32)
    known = np.asarray(stages) >= 0
    chosen[known, stages[known]] = 1.0
    told = np.concatenate([spread_votes(votes, n_stages), spread_votes(chosen, n_stages)], axis=1)
    return Windows(told[:, None], known[:, None], ("stages",))


def spread_votes(votes: Float[np.ndarray, "step stage"], n_stages: int) -> Float[np.ndarray, "step type"]:
    """Votes among two to five stages as votes among all `TYPES`."""
    from sharpwave.recordings.hypnogram import STAGE_SETS

    out = np.zeros((len(votes), len(TYPES)), dtype=np.float32)
    for column, name in enumerate(STAGE_SETS[n_stages]):
        out[:, TYPES.index(name)] = votes[:, column]
    return out


def count_measures() -> int:
    """Numbers that `compute_stage_history` gives per step."""
    nothing = np.zeros((1, len(TYPES)), np.float32)
    return compute_stage_history(nothing, nothing).shape[1]
