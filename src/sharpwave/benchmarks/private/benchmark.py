"""`sharpwave benchmark private`: split MNIST at ε = 2, 4, 8 and ∞.

Two digits after two others, one head, the task not told (`accuracy`) or told (`accuracy_told`). Private fine-tuning has
no nights; dreams are free; nights from the buffer share the same ε with wake. Every task is a cohort of its own: other
images. Step sizes and clip are the same for all, chosen on no test image.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sharpwave.benchmarks.continual.images import load_images
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.consolidation import FixedRatio, Private, ReplayBuffer, Sleep
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import data_root

EPSILONS = (2.0, 4.0, 8.0, math.inf)
METHODS = ("private fine-tuning", "with dreams", "with nights from the buffer")
DELTA = 1e-5
N_TRAIN, N_TEST, BATCH, EPOCHS, CAPACITY, RATE, HIDDEN, NIGHT = 2000, 500, 200, 2, 500, 1.0, 32, 0.5


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
            found = [learn(images, seed, method, epsilon) for seed in range(seeds)]
            for metric in found[0]:
                values = [each[metric] for each in found]
                rows.append(estimate_row("split MNIST", f"ε = {epsilon:g}", method, metric, values, rng=rng))
    config = {
        "items_per_task": N_TRAIN,
        "batch": BATCH,
        "epochs": EPOCHS,
        "delta": DELTA,
        "buffer": CAPACITY,
        "night": NIGHT,
        "rate": RATE,
        "interval": "95 %, bootstrap over seeds",
    }
    return config, rows


def learn(images: Any, seed: int, method: str, epsilon: float) -> dict[str, float]:
    """One run over five tasks.

    Args:
        images: Digits.
        seed: Seed of the network, draws and noise.
        method: One of `METHODS`.
        epsilon: ε of all of it.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE)
    replay = method == METHODS[2]
    private = Private(epsilon, DELTA, replay=replay, nights=5, generator=torch.Generator().manual_seed(seed))
    buffer = ReplayBuffer(CAPACITY) if replay else None
    sleep = Sleep(model, buffer, optimiser, private=private, schedule=FixedRatio(NIGHT))
    assert sleep.private is not None
    digits = rng.permutation(10).reshape(5, 2)
    told: list[list[float]] = []
    for task, pair in enumerate(digits):
        chosen = rng.permutation(np.flatnonzero(np.isin(images.y_train, pair)))[:N_TRAIN]
        items = {"x": scale(images.x_train[chosen]), "y": torch.from_numpy(images.y_train[chosen])}
        for batch in sleep.private.batches(items, BATCH, epochs=EPOCHS, cohort=f"task {task}"):
            sleep.wake(batch).backward()
            optimiser.step()
        if method != METHODS[0]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a night costs
                sleep.night()
        told.append([score(model, images, each, told=True) for each in digits[: task + 1]])
    final = told[-1]
    fallen = [max(each[task] for each in told[task:]) - final[task] for task in range(4)]
    unknown = [score(model, images, pair, told=False) for pair in digits]
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
def score(model: nn.Module, images: Any, pair: np.ndarray, *, told: bool) -> float:
    """Share of right answers for two digits; of these two alone where the task is told."""
    chosen = np.flatnonzero(np.isin(images.y_test, pair))[:N_TEST]
    logits = model(scale(images.x_test[chosen]))
    if told:
        others = [digit for digit in range(10) if digit not in pair]
        logits[:, others] = -torch.inf
    return float((logits.argmax(dim=1).numpy() == images.y_test[chosen]).mean())
