"""`sharpwave benchmark continual` and `continual-cifar10`: one task after another, with and without sleep.

All learners see the same streams in the same order with the same network, store the same bytes, and may take a gradient
of as many samples: those that do not sleep replay more while awake. Their hyper-parameters come from validation streams
(`benchmarks/continual/tuning.py`), with as many trials for each. With `--output` each run is kept beside it as a part
(`harness.Parts`): a command that was broken off goes on, and `--methods` runs a few learners at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sharpwave.benchmarks.continual.harness import Outcome, Parts
from sharpwave.benchmarks.continual.images import load_images
from sharpwave.benchmarks.continual.learners import LEARNERS, OURS, UNEQUAL
from sharpwave.benchmarks.continual.learners.contract import REPLAY, SLEEP_SHARE
from sharpwave.benchmarks.continual.learners.ours import list_variants
from sharpwave.benchmarks.continual.protocols import PROTOCOLS, Protocol, make_protocols
from sharpwave.benchmarks.continual.tuning import TRIALS, list_methods, load_tuned, tune_protocol
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.demonstrations.streams import ImageSet
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import data_root

BUFFERS = (200, 500)
STORELESS = ("finetune", "joint", "ewc", "si", "lwf", "progressive", "src")
"""Learners for which the buffer's size makes no difference: they run once."""
ABLATION_BUFFER = 200
ABLATION_SEEDS = 3
ABLATION = "ablation"
"""What `--methods` calls the table of ingredients."""
OWN = ("permuted-mnist", "split-mnist")

Runs = Mapping[str, Sequence[Outcome]]
"""Outcomes by method, one per seed, seeds in the same order."""


