"""A recording cut into the stretches of which each becomes one token, on a grid in seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording

N_STAGES = 5
STEP = 30.0
"""Seconds between forecasts, and the length of a token."""


@dataclass(frozen=True)
class Grid:
    """Steps of equal length: step k covers [start + k·step, start + (k + 1)·step).

    Attributes:
        start: Of the first step, in seconds from the start of the recording.
        step: Length of a step in seconds.
        n_steps: Number of steps.
    """

    start: float
    step: float
    n_steps: int

    def __len__(self) -> int:
        return self.n_steps

    @property
    def ends(self) -> Float[np.ndarray, " step"]:
        """End of each step in seconds: the time from which all it holds is known."""
        return self.start + self.step * np.arange(1, self.n_steps + 1, dtype=np.float64)

    def restrict(self, first: int, last: int) -> Grid:
        """Steps first to last (excluded)."""
        return Grid(self.start + first * self.step, self.step, last - first)


@dataclass(frozen=True, eq=False)
class Windows:
    """One modality of one recording, step by step.

    Attributes:
        values: What its encoder takes, shape (step, channel, ...); zero where absent.
        present: Whether a channel has data in a step, shape (step, channel).
        channels: Name of each channel.
    """

    values: np.ndarray
    present: Bool[np.ndarray, "step channel"]
    channels: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.shape[:2] != self.present.shape or self.present.shape[1] != len(self.channels):
            raise SharpwaveError(
                "values (step, channel, ...), present (step, channel) and a name per channel",
                got=f"{self.values.shape}, {self.present.shape} and {len(self.channels)} names",
                fix="an encoder's `cut` must return all three with the same first two axes",
            )
        if not np.isfinite(self.values).all():
            raise SharpwaveError(
                "finite values",
                got="NaN or infinity",
                fix="set values to 0 and present to False where data are missing",
            )

    def restrict(self, first: int, last: int) -> Self:
        """Steps first to last (excluded)."""
        return replace(self, values=self.values[first:last], present=self.present[first:last])


@dataclass(frozen=True, eq=False)
class WindowedRecording:
    """A recording as the model sees it, and the labels that it is trained or judged with.

    Attributes:
        grid: When each step is.
        windows: By modality.
        stages: Stage codes on the grid among `n_stages`, -1 where unknown, shape (step,).
        votes: Probability of each of the five stages; where fewer were scored, of those in the first columns.
        n_stages: 2 to 5; see `sharpwave.recordings.hypnogram.STAGE_SETS`.
        scorable: Stages that the labelled steps can have at all: in some cohorts signals exist for some stages only.
        cohort: Where from.
        subject: Who.
    """

    grid: Grid
    windows: Mapping[str, Windows]
    stages: Int[np.ndarray, " step"]
    votes: Float[np.ndarray, "step stage"]
    n_stages: int = N_STAGES
    scorable: tuple[int, ...] | None = None
    cohort: str = ""
    subject: str = "unknown"

    def __len__(self) -> int:
        return len(self.grid)

    def restrict(self, first: int, last: int) -> Self:
        """Steps first to last (excluded)."""
        return replace(
            self,
            grid=self.grid.restrict(first, last),
            windows={name: windows.restrict(first, last) for name, windows in self.windows.items()},
            stages=self.stages[first:last],
            votes=self.votes[first:last],
        )

    def only(self, modalities: Collection[str]) -> Self:
        """The same with these modalities alone."""
        return replace(self, windows={name: self.windows[name] for name in self.windows if name in modalities})


def make_grid(recording: Recording, *, step: float = STEP) -> Grid:
    """The whole steps of a recording; those of its stages where it has nothing else.

    Raises:
        SharpwaveError: If the recording is shorter than a step.
    """
    hypnogram = recording.hypnogram
    start = hypnogram.start if hypnogram is not None and not recording.signals else 0.0
    grid = Grid(start, step, int((recording.duration - start + 1e-6) // step))
    if len(grid) == 0:
        raise SharpwaveError(
            f"a recording of at least one step of {step:g} s",
            got=f"{recording.duration:g} s",
            fix="choose a shorter step, or a longer recording",
        )
    return grid


def align_stages(hypnogram: Hypnogram | None, grid: Grid, *, ended: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
    """Stage codes (step,), votes (step, 5) and number of stages on a grid; -1 and 0 where unknown.

    A step has the stage at its middle; with `ended`, that of the last epoch which has ended with the step, if the epoch
    at its middle has not.
    """
    stages = np.full(len(grid), UNSCORED, dtype=np.int8)
    votes = np.zeros((len(grid), N_STAGES), dtype=np.float32)
    if hypnogram is None or len(hypnogram) == 0:
        return stages, votes, N_STAGES
    middles = grid.ends - grid.step / 2
    index = np.floor((middles - hypnogram.start) / hypnogram.epoch_length + 1e-9).astype(int)
    if ended:
        finished = np.floor((grid.ends - hypnogram.start) / hypnogram.epoch_length + 1e-6).astype(int) - 1
        index = np.minimum(index, finished)
    inside = (index >= 0) & (index < len(hypnogram))
    stages[inside] = np.asarray(hypnogram.stages)[index[inside]]
    known = stages >= 0
    if hypnogram.probabilities is None:
        votes[known, stages[known]] = 1.0
    else:
        rows = np.nan_to_num(np.asarray(hypnogram.probabilities)[index[known]])
        votes[known, : hypnogram.n_stages] = rows
    return stages, votes, hypnogram.n_stages
