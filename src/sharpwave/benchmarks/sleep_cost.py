"""`sharpwave benchmark sleep-cost`: what a buffer, its hooks, significance and a night take, in time and memory.

Times are processor time of one thread. A wake step with a buffer and one without take turns in one run, so that
whatever else the machine does meets both alike; the difference of their medians is what the buffer costs.
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.benchmarks.rows import Row
from sharpwave.consolidation import ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.significance import compute_significance
from sharpwave.demonstrations.networks import make_model
from sharpwave.evaluation.intervals import bootstrap_statistic, draw_weights

BATCH = 128
CAPACITY = 500
SETTINGS = {"mlp": (1, 28, 28), "resnet": (3, 32, 32)}
REPEATS = {"mlp": 400, "resnet": 40}
SIZES = (1e5, 1e6, 1e7, 1e8)
ITEMS = 2
"""Items of which significance is the mean; its cost is linear in them, too."""
WIDTH = 256


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Share of a wake step, slope of significance, and bytes.

    Args:
        data: Not used; inputs are random numbers.
        seeds: Times that significance is measured at each size.
        train: No meaning here.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [row for name in SETTINGS for row in measure_wake(name)]
        rows += measure_memory()
        rows += measure_significance(repeats=seeds)
    finally:
        torch.set_num_threads(threads)
    config = {
        "batch": BATCH,
        "buffer_items": CAPACITY,
        "repeats": REPEATS,
        "parameters": [int(size) for size in SIZES],
        "items": ITEMS,
        "wake": "the task's loss alone, with the batch offered to a reservoir whose images take a byte a channel",
        "interval": "95 %, bootstrap over pairs of steps",
        "notes": ["Processor time of one thread. Nothing is replayed in the wake steps that are compared."],
    }
    return config, rows


def measure_wake(name: str) -> list[Row]:
    """What the buffer and its hooks add to a wake step, as a share of it."""
    shape = SETTINGS[name]
    batches = [(torch.rand(BATCH, *shape), torch.randint(10, (BATCH,))) for _ in range(8)]
    plain, kept = (make_model(name, shape, 10, seed=0) for _ in range(2))
    optimisers = [torch.optim.SGD(model.parameters(), lr=0.01) for model in (plain, kept)]
    buffer = ReplayBuffer(CAPACITY, storage={"x": "uint8"}, generator=torch.Generator().manual_seed(0))
    sleep = Sleep(kept, buffer, optimisers[1], wake=Wake("none"))
    losses: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda x, y: nn.functional.cross_entropy(plain(x), y),
        lambda x, y: sleep.wake({"x": x, "y": y}),
    ]
    times = np.empty((REPEATS[name], 2))
    for repeat in range(-5, REPEATS[name]):
        x, y = batches[repeat % len(batches)]
        for place in (0, 1) if repeat % 2 else (1, 0):
            begun = time.process_time()
            optimisers[place].zero_grad()
            losses[place](x, y).backward()
            optimisers[place].step()
            if repeat >= 0:
                times[repeat, place] = time.process_time() - begun
    share = bootstrap_median_ratio(times[:, 1], times[:, 0])
    return [
        Row("random numbers", "wake step", name, "added_share", *share, n=len(times)),
        Row("random numbers", "wake step", name, "milliseconds", 1e3 * float(np.median(times[:, 0])), n=len(times)),
    ]


def bootstrap_median_ratio(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """How much longer ours takes by the median, as a share of theirs, with its interval over pairs.

    Args:
        ours: Seconds of each step.
        theirs: Seconds of the step beside it.
    """
    weights = draw_weights(len(ours), rng=np.random.default_rng(0))

    def compute(weight: np.ndarray) -> float:
        rows = np.repeat(np.arange(len(ours)), weight.astype(int))
        return float(np.median(ours[rows]) / np.median(theirs[rows]) - 1)

    estimate = bootstrap_statistic(compute, weights)
    return estimate.value, estimate.low, estimate.high


def measure_memory(*, n_parameters: int = 20_000_000) -> list[Row]:
    """Peak memory of a training that sleeps and of one that does not, each in a process of its own.

    Args:
        n_parameters: Number of parameters of the network; many, so that what sleep copies of it stands out.
    """
    peaks = {}
    for sleeps in (False, True):
        code = f"from {__name__} import print_peak; print_peak({n_parameters}, sleeps={sleeps})"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks[sleeps] = float(answer.stdout)
    weights = 4 * n_parameters / 1e6
    setting = f"memory, {n_parameters:.0e} parameters"
    return [
        Row("random numbers", setting, "weights", "megabytes", weights),
        Row("random numbers", setting, "without sleep", "peak_megabytes", peaks[False]),
        Row("random numbers", setting, "with sleep", "peak_megabytes", peaks[True]),
        Row("random numbers", setting, "with sleep", "added_in_weights", (peaks[True] - peaks[False]) / weights),
    ]


def print_peak(n_parameters: int, *, sleeps: bool) -> None:
    """Train a little and print the peak of this process in megabytes.

    Args:
        n_parameters: Number of parameters of the network.
        sleeps: Whether there is a buffer, and a night.
    """
    torch.set_num_threads(1)
    model = make_wide(n_parameters)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4)
    buffer = ReplayBuffer(CAPACITY, storage={"x": "uint8"}, generator=torch.Generator().manual_seed(0))
    sleep = Sleep(model, buffer, optimiser, wake=Wake("none"))
    for _ in range(1 + CAPACITY // BATCH):
        x, y = torch.rand(BATCH, WIDTH), torch.randint(10, (BATCH,))
        optimiser.zero_grad()
        (sleep.wake({"x": x, "y": y}) if sleeps else nn.functional.cross_entropy(model(x), y)).backward()
        optimiser.step()
    if sleeps:
        sleep.night(3)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def measure_significance(*, repeats: int) -> list[Row]:
    """Seconds against parameters, and the slope of the logarithms: 1 is linear."""
    seconds, counts = [], []
    for size in SIZES:
        model = make_wide(int(size))
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        batch = {"x": torch.rand(ITEMS, WIDTH), "y": torch.randint(10, (ITEMS,))}
        compute_significance(model, batch)
        taken = []
        for _ in range(max(1, min(repeats, 3))):
            begun = time.process_time()
            compute_significance(model, batch)
            taken.append(time.process_time() - begun)
        seconds.append(min(taken))
        counts.append(n_parameters)
    slope = float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])
    largest = math.log(seconds[-1] / seconds[-2]) / math.log(counts[-1] / counts[-2])
    rows = [
        Row("random numbers", "significance", f"{count:.0e} parameters", "seconds", value)
        for count, value in zip(counts, seconds, strict=True)
    ]
    rows.append(Row("random numbers", "significance", "all sizes", "slope", slope, n=len(SIZES)))
    return [*rows, Row("random numbers", "significance", "the two largest", "slope", largest, n=2)]


def make_wide(n_parameters: int) -> nn.Module:
    """A perceptron with one hidden layer of as many units as make up the number of parameters."""
    width = round(n_parameters / (WIDTH + 11))
    return nn.Sequential(nn.Linear(WIDTH, width), nn.ReLU(), nn.Linear(width, 10))