def run(
    data: Path | None,
    *,
    seeds: int,
    train: bool = False,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Every learner on permuted and split MNIST, and every ingredient of sleep; or on the images of a folder.

    Args:
        data: Folder of data sets, or of images of any kind that `load_images` reads; `data_root()` where omitted.
        seeds: Streams, networks and learners, drawn anew for each.
        train: Choose the hyper-parameters again first, on validation streams of these images.
        methods: Learners to run now, and "ablation"; all where omitted. Others are in the tables if all their runs are
            kept.
        parts: Folder that keeps each run; nothing is kept where omitted.
    """
    own = find_own(data)
    if own is not None:
        pairs = [(PROTOCOLS[name], PROTOCOLS[name].load(own)) for name in OWN]
    else:
        images = load_images(data)  # type: ignore[arg-type]
        pairs = [(protocol, images) for protocol in make_protocols(images)]
    return run_protocols(pairs, seeds=seeds, train=train, ablate=own is not None, methods=methods, parts=parts)


def run_cifar10(
    data: Path | None,
    *,
    seeds: int,
    train: bool = False,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Every learner, with the task known and not.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Streams, networks and learners, drawn anew for each.
        train: Choose the hyper-parameters again first, on validation streams.
        methods: As for `run`.
        parts: As for `run`.
    """
    own = find_own(data)
    if own is None:
        raise SharpwaveError(
            "the folder of our data sets",
            got=str(data),
            fix="run `sharpwave benchmark continual --data FOLDER` for other images",
        )
    protocol = PROTOCOLS["split-cifar10"]
    pairs = [(protocol, protocol.load(own))]
    return run_protocols(pairs, seeds=seeds, train=train, ablate=False, methods=methods, parts=parts)


def find_own(data: Path | None) -> Path | None:
    """The folder that holds our image sets, or None where `data` is a folder of other images.

    Raises:
        SharpwaveError: If there is no folder at all.
    """
    root = data or data_root()
    if root is None:
        raise SharpwaveError(
            "a folder of images", got="none", fix="name one with --data: IDX, NPZ, or image files in class folders"
        )
    return root if (root / PROTOCOLS[OWN[0]].source).is_file() else None


def run_protocols(
    pairs: list[tuple[Protocol, ImageSet]],
    *,
    seeds: int,
    train: bool,
    ablate: bool,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Rows and configuration of some protocols.

    Args:
        pairs: Protocols and their images.
        seeds: Number of seeds.
        train: Choose the hyper-parameters again first.
        ablate: Take the recipe apart, too.
        methods: As for `run`.
        parts: As for `run`.

    Raises:
        SharpwaveError: If a method is none, or there is nothing to compare with.
    """
    check_methods(methods)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows: list[Row] = []
    chosen: dict[str, Any] = {}
    best_baselines: dict[str, str] = {}
    try:
        for protocol, images in pairs:
            tuned = tune_protocol(protocol, images)["chosen"] if train else load_tuned(protocol.tuned_as)
            chosen[protocol.name] = tuned
            kept = Parts(parts, protocol, images)
            protocol_rows, best = compare_learners(kept, tuned, seeds=seeds, methods=methods)
            rows += protocol_rows
            best_baselines |= best
            if ablate:
                now = methods is None or ABLATION in methods
                rows += take_apart(kept, tuned["sleep"], seeds=min(seeds, ABLATION_SEEDS), now=now)
    finally:
        torch.set_num_threads(threads)
    config = {
        "protocols": {protocol.name: vars(protocol) | {"note": images.note} for protocol, images in pairs},
        "buffers": list(BUFFERS),
        "replayed_per_new_sample": REPLAY,
        "of_that_asleep": SLEEP_SHARE,
        "seeds": seeds,
        "trials_per_learner": TRIALS,
        "options": chosen,
        "left_out": {each.name: sorted({*list_methods(each)} - set(chosen[each.name])) for each, _ in pairs},
        "best_peer_of_equal_parameters": best_baselines,
        "not_of_equal_parameters": UNEQUAL,
        "interval": "95 %, bootstrap over seeds; differences are paired by seed",
        "notes": [
            "One pass over a part of the images, on one core: absolute accuracies are below those of full-size runs."
        ],
    }
    return config, rows


def check_methods(methods: Sequence[str] | None) -> None:
    """Raise where a method that is asked for is none."""
    unknown = [name for name in methods or () if name not in LEARNERS and name != ABLATION]
    if unknown:
        raise SharpwaveError(
            f"methods among {', '.join(LEARNERS)} and {ABLATION}", got=", ".join(unknown), fix="choose among these"
        )


def compare_learners(
    parts: Parts, tuned: dict[str, dict[str, float]], *, seeds: int, methods: Sequence[str] | None = None
) -> tuple[list[Row], dict[str, str]]:
    """Rows of every learner with every buffer, and the best baseline of equal parameters in each setting.

    Args:
        parts: Where runs are made, and kept.
        tuned: Options by learner.
        seeds: Number of seeds.
        methods: Learners to run; all where omitted. Others count where all their runs are kept.
    """
    names = [name for name in LEARNERS if name in tuned]
    runs: dict[int, dict[str, list[Outcome]]] = {size: {} for size in BUFFERS}
    for seed in range(seeds):
        for name in names:
            for size in BUFFERS:
                taken = BUFFERS[0] if name in STORELESS else size
                find = parts.run if methods is None or name in methods else parts.find
                found = find(name, LEARNERS[name], options=tuned[name], seed=seed, buffer_items=taken)
                if found is not None:
                    runs[size].setdefault(name, []).append(found)
    whole = [name for name in names if all(len(runs[size].get(name, ())) == seeds for size in BUFFERS)]
    runs = {size: {name: runs[size][name] for name in whole} for size in BUFFERS}
    protocol = parts.protocol
    rows: list[Row] = []
    best: dict[str, str] = {}
    for size in BUFFERS:
        for task_known in (False,) if protocol.permutes else (False, True):
            setting = f"{'task told, ' if task_known else ''}buffer {size}"
            rows += tabulate(protocol.name, setting, runs[size], task_known=task_known)
            best[f"{protocol.name}, {setting}"] = find_best_baseline(runs[size], task_known=task_known)
    return rows, best


def take_apart(parts: Parts, options: dict[str, float], *, seeds: int, now: bool = True) -> list[Row]:
    """Accuracy of the recipe with one ingredient more, less or other, and the paired difference to it as it is.

    Args:
        parts: Where runs are made, and kept.
        options: Options of `sleep`.
        seeds: Number of seeds.
        now: Run what is missing; otherwise there are no rows unless every run is kept.
    """
    accuracy: dict[str, list[float]] = {}
    for seed in range(seeds):
        for name, make in list_variants(options).items():
            find = parts.run if now else parts.find
            outcome = find(f"{ABLATION}, {name}", make, options={}, seed=seed, buffer_items=ABLATION_BUFFER)
            if outcome is None:
                return []
            accuracy.setdefault(name, []).append(outcome.compute_accuracy())
    rows = []
    for name, values in accuracy.items():
        change = [value - whole for value, whole in zip(values, accuracy["sleep"], strict=True)]
        for metric, each in (("accuracy", values), ("accuracy_change", change)):
            rows.append(estimate_row(parts.protocol.name, "ablation", name, metric, each, rng=np.random.default_rng(0)))
    return rows


def tabulate(data: str, setting: str, runs: Runs, *, task_known: bool = False) -> list[Row]:
    """Accuracy, forgetting, cost, and paired differences by seed.

    Args:
        data: Name of the stream.
        setting: Question that was asked.
        runs: At least `finetune`, `wake` and `der++` for what is measured against them.
        task_known: Whether the learner knows the task.
    """
    rows: list[Row] = []
    best = find_best_baseline(runs, task_known=task_known)
    for method, outcomes in runs.items():
        accuracy = [each.compute_accuracy(task_known=task_known) for each in outcomes]
        if not all(map(math.isfinite, accuracy)):
            continue
        measured = {"accuracy": accuracy}
        if method != "joint":
            forgotten = measured["forgetting"] = [each.compute_forgetting(task_known=task_known) for each in outcomes]
            if method != "finetune" and "finetune" in runs:
                lost = [each.compute_forgetting(task_known=task_known) for each in runs["finetune"]]
                measured["forgetting_cut"] = [
                    1 - mine / whole if whole > 0 else math.nan for mine, whole in zip(forgotten, lost, strict=True)
                ]
        for other, metric in (("der++", "accuracy_minus_der++"), (best, "accuracy_minus_best_peer")):
            if other in runs and method in OURS:
                measured[metric] = _subtract(
                    accuracy, [each.compute_accuracy(task_known=task_known) for each in runs[other]]
                )
        if method == "sleep" and "wake" in runs:
            pairs = zip(outcomes, runs["wake"], strict=True)
            measured["time_ratio"] = [mine.seconds / awake.seconds for mine, awake in pairs]
        if "finetune" in runs:
            pairs = zip(outcomes, runs["finetune"], strict=True)
            measured["gradient_samples"] = [each.n_gradient_samples / new.n_gradient_samples for each, new in pairs]
        measured["buffer_kilobytes"] = [each.n_buffer_bytes / 1000 for each in outcomes]
        measured["thousand_parameters"] = [each.n_parameters / 1000 for each in outcomes]
        rows += [
            estimate_row(data, setting, method, metric, values, rng=np.random.default_rng(0))
            for metric, values in measured.items()
        ]
    return rows


def find_best_baseline(runs: Runs, *, task_known: bool = False) -> str:
    """The baseline of equal parameters with the highest mean accuracy on these very seeds; "" if there is none."""
    baselines = {
        method: float(np.mean([each.compute_accuracy(task_known=task_known) for each in outcomes]))
        for method, outcomes in runs.items()
        if method not in OURS and method not in UNEQUAL
    }
    return max(baselines, key=lambda method: baselines[method]) if baselines else ""


def _subtract(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [mine - other for mine, other in zip(ours, theirs, strict=True)]
