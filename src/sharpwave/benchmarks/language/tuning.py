"""Rates and strengths, chosen for each learner on validation streams of training items alone, as many trials for each.

The trials are the first points of one Sobol sequence over the ranges of a learner's options. What was chosen is in
`tuned.json`, which `python -m sharpwave.benchmarks.language.tuning STREAM DATA [MODEL] [METHOD ...]` adds to, a learner
at a time. A folder of a user's own takes what was chosen for glue5: nobody tuned on it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from sharpwave.benchmarks.language.harness import run_stream
from sharpwave.benchmarks.language.registry import LEARNERS, TUNED_AS
from sharpwave.benchmarks.language.streams import Stream
from sharpwave.outputs import write_file

TRIALS = 3
FIRST_SEED = 1000
TUNED = Path(__file__).with_name("tuned.json")
Range = tuple[float, float]
PRETRAINED, ADAPTERS, HEADS, SCRATCH = (2e-5, 5e-4), (2e-4, 5e-3), (1e-3, 2e-2), (3e-4, 5e-3)
"""Lowest and highest rate that is tried of what was pretrained, of adapters, of heads, and of networks that begin from
nothing; values are spread evenly over their logarithm."""
ADAPTED = ("finetune, LoRA", "o-lora", "osf")
FURTHER: dict[str, dict[str, Range]] = {
    "ewc": {"strength": (1, 1e4)},
    "lwf": {"strength": (0.1, 10)},
    "o-lora": {"strength": (0.01, 1)},
}
"""Options of learners beside their rates."""
KINDS = {"glue5": "classes", "qa5": "questions", "patches": "images", "permuted": "images"}
DEFAULTS: dict[str, dict[str, float]] = {
    "classes": {"lr": 1e-4, "head_lr": 5e-3},
    "words": {"lr": 1e-4, "head_lr": 1e-4},
    "questions": {"lr": 1e-4, "head_lr": 1e-3},
    "images": {"lr": 1e-3, "head_lr": 1e-3},
}
"""Rates of learners for which nothing was chosen; those of LoRA and O-LoRA are ten times as high."""


def list_ranges(method: str, kind: str) -> dict[str, Range]:
    """What is tried of a learner.

    Args:
        method: Key of `LEARNERS`.
        kind: How the network answers.
    """
    body = SCRATCH if kind == "images" else ADAPTERS if method in ADAPTED[:2] else PRETRAINED
    ranges = {"lr": body}
    ranges |= {"head_lr": HEADS} if kind in ("classes", "questions") else {}
    return ranges | FURTHER.get(method, {})


def list_trials(method: str, kind: str, *, n_trials: int = TRIALS) -> list[dict[str, float]]:
    """The options that are tried.

    >>> [trial["lr"] for trial in list_trials("finetune", "images", n_trials=2)]
    [0.00122, 0.00247]
    """
    ranges = list_ranges(method, kind)
    n_points = 2 ** math.ceil(math.log2(n_trials + 1))
    points = qmc.Sobol(len(ranges), scramble=False).random(n_points)[1 : n_trials + 1]
    return [
        {
            name: float(f"{low * (high / low) ** share:.3g}")
            for (name, (low, high)), share in zip(ranges.items(), point, strict=True)
        }
        for point in points
    ]


def tune(method: str, kind: str, streams: Sequence[Stream], *, n_trials: int = TRIALS) -> dict[str, Any]:
    """Options with the highest mean score at the end of validation streams.

    Args:
        method: Key of `LEARNERS`.
        kind: How the network answers.
        streams: Streams of training items alone.
        n_trials: Number of options that are tried.

    Returns:
        `chosen`, and the score of each of the `trials`.
    """
    trials, scores = list_trials(method, kind, n_trials=n_trials), []
    for options in trials:
        found = [run_stream(each, LEARNERS[method], options, seed=FIRST_SEED) for each in streams]
        scores.append(float(np.mean([each.compute_mean(next(iter(each.at_the_end))) for each in found])))
    return {"chosen": trials[int(np.argmax(scores))], "trials": [round(score, 4) for score in scores]}


def load_options(tuned_as: str, kind: str) -> dict[str, dict[str, float]]:
    """Options of every learner: what was chosen, for it or for one that is like it awake, else `DEFAULTS`.

    Args:
        tuned_as: Protocol that they were chosen for.
        kind: How the network answers.
    """
    tuned = json.loads(TUNED.read_text(encoding="utf-8")).get(f"{tuned_as} {kind}", {})
    return {method: find_options(method, kind, tuned) for method in LEARNERS}


def list_tuned(tuned_as: str, kind: str) -> list[str]:
    """Learners whose options were chosen for themselves; arguments as for `load_options`."""
    return sorted(json.loads(TUNED.read_text(encoding="utf-8")).get(f"{tuned_as} {kind}", {}))


def find_options(method: str, kind: str, tuned: Mapping[str, Any]) -> dict[str, float]:
    """Options of one learner out of what was chosen for a protocol."""
    name: str | None = method
    while name is not None:
        if name in tuned:
            return dict(tuned[name]["chosen"])
        name = TUNED_AS.get(name)
    times = 10 if method in (*ADAPTED[:2], "sleep, LoRA") else 1
    return DEFAULTS[kind] | {"lr": DEFAULTS[kind]["lr"] * times}


def freeze(key: str, kind: str, streams: Sequence[Stream], methods: Sequence[str], *, n_trials: int = TRIALS) -> None:
    """Tune some learners, and write what was chosen into `tuned.json`, each as soon as it is.

    Args:
        key: Name of the protocol and kind.
        kind: How the network answers.
        streams: Streams of training items alone.
        methods: Keys of `LEARNERS`.
        n_trials: Number of options that are tried.
    """
    torch.set_num_threads(1)
    for method in methods:
        found = tune(method, kind, streams, n_trials=n_trials)
        tuned = json.loads(TUNED.read_text(encoding="utf-8")) if TUNED.is_file() else {}
        tuned[key] = tuned.get(key, {}) | {method: found}
        write_file(TUNED, json.dumps(tuned, indent=1) + "\n")
        print(key, method, found, flush=True)


def main(arguments: Sequence[str]) -> None:
    """Tune on a stream; see the module."""
    from sharpwave.benchmarks.language.streams import PROTOCOLS, load_tasks, make_image_stream, make_text_stream

    stream, data, *rest = arguments
    protocol, kind = PROTOCOLS[stream].shorten(), KINDS[stream]
    model = Path(rest.pop(0)) if rest and Path(rest[0]).is_dir() else None
    if kind == "images":
        made = make_image_stream(protocol, Path(data), seed=FIRST_SEED, validation=True)
    else:
        tasks = load_tasks(protocol, Path(data))
        made = make_text_stream(protocol, tasks, model=model, kind=kind, seed=FIRST_SEED, validation=True)
    freeze(f"{stream} {kind}", kind, [made], rest or [name for name in LEARNERS if name not in TUNED_AS])


if __name__ == "__main__":
    main(sys.argv[1:])
