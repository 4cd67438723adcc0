"""Training runs: a network through a stream of tasks, scored on all of them meanwhile, with or without sleep."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation import NREM, REM, FixedRatio, ReplayBuffer, Sleep, SleepReport, Wake
from sharpwave.demonstrations.networks import make_model
from sharpwave.demonstrations.streams import Inputs, Stream, StreamTestSet, join, take
from sharpwave.recordings.hypnogram import Hypnogram

SLEEP_RATIO = 0.1
"""Sleep steps per wake step."""


@dataclass(frozen=True)
class Method:
    """How a network goes through a stream.

    Attributes:
        wake: Method of `Wake`; "none" is plain training.
        sleeps: Whether a night follows each task.
        replays_plainly: Whether that night is plain replay instead: as many samples of the same memory, as many of
            each class, at a constant rate, by their labels alone.
        rehearses_all: Whether batches are drawn from all tasks so far: joint training, the upper bound.
        options: Options of `Sleep`, as a function of the batch size.
    """

    wake: str = "der++"
    sleeps: bool = False
    replays_plainly: bool = False
    rehearses_all: bool = False
    options: Callable[[int], Mapping[str, Any]] = field(default=lambda batch: {})


def _replay(batch: int) -> NREM:
    """Three times a wake batch, as der++ takes while awake: a tenth of the steps is a tenth of the samples."""
    return NREM(batch_size=3 * batch)


PLAIN = "plain replay"
"""Name of the control that separates sleep from replay: balanced replay of the same memory at a constant rate."""

METHODS: dict[str, Method] = {
    "fine-tuning": Method(wake="none"),
    "replay": Method(),
    "sleep": Method(sleeps=True, options=lambda batch: {"nrem": _replay(batch)}),
    PLAIN: Method(sleeps=True, replays_plainly=True),
    "joint": Method(wake="none", rehearses_all=True),
    "sleep, NREM and REM": Method(
        sleeps=True,
        options=lambda batch: {"nrem": _replay(batch), "rem": REM(batch_size=3 * batch, share=0.5, cycles=2)},
    ),
    "sleep, REM only": Method(sleeps=True, options=lambda batch: {"rem": REM(batch_size=3 * batch, share=1.0)}),
    "sleep, noise everywhere": Method(
        sleeps=True, options=lambda batch: {"nrem": _replay(batch), "steer": "everywhere"}
    ),
    "sleep, steered": Method(sleeps=True, options=lambda batch: {"nrem": _replay(batch), "steer": "brittle"}),
}
"""Methods by name. All but fine-tuning and joint hold the same bytes and take as many gradient samples: `replay`
replays while awake what the others replay asleep. "Noise everywhere" lets the noise of the most brittle layer into
all."""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """One network through one stream.

    Attributes:
        method: Key of `METHODS`.
        seed: Seed of network, order and sleep.
        accuracy: Accuracy on each task at each evaluation, shape (evaluation, task).
        at: Step of each evaluation, counting wake and sleep.
        learned: Row of `accuracy` at which each task's wake and night were over.
        hypnogram: Stage of each step.
        losses: Loss of each step.
        seconds: Processor time of learning alone.
        n_gradient_samples: Samples that a gradient was taken of.
        n_buffer_bytes: Bytes of the stored samples.
        nights: Reports of sleep.
        network: The network as it is at the end.
        buffer: Buffer of what it remembers; None where nothing is replayed.
    """

    method: str
    seed: int
    accuracy: Float[np.ndarray, "evaluation task"]
    at: Float[np.ndarray, " evaluation"]
    learned: tuple[int, ...]
    hypnogram: Hypnogram
    losses: Float[np.ndarray, " step"]
    seconds: float
    n_gradient_samples: int
    n_buffer_bytes: int
    nights: tuple[SleepReport, ...]
    network: nn.Module
    buffer: ReplayBuffer | None


def train_network(
    stream: Stream,
    method: str,
    *,
    seed: int,
    batch: int = 32,
    rate: float = 0.1,
    n_remembered: int = 200,
    n_evaluations: int = 4,
    model: str = "mlp",
) -> TrainingRun:
    """Learn a stream once, in order, in one pass.

    Args:
        stream: The tasks.
        method: Key of `METHODS`.
        seed: Seed of network, order and sleep.
        batch: New items per step.
        rate: Learning rate of plain stochastic gradient descent.
        n_remembered: Items that the buffer holds.
        n_evaluations: Evaluations per task, besides one after each night.
        model: Network, a key of `networks.MODELS`; default "mlp".
    """
    chosen = METHODS[method]
    # What the others replay asleep, replay takes in its two draws while awake.
    extra = 0 if chosen.sleeps else round(3 * batch * SLEEP_RATIO / 2)
    many = 3 * batch + 2 * extra
    network = make_model(model, stream.shape, stream.n_classes, seed=seed)
    n_replay = batch + extra
    training = _start(
        network,
        StreamTestSet.of(stream),
        chosen,
        seed=seed,
        rate=rate,
        batch=batch,
        n_replay=n_replay,
        capacity=n_remembered,
    )
    order = torch.Generator().manual_seed(seed)
    training.n_awake_items = many
    training.evaluate()
    for index, task in enumerate(stream.tasks):
        n_steps = len(task.y_train) // batch
        batches = _draw_batches(stream, index, n_steps, many if chosen.rehearses_all else batch, chosen, order)
        marks = {round(n_steps * (mark + 1) / n_evaluations) for mark in range(n_evaluations)}
        for number, (x, y) in enumerate(batches, start=1):
            training.step(x, y, index)
            if number in marks:
                training.evaluate()
        if chosen.sleeps:
            plain = round(SLEEP_RATIO * n_steps) if chosen.replays_plainly else None
            training.sleep_a_night(n_plain=plain, n_items=3 * batch)
            training.evaluate()
        training.learned.append(len(training.rows) - 1)
    return _summarise(training, method, seed=seed, batch=batch)


def _summarise(training: _Training, method: str, *, seed: int, batch: int) -> TrainingRun:
    chosen = METHODS[method]
    replays = chosen.wake != "none"
    many = training.n_awake_items
    n_asleep = training.n_plain + sum(len(night.losses) for night in training.nights)
    n_awake, per_step = len(training.losses) - n_asleep, many if replays or chosen.rehearses_all else batch
    return TrainingRun(
        method=method,
        seed=seed,
        accuracy=np.array(training.rows),
        at=np.array(training.at),
        learned=tuple(training.learned),
        hypnogram=training.sleep.hypnogram,
        losses=np.array(training.losses),
        seconds=training.seconds,
        n_gradient_samples=n_awake * per_step + n_asleep * 3 * batch,
        n_buffer_bytes=training.buffer.n_bytes if replays else 0,
        nights=tuple(training.nights),
        network=training.network,
        buffer=training.buffer if replays else None,
    )


@dataclass(eq=False)
class _Training:
    """What is trained, and what was noted so far."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    buffer: ReplayBuffer
    sleep: Sleep
    test_set: StreamTestSet
    losses: list[float] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    nights: list[SleepReport] = field(default_factory=list)
    seconds: float = 0.0
    n_plain: int = 0
    n_awake_items: int = 0

    def evaluate(self) -> None:
        self.rows.append(self.test_set.score(self.network))
        self.at.append(float(len(self.losses)))

    def step(self, x: Inputs, y: Tensor, index: int) -> None:
        """Learn from one batch of the task with this index."""
        begun = time.process_time()
        loss = self.sleep.wake({"x": x, "y": y}, task=index)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.seconds += time.process_time() - begun
        self.losses.append(float(loss.detach()))

    def sleep_a_night(self, *, n_plain: int | None, n_items: int) -> None:
        """A night, or as many steps of plain replay in its place."""
        begun = time.process_time()
        if n_plain is None:
            self.nights.append(self.sleep.night())
            self.losses += self.nights[-1].losses.tolist()
        for _ in range(0 if n_plain is None else max(1, n_plain)):
            self.losses.append(replay_plainly(self.network, self.buffer, self.optimiser, n_items=n_items))
            self.n_plain += 1
        self.seconds += time.process_time() - begun


