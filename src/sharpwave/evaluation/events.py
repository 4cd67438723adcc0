"""Found events against true ones: matched one to one by intersection over union."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError


@dataclass(frozen=True)
class EventScores:
    """Scores of one comparison.

    Attributes:
        precision: Share of found events that match a true one; NaN where nothing was found.
        recall: Share of true events that were found; NaN where there are none.
        f1: Harmonic mean of both; NaN where there is nothing on either side.
        n_truth: Number of true events.
        n_found: Number of found events.
        n_matched: Number of matched pairs.
        onset_error: Median absolute difference of onsets of matched pairs, in seconds.
        false_per_minute: Found events that match nothing, per minute of `duration`; NaN where that is not given.
        iou: Least intersection over union of a match.

    >>> truth = pd.DataFrame({"onset": [1.0, 5.0], "duration": [1.0, 1.0]})
    >>> scores = score_events(truth, truth.iloc[:1])
    >>> scores.precision, scores.recall
    (1.0, 0.5)
    """

    precision: float
    recall: float
    f1: float
    n_truth: int
    n_found: int
    n_matched: int
    onset_error: float
    false_per_minute: float
    iou: float


def score_events(
    truth: pd.DataFrame, found: pd.DataFrame, *, iou: float = 0.2, duration: float | None = None
) -> EventScores:
    """Match found to true events one to one, so that as much as possible overlaps, and count.

    Args:
        truth: True events, with columns `onset` and `duration` in seconds.
        found: Found events, with the same columns.
        iou: Least intersection over union of a match, above 0 up to 1; 0.2 is usual for spindles (Warby et al. 2014).
        duration: Length of the scored recording in seconds, for false positives per minute.

    Raises:
        SharpwaveError: If `iou` is not above 0 and at most 1.

    >>> truth = pd.DataFrame({"onset": [1.0, 5.0], "duration": [1.0, 1.0]})
    >>> found = pd.DataFrame({"onset": [1.2, 8.0], "duration": [1.0, 1.0]})
    >>> scores = score_events(truth, found, duration=60)
    >>> scores.f1, round(scores.onset_error, 3), scores.false_per_minute
    (0.5, 0.2, 1.0)
    """
    if not 0 < iou <= 1:
        raise SharpwaveError("an IoU above 0 and at most 1", got=str(iou), fix="use 0.2 for spindles, 0.5 for ripples")
    pairs = match_events(truth, found, iou=iou)
    n_truth, n_found, n_matched = len(truth), len(found), len(pairs)
    onset_truth, onset_found = truth["onset"].to_numpy(float), found["onset"].to_numpy(float)
    errors = np.abs(onset_truth[pairs[:, 0]] - onset_found[pairs[:, 1]])
    return EventScores(
        precision=n_matched / n_found if n_found else float("nan"),
        recall=n_matched / n_truth if n_truth else float("nan"),
        f1=2 * n_matched / (n_truth + n_found) if n_truth + n_found else float("nan"),
        n_truth=n_truth,
        n_found=n_found,
        n_matched=n_matched,
        onset_error=float(np.median(errors)) if n_matched else float("nan"),
        false_per_minute=(n_found - n_matched) / (duration / 60) if duration else float("nan"),
        iou=iou,
    )


def match_events(truth: pd.DataFrame, found: pd.DataFrame, *, iou: float) -> np.ndarray:
    """Pairs (row of truth, row of found), each row at most once, with the greatest total overlap; shape (pair, 2)."""
    from scipy.optimize import linear_sum_assignment

    starts_t, ends_t = _bounds(truth)
    starts_f, ends_f = _bounds(found)
    if not len(starts_t) or not len(starts_f):
        return np.empty((0, 2), dtype=int)
    pairs = []
    for rows, columns in _overlapping_groups(starts_t, ends_t, starts_f, ends_f):
        inter = np.minimum.outer(ends_t[rows], ends_f[columns]) - np.maximum.outer(starts_t[rows], starts_f[columns])
        inter = np.maximum(inter, 0)
        union = np.add.outer(ends_t[rows] - starts_t[rows], ends_f[columns] - starts_f[columns]) - inter
        overlap = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
        overlap[overlap < iou] = 0
        for i, j in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[i, j] > 0:
                pairs.append((rows[i], columns[j]))
    return np.array(sorted(pairs), dtype=int).reshape(-1, 2)


def _bounds(events: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    onset = events["onset"].to_numpy(dtype=float)
    return onset, onset + events["duration"].to_numpy(dtype=float)


def _overlapping_groups(
    starts_t: np.ndarray, ends_t: np.ndarray, starts_f: np.ndarray, ends_f: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of both tables that overlap each other through a chain: each group is matched on its own."""
    starts, ends = np.r_[starts_t, starts_f], np.r_[ends_t, ends_f]
    order = np.argsort(starts, kind="stable")
    reach = np.maximum.accumulate(ends[order])
    breaks = np.flatnonzero(starts[order][1:] > reach[:-1]) + 1
    groups = []
    for members in np.split(order, breaks):
        rows, columns = members[members < len(starts_t)], members[members >= len(starts_t)] - len(starts_t)
        if rows.size and columns.size:
            groups.append((rows, columns))
    return groups
