"""`sharpwave benchmark criticality`: does sleep move a network towards criticality? Before and after, with awake twins.

A recurrent network reads digits row by row, and a perceptron that runs as spiking neurons at night (sleep replay
consolidation) sees them whole; both learn them two classes at a time. After each task the network sleeps, while a twin
of the same weights stays awake for as many steps. Before and after, each is driven by noise and the activity of its
hidden units measured: branching ratio and exponent of avalanches. Nothing is planted and nothing tuned. The spiking
network feeds forward, so that its activity lasts through the leak of its potentials alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.seeds import run_seeds
from sharpwave.consolidation import Homeostasis, ReplayBuffer, Sleep
from sharpwave.consolidation.spiking import SpikingPhase
from sharpwave.demonstrations.networks import Perceptron, record_hidden_states
from sharpwave.demonstrations.streams import Stream, Task, stream_digits, take
from sharpwave.errors import SharpwaveError
from sharpwave.executors import Executor
from sharpwave.resilience.criticality import compute_branching_ratio, find_avalanches, fit_avalanches

N_UNITS, N_ITEMS, BATCH, PASSES, RATE = 64, 100, 16, 6, 0.1
N_SLEEP = {"recurrent": 40, "spiking": 200}
"""Steps of a night, and of the twin awake."""
N_MEASURED, LAGS = 4000, 20.0
"""Steps of noise, and longest lag of the branching ratio in steps."""
METHODS = {"recurrent": ("asleep", "asleep, downscaled", "awake"), "spiking": ("asleep", "awake")}

Measured = dict[str, float]


class RowReader(nn.Module):
    """A recurrent network that reads an image row by row.

    Args:
        width: Pixels in a row.
        n_classes: Size of the answer.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.cell = nn.RNN(width, N_UNITS, batch_first=True)
        self.head = nn.Linear(N_UNITS, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1) if x.ndim == 4 else x
        return self.head(self.cell(rows)[0][:, -1])


