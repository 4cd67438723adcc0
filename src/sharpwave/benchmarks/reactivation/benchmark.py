"""`sharpwave benchmark reactivation`: replays found in simulated rat nights of a declared difficulty, and false ones.

The difficulty is frozen in `recipes/difficulty.py`. A match needs an intersection over union of .5.
What is found in nights without a replay is false, whatever it looks like. The same is asked under one generative
assumption after the other in `worlds.py`, in this simulator and in one that shares no code with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.reactivation.detectors import (
    detect_by_state_space,
    detect_hand_crafted,
    detect_ripples_alone,
    find_rippled_bursts,
    read_contents,
)
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.brainmu.reactivation.reactivation_head import ShippedHead, detect_reactivations, load_reactivation_head
from sharpwave.evaluation.events import match_events, score_events
from sharpwave.recipes.difficulty import (
    DECLARED,
    IOU,
    NULLS,
    simulate_declared_night,
    simulate_null_night,
)
from sharpwave.recipes.reactivation_recipe import ship_reactivation_head
from sharpwave.recipes.replay_nights import ReactivationNight

SEED = 2026
NIGHTS_PER_SEED = 2
DECLARED_DATA, NULL_DATA = "simulated rat, declared difficulty", "simulated null"


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Score every detector on nights that none was trained or tuned on.

    Args:
        data: Not used: replays are known in simulated nights alone.
        seeds: Half the number of nights with replays; there are half as many nights of each kind without.
        train: Train the head again and score that one; about 10 minutes more.

    Returns:
        Configuration and rows.
    """
    shipped = _train() if train else load_reactivation_head()
    nights, empty, bootstrap = (np.random.default_rng(stream) for stream in np.random.SeedSequence(SEED).spawn(3))
    rows: list[Row] = []
    found = [_score(simulate_declared_night(rng=rng), shipped, rng) for rng in nights.spawn(NIGHTS_PER_SEED * seeds)]
    rows += _to_rows(DECLARED_DATA, f"IoU {IOU:g}", found, bootstrap)
    n_empty = max(seeds // 2, 1)
    for kind in NULLS:
        false = [_score(simulate_null_night(kind, rng=rng), shipped, rng) for rng in empty.spawn(n_empty)]
        rows += [row for row in _to_rows(NULL_DATA, kind, false, bootstrap) if "false_positives" in row.metric]
    config = {
        "difficulty": asdict(DECLARED),
        "iou": IOU,
        "seed": SEED,
        "nights": f"{len(found)} with replays, {n_empty} of each kind without",
        "thresholds": shipped.thresholds,
        "interval": "95 %, bootstrap over nights",
        "trained_again": train,
        "notes": [
            "All nights are simulated: docs/reactivation-detection.md says how hard they are, and what they leave out."
        ],
    }
    return config, rows


def detect_by_all(
    night: ReactivationNight, shipped: ShippedHead, *, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """What each method finds in a night."""
    recording = night.recording
    ours = detect_reactivations(recording, fields=night.fields, shipped=shipped)
    blind, _ = night.restrict_sources("lfp")
    ripples = detect_ripples_alone(recording)
    candidates = find_rippled_bursts(recording, ripples)
    return {
        "brainmu-lite": read_contents(recording, ours, night.maps),
        "brainmu-lite, LFP only": detect_reactivations(blind, shipped=shipped),
        "state-space": detect_by_state_space(recording, candidates, night.maps, rng=rng),
        "hand-crafted": detect_hand_crafted(recording, candidates, night.maps, rng=rng),
        "ripples alone": ripples,
    }


def _score(night: ReactivationNight, shipped: ShippedHead, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    return {
        method: score_reactivations(night.replays, found, duration=night.recording.duration)
        for method, found in detect_by_all(night, shipped, rng=rng).items()
    }


def _to_rows(
    data: str, setting: str, nights: Sequence[dict[str, dict[str, float]]], rng: np.random.Generator
) -> list[Row]:
    """One row per method and metric that is defined on some night."""
    rows = [
        estimate_row(data, setting, method, metric, [night[method][metric] for night in nights], rng=rng)
        for method in nights[0]
        for metric in nights[0][method]
    ]
    return [row for row in rows if row.n]


def _train() -> ShippedHead:
    with TemporaryDirectory() as folder:
        return ship_reactivation_head(folder)


def score_reactivations(
    replays: pd.DataFrame, found: pd.DataFrame, *, duration: float, iou: float = IOU
) -> dict[str, float]:
    """All figures of one night.

    Args:
        replays: Planted: onset, duration (s), content, direction.
        found: onset, duration (s); content and direction where they were read; `known` (s) where a detector that runs
            along says when it could have spoken.
        duration: Length of the night, in s.
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
