"""How the judge of paths is trained and its threshold chosen: on simulated nights in which everything is drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from sharpwave.brainmu.reactivation.reactivation_head import (
    ReactivationHead,
    compute_reactivation_probability,
    keep_apart,
    propose_bursts,
)
from sharpwave.brainmu.reactivation.reactivation_paths import PATHS, PathJudge, judge_paths, measure_paths
from sharpwave.evaluation.events import score_events
from sharpwave.recipes.difficulty import IOU
from sharpwave.recipes.replay_nights import ReactivationNight

PATH_OF = {
    "replay": "moves", "stationary": "stays", "jumping": "jumps", "shuffled": "jumps", "remapped": "jumps",
    "assembly": "none", "ripple": "none",
}  # fmt: skip
"""What a judge is to say of each kind of burst."""
NOT_USED = -1
BATCH = 512
LEAST_PRECISION, MOST_FALSE = 0.93, 0.15
"""What a threshold is to keep in each assumption: precision, and false events a minute where nothing is replayed."""
HIGHEST = 0.7
"""Largest threshold that is chosen: beyond it more replays are lost than false events."""


@dataclass(frozen=True, eq=False)
class JudgedNight:
    """Spans of one night that may be bursts.

    Attributes:
        spans: onset, duration (s), kind of what they overlap most ("" where nothing), and iou with it.
        measures: Measures of each span.
        replays: Planted replays: onset, duration.
        duration: Seconds that were searched.
    """

    spans: pd.DataFrame
    measures: Float[np.ndarray, "span measure"]
    replays: pd.DataFrame
    duration: float


def judge_night(head: ReactivationHead, night: ReactivationNight, *, rng: np.random.Generator) -> JudgedNight:
    """The spans of a night after its laps, what they overlap, and their measures.

    Args:
        head: Head that proposes them.
        night: Simulated night.
        rng: Random generator of the exchanges of cells.
    """
    recording, laps = night.recording, night.recording.events
    spans = propose_bursts(compute_reactivation_probability(head, recording, fields=night.fields))
    start = float((laps["onset"] + laps["duration"]).max()) if len(laps) else 0.0
    start = start if start < recording.duration - 1 else 0.0
    spans = spans[spans["onset"] > start].reset_index(drop=True)
    truth = pd.concat([night.replays, night.others]).reset_index(drop=True)
    measures = measure_paths(recording.spikes, spans, night.fields, rng=rng)
    return JudgedNight(name_spans(spans, truth), measures, night.replays, recording.duration - start)


def name_spans(spans: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The spans with the kind of the true event that each overlaps most, and by how much.

    >>> truth = pd.DataFrame({"onset": [1.0], "duration": [0.1], "kind": ["replay"]})
    >>> name_spans(pd.DataFrame({"onset": [1.0, 3.0], "duration": [0.05, 0.1]}), truth)[["kind", "iou"]].values.tolist()
    [['replay', 0.5], ['', 0.0]]
    """
    if not len(truth) or not len(spans):
        return spans.assign(kind="", iou=0.0)
    low = spans["onset"].to_numpy(float)[:, None]
    high = low + spans["duration"].to_numpy(float)[:, None]
    first = truth["onset"].to_numpy(float)
    last = first + truth["duration"].to_numpy(float)
    shared = np.maximum(np.minimum(high, last) - np.maximum(low, first), 0.0)
    iou = np.round(shared / (np.maximum(high, last) - np.minimum(low, first)), 9)
    best, rows = iou.argmax(axis=1), np.arange(len(spans))
    kind = np.where(iou[rows, best] > 0, truth["kind"].to_numpy(object)[best], "")
    return spans.assign(kind=kind, iou=iou[rows, best])


def name_targets(spans: pd.DataFrame) -> Int[np.ndarray, " span"]:
    """Index in `PATHS` of each span; `NOT_USED` where it holds part of a replay and would not be a match."""
    path = np.array([PATHS.index(PATH_OF.get(kind, "none")) for kind in spans["kind"]], dtype=int)
    part = (spans["kind"] == "replay").to_numpy() & (spans["iou"] < IOU).to_numpy()
    return np.where(part, NOT_USED, path)


def train_path_judge(nights: Sequence[JudgedNight], *, steps: int = 4000, generator: torch.Generator) -> PathJudge:
    """Learn what each span does, all nights alike.

    Args:
        nights: Nights to learn from.
        steps: Batches of `BATCH` spans.
        generator: Random generator of weights and batches.
    """
    torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=generator)))
    target = np.concatenate([name_targets(night.spans) for night in nights])
    weight = np.concatenate([np.full(len(night.spans), 1 / max(len(night.spans), 1)) for night in nights])
    used = target != NOT_USED
    measures = torch.from_numpy(np.concatenate([night.measures for night in nights])[used].astype(np.float32))
    wanted, draw = torch.from_numpy(target[used]), torch.from_numpy(weight[used])
    judge = PathJudge()
    judge.middle.copy_(measures.median(dim=0).values)
    judge.spread.copy_((measures.quantile(0.84, dim=0) - measures.quantile(0.16, dim=0)).clamp(min=0.1) / 2)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.multinomial(draw, BATCH, replacement=True, generator=generator)
        loss = torch.nn.functional.cross_entropy(judge(measures[rows]), wanted[rows], label_smoothing=0.01)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return judge.eval()


def find_moving(judge: PathJudge, night: JudgedNight, *, threshold: float) -> pd.DataFrame:
    """Spans that move with at least such a probability, none of which overlap."""
    chance = judge_paths(judge, night.measures)[:, PATHS.index("moves")]
    spans = night.spans[["onset", "duration"]].assign(probability=chance)
    return keep_apart(spans[chance >= threshold].reset_index(drop=True))


def choose_path_threshold(judge: PathJudge, assumptions: Sequence[Sequence[JudgedNight]]) -> float:
    """The least threshold that keeps `LEAST_PRECISION` and `MOST_FALSE` in the worst assumption, `HIGHEST` at most.

    Args:
        judge: Trained judge.
        assumptions: Nights by assumption, on which it was not trained; those without replays count false events.
    """
    thresholds = np.round(np.arange(0.3, HIGHEST + 0.001, 0.025), 3)
    for threshold in thresholds:
        if all(_keeps(judge, nights, float(threshold)) for nights in assumptions):
            return float(threshold)
    return float(thresholds[-1])


def _keeps(judge: PathJudge, nights: Sequence[JudgedNight], threshold: float) -> bool:
    scores = [
        score_events(night.replays, find_moving(judge, night, threshold=threshold), iou=IOU, duration=night.duration)
        for night in nights
    ]
    found, matched = sum(s.n_found for s in scores), sum(s.n_matched for s in scores)
    if any(len(night.replays) for night in nights):
        return matched >= LEAST_PRECISION * found
    return (found - matched) / (sum(night.duration for night in nights) / 60) <= MOST_FALSE
