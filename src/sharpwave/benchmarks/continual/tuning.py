"""Hyper-parameters, chosen on validation streams alone, with as many trials for every learner.

A validation stream is made of training images only, a fifth of them set apart to be judged on, with other permutations
or another order of classes than any stream that results come from. Every learner's trials are the first points of the
same Sobol sequence, laid over the ranges of its own options; the step sizes tried are therefore the same for all.
What was chosen is in `tuned.json`, which the benchmarks read, and which
`python -m sharpwave.benchmarks.continual.tuning DATA [PROTOCOL ...] [--missing]` writes; with `--missing` only for
learners that have no options there yet. For images that nobody tuned on there are options that are best in the worst
case, over several image sets and with a margin to divergence.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from sharpwave.benchmarks.continual.images import vary_images
from sharpwave.benchmarks.continual.learners import LEARNERS, NEW_CLASSES
from sharpwave.benchmarks.continual.protocols import ANY, PROTOCOLS, Protocol
from sharpwave.demonstrations.streams import ImageSet, Stream, load_digits
from sharpwave.errors import SharpwaveError

TRIALS = 8
BUFFER = 200
FIRST_SEED = 1000
UNTUNED: dict[str, dict[str, float]] = {"sleep-default": {"lr": 0.1}}
"""Options of learners for which nothing is chosen: what the package has by default, with a plain optimiser."""
MARGIN = 2.0
"""How many times its step size a set of options must bear: the lower accuracy of the two counts."""
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
ANNEAL = Range(0.05, 1.0)
"""Share of a task over which the step size falls; nights of ours take a share of .09."""
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
    "er-aml": {"weight": LABELS, "temperature": Range(0.05, 0.5), "anneal": ANNEAL},
    "gdumb": {"anneal": ANNEAL},
    "icarl": {"anneal": ANNEAL},
    "x-der": {"alpha": LOGITS, "beta": LABELS, "anneal": ANNEAL},
    "er-annealed": {"weight": LABELS, "anneal": ANNEAL},
    "der++-annealed": {"alpha": LOGITS, "beta": LABELS, "anneal": ANNEAL},
    "er-ace-annealed": {"weight": LABELS, "anneal": ANNEAL},
    "cls-er-annealed": {"strength": Range(0.05, 1.0), "horizon": Range(0.2, 5.0), "anneal": ANNEAL},
    "sleep": {"alpha": LOGITS, "beta": LABELS},
    "sleep-default": {},
    "ssr": {},
    "src": {"potentiation": Range(1e-3, 3e-2)},
}
"""Options of each learner beside its step size."""


def list_trials(method: str, *, n_trials: int = TRIALS) -> list[dict[str, float]]:
    """The options that are tried.

    Args:
        method: Key of `SPACES`.
        n_trials: Number of trials.
    """
    ranges = {"lr": STEP_SIZE, **SPACES[method]}
    points = qmc.Sobol(len(ranges), scramble=False).random_base2(math.ceil(math.log2(n_trials + 1)))[1 : n_trials + 1]
    return [
        {name: each.place(share) for (name, each), share in zip(ranges.items(), point, strict=True)} for point in points
    ]


def make_validation_streams(protocol: Protocol, images: ImageSet, *, n_streams: int = 1) -> list[Stream]:
    """Short streams of training images alone, of other seeds than those of results."""
    n_tasks, n_train = protocol.tried_on
    short = protocol.shorten(n_tasks=n_tasks, n_train=n_train)
    return [short.make_stream(images, seed=FIRST_SEED + number, validation=True) for number in range(n_streams)]


def tune(
    method: str, protocol: Protocol, streams: Sequence[Stream], *, n_trials: int = TRIALS
) -> tuple[dict[str, float], list[float]]:
    """Options with the highest mean accuracy at the end of validation streams.

    Args:
        method: Key of `SPACES`.
        protocol: Protocol that the options are for.
        streams: From `make_validation_streams`.
        n_trials: Number of options that are tried.

    Returns:
        The options chosen, and the accuracy of every trial (with the task known, for learners that need it).
    """
    trials, scores = list_trials(method, n_trials=n_trials), []
    for options in trials:
        scores.append(score(method, protocol, streams, options))
    return trials[int(np.argmax(scores))], scores


def score(method: str, protocol: Protocol, streams: Sequence[Stream], options: Mapping[str, float]) -> float:
    """Mean accuracy of some options at the end of streams (with the task known, for learners that need it)."""
    accuracies = []
    for number, stream in enumerate(streams):
        learner = partial(LEARNERS[method], **options)
        outcome = protocol.run(stream, learner, seed=FIRST_SEED + number, buffer_items=BUFFER)
        accuracies.append(outcome.compute_accuracy(task_known=bool(np.isnan(outcome.at_the_end).any())))
    return float(np.mean(accuracies))


def tune_protocol(
    protocol: Protocol,
    images: ImageSet,
    *,
    n_trials: int = TRIALS,
    n_streams: int = 1,
    methods: Sequence[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Options of every learner that can run on a protocol.

    Args:
        protocol: Protocol that the options are for.
        images: Its images.
        n_trials: Number of options that are tried.
        n_streams: Number of validation streams.
        methods: Learners; all that can run where omitted.

    Returns:
        `chosen` options and `accuracies` of the trials, by learner. `wake` has the options of `sleep`.
    """
    streams = make_validation_streams(protocol, images, n_streams=n_streams)
    chosen, accuracies = {}, {}
    for method in list_methods(protocol) if methods is None else methods:
        chosen[method], accuracies[method] = tune(method, protocol, streams, n_trials=n_trials)
    awake = {"wake": chosen["sleep"]} if "sleep" in chosen else {}
    return {"chosen": chosen | awake | UNTUNED, "accuracies": accuracies}


