"""`sharpwave benchmark continual-step-sizes`: what a user gets who does not tune, accuracy over step sizes.

Every learner meets the same step sizes on image sets of which some were never tuned on; all other options are those
that are best in the worst case (`tuning.tune_worst_case`). Its area is the mean accuracy over the logarithm of the step
size. Peers stand beside themselves with the limits that ours has on each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from sharpwave.benchmarks.continual.benchmark import find_own
from sharpwave.benchmarks.continual.images import load_images, vary_images
from sharpwave.benchmarks.continual.learners import LEARNERS, OURS, UNEQUAL
from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.protocols import ANY, PROTOCOLS, Protocol, make_protocols
from sharpwave.benchmarks.continual.tuning import load_tuned
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.consolidation import Wake
from sharpwave.consolidation.gradients import centre_gradients, tame_gradients
from sharpwave.demonstrations.streams import ImageSet, load_digits

STEP_SIZES = (0.02, 0.05, 0.13, 0.19, 0.3)
BUFFER = 200
MOST_SEEDS = 3
N_TRAIN, N_TEST = 800, 500
METHODS = ("finetune", "der++", "er-ace", "sleep", "sleep-default", "ssr")
WORLDS = ("inverted", "brightened", "noisy")
LIMITED = ("der++", "er-ace")
"""Peers that are also run with the limits on a step that ours has."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Accuracy over step sizes on MNIST, on sets made from it and on scikit-learn's digits; or on a folder's images.

    Args:
        data: Folder of data sets, or of images of any kind that `load_images` reads; `data_root()` where omitted.
        seeds: Streams, networks and learners, drawn anew for each; three at most.
        train: Nothing is chosen here; `tuning` writes the options.
    """
    own = find_own(data)
    if own is not None:
        protocol = PROTOCOLS["split-mnist"]
        mnist = protocol.load(own)
        image_sets = [mnist, *(vary_images(mnist, how) for how in WORLDS), load_digits()]
    else:
        image_sets = [load_images(data)]  # type: ignore[arg-type]
        protocol = make_protocols(image_sets[0])[0]
    protocol = replace(protocol, n_train=min(N_TRAIN, protocol.n_train), n_test=N_TEST)
    threads, n_seeds = torch.get_num_threads(), min(seeds, MOST_SEEDS)
    torch.set_num_threads(1)
    rows: list[Row] = []
    options = load_tuned(ANY)
    try:
        for images in image_sets:
            rows += tabulate(images.name, measure_curves(protocol, images, options, n_seeds=n_seeds))
    finally:
        torch.set_num_threads(threads)
    config = {
        "protocol": vars(protocol),
        "image_sets": [images.name for images in image_sets],
        "step_sizes": list(STEP_SIZES),
        "buffer": BUFFER,
        "seeds": n_seeds,
        "options": {name: {key: v for key, v in options[name].items() if key != "lr"} for name in METHODS},
        "limits": "clip and centre of Wake(), on every step of the learner's optimiser",
        "interval": "95 %, bootstrap over seeds; differences are paired by seed",
        "notes": [
            "Short streams: compare within the table. The options were chosen on MNIST, inverted MNIST and digits."
        ],
    }
    return config, rows


def list_learners(options: Mapping[str, Mapping[str, float]]) -> dict[str, Callable[..., Learner]]:
    """Learners by name, each called as `(model, setting, lr=…)`.

    Args:
        options: Options by learner, of which the step size is left out.
    """
    learners: dict[str, Callable[..., Learner]] = {}
    for name in METHODS:
        own = {key: value for key, value in options[name].items() if key != "lr"}
        learners[name] = partial(LEARNERS[name], **own)
        if name in LIMITED:
            learners[f"{name}, limited"] = partial(make_limited, make=learners[name])
    return learners


def make_limited(model: nn.Module, setting: Setting, *, lr: float, make: Callable[..., Learner]) -> Learner:
    """A learner whose steps are limited as those of wake are."""
    learner, wake = make(model, setting, lr=lr), Wake()

    def limit(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        centre_gradients(model)
        tame_gradients(optimiser.param_groups, wake.clip)

    learner.optimiser.register_step_pre_hook(limit)
    return learner


def measure_curves(
    protocol: Protocol, images: ImageSet, options: Mapping[str, Mapping[str, float]], *, n_seeds: int
) -> dict[str, Float[np.ndarray, "seed rate"]]:
    """Accuracy at the end of every learner, by seed and step size.

    Args:
        protocol: How images become a stream.
        images: The images.
        options: Options by learner.
        n_seeds: Number of seeds.
    """
    learners = list_learners(options)
    curves = {name: np.zeros((n_seeds, len(STEP_SIZES))) for name in learners}
    for seed in range(n_seeds):
        stream = protocol.make_stream(images, seed=seed)
        for name, make in learners.items():
            for column, rate in enumerate(STEP_SIZES):
                outcome = protocol.run(stream, partial(make, lr=rate), seed=seed, buffer_items=BUFFER)
                curves[name][seed, column] = outcome.compute_accuracy()
    return curves


def compute_area(curves: Float[np.ndarray, "seed rate"], rates: tuple[float, ...]) -> Float[np.ndarray, " seed"]:
    """Mean accuracy over the logarithm of the step size, by trapezia.

    >>> compute_area(np.array([[0.0, 1.0, 1.0]]), (0.01, 0.1, 1.0))
    array([0.75])
    """
    places = np.log(rates)
    return np.trapezoid(curves, places, axis=1) / (places[-1] - places[0])


def tabulate(data: str, curves: Mapping[str, Float[np.ndarray, "seed rate"]]) -> list[Row]:
    """Accuracy at each step size, the area and the lowest accuracy, and the area of ours minus the best peer's.

    Args:
        data: Name of the images.
        curves: From `measure_curves`.
    """
    rows: list[Row] = []

    def add(setting: str, method: str, metric: str, values: Float[np.ndarray, " seed"]) -> None:
        rows.append(estimate_row(data, setting, method, metric, list(values), rng=np.random.default_rng(0)))

    areas = {name: compute_area(each, STEP_SIZES) for name, each in curves.items()}
    peers = [name for name in curves if name not in OURS and name not in UNEQUAL]
    best = max(peers, key=lambda name: float(areas[name].mean()))
    plain = max((name for name in peers if "limited" not in name), key=lambda name: float(areas[name].mean()))
    for name, each in curves.items():
        for column, rate in enumerate(STEP_SIZES):
            add(f"step size {rate:g}", name, "accuracy", each[:, column])
        add("over step sizes", name, "area", areas[name])
        add("over step sizes", name, "lowest", each.min(axis=1))
        if name in OURS:
            add("over step sizes", name, "area_minus_best_peer", areas[name] - areas[plain])
            add("over step sizes", name, "area_minus_best_limited_peer", areas[name] - areas[best])
    return rows
