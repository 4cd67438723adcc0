"""Encoder of the stage history, by hand or machine, hard or with probabilities: an MLP on what it says so far.

Bouts, votes, how split they are, shares of the stages, and these in combination.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpwave.brainmu.encoders.behaviour import PerceptronEncoder
from sharpwave.brainmu.encoders.contract import ModalitySpecification
from sharpwave.brainmu.epochs import N_STAGES, EpochGrid, ModalityEpochs, align_stages
from sharpwave.recordings.recording import Recording

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

    Where votes are tied, the stage chosen does not follow from them, and a tie is where a change is most likely.

    Args:
        votes: Share of the votes for each type; they come first among the measures.
        chosen: 1 for the type that was chosen, all 0 where nothing is known.
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
        columns += [_since(here[:, code])[:, None] for code in range(len(TYPES))]
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
    split = np.concatenate([entropy, _lag(entropy, 1), _lag(entropy, 2), clock], axis=1)
    for other in (votes, _lag(votes, 1), _lag(chosen, 1), lasted, split):
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


def _one_hot(types: Int[np.ndarray, " step"]) -> Float[np.ndarray, "step type"]:
    return np.eye(len(TYPES))[np.maximum(types, 0)] * (types >= 0)[:, None]


def _lag(values: np.ndarray, lag: int) -> np.ndarray:
    n_later = max(len(values) - lag, 0)
    return np.concatenate([np.zeros((len(values) - n_later, values.shape[1])), values[:n_later]])


def _span_mean(values: np.ndarray, span: int) -> np.ndarray:
    total = np.cumsum(values, axis=0)
    count = np.minimum(np.arange(len(values)) + 1, span)[:, None]
    return (total - _lag(total, span)) / count


def _since(here: np.ndarray) -> np.ndarray:
    """Log steps since a stage was last seen."""
    last = np.maximum.accumulate(np.where(here, np.arange(len(here)), -1))
    return np.where(last >= 0, np.log1p(np.arange(len(here)) - last) / 3, 2.5)


MEMORY = 1440
"""Steps of earlier history that are kept where steps come one by one: 12 hours."""


@dataclass(frozen=True)
class StageHistory(ModalitySpecification):
    """The hypnogram up to each step, as one channel."""

    n_targets: int = len(TYPES)

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """Votes and stage at each step, as far as epochs have ended by then, shape (step, 1, 2 · type)."""
        if recording.hypnogram is None:
            return None
        return measure_stages(*align_stages(recording.hypnogram, grid, ended=True))

    def normalise(self, epochs: ModalityEpochs, past: np.ndarray | None = None) -> tuple[ModalityEpochs, np.ndarray]:
        """What is known of the stages at each step, shape (step, 1, measure)."""
        before = np.zeros((0, 2 * len(TYPES)), dtype=np.float32) if past is None else past
        history = np.concatenate([before, epochs.values[:, 0]])
        if not history.any():  # nobody has scored anything yet: no measures, which would be a fifth of a step online
            nothing = np.zeros((len(epochs.values), 1, count_measures()), dtype=np.float32)
            return replace(epochs, values=nothing), history[-MEMORY:]
        values = compute_stage_history(*np.split(history, 2, axis=1))[len(before) :]
        return replace(epochs, values=values[:, None]), history[-MEMORY:]

    def build(self, width: int) -> nn.Module:
        return PerceptronEncoder(count_measures(), width)

    def summarise(self, values: Tensor) -> Tensor:
        """The votes."""
        return values[..., : len(TYPES)]


def measure_stages(
    stages: Int[np.ndarray, " step"], votes: Float[np.ndarray, "step stage"], n_stages: int
) -> ModalityEpochs:
    """Stages and votes that are already on the grid, as `StageHistory.measure` gives them."""
    chosen = np.zeros((len(stages), N_STAGES), dtype=np.float32)
    known = np.asarray(stages) >= 0
    chosen[known, stages[known]] = 1.0
    history = np.concatenate([spread_votes(votes, n_stages), spread_votes(chosen, n_stages)], axis=1)
    return ModalityEpochs(history[:, None], known[:, None], ("stages",))


def spread_votes(votes: Float[np.ndarray, "step stage"], n_stages: int) -> Float[np.ndarray, "step type"]:
    """Votes among two to five stages as votes among all `TYPES`."""
    from sharpwave.recordings.hypnogram import STAGE_SETS

    out = np.zeros((len(votes), len(TYPES)), dtype=np.float32)
    for column, name in enumerate(STAGE_SETS[n_stages]):
        out[:, TYPES.index(name)] = votes[:, column]
    return out


@lru_cache(maxsize=1)
def count_measures() -> int:
    """Numbers that `compute_stage_history` gives per step."""
    nothing = np.zeros((1, len(TYPES)), np.float32)
    return compute_stage_history(nothing, nothing).shape[1]


SPECIFICATIONS: dict[str, ModalitySpecification] = {"stages": StageHistory()}
"""The modality that this encoder serves."""
