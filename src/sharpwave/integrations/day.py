"""A day of a language model and the night after it: what passed through the model, and what became of each task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from sharpwave.consolidation import SleepReport
from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.texts import TOKENS, count_places
from sharpwave.errors import SharpwaveError


@dataclass(frozen=True, eq=False)
class DayReport:
    """What a day of training and the night after it did.

    Attributes:
        task: What was learned in the day.
        night: The night.
        tasks: Columns `task`, `n`, `before` and `after`: what the memories of each task scored before the night and
            after it.
        divergence: Kullback–Leibler divergence, in nats an answer, from the model as it was in the morning to that
            before the night and to that after it, on a few memories of the days before; NaN where there were none.
        tokens: Tokens that passed through the model in the day and night: `new`; `replayed` beside them; `slept`, as
            many as the night's passes cost, those of its top alone by their share; `scored` forward alone, to measure
            the divergence.
        forward: What a token costs that goes forward alone, of one that goes backward too: a third, and more where much
            of the model is frozen.
    """

    task: int | str | None
    night: SleepReport
    tasks: pd.DataFrame
    divergence: tuple[float, float]
    tokens: dict[str, float]
    forward: float

    @property
    def seconds(self) -> float:
        """Seconds of the night."""
        return self.night.seconds

    @property
    def added_tokens(self) -> float:
        """What replay and the night cost beyond the new tokens, as a share of them."""
        return weigh_tokens(self.tokens, self.forward) / max(self.tokens["new"], 1)

    def __str__(self) -> str:
        name = "" if self.task is None else f" of {self.task}"
        lines = [f"day{name}, then a night: {self.night}"]
        for task in self.tasks.itertuples():
            lines.append(f"  {task.task}: {task.before:.3g} → {task.after:.3g} ({task.n} memories)")
        if not self.night.n_planned:
            lines.append("  no step was slept: what is left of the budget pays for none")
        before, after = self.divergence
        if not math.isnan(before):
            lines.append(f"  divergence from the morning's model: {before:.3g} → {after:.3g} nats an answer")
        said = ", ".join(f"{value:.0f} {name}" for name, value in self.tokens.items() if value)
        return "\n".join(
            [*lines, f"  tokens: {said}; {self.added_tokens:+.1%} of training; night {self.seconds:.2g} s"]
        )


def weigh_tokens(tokens: Mapping[str, float], forward: float) -> float:
    """Tokens of replay and nights, those that went forward alone by their share."""
    return tokens["replayed"] + tokens["slept"] + forward * tokens["scored"]


def select_items(batch: Mapping[str, Any]) -> Batch:
    """The entries of a batch that have a row for each item.

    Raises:
        SharpwaveError: If several texts were packed into one row, so that there are no items to keep.
    """
    tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor) and value.ndim}
    first = tensors.get(TOKENS, next(iter(tensors.values()), torch.zeros(0)))
    places = tensors.get("position_ids")
    if places is not None and places.ndim == 2 and bool((places[:, 1:] == 0).any()):
        raise SharpwaveError(
            "batches with a row for each text, of which memories are made",
            got="texts packed into one row (padding_free, or packing)",
            fix="train with padding_free=False and packing=False",
        )
    return {name: value for name, value in tensors.items() if len(value) == len(first)}


def count_passed(batch: Mapping[str, Any]) -> int:
    """Tokens of a batch with what pads them; items where it holds none."""
    return count_places(batch) or next(len(value) for value in batch.values() if isinstance(value, Tensor))