def tune_worst_case(
    methods: Sequence[str], protocol: Protocol, image_sets: Sequence[ImageSet], *, n_trials: int, n_streams: int = 1
) -> dict[str, dict[str, Any]]:
    """Options of each learner that lose least where they lose most, over several image sets.

    A trial's score on an image set is the lower of its accuracies at its step size and at `MARGIN` times that, each a
    mean over validation streams; what it loses is how far that is below the learner's best trial on the set. It is the
    same for every learner.

    Args:
        methods: Keys of `SPACES`.
        protocol: Protocol that the image sets become streams by.
        image_sets: Image sets, of which training images alone are used.
        n_trials: Number of options that are tried.
        n_streams: Validation streams of each set.

    Returns:
        `chosen` options, and the `accuracies` of each trial on each image set, by learner.
    """
    streams = [make_validation_streams(protocol, images, n_streams=n_streams) for images in image_sets]
    chosen, accuracies = {}, {}
    for method in methods:
        trials = list_trials(method, n_trials=n_trials)
        bold = [options | {"lr": MARGIN * options["lr"]} for options in trials]
        scores = np.array(
            [
                [
                    min(score(method, protocol, each, options), score(method, protocol, each, bolder))
                    for options, bolder in zip(trials, bold, strict=True)
                ]
                for each in streams
            ]
        )
        lost = (scores.max(axis=1, keepdims=True) - scores).max(axis=0)
        chosen[method] = trials[int(np.argmin(lost))]
        accuracies[method] = {images.name: row for images, row in zip(image_sets, scores.tolist(), strict=True)}
    return {"chosen": chosen, "accuracies": accuracies}


def freeze_worst_case(folder: Path, *, n_trials: int = 4) -> None:
    """Choose options for images that nobody tuned on, and write them into `tuned.json`.

    A small grid that two cores bear: a few trials, short streams of three image sets, the learners that replay. The
    other learners keep what was chosen for split MNIST.

    Args:
        folder: Folder of data sets.
        n_trials: Number of options that are tried.
    """
    torch.set_num_threads(1)
    protocol = PROTOCOLS["split-mnist"]
    images = protocol.load(folder)
    sets = [images, vary_images(images, "inverted"), load_digits()]
    short = replace(protocol, n_train=1000, n_test=500, tried_on=(5, 1000))
    found = tune_worst_case(REPLAYING, short, sets, n_trials=n_trials)
    found["chosen"] |= {"wake": found["chosen"]["sleep"]}
    tuned = json.loads(TUNED.read_text(encoding="utf-8")) | {ANY: found}
    TUNED.write_text(json.dumps(tuned, indent=1) + "\n", encoding="utf-8")


REPLAYING = ("er", "der++", "er-ace", "sleep", "ssr")


def list_methods(protocol: Protocol) -> list[str]:
    """Learners that can run on a protocol."""
    return [
        method
        for method in SPACES
        if not (method == "src" and protocol.model != "mlp")
        and not (method in NEW_CLASSES and protocol.permutes)
        and method not in UNTUNED
    ]


def freeze(names: Sequence[str], folder: Path, *, missing: bool = False) -> None:
    """Tune some protocols and write what was chosen into `tuned.json`.

    Args:
        names: Keys of `PROTOCOLS`.
        folder: Folder of data sets.
        missing: Keep what is there, and add learners that have no options yet, each as soon as it is tuned.
    """
    torch.set_num_threads(1)
    for name in names:
        protocol, images = PROTOCOLS[name], PROTOCOLS[name].load(folder)
        there = set(json.loads(TUNED.read_text(encoding="utf-8")).get(name, {}).get("chosen", {}) if missing else ())
        steps = [[method] for method in list_methods(protocol) if method not in there] if missing else [None]
        for methods in steps:
            found = tune_protocol(protocol, images, methods=methods)
            tuned = json.loads(TUNED.read_text(encoding="utf-8"))
            kept = tuned.get(name, {}) if missing else {}
            tuned[name] = {part: kept.get(part, {}) | found[part] for part in found}
            TUNED.write_text(json.dumps(tuned, indent=1) + "\n", encoding="utf-8")


def load_tuned(protocol: str) -> dict[str, dict[str, float]]:
    """Options by learner, as chosen for a protocol.

    Raises:
        SharpwaveError: If nothing was chosen for it.
    """
    tuned = json.loads(TUNED.read_text(encoding="utf-8"))
    if protocol == ANY and ANY in tuned:
        return tuned["split-mnist"]["chosen"] | tuned[ANY]["chosen"]
    if protocol not in tuned:
        raise SharpwaveError(
            f"a protocol among {', '.join(tuned)}", got=repr(protocol), fix="tune the learners on it first"
        )
    return tuned[protocol]["chosen"]


if __name__ == "__main__":
    named = [word for word in sys.argv[2:] if word != "--missing"] or [*PROTOCOLS, ANY]
    freeze([name for name in named if name != ANY], Path(sys.argv[1]), missing="--missing" in sys.argv)
    if ANY in named:
        freeze_worst_case(Path(sys.argv[1]))