@dataclass
class Life:
    """A network and its sleep.

    Attributes:
        network: The network.
        sleep: Its sleep.
        optimiser: Its optimiser.
    """

    network: nn.Module
    sleep: Sleep
    optimiser: torch.optim.Optimizer

    @classmethod
    def begin(cls, kind: str, stream: Stream, *, seed: int, downscale: float = 0.0) -> Life:
        """A fresh network; the same seed gives the same one.

        Args:
            kind: "recurrent" or "spiking".
            stream: What it will learn.
            seed: Seed of weights and sleep.
            downscale: Share by which nights shrink weights.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shape, n_classes = stream.shape, stream.n_classes
            spiking = kind == "spiking"
            network = Perceptron(shape, n_classes) if spiking else RowReader(shape[-1], n_classes)
        if spiking:
            for layer in network.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.zeros_(layer.bias).requires_grad_(False)
        trained = [each for each in network.parameters() if each.requires_grad]
        optimiser = torch.optim.SGD(trained, lr=RATE)
        generator = torch.Generator().manual_seed(seed)
        if spiking:
            sleep = Sleep.src(network, optimiser, generator=generator)
        else:
            homeostasis = Homeostasis(downscale=downscale) if downscale else None
            buffer = ReplayBuffer(N_ITEMS, generator=generator)
            sleep = Sleep(network, buffer, optimiser, generator=generator, homeostasis=homeostasis)
        return cls(network, sleep, optimiser)

    def copy_from(self, other: Life) -> Life:
        """Go on where another is."""
        self.network.load_state_dict(other.network.state_dict())
        self.optimiser.load_state_dict(copy.deepcopy(other.optimiser.state_dict()))
        self.sleep.load_state_dict(copy.deepcopy(other.sleep.state_dict()))
        return self

    def learn(self, task: Task, n_steps: int, *, generator: torch.Generator) -> None:
        """Steps awake on batches of a task."""
        for _ in range(n_steps):
            rows = torch.randint(len(task.y_train), (BATCH,), generator=generator)
            self.optimiser.zero_grad()
            self.sleep.wake({"x": take(task.x_train, rows), "y": task.y_train[rows]}).backward()
            self.optimiser.step()

    def measure(self, *, seed: int) -> Measured:
        """Branching ratio and avalanches under noise, the same for all that are compared."""
        rng = np.random.default_rng(seed)
        if isinstance(self.network, RowReader):
            width = self.network.cell.input_size
            noise = torch.from_numpy(rng.standard_normal((1, N_MEASURED, width))).float()
            return measure_activity(count_active(record_hidden_states(self.network, noise, layer="cell")))
        phase = next(iter(self.sleep.phases.values()))
        assert isinstance(phase, SpikingPhase)
        return measure_activity(count_spikes(self.network, phase, generator=torch.Generator().manual_seed(seed)))


def count_active(states: Float[np.ndarray, "time unit"], *, height: float = 1.0) -> Float[np.ndarray, " time"]:
    """How many units are above their mean by so many of their standard deviations, at each step."""
    above = (states - states.mean(axis=0)) / (states.std(axis=0) + 1e-12) > height
    return above.sum(axis=1).astype(float)


@torch.no_grad()
def count_spikes(network: nn.Module, phase: SpikingPhase, *, generator: torch.Generator) -> Float[np.ndarray, " time"]:
    """Spikes of the hidden units at each step, the network run as at night with weights that stay (`step_spikes`)."""
    replay, activity = phase.replay, phase.activity
    chain = activity.find_chain(network)
    highest = list(activity.highest.values())
    rates = replay.rate * activity.mean / activity.mean.max().clamp(min=1e-8)
    potentials = [torch.zeros(layer.out_features) for layer in chain]
    counts = np.zeros(N_MEASURED)
    for moment in range(N_MEASURED):
        spikes = (torch.rand(rates.shape, generator=generator) < rates).float()
        for place, layer in enumerate(chain):
            scale = (highest[place - 1] if place else 1.0) / highest[place]
            potential = replay.leak * potentials[place] + scale * (layer.weight @ spikes)
            fired = potential > replay.threshold
            potentials[place], spikes = potential.masked_fill(fired, 0.0), fired.float()
            if place < len(chain) - 1:
                counts[moment] += float(spikes.sum())
    return counts


def measure_activity(activity: Float[np.ndarray, " time"]) -> Measured:
    """Branching ratio and exponent of avalanche sizes; NaN where activity does not vary or there are too few."""
    found = dict.fromkeys(("branching_ratio", "branching_ratio_one_step", "size_exponent"), float("nan"))
    try:
        branching = compute_branching_ratio(activity, bin_length=1.0, longest=LAGS)
        found |= {"branching_ratio": branching.ratio, "branching_ratio_one_step": branching.ratio_regression}
        sizes, _ = find_avalanches(activity, threshold=float(np.median(activity)))
        found["size_exponent"] = fit_avalanches(sizes, rng=np.random.default_rng(0), n_samples=0).exponent
    except SharpwaveError:
        pass
    return found | {"active_per_step": float(activity.mean())}


def live(kind: str, *, seed: int) -> dict[str, Measured]:
    """One network through its tasks: measured before nights, and how much each twin changed, means over nights.

    Args:
        kind: Key of `METHODS`.
        seed: Seed of stream, weights and noise.
    """
    stream = stream_digits(seed=seed)
    life = Life.begin(kind, stream, seed=seed)
    found: dict[str, list[Measured]] = {}
    for index, task in enumerate(stream.tasks):
        generator = torch.Generator().manual_seed(1000 * seed + index)
        life.learn(task, PASSES * len(task.y_train) // BATCH, generator=generator)
        before = life.measure(seed=index)
        found.setdefault("before", []).append(before)
        for method in METHODS[kind]:
            downscale = 0.05 if method == "asleep, downscaled" else 0.0
            twin = Life.begin(kind, stream, seed=seed, downscale=downscale).copy_from(life)
            if method == "awake":
                twin.learn(task, N_SLEEP[kind], generator=generator)
            else:
                twin.sleep.night(N_SLEEP[kind])
            after = twin.measure(seed=index)
            found.setdefault(method, []).append({name: after[name] - before[name] for name in after})
            if method == "asleep":
                rested = twin
        life = rested
    return {method: _average(each) for method, each in found.items()}


def run(
    data: Path | None, *, seeds: int, train: bool = False, on: Executor | None = None
) -> tuple[dict[str, Any], list[Row]]:
    """Both kinds of network: before nights, what changed asleep and awake, and the difference by seed.

    Args:
        data: Not used: the digits come with scikit-learn.
        seeds: Networks of each kind.
        train: Not used: every network is trained here.
        on: What runs the seeds; one after another where omitted.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = compare_networks(seeds=seeds, on=on)
    finally:
        torch.set_num_threads(threads)
    config = {
        "data": "scikit-learn's digits, two classes at a time, five tasks; a night after each",
        "networks": f"recurrent: {N_UNITS} units of tanh, rows one after another; spiking: a perceptron without biases",
        "wake": {"batch": BATCH, "passes": PASSES, "rate": RATE, "remembered": N_ITEMS},
        "steps_of_a_night_and_awake": N_SLEEP,
        "measured": f"{N_MEASURED} steps of noise; active are units above their mean by one standard deviation, "
        f"or spikes; lags up to {LAGS:g} steps; avalanches above the median",
        "interval": "95 %, bootstrap over seeds; each seed is the mean of its five nights; differences paired by seed",
        "seeds": seeds,
        "tuned": "nothing",
    }
    return config, rows


def compare_networks(*, seeds: int, on: Executor | None = None) -> list[Row]:
    """The rows; arguments as for `run`."""
    rows: list[Row] = []
    for kind, methods in METHODS.items():
        lives = run_seeds(partial(live, kind), seeds, on)
        data, rng = f"digits, {kind} network", np.random.default_rng(0)
        for metric in lives[0]["before"]:
            by_method = {method: [one[method][metric] for one in lives] for method in ("before", *methods)}
            rows.append(estimate_row(data, "before a night", "network", metric, by_method["before"], rng=rng))
            for method in methods:
                rows.append(estimate_row(data, "after minus before", method, metric, by_method[method], rng=rng))
                if method != "awake":
                    apart = np.subtract(by_method[method], by_method["awake"]).tolist()
                    rows.append(estimate_row(data, "change, minus that awake", method, metric, apart, rng=rng))
    return rows


def _average(measured: Sequence[Mapping[str, float]]) -> Measured:
    with np.errstate(all="ignore"):
        return {name: float(np.nanmean([one[name] for one in measured])) for name in measured[0]}
