"""Compiled filter over places; `reactivation_places` says what it computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, also where a type checker was put around it."""
    return numba.njit(inspect.unwrap(function), cache=True, nogil=True)


@compiled
def follow_path(
    gain: np.ndarray,
    total: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    path: np.ndarray,
    jump: float,
) -> np.ndarray:
    """Log ratios of the path to no place, and to any place, per frame.

    Args:
        gain: Log ratio of each place to no place, shape (frame, place).
        total: Spikes per frame.
        starts: Position at which each place's neighbours start in `columns` and `weights`.
        columns: Places that a walk comes from.
        weights: Their chances.
        path: Probability of each place before the first frame; after the last one when done.
        jump: Chance per frame that the path starts anew anywhere.
    """
    n_places = len(path)
    out = np.zeros((len(gain), 2))
    ahead = np.empty(n_places)
    for frame in range(len(gain)):
        for place in range(n_places):
            reached = 0.0
            for index in range(starts[place], starts[place + 1]):
                reached += weights[index] * path[columns[index]]
            ahead[place] = (1 - jump) * reached + jump / n_places
        if total[frame] == 0:
            path[:] = ahead
            continue
        top = gain[frame].max()
        explained, anywhere = 0.0, 0.0
        for place in range(n_places):
            likelihood = np.exp(gain[frame, place] - top)
            anywhere += likelihood / n_places
            path[place] = ahead[place] * likelihood
            explained += path[place]
        path /= explained
        out[frame, 0] = np.log(explained) + top
        out[frame, 1] = np.log(explained / anywhere)
    return out
