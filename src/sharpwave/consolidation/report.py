"""What a night did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.hypnogram import Hypnogram

WAKE, NREM_STAGE, REM_STAGE = 0, 1, 2
"""Codes of a network's stages, as in a person's hypnogram of three stages."""


@dataclass(frozen=True, eq=False)
class SleepReport:
    """One night.

    Attributes:
        committed: Whether what was learned is kept; if not, the network is as it was before.
        reason: Why not; empty if it is.
        hypnogram: Stage per step, `unit="step"`, from the step at which the network fell asleep.
        losses: Of each step, shape (step).
        n_planned: Steps that were planned; fewer were slept if the night was interrupted.
        score_before: Of the probe.
        score_after: The same, of the network that was kept or not.
        held_out: Whether the probe's items are never replayed.
        groups: Columns `kind` (all, y, task, group), `value`, `n`, `before`, `after`: where sleep helped and hurt.
        homeostasis: Weights that were pruned, regrown, strengthened and scaled.
        pressure: Sleep pressure before and after, where the schedule knows it.
        seconds: Wall time.
    """

    committed: bool
    reason: str
    hypnogram: Hypnogram
    losses: Float[np.ndarray, " step"]
    n_planned: int
    score_before: float
    score_after: float
    held_out: bool
    groups: pd.DataFrame
    homeostasis: dict[str, int]
    pressure: tuple[float, float] | None
    seconds: float

    def __str__(self) -> str:
        stages = self.hypnogram.stages
        where = "held out" if self.held_out else "not held out"
        return (
            f"{(stages == NREM_STAGE).sum()} NREM and {(stages == REM_STAGE).sum()} REM steps in {self.seconds:.2g} s; "
            f"score ({where}) {self.score_before:.3g} → {self.score_after:.3g}; "
            + ("kept" if self.committed else f"rolled back: {self.reason}")
        )


def make_hypnogram(stages: list[int], *, start: int = 0) -> Hypnogram:
    """Stages of a network, a step each."""
    return Hypnogram(np.array(stages, dtype=np.int8), 1.0, 3, float(start), scorer="schedule", unit="step")
