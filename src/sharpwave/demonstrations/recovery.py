"""How a damaged network comes back: asleep, or awake with as many gradient samples, each beside its own twin."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.consolidation import NREM, REM, ReplayBuffer, Sleep, Wake
from sharpwave.demonstrations.networks import add_weight_noise, lesion_units
from sharpwave.demonstrations.streams import Exam, Stream, take
from sharpwave.demonstrations.training_runs import Course
from sharpwave.errors import SharpwaveError
from sharpwave.resilience.recovery import Recovery, measure_recovery

SHOCKS: dict[str, float] = {"weight_noise": 1.0, "lesion": 0.5}
"""Doses: standard deviations of each layer's weights, and a share of the hidden units."""


@dataclass(frozen=True)
class Remedy:
    """What a network gets after the shock.

    Attributes:
        wake: Method of `Wake` for steps of new data, or "" for sleep.
        options: Of `Sleep`, for a night.
    """

    wake: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def make_remedies(batch: int) -> dict[str, Remedy]:
    """Remedies by name; all take `3 * batch` gradient samples per step, but for new data alone, all of it new."""
    nrem = NREM(batch_size=3 * batch)
    return {
        "sleep, NREM only": Remedy(options={"nrem": nrem}),
        "sleep, NREM and REM": Remedy(options={"nrem": nrem, "rem": REM(batch_size=3 * batch, share=0.5, cycles=4)}),
        "sleep, REM only": Remedy(options={"rem": REM(batch_size=3 * batch, share=1.0)}),
        "wake": Remedy(wake="der++"),
        "wake, new data alone": Remedy(wake="none"),
    }


@dataclass(eq=False)
class Patient:
    """A copy of a network on its way back.

    Attributes:
        network: The copy.
        sleep: What trains it.
        optimiser: Of wake steps.
    """

    network: nn.Module
    sleep: Sleep
    optimiser: torch.optim.Optimizer


def recover_network(
    course: Course,
    stream: Stream,
    remedy: Remedy,
    *,
    shock: str,
    seed: int,
    n_steps: int = 40,
    every: int = 2,
    batch: int = 32,
    rate: float = 0.1,
) -> Recovery:
    """Damage the network at the end of a course, and give it and its twin the same steps.

    Args:
        course: One with a buffer.
        stream: What it learned; new data are its last task's.
        remedy: What the network gets.
        shock: Key of `SHOCKS`.
        seed: Of the damage and of the steps.
        n_steps: Steps of the remedy.
        every: Steps between scores.
        batch: New items per wake step.
        rate: Learning rate.

    Raises:
        SharpwaveError: If the course has no buffer.
    """
    if course.buffer is None:
        raise SharpwaveError("a course with a buffer", got=f"the way {course.way!r}", fix="choose a way that replays")
    exam = Exam.of(stream)
    kept = course.buffer.state_dict()
    task = stream.tasks[-1]

    def make() -> Patient:
        network = copy.deepcopy(course.network)
        optimiser = torch.optim.SGD(network.parameters(), lr=rate)
        buffer = ReplayBuffer(course.buffer.capacity, generator=torch.Generator().manual_seed(seed))  # type: ignore[union-attr]
        buffer.load_state_dict(kept)
        options = dict(remedy.options)
        if remedy.wake:
            options["wake"] = Wake(method=remedy.wake, n_replay=batch)
        sleep = Sleep(network, buffer, optimiser, generator=torch.Generator().manual_seed(seed), **options)
        return Patient(network, sleep, optimiser)

    def step(patient: Patient, number: int) -> None:
        if not remedy.wake:
            if number == 0:
                patient.sleep.fall_asleep(n_steps)
            patient.sleep.step()
            return
        rows = _draw(task.y_train, 3 * batch if remedy.wake == "none" else batch, seed=seed, number=number)
        loss = patient.sleep.wake({"x": take(task.x_train, rows), "y": task.y_train[rows]}, task=len(stream.tasks) - 1)
        patient.optimiser.zero_grad()
        loss.backward()
        patient.optimiser.step()

    return measure_recovery(
        make,
        perturb=lambda patient: damage(patient.network, shock, seed=seed),
        step=step,
        score=lambda patient: float(np.mean(exam.score(patient.network))),
        n_steps=n_steps,
        every=every,
    )


def damage(network: nn.Module, shock: str, *, seed: int) -> None:
    """Damage a network in place with a shock's dose; the same for the same seed."""
    act = {"weight_noise": add_weight_noise, "lesion": lesion_units}[shock]
    act(network, SHOCKS[shock], rng=np.random.default_rng(seed))


def _draw(labels: Tensor, n: int, *, seed: int, number: int) -> Tensor:
    return torch.randint(len(labels), (n,), generator=torch.Generator().manual_seed(1000 * seed + number))
