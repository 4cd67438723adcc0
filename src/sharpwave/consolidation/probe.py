"""Was the night good? Scores before and after, per class, task and group, on items that sleep did not replay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, count_items, flatten, move, nest
from sharpwave.consolidation.body import Body
from sharpwave.consolidation.distributed import average
from sharpwave.consolidation.modes import evaluating

KINDS = ("y", "task", "group")
"""Entries by which a probe is split."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What decides whether a night is kept.

    Attributes:
        held_out: A batch of items that are never replayed, or a function from the network to a score (higher is
            better). Where omitted: the buffer's held-out items, else (not held out, and the report says so) at most
            `n_items` of those it replays.
        tolerance: Fall of the score that is put up with.
        group_tolerance: The same for the worst group; None does not look at groups.
        n_items: Most items taken from the buffer.
    """

    held_out: Mapping[str, Any] | Callable[[nn.Module], float] | None = None
    tolerance: float = 0.02
    group_tolerance: float | None = None
    n_items: int = 512


@dataclass(frozen=True, eq=False)
class Scores:
    """A network at one moment.

    Attributes:
        score: Mean over classes of what their items score (accuracy; minus loss without classes); NaN if unknown.
        groups: Columns `kind` (y, task, group), `value`, `n`, `score`.
        is_held_out: Whether sleep never replays these items.
    """

    score: float
    groups: pd.DataFrame
    is_held_out: bool


@torch.no_grad()
def measure_scores(body: Body, probe: Probe) -> Scores:
    """Score a network, in evaluation mode, which is put back."""
    with evaluating(body.model):
        score = probe.held_out(body.model) if callable(probe.held_out) else math.nan
        items, is_held_out = _find_items(body, probe)
        groups = _score_groups(body, items) if items else pd.DataFrame(columns=["kind", "value", "n", "score"])
    if not callable(probe.held_out) and len(groups):
        best = "y" if (groups["kind"] == "y").any() else "all"
        score = float(groups.loc[groups["kind"] == best, "score"].mean())
    (score,) = average([float(score)], body.device)
    return Scores(score, groups, is_held_out or callable(probe.held_out))


def _find_items(body: Body, probe: Probe) -> tuple[Batch, bool]:
    if isinstance(probe.held_out, Mapping):
        return dict(probe.held_out), True
    buffer = body.buffer
    if buffer is None or not len(buffer):
        return {}, False
    if buffer.n_held_out:
        return buffer.read_held_out(), True
    return buffer.read(torch.arange(min(len(buffer), probe.n_items))), False


def _score_groups(body: Body, items: Batch, size: int = 256) -> pd.DataFrame:
    entries, n_items = dict(flatten(items)), count_items(items)
    scores = []
    for first in range(0, n_items, size):
        batch = move(nest({path: value[first : first + size] for path, value in entries.items()}), body.device)
        scores.append(body.objective.score(body.forward(batch).float(), batch).cpu())
    each = torch.cat(scores).numpy()
    rows = [{"kind": "all", "value": 0, "n": n_items, "score": float(each.mean())}]
    for kind in KINDS:
        values = entries.get(kind)
        if isinstance(values, Tensor) and values.ndim == 1 and not values.is_floating_point():
            codes = values.cpu().numpy()
            for value in np.unique(codes):
                own = each[codes == value]
                rows.append({"kind": kind, "value": int(value), "n": own.size, "score": float(own.mean())})
    return pd.DataFrame(rows)


def judge(before: Scores, after: Scores, probe: Probe) -> str:
    """Why a night is not kept; empty if it is."""
    if math.isfinite(before.score):
        if not math.isfinite(after.score):
            return "the score is not finite"
        if after.score < before.score - probe.tolerance:
            return f"the score fell from {before.score:.3g} to {after.score:.3g}"
    if probe.group_tolerance is not None:
        table = compare_groups(before, after)
        table = table[(table["kind"] == "group") & (table["after"] < table["before"] - probe.group_tolerance)]
        for value, old, new in zip(table["value"], table["before"], table["after"], strict=True):
            return f"group {value} fell from {old:.3g} to {new:.3g}"
    return ""


def compare_groups(before: Scores, after: Scores) -> pd.DataFrame:
    """Columns `kind`, `value`, `n`, `before`, `after`."""
    if not len(before.groups) or not len(after.groups):
        return pd.DataFrame(columns=["kind", "value", "n", "before", "after"])
    left, right = before.groups.rename(columns={"score": "before"}), after.groups.rename(columns={"score": "after"})
    return left.merge(right.drop(columns="n"), on=["kind", "value"])
