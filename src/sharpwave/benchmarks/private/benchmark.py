"""`sharpwave benchmark private`: split MNIST at ε = 2, 4, 8 and ∞.

Two digits after two others, one head, the task not told (`accuracy`) or told (`accuracy_told`). Private fine-tuning has
no nights; dreams are free; nights from the buffer share the same ε with wake. Every task is a cohort of its own: other
images. Step sizes and clip are the same for all, chosen on no test image.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.benchmarks.continual.images import load_images
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.consolidation import FixedRatio, Private, ReplayBuffer, Sleep
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import data_root

EPSILONS = (2.0, 4.0, 8.0, math.inf)
METHODS = ("private fine-tuning", "with dreams", "with nights from the buffer")
DELTA = 1e-5
N_TRAIN, N_TEST, BATCH, EPOCHS, CAPACITY, RATE, HIDDEN, NIGHT = 2000, 500, 200, 2, 500, 1.0, 32, 0.5

PROTOCOL = {
    "items_per_task": N_TRAIN,
    "batch": BATCH,
    "epochs": EPOCHS,
    "delta": DELTA,
    "buffer": CAPACITY,
    "night": NIGHT,
    "rate": RATE,
}


@dataclass(frozen=True, eq=False)
class PrivateTask:
    """Two classes that are learned at one time.

    Attributes:
        x: Training items, shape (item, ...).
        y: Their classes, among those of all tasks.
        x_test: Test items.
        y_test: Their classes.
        classes: The two.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: tuple[int, ...]


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Learn split MNIST in private.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Number of seeds of networks, draws and noise.
        train: Not used.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If there are no images.
    """
    root = data or data_root()
    if root is None or not (root / "images" / "mnist.npz").is_file():
        raise SharpwaveError("images/mnist.npz in the folder of data sets", got="none", fix="see docs/datasets.md")
    images = load_images(root / "images" / "mnist.npz")
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for epsilon in EPSILONS:
        for method in METHODS:
            found = [learn(split_digits(images, seed), seed, method, epsilon) for seed in range(seeds)]
            for metric in found[0]:
                values = [each[metric] for each in found]
                rows.append(estimate_row("split MNIST", f"ε = {epsilon:g}", method, metric, values, rng=rng))
    config = PROTOCOL | {"interval": "95 %, bootstrap over seeds"}
    return config, rows


def split_digits(images: Any, seed: int) -> list[PrivateTask]:
    """The tasks of a seed: two digits each, and which images of them.

    Args:
        images: Digits.
        seed: Seed of both.
    """
    rng, tasks = np.random.default_rng(seed), []
    for pair in rng.permutation(10).reshape(5, 2):
        chosen = rng.permutation(np.flatnonzero(np.isin(images.y_train, pair)))[:N_TRAIN]
        tested = np.flatnonzero(np.isin(images.y_test, pair))[:N_TEST]
        tasks.append(
            PrivateTask(
                scale(images.x_train[chosen]),
                torch.from_numpy(images.y_train[chosen]),
                scale(images.x_test[tested]),
                torch.from_numpy(images.y_test[tested]),
                tuple(pair.tolist()),
            )
        )
    return tasks


def learn(tasks: Sequence[PrivateTask], seed: int, method: str, epsilon: float) -> dict[str, float]:
    """One run over all tasks.

    Args:
        tasks: In order, each of other items.
        seed: Seed of the network, draws and noise.
        method: One of `METHODS`.
        epsilon: ε of all of it.
    """
    torch.manual_seed(seed)
    n_inputs, n_classes = tasks[0].x[0].numel(), 1 + max(max(task.classes) for task in tasks)
    model = nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, n_classes))
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE)
    replay = method == METHODS[2]
    private = Private(epsilon, DELTA, replay=replay, nights=len(tasks), generator=torch.Generator().manual_seed(seed))
    buffer = ReplayBuffer(CAPACITY) if replay else None
    sleep = Sleep(model, buffer, optimiser, private=private, schedule=FixedRatio(NIGHT))
    assert sleep.private is not None
    told: list[list[float]] = []
    for number, task in enumerate(tasks):
        items, size = {"x": task.x, "y": task.y}, round(len(task.x) * BATCH / N_TRAIN)
        for batch in sleep.private.batches(items, size, epochs=EPOCHS, cohort=f"task {number}"):
            sleep.wake(batch).backward()
            optimiser.step()
        if method != METHODS[0]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a night costs
                sleep.night()
        told.append([score(model, each, told=True) for each in tasks[: number + 1]])
    final = told[-1]
    fallen = [max(each[number] for each in told[number:]) - final[number] for number in range(len(tasks) - 1)]
    unknown = [score(model, task, told=False) for task in tasks]
    return {
        "accuracy": float(np.mean(unknown)),
        "accuracy_told": float(np.mean(final)),
        "forgetting_told": float(np.mean(fallen)),
        "epsilon_spent": sleep.private.spent,
    }


def scale(x: np.ndarray) -> torch.Tensor:
    """Images as numbers around 0, by constants."""
    return (torch.from_numpy(x).float() / 255 - 0.13) / 0.31


@torch.no_grad()
def score(model: nn.Module, task: PrivateTask, *, told: bool) -> float:
    """Share of right answers for two classes; of these two alone where the task is told."""
    logits = model(task.x_test)
    if told:
        others = [each for each in range(logits.shape[1]) if each not in task.classes]
        logits[:, others] = -torch.inf
    return float((logits.argmax(dim=1) == task.y_test).float().mean())
