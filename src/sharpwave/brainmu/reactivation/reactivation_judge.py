"""The judge of bursts: what each is, from its measures and from how often each kind is met in its recording.

Whether a burst is a replay depends on what else there is. Where most bursts jump from place to place, one that seems
to move is likelier to jump as well; where none do, less is asked of it. So the shares of kinds are estimated from all
bursts of a recording at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave.brainmu.reactivation.reactivation_paths import MEASURES, PATHS

FAR = 6.0
"""Deviations from the middle beyond which a measure counts no more."""
KINDS = ("replay", "part", "stays", "jumps", "foreign", "none", "empty")
"""What the judge tells apart: a whole replay, a piece of one, one place, places at random, sequences of exchanged or
remapped cells, a burst without places, and no burst."""
_PATH_OF = np.array([0, 0, 1, 2, 2, 3, 3])
"""Index in `PATHS` of each of `KINDS`."""
_EVENT_OF = np.array([0, 0, 1, 2, 3, 4, 5])
"""Which of `KINDS` are of one event: a replay and its pieces."""
WIDTH, N_MEMBERS = 40, 3
"""Channels of the judge, and networks whose log probabilities are averaged."""
WORTH = 30.0
"""Bursts that the shares of kinds in training are worth beside those of a recording."""


class PathJudge(nn.Module):
    """Logits of `KINDS` from the measures of a burst; several small networks, averaged."""

    middle: Tensor
    spread: Tensor
    shares: Tensor

    def __init__(self) -> None:
        super().__init__()
        n = len(MEASURES)
        self.register_buffer("middle", torch.zeros(n))
        self.register_buffer("spread", torch.ones(n))
        self.register_buffer("shares", torch.ones(len(KINDS)) / len(KINDS))
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Linear(n, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, len(KINDS))
            )
            for _ in range(N_MEMBERS)
        )

    def scale(self, measures: Float[Tensor, "event measure"]) -> Float[Tensor, "event measure"]:
        """Measures in deviations from the middle; far ones count as `FAR`."""
        scaled: Tensor = ((measures - self.middle) / self.spread).clamp(-FAR, FAR)
        return scaled

    def forward(self, measures: Float[Tensor, "event measure"]) -> Float[Tensor, "event kind"]:
        """Judge bursts by measures in the order of `MEASURES`."""
        scaled = self.scale(measures)
        return torch.stack([torch.log_softmax(member(scaled), dim=1) for member in self.members]).mean(dim=0)


@dataclass(frozen=True, eq=False)
class Judged:
    """What a judge says of spans.

    Attributes:
        replay: Probability that a span is a whole replay.
        paths: Probability of each of `PATHS`; a piece of a replay moves too.
    """

    replay: Float[np.ndarray, " span"]
    paths: Float[np.ndarray, "span path"]


def judge_paths(
    judge: PathJudge,
    measures: Float[np.ndarray, "span measure"],
    weights: Float[np.ndarray, " span"] | None = None,
) -> Judged:
    """What spans do, given how often each kind of burst is met in their recording.

    Args:
        judge: Trained judge.
        measures: Measures of the spans of one recording.
        weights: From `weigh_spans`; where omitted, kinds are as often as in training.
    """
    with torch.inference_mode():
        logits = judge(torch.from_numpy(np.asarray(measures, dtype=np.float32))).numpy().astype(float)
    chance = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    chance /= chance.sum(axis=1, keepdims=True)
    if weights is not None and len(chance):
        chance = adapt_shares(chance, judge.shares.numpy().astype(float), weights)
    paths = np.column_stack([chance[:, index == _PATH_OF].sum(axis=1) for index in range(len(PATHS))])
    return Judged(chance[:, 0], paths)


def adapt_shares(
    chance: Float[np.ndarray, "span kind"], shares: Float[np.ndarray, " kind"], weights: Float[np.ndarray, " span"]
) -> Float[np.ndarray, "span kind"]:
    """Probabilities of kinds that are as often as in this recording, not as in training (Saerens et al. 2002).

    Where most bursts jump, one that seems to move is more likely to jump as well; where none do, less is asked of it.

    Args:
        chance: Probability of each kind, as learnt.
        shares: Share of each kind in training.
        weights: What each span counts.

    >>> chance = np.full((100, len(KINDS)), 0.1 / 6)
    >>> chance[:, 3] = 0.9  # all seem to jump
    >>> bool(adapt_shares(chance, np.full(7, 1 / 7), np.ones(100))[0, 3] > 0.95)
    True
    """
    of_event = np.bincount(_EVENT_OF, shares)
    now = of_event.copy()
    for _ in range(60):
        adapted = chance * (now / of_event)[_EVENT_OF]
        adapted /= adapted.sum(axis=1, keepdims=True)
        seen = np.bincount(_EVENT_OF, weights @ adapted)
        now = (WORTH * of_event + seen) / (WORTH + seen.sum())
    return adapted


def weigh_spans(spans: pd.DataFrame) -> Float[np.ndarray, " span"]:
    """1 by the number of spans that each overlaps, itself included, so that a burst counts about once.

    >>> weigh_spans(pd.DataFrame({"onset": [0.0, 0.05, 1.0], "duration": 0.1})).tolist()
    [0.5, 0.5, 1.0]
    """
    onset = spans["onset"].to_numpy(float)
    end = onset + spans["duration"].to_numpy(float)
    n_begun = np.searchsorted(np.sort(onset), end - 1e-9, side="left")
    n_over = np.searchsorted(np.sort(end), onset + 1e-9, side="right")
    return 1.0 / np.maximum(n_begun - n_over, 1)


def keep_sure(chance: Float[np.ndarray, " span"], *, least: float, precision: float) -> Bool[np.ndarray, " span"]:
    """The surest spans, as many as are right to a given share on average.

    A fixed threshold finds too much where most spans are doubtful, and too little where most are clear.

    Args:
        chance: Probability that each span is a replay; of spans that do not overlap.
        least: Least probability of any that is kept.
        precision: Least mean probability of all that are kept.

    >>> keep_sure(np.array([0.99, 0.3, 0.7, 0.99]), least=0.5, precision=0.85).tolist()
    [True, False, True, True]
    >>> keep_sure(np.array([0.7, 0.3]), least=0.5, precision=0.85).tolist()
    [False, False]
    """
    ranked = np.sort(chance)[::-1]
    mean = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    enough = np.flatnonzero((mean >= precision) & (ranked >= least))
    last = ranked[enough[-1]] if len(enough) else np.inf
    return np.asarray(chance >= last)
