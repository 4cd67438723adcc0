"""`sharpwave benchmark sleep-cost`: what a buffer, its hooks, significance and a night take, in time and memory.

Times are processor time of one thread. Ten steps with sleep and the same passes written by hand take turns in one run,
so that whatever else the machine does meets both alike; the ratio of their medians is what sleep costs beyond its
passes. Days with nights are timed beside days of the older recipe, whose wake drew twice and had no nights, and beside
plain training, in the same way.
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
REPEATS = {"mlp": 60, "resnet": 8}
BLOCK = 10
"""Steps that follow each other before the other way takes its turn, as the steps of a loop do."""

DAYS = {"mlp": 100, "resnet": 100, "transformer": 100}
"""Steps of a day."""
DAY_REPEATS = {"mlp": 6, "resnet": 4, "transformer": 4}
DAY_BATCH = 32
TWO_DRAWS = Wake("der++", draws=2, fuse=False)
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
        rows += [row for name in SETTINGS for row in measure_replay(name)]
        rows += [row for name in DAYS for row in measure_days(name)]
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
        "steps_in_turn": BLOCK,
        "interval": "95 %, bootstrap over pairs of ten steps",
        "days": DAYS,
        "notes": [
            "Processor time of one thread. Nothing is replayed in `wake step`; in `wake step with replay` as many new "
            "and replayed items pass a loop written by hand, in one pass where there is no BatchNorm.",
            "A day is `days` steps and the night after them. `two draws`: other items for logits and labels, each in a "
            "pass of its own, no nights, which was the recipe of version 0.1.0.",
        ],
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

    def steps(place: int, repeat: int) -> None:
        for number in range(BLOCK):
            x, y = batches[number % len(batches)]
            optimisers[place].zero_grad()
            losses[place](x, y).backward()
            optimisers[place].step()

    times = time_in_turns(steps, n_ways=2, repeats=REPEATS[name], warm=1)
    share = bootstrap_median_ratio(times[:, 1], times[:, 0])
    return [
        Row("random numbers", "wake step", name, "added_share", *share, n=len(times)),
        Row(
            "random numbers",
            "wake step",
            name,
            "milliseconds",
            1e3 / BLOCK * float(np.median(times[:, 0])),
            n=len(times),
        ),
    ]


def measure_replay(name: str) -> list[Row]:
    """What the buffer and its hooks add to a wake step with replay, as a share of its passes written by hand."""
    shape = SETTINGS[name]
    batches = [(torch.rand(BATCH, *shape), torch.randint(10, (BATCH,))) for _ in range(8)]
    hand, kept = (make_model(name, shape, 10, seed=0) for _ in range(2))
    optimisers = [torch.optim.SGD(model.parameters(), lr=0.01) for model in (hand, kept)]
    sleep = Sleep(kept, make_buffer(), optimisers[1])
    logits, apart = torch.randn(BATCH, 10), name == "resnet"

    def pass_by_hand(x: Tensor, y: Tensor) -> Tensor:
        new, old = (hand(x), hand(x)) if apart else hand(torch.cat([x, x])).split(BATCH)
        replayed = nn.functional.cross_entropy(old, y) + nn.functional.mse_loss(old, logits)
        return nn.functional.cross_entropy(new, y) + 0.5 * replayed

    def steps(place: int, repeat: int) -> None:
        for number in range(BLOCK):
            x, y = batches[number % len(batches)]
            optimisers[place].zero_grad()
            (sleep.wake({"x": x, "y": y}) if place else pass_by_hand(x, y)).backward()
            optimisers[place].step()

    times = time_in_turns(steps, n_ways=2, repeats=REPEATS[name], warm=1)
    share = bootstrap_median_ratio(times[:, 1], times[:, 0])
    return [Row("random numbers", "wake step with replay", name, "added_share", *share, n=len(times))]


def measure_days(name: str) -> list[Row]:
    """Days with their nights against plain training and against the older recipe; and a night against its day."""
    ways: dict[str, Callable[[nn.Module, torch.optim.Optimizer], Sleep | None]] = {
        "plain": lambda model, optimiser: None,
        "two draws": lambda model, optimiser: Sleep(model, make_buffer(), optimiser, wake=TWO_DRAWS),
        "sleep": lambda model, optimiser: Sleep(model, make_buffer(), optimiser),
        "budget 0.15": lambda model, optimiser: Sleep(model, make_buffer(), optimiser, budget=0.15),
    }
    models = [make_day_model(name) for _ in ways]
    optimisers = [torch.optim.SGD(model.parameters(), lr=0.01) for model in models]
    sleeps = [make(*pair) for make, pair in zip(ways.values(), zip(models, optimisers, strict=True), strict=True)]
    shape = SETTINGS.get(name, (WORDS,))
    x = torch.rand(8 * DAY_BATCH, *shape) if name in SETTINGS else torch.randint(100, (8 * DAY_BATCH, *shape))
    y, nights = torch.randint(10, (8 * DAY_BATCH,)), np.zeros((DAY_REPEATS[name], len(ways)))

    def live(place: int, repeat: int) -> None:
        sleep, optimiser = sleeps[place], optimisers[place]
        for number in range(DAYS[name]):
            rows = slice(number % 8 * DAY_BATCH, (number % 8 + 1) * DAY_BATCH)
            optimiser.zero_grad()
            if sleep is None:
                nn.functional.cross_entropy(models[place](x[rows]), y[rows]).backward()
            else:
                sleep.wake({"x": x[rows], "y": y[rows]}).backward()
            optimiser.step()
        begun = time.process_time()
        if sleep is not None and place > 1:
            sleep.night()
        nights[repeat, place] = time.process_time() - begun

    days = time_in_turns(live, n_ways=len(ways), repeats=DAY_REPEATS[name], warm=1)
    setting, n = "days and nights", len(days)
    to_plain = [
        Row(
            "random numbers",
            setting,
            name,
            f"{way} against plain",
            *bootstrap_median_ratio(days[:, k], days[:, 0]),
            n=n,
        )
        for k, way in enumerate(ways)
        if k
    ]
    against = bootstrap_median_ratio(days[:, 2], days[:, 1])
    night = bootstrap_median_ratio(days[:, 2], (days - nights)[:, 2])
    return [
        *to_plain,
        Row("random numbers", setting, name, "sleep against two draws", *against, n=n),
        Row("random numbers", setting, name, "night against its day", *night, n=n),
    ]


def time_in_turns(run: Callable[[int, int], None], *, n_ways: int, repeats: int, warm: int) -> np.ndarray:
    """Processor seconds of each way in each repeat, shape (repeat, way); the order turns round with each.

    Args:
        run: Function of a way and a repeat.
        n_ways: Number of ways.
        repeats: Number of repeats that are timed.
        warm: Number of repeats before those.
    """
    times = np.empty((repeats, n_ways))
    for repeat in range(-warm, repeats):
        for place in range(n_ways) if repeat % 2 else reversed(range(n_ways)):
            begun = time.process_time()
            run(place, repeat)
            if repeat >= 0:
                times[repeat, place] = time.process_time() - begun
    return times


WORDS = 32
"""Tokens of an input of the transformer."""


class Transformer(nn.Module):
    """Two layers of attention over tokens, and a class for the whole."""

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
        self.embedding, self.layers = nn.Embedding(100, width), nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(tokens)).mean(dim=1))


def make_day_model(name: str) -> nn.Module:
    """A network by its name in `DAYS`."""
    if name in SETTINGS:
        return make_model(name, SETTINGS[name], 10, seed=0)
    torch.manual_seed(0)
    return Transformer()


def make_buffer() -> ReplayBuffer:
    """One whose memories are stored as they are given."""
    return ReplayBuffer(CAPACITY, generator=torch.Generator().manual_seed(0))


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
