"""`sharpwave benchmark jax`: nights in JAX beside nights in PyTorch, from the same draws.

How far apart the weights are after two days and nights (for three networks, in both precisions, and for the other
recipes), what both know of split MNIST in the end, and what a step of wake and a night take in processor time, in
turns within one run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import torch
from torch import nn

from sharpwave.benchmarks.continual.images import load_images
from sharpwave.benchmarks.jax.networks import PAIRS, Pair, make_mlp
from sharpwave.benchmarks.jax.parity import RATE, compare_weights
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.sleep_cost import bootstrap_median_ratio, time_in_turns
from sharpwave.consolidation import NREM, REM, FixedRatio, Protection, Recipe, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.recipe import make_ssr
from sharpwave.demonstrations.streams import Stream, split_classes
from sharpwave.integrations.jax import Memory, Network, night, wake_step
from sharpwave.integrations.jax.carrier import evaluate
from sharpwave.recordings.datasets.load import data_root

PLANS: dict[str, dict[str, Any]] = {
    "default": {},
    "er": {"recipe": Recipe(wake=Wake("er"), nrem=NREM(distillation=0.0))},
    "ssr": {"recipe": make_ssr()},
    "shallow nights": {"budget": 0.5, "steps": 60},
    "rem": {
        "recipe": Recipe(rem=REM(share=0.5, cycles=2, exploration=0.1), schedule=FixedRatio(0.8)),
        "days": 2,
        "steps": 15,
    },
    "protection": {"recipe": Recipe(protection=Protection(anchor=1.0, step_size=0.3)), "days": 2, "steps": 15},
    "steering": {"recipe": Recipe(steer="brittle", schedule=FixedRatio(0.8)), "steps": 15},
}
"""Recipes whose weights are compared on the MLP."""
N_TRAIN, N_TEST, BATCH, CAPACITY, LEARNING_RATE = 2500, 1000, 32, 200, 0.05
BLOCK, REPEATS, NIGHTS = 10, 6, 12


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Weights, accuracy and time.

    Args:
        data: Folder of data sets; `data_root()` where omitted. Without MNIST in it, accuracy is left out.
        seeds: Orders of classes and images of split MNIST.
        train: No meaning here.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = compare_all()
        rows += [row for name in ("mnist-mlp", "resnet-block") for row in measure_time(name)]
        root = data or data_root()
        mnist = None if root is None else root / "images/mnist.npz"
        rows += compare_accuracy(mnist, seeds=seeds) if mnist is not None and mnist.exists() else []
    finally:
        torch.set_num_threads(threads)
    config = {
        "seeds": seeds,
        "days": "mlp: two of 25 steps; others: one of 15 (recipes: 25, shallow nights 60, rem and protection: two of "
        "15); 8 items, SGD .02, momentum",
        "split_mnist": {
            "n_train": N_TRAIN,
            "n_test": N_TEST,
            "batch": BATCH,
            "capacity": CAPACITY,
            "rate": LEARNING_RATE,
        },
        "timed": f"{REPEATS} blocks of {BATCH} new items, {BLOCK} steps each, and {NIGHTS} nights, in turns",
        "notes": [
            "log10_difference: the largest difference of any weight; log10_moved: how far the one that moved most did.",
            "Weights are compared without most of the compiler's optimisations, times are taken with them.",
            "Processor time of all threads. Steps replay as many items as are new, and store them.",
        ],
    }
    return config, rows


def compare_all() -> list[Row]:
    """Largest difference of weights between both, as a power of ten."""
    rows: list[Row] = []
    jax.config.update("jax_disable_most_optimizations", True)  # of the compiler, which takes most of the time here
    try:
        _compare_into(rows)
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
    return rows


def _compare_into(rows: list[Row]) -> None:
    for bits in (64, 32):
        for name in PAIRS:
            days: dict[str, Any] = {"days": 2} if name == "mlp" else {"days": 1, "steps": 15}
            rows += _to_rows(name, f"{bits} bits", "default", compare_weights(name, double=bits == 64, **days))
        for plan, options in PLANS.items():
            if options:
                found = compare_weights("mlp", double=bits == 64, **({"days": 1} | options))
                rows += _to_rows("mlp", f"{bits} bits", plan, found)


def _to_rows(name: str, setting: str, plan: str, found: dict[str, float]) -> list[Row]:
    return [
        Row(name, setting, plan, f"log10_{what}", math.log10(max(found[what], 1e-18)))
        for what in ("difference", "moved")
    ]


def make_mnist_pair(seed: int = 0) -> Pair:
    """The perceptron of the continual benchmark: 784, 100, 100, 10."""
    return make_mlp(torch.float32, seed=seed, sizes=(784, 100, 100, 10))


@cache
def get_mnist_network() -> tuple[Network, Any]:
    """Its functions and an optimiser, the same for all seeds, so that they are compiled once."""
    return make_mnist_pair().network, optax.sgd(LEARNING_RATE)


def measure_time(name: str) -> list[Row]:
    """Processor time of a step of wake, and of a night of as many steps, in both."""
    pair = make_mnist_pair() if name == "mnist-mlp" else PAIRS[name](torch.float32)
    generator = torch.Generator().manual_seed(0)
    batches = [pair.draw(generator, BATCH, 0) for _ in range(BLOCK)]
    optimiser, tx = torch.optim.SGD(pair.module.parameters(), lr=RATE, momentum=0.9), optax.sgd(RATE, momentum=0.9)
    sleep, memory = Sleep(pair.module, ReplayBuffer(CAPACITY), optimiser), Memory(ReplayBuffer(CAPACITY))
    arrays = [{key: value.numpy() for key, value in batch.items()} for batch in batches]
    trained = getattr(pair.params, "params", pair.params)
    held = {"params": pair.params, "state": tx.init(trained)}

    def steps_torch() -> None:
        for batch in batches:
            optimiser.zero_grad()
            sleep.wake(dict(batch)).backward()
            optimiser.step()

    def steps_jax() -> None:
        for batch in arrays:
            held["params"], held["state"], _ = wake_step(
                held["params"], held["state"], memory, batch, tx=tx, apply=pair.network, rate=RATE
            )

    def night_torch() -> None:
        sleep.night(BLOCK)

    def night_jax() -> None:
        held["params"], held["state"], _ = night(
            held["params"], held["state"], memory, tx, apply=pair.network, rate=RATE, steps=BLOCK
        )

    rows = []
    ways: dict[str, list[Callable[[], None]]] = {"wake": [steps_torch, steps_jax], "night": [night_torch, night_jax]}
    for what, run_ways in ways.items():
        repeats = REPEATS if what == "wake" else NIGHTS
        times = time_in_turns(lambda place, _, ways=run_ways: ways[place](), n_ways=2, repeats=repeats, warm=3)  # type: ignore[misc]
        for place, library in enumerate(("pytorch", "jax")):
            each = 1e3 / BLOCK * times[:, place]
            rows.append(Row(name, what, library, "milliseconds_per_step", float(np.median(each)), n=len(times)))
        ratio, low, high = (1 + value for value in bootstrap_median_ratio(times[:, 1], times[:, 0]))
        rows.append(Row(name, what, "jax", "time_ratio", ratio, low, high, n=len(times)))
    return rows


def compare_accuracy(path: Path, *, seeds: int) -> list[Row]:
    """What both know of split MNIST after five tasks and nights, from the same weights and draws, and in JAX alone."""
    images, found = load_images(path), dict[str, list[float]]()
    for seed in range(seeds):
        stream = split_classes(images, n_tasks=5, rng=np.random.default_rng(seed), n_train=N_TRAIN, n_test=N_TEST)
        for name, learn in LEARNERS.items():
            found.setdefault(name, []).append(learn(stream, seed))
    rng = np.random.default_rng(0)
    return [
        estimate_row("split-mnist", f"buffer {CAPACITY}", name, "accuracy", values, rng=rng)
        for name, values in found.items()
    ]


def _batches(stream: Stream, seed: int) -> Any:
    order = torch.Generator().manual_seed(seed)
    for number, task in enumerate(stream.tasks):
        x = task.x_train.flatten(1).float() / 255  # type: ignore[union-attr]
        for rows in torch.randperm(len(x), generator=order).split(BATCH):
            yield number, {"x": x[rows], "y": task.y_train[rows]}
        yield number, None


def _score(stream: Stream, predict: Callable[[torch.Tensor], torch.Tensor]) -> float:
    right = [
        float((predict(task.x_test.flatten(1).float() / 255).argmax(dim=1) == task.y_test).float().mean())  # type: ignore[union-attr]
        for task in stream.tasks
    ]
    return float(np.mean(right))


def learn_torch(stream: Stream, seed: int, *, sleeps: bool = True) -> float:
    """Mean accuracy over the tasks in the end, in PyTorch."""
    module = make_mnist_pair(seed).module
    optimiser = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE)
    buffer = ReplayBuffer(CAPACITY, generator=torch.Generator().manual_seed(seed))
    plan = Recipe() if sleeps else Recipe(wake=Wake("none"))
    sleep = Sleep(module, buffer, optimiser, recipe=plan, generator=torch.Generator().manual_seed(seed))
    for task, batch in _batches(stream, seed):
        if batch is not None:
            optimiser.zero_grad()
            sleep.wake(batch, task=task).backward()
            optimiser.step()
        elif sleeps:
            sleep.night()
    with torch.no_grad():
        return _score(stream, nn.Module.eval(module))


def learn_jax(stream: Stream, seed: int, *, draws: int | None = None) -> float:
    """The same in JAX.

    Args:
        stream: The tasks.
        seed: Seed of weights and of the order of items.
        draws: Seed of what is kept and replayed; `seed` where omitted.
    """
    draws, params = seed if draws is None else draws, make_mnist_pair(seed).params
    network, tx = get_mnist_network()
    state = tx.init(params)
    memory = Memory(ReplayBuffer(CAPACITY, generator=torch.Generator().manual_seed(draws)), key=draws)
    options: dict[str, Any] = {"tx": tx, "apply": network, "rate": LEARNING_RATE}
    for task, batch in _batches(stream, seed):
        if batch is not None:
            params, state, _ = wake_step(params, state, memory, batch, task=task, **options)
        else:
            params, state, _ = night(params, state, memory, **options)

    def predict(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.array(evaluate(params, {"x": x.numpy()}, network=network)))

    return _score(stream, predict)


LEARNERS: dict[str, Callable[[Stream, int], float]] = {
    "pytorch": learn_torch,
    "jax": learn_jax,
    "jax, other draws": lambda stream, seed: learn_jax(stream, seed, draws=1000 + seed),
    "pytorch, no replay and no nights": lambda stream, seed: learn_torch(stream, seed, sleeps=False),
}
"""Who learns split MNIST: "other draws" differs from PyTorch's in what is kept and replayed, as by chance."""
