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
from sharpwave.brainmu.reactivation.reactivation_judge import KINDS, PathJudge, judge_paths, keep_sure, weigh_spans
from sharpwave.brainmu.reactivation.reactivation_paths import measure_paths
from sharpwave.evaluation.events import score_events
from sharpwave.recipes.difficulty import IOU
from sharpwave.recipes.replay_nights import ReactivationNight

KIND_OF = {
    "replay": "replay", "stationary": "stays", "jumping": "jumps", "shuffled": "foreign", "remapped": "foreign",
    "assembly": "none", "ripple": "none", "": "empty",
}  # fmt: skip
"""What a judge is to call each kind of burst."""
BATCH = 512
LEAST_PRECISION, MOST_FALSE = 0.91, 0.15
"""What is to be kept in each assumption: precision, and false events a minute where nothing is replayed."""
LEAST_CHANCE = 0.6
"""Least probability of any span that is called a replay."""
HIGHEST = 0.97
"""Largest expected precision that is chosen."""


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
    """Index in `KINDS` of each span; a piece of a replay where it holds part of one and would not be a match."""
    kind = np.array([KINDS.index(KIND_OF[name]) for name in spans["kind"]], dtype=int)
    part = (spans["kind"] == "replay").to_numpy() & (spans["iou"] < IOU).to_numpy()
    return np.where(part, KINDS.index("part"), kind)


def train_path_judge(nights: Sequence[JudgedNight], *, steps: int = 2000, generator: torch.Generator) -> PathJudge:
    """Learn what each span is, all nights alike and spans of one burst together as one.

    Half of what is drawn is drawn from all kinds alike; it weighs as much as it would in a night.

    Args:
        nights: Nights to learn from.
        steps: Batches of `BATCH` spans, for each network of the judge.
        generator: Random generator of weights and batches.
    """
    torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=generator)))
    target = np.concatenate([name_targets(night.spans) for night in nights])
    each = [weigh_spans(night.spans) for night in nights]
    weight = np.concatenate([value / max(value.sum(), 1e-9) for value in each]) / len(nights)
    shares = np.maximum(np.bincount(target, weight, len(KINDS)), 1e-3)
    draw = (weight + weight / shares[target] / len(KINDS)) / 2
    values = np.concatenate([night.measures for night in nights]).astype(np.float32)
    judge = PathJudge()
    middle, low, high = np.quantile(values, [0.5, 0.16, 0.84], axis=0)
    judge.middle.copy_(torch.from_numpy(middle))
    judge.spread.copy_(torch.from_numpy(np.maximum(high - low, 0.1) / 2))
    judge.shares.copy_(torch.from_numpy(shares / shares.sum()))
    scaled, wanted = judge.scale(torch.from_numpy(values)), torch.from_numpy(target)
    chance, worth = torch.from_numpy(draw), torch.from_numpy((weight / draw).astype(np.float32))
    for member in judge.members:
        optimiser = torch.optim.AdamW(member.parameters(), lr=3e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
        for _ in range(steps):
            rows = torch.multinomial(chance, BATCH, replacement=True, generator=generator)
            loss = torch.nn.functional.cross_entropy(member(scaled[rows]), wanted[rows], reduction="none")
            optimiser.zero_grad()
            ((loss * worth[rows]).sum() / worth[rows].sum()).backward()
            optimiser.step()
            schedule.step()
    return judge.eval()


def find_moving(judge: PathJudge, night: JudgedNight, *, precision: float) -> pd.DataFrame:
    """Spans that are called replays at such an expected precision, none of which overlap."""
    chance = judge_paths(judge, night.measures, weigh_spans(night.spans)).replay
    spans = keep_apart(night.spans[["onset", "duration"]].assign(probability=chance))
    sure = keep_sure(spans["probability"].to_numpy(float), least=LEAST_CHANCE, precision=precision)
    return spans[sure].reset_index(drop=True)


def choose_precision(judge: PathJudge, assumptions: Sequence[Sequence[JudgedNight]]) -> float:
    """The least expected precision that keeps `LEAST_PRECISION` and `MOST_FALSE` in the worst assumption.

    Args:
        judge: Trained judge.
        assumptions: Nights by assumption, on which it was not trained; those without replays count false events.
    """
    for precision in np.round(np.arange(0.9, HIGHEST + 0.001, 0.01), 2):
        if all(_keeps(judge, nights, float(precision)) for nights in assumptions):
            return float(precision)
    return HIGHEST


def _keeps(judge: PathJudge, nights: Sequence[JudgedNight], precision: float) -> bool:
    scores = [
        score_events(night.replays, find_moving(judge, night, precision=precision), iou=IOU, duration=night.duration)
        for night in nights
    ]
    found, matched = sum(s.n_found for s in scores), sum(s.n_matched for s in scores)
    if any(len(night.replays) for night in nights):
        return matched >= LEAST_PRECISION * found
    return (found - matched) / (sum(night.duration for night in nights) / 60) <= MOST_FALSE
