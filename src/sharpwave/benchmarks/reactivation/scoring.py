"""Found reactivations against planted ones: matched in time, then what was read from them and how soon."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpwave.evaluation.events import match_events, score_events
from sharpwave.recipes.difficulty import IOU


def score_reactivations(
    replays: pd.DataFrame, found: pd.DataFrame, *, duration: float, iou: float = IOU
) -> dict[str, float]:
    """All figures of one night.

    Args:
        replays: Planted: onset, duration (s), content, direction.
        found: onset, duration (s); content and direction where they were read; `known` (s) where a detector that runs
            along says when it could have spoken.
        duration: Of the night, in s.
        iou: Least intersection over union of a match.

    Returns:
        precision, recall, f1, onset_error (s, median), false_positives_per_minute; of matched events content_accuracy
        and direction_accuracy, and latency (s after the planted onset, median). NaN where undefined.
    """
    scores = score_events(replays, found, iou=iou, duration=duration)
    pairs = match_events(replays, found, iou=iou)
    planted, matched = replays.iloc[pairs[:, 0]], found.iloc[pairs[:, 1]]
    figures = {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "onset_error": scores.onset_error,
        "false_positives_per_minute": scores.false_per_minute,
    }
    for name in ("content", "direction"):
        read = len(pairs) > 0 and name in found
        same = planted[name].to_numpy() == matched[name].to_numpy() if read else np.array([np.nan])
        figures[f"{name}_accuracy"] = float(np.mean(same))
    late = matched["known"].to_numpy(float) - planted["onset"].to_numpy(float) if "known" in found else np.zeros(0)
    figures["latency"] = float(np.median(late)) if len(late) else float("nan")
    return figures
