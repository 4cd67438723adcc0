"""What one night did, in numbers and in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.consolidation.schedule import describe_cost, tell_cost
from sharpwave.recordings.hypnogram import Hypnogram

WAKE, NREM_STAGE, REM_STAGE = 0, 1, 2
"""Codes of a network's stages, as in a person's hypnogram of three stages."""


@dataclass(frozen=True, eq=False)
class SleepReport:
    """What one night did.

    Attributes:
        committed: Whether what was learned is kept; if not, the network is as it was before.
        reason: Why it is not kept; empty if it is.
        hypnogram: Stage of each step, `unit="step"`, from the step at which the network fell asleep.
        losses: Loss of each step, shape (step).
        n_planned: Number of steps that were planned; fewer were slept if the night was interrupted.
        score_before: Score of the probe before the night.
        score_after: Score of the network after it, whether that was kept or not.
        held_out: Whether the probe's items are never replayed.
        groups: Columns `kind` (all, y, task, group), `value`, `n`, `before`, `after`: where sleep helped and hurt.
        homeostasis: Numbers of weights that were pruned, regrown, strengthened and downscaled.
        pressure: Sleep pressure before and after, from 0 to 1, where the schedule knows it; else None.
        seconds: Duration in seconds.
        note: What a user should know of this night, such as that no weight moved; empty if nothing.
        cost: What the day and this night took: numbers of `new`, `replayed` and `slept` items that passed forward and
            backward (`scored`: forward alone), `awake_seconds` and `asleep_seconds`, and what plain training on the new
            items would have taken, `plain_seconds`, in proportion to the items, without the `kept_seconds` of storing
            them. `added_passes` is what replay and the night cost counted in passes: an item through the whole network
            forward and backward is 1, forward alone a third. `undone` counts the steps of wake that were undone.
            `tokens` and `asleep_tokens` are those of the day and of the night, for batches with `input_ids`.
        divergence: Nats per token between the network and what it said yesterday, before and after the night: on its
            own dreams, or else on the answers whose most likely tokens are stored. NaN where neither is known.

    Example:
        >>> import torch
        >>> from sharpwave.consolidation import ReplayBuffer, Sleep
        >>> sleep = Sleep(torch.nn.Linear(2, 2), ReplayBuffer(8))
        >>> loss = sleep.wake({"x": torch.eye(2), "y": torch.arange(2)})
        >>> report = sleep.night(4)
        >>> report.losses.shape, report.hypnogram.labels
        ((4,), ['NREM', 'NREM', 'NREM', 'NREM'])
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
    note: str = ""
    cost: dict[str, float] = field(default_factory=dict)
    divergence: tuple[float, float] = (math.nan, math.nan)

    @property
    def added_share(self) -> float:
        """What replay while awake and the night took beyond plain training, as a share of it; NaN without a day."""
        plain = self.cost.get("plain_seconds", 0.0)
        return (self.cost["awake_seconds"] + self.seconds - plain) / plain if plain else math.nan

    @property
    def added_passes(self) -> float:
        """The same in passes, which are the same on any machine; NaN without a day."""
        return self.cost.get("added_passes", math.nan) / (self.cost.get("new") or math.nan)

    def __str__(self) -> str:
        stages = self.hypnogram.stages
        where = "held out" if self.held_out else "not held out"
        return (
            f"{(stages == NREM_STAGE).sum()} NREM and {(stages == REM_STAGE).sum()} REM steps in {self.seconds:.2g} s; "
            f"score ({where}) {self.score_before:.3g} → {self.score_after:.3g}; "
            + ("kept" if self.committed else f"rolled back: {self.reason}")
            + (f"; {self.note}" if self.note else "")
            + tell_cost(self.cost, self.added_share)
        )

    def describe_cost(self) -> str:
        """A sentence on what replay while awake and the night cost against plain training."""
        return describe_cost(self.cost, self.added_share)


def make_hypnogram(stages: list[int], *, start: int = 0) -> Hypnogram:
    """Stages of a network, a step each."""
    return Hypnogram(np.array(stages, dtype=np.int8), 1.0, 3, float(start), scorer="schedule", unit="step")
