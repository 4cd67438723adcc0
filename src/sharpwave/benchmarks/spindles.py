"""`sharpwave benchmark spindles`: our settings and YASA's against two experts on DREAMS, and against planted spindles.

Every excerpt is searched whole, without its hypnogram. Truth is the union of the experts' marks; a match needs an
intersection over union of 0.2. The experts differ: expert 2's spindles nearly all last 1.0 s, expert 1 marked most of
excerpt 4 in wake, excerpt 7 has one expert, excerpt 3 is at 50 Hz. What they reach against each other is in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.events import EventScores, score_events
from sharpwave.recordings import Signal, load_dataset
from sharpwave.recordings.datasets import list_subjects
from sharpwave.signals.spindles import PRESETS, SpindleSettings, detect_spindles

IOU = 0.2
GRID = [
    replace(SpindleSettings(), relative_power=share, correlation=correlation, rms=rms, duration=duration)
    for share, correlation, rms, duration in product(
        (0.1, 0.2), (0.5, 0.65), (1.5, 2.0, 2.5, 3.0), ((0.3, 2.5), (0.5, 2.0))
    )
]
SIMULATED_HOURS = 3.0
METRICS = ("f1", "precision", "recall", "false_per_minute")

TUNED_ON = ("excerpt1", "excerpt3", "excerpt4", "excerpt5", "excerpt6", "excerpt7")
"""Whom the tuned preset's thresholds were chosen on; everyone else is held out."""

METHODS = {"default": "yasa", "tuned": "sharpwave"}
"""Name of each preset in the table: YASA's own thresholds, and ours."""


@dataclass(frozen=True, eq=False)
class Excerpt:
    """One subject with what counts as true.

    Attributes:
        subject: Name.
        signal: EEG.
        experts: Marks of each expert.
        truth: Their union, or what was planted.
    """

    subject: str
    signal: Signal
    experts: tuple[pd.DataFrame, ...]
    truth: pd.DataFrame


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Score spindle detection on every DREAMS excerpt under `data` and on simulated nights.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Number of simulated nights.
        train: Not used: the tuned preset is a constant.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If `data` is given and holds no excerpt.
    """
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    excerpts = load_excerpts(data)
    if not excerpts and data is not None:
        raise SharpwaveError(
            "DREAMS excerpts with experts' spindles", got=f"none under {data}", fix="pass the folder of data sets"
        )
    known = [excerpt for excerpt in excerpts if excerpt.subject in TUNED_ON]
    unknown = [excerpt for excerpt in excerpts if excerpt.subject not in TUNED_ON]
    for setting, group in {"the preset's own subjects": known, "held out": unknown}.items():
        if not group:
            continue
        methods = {METHODS[name]: [_score(e, settings) for e in group] for name, settings in PRESETS.items()}
        if len(known) > 1 and group is known:
            methods[f"{METHODS['tuned']}, tuned on the others"] = score_left_out(known)
        for method, scores in methods.items():
            rows += to_rows("dreams", f"experts' union, {setting}", method, scores, group, rng=rng)
    if excerpts:
        rows += _compare_experts(excerpts, rng=rng)
    nights = simulate_excerpts(seeds, hours=SIMULATED_HOURS, seed=0)
    for preset, settings in PRESETS.items():
        scores = [_score(night, settings) for night in nights]
        rows += to_rows("simulated", "planted spindles", METHODS[preset], scores, nights, rng=rng)
    config = {
        "iou": IOU,
        "presets": {name: str(settings) for name, settings in PRESETS.items()},
        "grid": len(GRID),
        "tuned_on": list(TUNED_ON),
        "excerpts": [excerpt.subject for excerpt in excerpts],
        "interval": "95 %, bootstrap over subjects",
        "simulated": f"{seeds} human nights of {SIMULATED_HOURS:g} h, seed 0",
    }
    return config, rows


def load_excerpts(data: Path | None) -> list[Excerpt]:
    """Every DREAMS excerpt with expert marks; none where the data set is absent."""
    excerpts = []
    for subject in list_subjects("dreams", data, required=False):
        recording = load_dataset(f"dreams/{subject}", data)
        if len(recording.events):
            experts = tuple(marks for _, marks in recording.events.groupby("scorer"))
            signal = next(iter(recording.signals.values()))
            excerpts.append(Excerpt(subject, signal, experts, unite_events(recording.events)))
    return excerpts


def unite_events(events: pd.DataFrame) -> pd.DataFrame:
    """Overlapping events as one."""
    spans: list[list[float]] = []
    for onset, duration in events.sort_values("onset")[["onset", "duration"]].to_numpy(dtype=float):
        if spans and onset <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], onset + duration)
        else:
            spans.append([onset, onset + duration])
    table = np.array(spans).reshape(-1, 2)
    return pd.DataFrame({"onset": table[:, 0], "duration": table[:, 1] - table[:, 0]})


def simulate_excerpts(n: int, *, hours: float, seed: int) -> list[Excerpt]:
    """Simulated human nights with their planted spindles as the truth."""
    from sharpwave.simulation import simulate_night

    excerpts = []
    for index, stream in enumerate(np.random.default_rng(seed).spawn(n)):
        recording, truth = simulate_night("human", hours, rng=stream, modalities=("eeg",))
        signal = next(iter(recording.of("eeg").values()))
        excerpts.append(Excerpt(f"simulated-{index}", signal, (), truth.spindles))
    return excerpts


def score_left_out(excerpts: Sequence[Excerpt]) -> list[EventScores]:
    """Each excerpt with the settings of the grid that do best on the others."""
    scores = [[_score(excerpt, settings) for settings in GRID] for excerpt in excerpts]
    f1 = np.nan_to_num(np.array([[score.f1 for score in row] for row in scores]))
    return [row[int((f1.sum(axis=0) - f1[left_out]).argmax())] for left_out, row in enumerate(scores)]


def to_rows(
    data: str,
    setting: str,
    method: str,
    scores: Sequence[EventScores],
    excerpts: Sequence[Excerpt],
    *,
    rng: np.random.Generator,
) -> list[Row]:
    """The mean over subjects with its interval, and each subject's F1."""
    rows: list[Row] = []
    for metric in METRICS:
        values = [getattr(score, metric) for score in scores]
        rows.append(estimate_row(data, setting, method, metric, values, rng=rng))
    for score, excerpt in zip(scores, excerpts, strict=True):
        rows.append(Row(data, f"{setting}, {excerpt.subject}", method, "f1", score.f1, n=score.n_truth))
    return rows


def _score(excerpt: Excerpt, settings: SpindleSettings) -> EventScores:
    found = detect_spindles(excerpt.signal, settings=settings)
    return score_events(excerpt.truth, found, iou=IOU, duration=excerpt.signal.duration)


def _compare_experts(excerpts: Sequence[Excerpt], *, rng: np.random.Generator) -> list[Row]:
    """Expert 2 as a detector of expert 1's spindles, where there are two."""
    both = [excerpt for excerpt in excerpts if len(excerpt.experts) == 2]
    scores = [score_events(*e.experts, iou=IOU, duration=e.signal.duration) for e in both]
    return to_rows("dreams", "expert 1", "expert 2", scores, both, rng=rng) if both else []
