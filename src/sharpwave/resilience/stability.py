"""Stability: how low did the accuracy of old tasks fall, at any iteration, while new ones were learned?

Averages at the ends of tasks hide the fall and return that happens in between (De Lange, van de Ven & Tuytelaars 2023,
"Continual evaluation for lifelong learning: identifying the stability gap", ICLR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError


@dataclass(frozen=True)
class Stability:
    """How well old tasks were kept.

    Attributes:
        minimum: Lowest accuracy of each old task after it was learned, averaged over old tasks (min-ACC).
        worst_case: Accuracy of the newest task and `minimum`, weighted by the number of tasks (WC-ACC).
        windowed_fall: Largest fall within a window of evaluations, averaged over old tasks (WF).
        forgetting: Best accuracy so far minus the last, averaged over old tasks.
        final: Accuracy at the end, averaged over all tasks.
        n_tasks: Number of tasks.
    """

    minimum: float
    worst_case: float
    windowed_fall: float
    forgetting: float
    final: float
    n_tasks: int


def compute_stability(
    accuracy: Float[np.ndarray, "evaluation task"], *, learned: Sequence[int], window: int = 10
) -> Stability:
    """Minimum, worst-case and windowed accuracy of old tasks during training.

    With `A(i, n)` the accuracy of task `i` at evaluation `n`, and `t_i` the evaluation that ended its training:
    min-ACC = mean over old tasks of `min_{n > t_i} A(i, n)`; WC-ACC = `A(k, t_k) / k + (1 - 1/k) min-ACC`;
    WF = mean over old tasks of `max_{n ≤ m < n + window} A(i, n) - A(i, m)`.

    Args:
        accuracy: Accuracy of each task at each evaluation, 0 to 1; NaN before a task was evaluated.
        learned: Row at which the training of each task ended, rising.
        window: Evaluations within which a fall counts as one.

    Returns:
        The measures; those of old tasks are NaN where there is one task only.

    Raises:
        SharpwaveError: If the rows of `learned` do not fit the table.

    >>> accuracy = np.array([[0.9, np.nan], [0.4, 0.8], [0.7, 0.9]])  # two tasks, three evaluations
    >>> found = compute_stability(accuracy, learned=[0, 2])
    >>> found.minimum, round(found.forgetting, 2), found.final
    (0.4, 0.2, 0.8)
    """
    accuracy = np.asarray(accuracy, dtype=float)
    ends = np.asarray(learned, dtype=int)
    n_tasks = accuracy.shape[1] if accuracy.ndim == 2 else 0
    if (
        not n_tasks
        or ends.shape != (n_tasks,)
        or np.any(np.diff(ends) <= 0)
        or ends[0] < 0
        or ends[-1] >= len(accuracy)
    ):
        raise SharpwaveError(
            "a table (evaluation, task) and one rising row per task at which its training ended",
            got=f"a table of shape {accuracy.shape} and learned={ends.tolist()}",
            fix="give accuracy[n, i] of task i at evaluation n, and the row at which its training ended",
        )
    last = accuracy[-1]
    kept = [accuracy[end:, task] for task, end in enumerate(ends[:-1])]
    minimum = _mean([float(np.nanmin(scores[1:])) for scores in kept if len(scores) > 1])
    newest = float(accuracy[ends[-1], -1])
    worst = newest if n_tasks == 1 else newest / n_tasks + (1 - 1 / n_tasks) * minimum
    return Stability(
        minimum=minimum,
        worst_case=worst,
        windowed_fall=_mean([compute_largest_fall(scores, window=window) for scores in kept]),
        forgetting=_mean([float(np.nanmax(scores) - scores[-1]) for scores in kept]),
        final=float(np.nanmean(last)),
        n_tasks=n_tasks,
    )


def compute_largest_fall(scores: Float[np.ndarray, " evaluation"], *, window: int) -> float:
    """The largest fall from one evaluation to another at most `window - 1` later; 0 where nothing falls.

    >>> compute_largest_fall(np.array([0.9, 0.7, 0.8, 0.2]), window=2)
    0.6...
    """
    scores = np.asarray(scores, dtype=float)
    falls = [scores[:-lag] - scores[lag:] for lag in range(1, min(window, len(scores)))]
    return max([0.0, *[float(np.nanmax(fall)) for fall in falls]])


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
