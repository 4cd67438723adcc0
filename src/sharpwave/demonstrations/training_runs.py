"""Training runs: a network through a stream of tasks, scored on all of them on the way, with or without sleep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from sharpwave.consolidation import NREM, REM, FixedRatio, ReplayBuffer, Sleep, SleepReport, Wake
from sharpwave.demonstrations.networks import make_model
from sharpwave.demonstrations.streams import Exam, Stream, join, take
from sharpwave.recordings.hypnogram import Hypnogram

SLEEP_RATIO = 0.1
"""Sleep steps per wake step."""


@dataclass(frozen=True)
class Way:
    """One way to go through a stream.

    Attributes:
        wake: Method of `Wake`; "none" is plain training.
        sleeps: Whether a night follows each task.
        rehearses_all: Whether batches are drawn from all tasks so far: joint training, the upper bound.
        options: Of `Sleep`, as a function of the batch size.
    """

    wake: str = "der++"
    sleeps: bool = False
    rehearses_all: bool = False
    options: Callable[[int], Mapping[str, Any]] = field(default=lambda batch: {})


def _replay(batch: int) -> NREM:
    """Three times a wake batch, as der++ takes while awake: a tenth of the steps is a tenth of the samples."""
    return NREM(batch_size=3 * batch)


WAYS: dict[str, Way] = {
    "fine-tuning": Way(wake="none"),
    "replay": Way(),
    "sleep": Way(sleeps=True, options=lambda batch: {"nrem": _replay(batch)}),
    "joint": Way(wake="none", rehearses_all=True),
    "sleep, NREM and REM": Way(
        sleeps=True,
        options=lambda batch: {"nrem": _replay(batch), "rem": REM(batch_size=3 * batch, share=0.5, cycles=2)},
    ),
    "sleep, REM only": Way(sleeps=True, options=lambda batch: {"rem": REM(batch_size=3 * batch, share=1.0)}),
    "sleep, noise everywhere": Way(sleeps=True, options=lambda batch: {"nrem": _replay(batch), "steer": "everywhere"}),
    "sleep, steered": Way(sleeps=True, options=lambda batch: {"nrem": _replay(batch), "steer": "brittle"}),
}
"""Ways by name. All but fine-tuning and joint hold the same bytes and take as many gradient samples: `replay` replays
while awake what the others replay asleep. "Noise everywhere" lets the noise of the most brittle layer into all."""


@dataclass(frozen=True, eq=False)
class Course:
    """One network through one stream.

    Attributes:
        way: Key of `WAYS`.
        seed: Of network, order and sleep.
        accuracy: Of each task at each evaluation, shape (evaluation, task).
        at: Step of each evaluation, counting wake and sleep.
        learned: Row of `accuracy` at which each task's wake and night were over.
        hypnogram: Stage of each step.
        losses: Of each step.
        seconds: Processor time of learning alone.
        n_gradient_samples: Samples that a gradient was taken of.
        n_buffer_bytes: Of stored samples.
        nights: Reports of sleep.
        network: As it is at the end.
        buffer: What it remembers.
    """

    way: str
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


def run_course(
    stream: Stream,
    way: str,
    *,
    seed: int,
    batch: int = 32,
    rate: float = 0.1,
    n_remembered: int = 200,
    n_evaluations: int = 4,
) -> Course:
    """Learn a stream once, in order, in one pass.

    Args:
        stream: Tasks.
        way: Key of `WAYS`.
        seed: Of network, order and sleep.
        batch: New items per step.
        rate: Learning rate of plain stochastic gradient descent.
        n_remembered: Items of the buffer.
        n_evaluations: Per task, besides one after each night.
    """
    chosen = WAYS[way]
    network = make_model("mlp", stream.shape, stream.n_classes, seed=seed)
    optimiser = torch.optim.SGD(network.parameters(), lr=rate)
    buffer = ReplayBuffer(n_remembered, generator=torch.Generator().manual_seed(seed))
    options = dict(chosen.options(batch))
    if options.get("steer") == "everywhere":
        options["steer"] = {name: 1.0 for name, parameter in network.named_parameters() if parameter.ndim > 1}
    # What the others replay asleep, replay takes in its two draws while awake.
    extra = 0 if chosen.sleeps else round(3 * batch * SLEEP_RATIO / 2)
    sleep = Sleep(
        network,
        buffer,
        optimiser,
        wake=Wake(method=chosen.wake, n_replay=batch + extra),
        schedule=FixedRatio(SLEEP_RATIO),
        generator=torch.Generator().manual_seed(seed),
        **options,
    )
    exam = Exam.of(stream)
    order = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    rows: list[list[float]] = []
    at: list[float] = []
    learned: list[int] = []
    nights: list[SleepReport] = []
    seconds = 0.0

    def evaluate() -> None:
        rows.append(exam.score(network))
        at.append(float(len(losses)))

    evaluate()
    for index, task in enumerate(stream.tasks):
        x, y = task.x_train, task.y_train
        if chosen.rehearses_all:
            x = join([one.x_train for one in stream.tasks[: index + 1]])
            y = torch.cat([one.y_train for one in stream.tasks[: index + 1]])
        n_steps = len(task.y_train) // batch
        size = batch
        if chosen.rehearses_all:
            size = 3 * batch + 2 * extra
            drawn = torch.randint(len(y), (n_steps * size,), generator=order).split(size)
        else:
            drawn = torch.randperm(len(y), generator=order)[: n_steps * size].split(size)
        marks = {round(n_steps * (mark + 1) / n_evaluations) for mark in range(n_evaluations)}
        for number, items in enumerate(drawn, start=1):
            begun = time.process_time()
            loss = sleep.wake({"x": take(x, items), "y": y[items]}, task=index)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            seconds += time.process_time() - begun
            losses.append(float(loss.detach()))
            if number in marks:
                evaluate()
        if chosen.sleeps:
            begun = time.process_time()
            nights.append(sleep.night())
            seconds += time.process_time() - begun
            losses += nights[-1].losses.tolist()
            evaluate()
        learned.append(len(rows) - 1)
    replays = chosen.wake != "none"
    n_asleep = sum(len(night.losses) for night in nights)
    per_step = 3 * batch + 2 * extra if replays or chosen.rehearses_all else batch
    return Course(
        way=way,
        seed=seed,
        accuracy=np.array(rows),
        at=np.array(at),
        learned=tuple(learned),
        hypnogram=sleep.hypnogram,
        losses=np.array(losses),
        seconds=seconds,
        n_gradient_samples=(len(losses) - n_asleep) * per_step + n_asleep * 3 * batch,
        n_buffer_bytes=buffer.n_bytes if replays else 0,
        nights=tuple(nights),
        network=network,
        buffer=buffer if replays else None,
    )