def replay_plainly(
    network: nn.Module, buffer: ReplayBuffer, optimiser: torch.optim.Optimizer, *, n_items: int
) -> float:
    """One step of plain replay: cross-entropy of stored items, as many of each class, at the optimiser's own rate.

    Args:
        network: Changed in place.
        buffer: What it remembers.
        optimiser: Optimiser of its parameters.
        n_items: Number of items.

    Returns:
        The loss.
    """
    batch = buffer.sample(n_items, balanced=True)
    loss = nn.functional.cross_entropy(network(batch["x"]), batch["y"])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def _start(
    network: nn.Module,
    test_set: StreamTestSet,
    method: Method,
    *,
    seed: int,
    rate: float,
    batch: int,
    n_replay: int,
    capacity: int,
) -> _Training:
    """A fresh network with its buffer and its sleep."""
    optimiser = torch.optim.SGD(network.parameters(), lr=rate)
    buffer = ReplayBuffer(capacity, generator=torch.Generator().manual_seed(seed))
    options = dict(method.options(batch))
    if options.get("steer") == "everywhere":
        options["steer"] = {name: 1.0 for name, parameter in network.named_parameters() if parameter.ndim > 1}
    sleep = Sleep(
        network,
        buffer,
        optimiser,
        wake=Wake(method=method.wake, n_replay=n_replay, draws=2),
        schedule=FixedRatio(SLEEP_RATIO),
        generator=torch.Generator().manual_seed(seed),
        **options,
    )
    return _Training(network, optimiser, buffer, sleep, test_set)


def _draw_batches(
    stream: Stream, index: int, n_steps: int, size: int, method: Method, order: torch.Generator
) -> Iterator[tuple[Inputs, Tensor]]:
    """Batches of a task, each item once; or of all tasks so far, drawn anew each time."""
    x, y = stream.tasks[index].x_train, stream.tasks[index].y_train
    if method.rehearses_all:
        x = join([task.x_train for task in stream.tasks[: index + 1]])
        y = torch.cat([task.y_train for task in stream.tasks[: index + 1]])
        drawn = torch.randint(len(y), (n_steps * size,), generator=order)
    else:
        drawn = torch.randperm(len(y), generator=order)[: n_steps * size]
    for items in drawn.split(size):
        yield take(x, items), y[items]
