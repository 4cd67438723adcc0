"""Who is trained on and who is tested, what a forecaster may see, and what it has to say.

*observed*: the stages up to and including epoch t are known (an upper bound for any live system: the expert who scored
epoch t had seen t+1). *signal-only*: no stage is known, only causal features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.recordings.hypnogram import UNSCORED

HORIZONS = (30.0, 60.0, 300.0)
"""Seconds ahead."""


def compute_steps(night: EpochTable, horizon: float) -> int:
    """Epochs in `horizon` seconds.

    Raises:
        SharpwaveError: If that is not a whole number of epochs, at least one.
    """
    steps = round(horizon / night.epoch_length)
    if steps < 1 or abs(steps * night.epoch_length - horizon) > 1e-6:
        raise SharpwaveError(
            f"a horizon of whole epochs of {night.epoch_length:g} s", got=f"{horizon:g} s", fix="use 30, 60 or 300 s"
        )
    return steps


def compute_targets(stages: Int[np.ndarray, " epoch"], steps: int) -> Int[np.ndarray, " epoch"]:
    """The stage `steps` epochs later, -1 where that or the present one is unscored or past the end."""
    later = np.full(len(stages), UNSCORED, dtype=np.int8)
    later[: max(len(stages) - steps, 0)] = stages[steps:]
    return np.where(stages >= 0, later, UNSCORED).astype(np.int8)


def hide_stages(night: EpochTable) -> EpochTable:
    """What a forecaster sees of a night in the signal-only protocol."""
    return replace(night, stages=np.full(len(night), UNSCORED, dtype=np.int8), votes=None)


def split_by_subject(
    nights: Sequence[EpochTable], *, n_folds: int, rng: np.random.Generator
) -> Iterator[tuple[list[EpochTable], list[EpochTable]]]:
    """Training and test nights, every subject in exactly one test set.

    Raises:
        SharpwaveError: If there are fewer than two subjects.
    """
    subjects = sorted({night.subject for night in nights})
    if len(subjects) < 2:
        raise SharpwaveError(
            "at least two subjects to train on some and test on others",
            got=f"{len(subjects)}",
            fix="point --data at a folder with more subjects, or use the shipped weights",
        )
    order = rng.permutation(len(subjects))
    for fold in np.array_split(order, min(n_folds, len(subjects))):
        tested = {subjects[index] for index in fold}
        yield (
            [night for night in nights if night.subject not in tested],
            [night for night in nights if night.subject in tested],
        )


def leave_one_subject_out(nights: Sequence[EpochTable]) -> Iterator[tuple[list[EpochTable], list[EpochTable]]]:
    """As `split_by_subject`, with one subject in each test set, in order."""
    n_subjects = len({night.subject for night in nights})
    return split_by_subject(nights, n_folds=n_subjects, rng=np.random.default_rng(0))


def compute_base_rate(nights: Sequence[EpochTable], horizon: float) -> float:
    """Share of epochs whose stage is another one `horizon` seconds later."""
    changed = total = 0
    for night in nights:
        later = compute_targets(night.stages, compute_steps(night, horizon))
        known = later >= 0
        changed += int((later != night.stages)[known].sum())
        total += int(known.sum())
    return changed / total if total else float("nan")
