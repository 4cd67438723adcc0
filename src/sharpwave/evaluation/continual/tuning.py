"""Hyper-parameters, chosen on validation streams alone, with as many trials for every learner.

A validation stream is made of training images only, a fifth of them set apart to be judged on, with other permutations
or another order of classes than any stream that results come from. Every learner's trials are the first points of the
same Sobol sequence, laid over the ranges of its own options; the step sizes tried are therefore the same for all.
What was chosen is in `tuned.json`, which the benchmarks read.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import qmc

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.continual.harness import make_setting, run_stream
from sharpwave.evaluation.continual.images import ImageSet
from sharpwave.evaluation.continual.learners import LEARNERS
from sharpwave.evaluation.continual.protocols import Protocol

TRIALS = 8
BUFFER = 200
N_TASKS, N_TRAIN = 8, 2000
"""Validation streams are shorter than those of results."""
FIRST_SEED = 1000
TUNED = Path(__file__).with_name("tuned.json")


@dataclass(frozen=True)
class Range:
    """Values of one option, spread evenly over their logarithm.

    Attributes:
        low: Smallest.
        high: Largest.
    """

    low: float
    high: float

    def place(self, share: float) -> float:
        """The value at a share of the way."""
        return float(f"{math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))):.3g}")


STEP_SIZE = Range(0.02, 0.4)
LOGITS, LABELS = Range(0.05, 1.0), Range(0.3, 2.0)
SPACES: dict[str, dict[str, Range]] = {
    "finetune": {},
    "joint": {},
    "ewc": {"strength": Range(1, 1000)},
    "si": {"strength": Range(0.03, 30)},
    "lwf": {"strength": Range(0.1, 10)},
    "a-gem": {},
    "er": {"weight": LABELS},
    "der++": {"alpha": LOGITS, "beta": LABELS},
    "er-ace": {"weight": LABELS},
    "progressive": {},
    "cls-er": {"strength": Range(0.05, 1.0), "horizon": Range(0.2, 5.0)},
    "sleep": {"alpha": LOGITS, "beta": LABELS},
    "ssr": {},
    "src": {"potentiation": Range(1e-4, 1e-2)},
}
"""Options of each learner beside its step size."""


def list_trials(method: str, *, n_trials: int = TRIALS) -> list[dict[str, float]]:
    """The options that are tried.

    Args:
        method: Key of `SPACES`.
        n_trials: How many.
    """
    ranges = {"lr": STEP_SIZE, **SPACES[method]}
    points = qmc.Sobol(len(ranges), scramble=False).random_base2(math.ceil(math.log2(n_trials + 1)))[1 : n_trials + 1]
    return [
        {name: each.place(share) for (name, each), share in zip(ranges.items(), point, strict=True)} for point in points
    ]


def tune(
    method: str, protocol: Protocol, images: ImageSet, *, n_trials: int = TRIALS, n_streams: int = 1
) -> tuple[dict[str, float], list[float]]:
    """Options with the highest mean accuracy at the end of validation streams.

    Args:
        method: Key of `SPACES`.
        protocol: What the options are for.
        images: Its data set, whose test images are not looked at.
        n_trials: How many options are tried.
        n_streams: Validation streams that each is tried on.

    Returns:
        The options chosen, and the accuracy of every trial (the task told, for learners that need it).
    """
    trials, scores = list_trials(method, n_trials=n_trials), []
    protocol = protocol.shorten(n_tasks=N_TASKS, n_train=N_TRAIN)
    for options in trials:
        accuracies = []
        for number in range(n_streams):
            seed = FIRST_SEED + number
            stream = protocol.make_stream(images, seed=seed, validation=True)
            setting = make_setting(stream, batch=protocol.batch, buffer_items=BUFFER, seed=seed)
            outcome = run_stream(stream, partial(LEARNERS[method], **options), setting, model=protocol.model)
            told = bool(np.isnan(outcome.at_the_end).any())
            accuracies.append(outcome.compute_accuracy(told=told))
        scores.append(float(np.mean(accuracies)))
    return trials[int(np.argmax(scores))], scores


def tune_protocol(
    protocol: Protocol, images: ImageSet, *, n_trials: int = TRIALS, n_streams: int = 1
) -> dict[str, dict[str, Any]]:
    """Options of every learner that can run on a protocol.

    Returns:
        `chosen` options and `accuracies` of the trials, by learner. `wake` has the options of `sleep`.
    """
    chosen, accuracies = {}, {}
    for method in SPACES:
        if method == "src" and protocol.model != "mlp":
            continue
        chosen[method], accuracies[method] = tune(method, protocol, images, n_trials=n_trials, n_streams=n_streams)
    return {"chosen": chosen | {"wake": chosen["sleep"]}, "accuracies": accuracies}


def load_tuned(protocol: str) -> dict[str, dict[str, float]]:
    """Options by learner, as chosen for a protocol.

    Raises:
        SharpwaveError: If nothing was chosen for it.
    """
    tuned = json.loads(TUNED.read_text(encoding="utf-8"))
    if protocol not in tuned:
        raise SharpwaveError(
            f"a protocol among {', '.join(tuned)}", got=repr(protocol), fix="tune the learners on it first"
        )
    return tuned[protocol]["chosen"]
