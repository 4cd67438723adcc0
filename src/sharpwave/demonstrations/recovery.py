"""How a damaged network comes back: asleep, or awake with as many gradient samples, each beside its own twin."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation import NREM, REM, ReplayBuffer, Sleep, Wake
from sharpwave.demonstrations.shocks import SHOCKS
from sharpwave.demonstrations.streams import Stream, StreamTestSet, take
from sharpwave.demonstrations.training_runs import PLAIN, TrainingRun, replay_plainly
from sharpwave.errors import SharpwaveError
from sharpwave.resilience.recovery import Recovery, measure_recovery

N_DAY = 20
"""Steps of wake in the new world, before the shock is scored, where it is the world that has changed."""
NIGHT, REPLAY, REST = "", "plain", "rest"
"""Remedies that are not a method of `Wake`."""


@dataclass(frozen=True)
class Remedy:
    """What a network gets after the shock.

    Attributes:
        wake: Method of `Wake` for steps of new data; "" for sleep, "plain" for steps of `PLAIN` replay, "rest" for
            none.
        options: Options of `Sleep`, for a night.
    """

    wake: str = NIGHT
    options: Mapping[str, Any] = field(default_factory=dict)


NO_TRAINING = "no training"
CHECKED = "sleep, memory checked"


def make_remedies(batch: int) -> dict[str, Remedy]:
    """Remedies by name; all take `3 * batch` gradient samples per step, but for new data alone, all of it new."""
    nrem = NREM(batch_size=3 * batch)
    return {
        NO_TRAINING: Remedy(wake=REST),
        PLAIN: Remedy(wake=REPLAY),
        "sleep, NREM only": Remedy(options={"nrem": nrem}),
        CHECKED: Remedy(options={"nrem": NREM(batch_size=3 * batch, check=True)}),
        "sleep, NREM and REM": Remedy(options={"nrem": nrem, "rem": REM(batch_size=3 * batch, share=0.5, cycles=4)}),
        "sleep, REM only": Remedy(options={"rem": REM(batch_size=3 * batch, share=1.0)}),
        "wake": Remedy(wake="der++"),
        "wake, new data alone": Remedy(wake="none"),
    }


@dataclass(eq=False)
class Patient:
    """A copy of a network that recovers.

    Attributes:
        network: The copy.
        sleep: Sleep that trains it.
        optimiser: Optimiser of wake steps.
        remedy: Remedy that the network gets.
        world: Stream that it lives in; new data are those of its last task.
        test_set: What it is asked in that world.
        batch: New items per wake step.
        seed: Seed of the new data.
    """

    network: nn.Module
    sleep: Sleep
    optimiser: torch.optim.Optimizer
    remedy: Remedy
    world: Stream
    test_set: StreamTestSet
    batch: int
    seed: int

    @classmethod
    def of(cls, run: TrainingRun, remedy: Remedy, world: Stream, *, seed: int, batch: int, rate: float) -> Self:
        """A copy of a run's network and of what it remembers, in a world."""
        assert run.buffer is not None
        network = copy.deepcopy(run.network)
        optimiser = torch.optim.SGD(network.parameters(), lr=rate)
        buffer = ReplayBuffer(run.buffer.capacity, generator=torch.Generator().manual_seed(seed))
        buffer.load_state_dict(run.buffer.state_dict())
        method = remedy.wake if remedy.wake not in {NIGHT, REPLAY, REST} else "der++"
        wake = Wake(method=method, n_replay=batch, draws=2)
        generator = torch.Generator().manual_seed(seed)
        sleep = Sleep(network, buffer, optimiser, generator=generator, **{"wake": wake} | dict(remedy.options))
        return cls(network, sleep, optimiser, remedy, world, StreamTestSet.of(world), batch, seed)

    def step(self, number: int, *, n_steps: int) -> None:
        """One step of the remedy: of a night of `n_steps`, or of new data of the last task."""
        if self.remedy.wake == REPLAY:
            replay_plainly(self.network, self.sleep.learner.get_buffer(), self.optimiser, n_items=3 * self.batch)
        elif self.remedy.wake == NIGHT:
            if number == 0:
                self.sleep.fall_asleep(n_steps)
            self.sleep.step()
        elif self.remedy.wake != REST:
            self.learn(number, n_new=3 * self.batch if self.remedy.wake == "none" else self.batch)

    def learn(self, number: int, *, n_new: int) -> None:
        """One step of wake on new data of the last task.

        Args:
            number: Number of the step, by which its items are drawn.
            n_new: Number of new items.
        """
        task = self.world.tasks[-1]
        rows = _draw(task.y_train, n_new, seed=self.seed, number=number)
        batch = {"x": take(task.x_train, rows), "y": task.y_train[rows]}
        loss = self.sleep.wake(batch, task=len(self.world.tasks) - 1)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def score(self) -> Float[np.ndarray, " sample"]:
        """1 for each test item of its world that is answered right, else 0."""
        return self.test_set.score_items(self.network)


def damage(network: nn.Module, shock: str, *, seed: int) -> None:
    """Damage a network in place with a shock's dose; the same for the same seed."""
    hurt = SHOCKS[shock].hurt
    if hurt is not None:
        hurt(network, np.random.default_rng(seed))


def recover_network(
    run: TrainingRun,
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
    """Let the network at the end of a run, or its world, have a shock, and give it and its twin the same steps.

    Where the world changes, both live a day of `N_DAY` steps in theirs first; the shock is what is lacking after it.

    Args:
        run: A training run with a buffer.
        stream: Stream that it learned; new data are those of its last task.
        remedy: Remedy that the network gets.
        shock: Key of `shocks.SHOCKS`.
        seed: Seed of the damage and of the steps.
        n_steps: Steps of the remedy.
        every: Steps between scores.
        batch: New items per wake step.
        rate: Learning rate.

    Raises:
        SharpwaveError: If the run has no buffer.
    """
    if run.buffer is None:
        raise SharpwaveError(
            "a run with a buffer", got=f"the method {run.method!r}", fix="choose a method that replays"
        )
    change = SHOCKS[shock].change
    # The perturbed one is made first, its twin second.
    worlds = iter((stream if change is None else change(stream), stream))

    def make() -> Patient:
        patient = Patient.of(run, remedy, next(worlds), seed=seed, batch=batch, rate=rate)
        for number in range(0 if change is None else N_DAY):
            patient.learn(FIRST_OF_DAY + number, n_new=batch)
        return patient

    return measure_recovery(
        make,
        perturb=lambda patient: damage(patient.network, shock, seed=seed),
        step=lambda patient, number: patient.step(number, n_steps=n_steps),
        score=Patient.score,
        n_steps=n_steps,
        every=every,
    )


FIRST_OF_DAY = 500
"""Number of the first step of the day in the new world, apart from those of the remedy."""


class Nights:
    """Nights of a sleep for copies of its network; the sleep itself is left as it is.

    Args:
        sleep: Sleep of the network.
        n_steps: Steps of a night.
    """

    def __init__(self, sleep: Sleep, n_steps: int) -> None:
        self.sleep, self.n_steps = sleep, n_steps
        self.nights: list[tuple[nn.Module, Sleep]] = []

    def step(self, model: nn.Module, number: int) -> None:
        """One step of a night of a copy; the next night begins where one is over."""
        mine = next((night for copied, night in self.nights if copied is model), None)
        if mine is None:
            mine = self._make(model)
            self.nights = [*self.nights[-3:], (model, mine)]
        if not mine.is_asleep:
            mine.fall_asleep(self.n_steps)
        if not mine.step():
            mine.wake_up()

    def _make(self, model: nn.Module) -> Sleep:
        learner = self.sleep.learner
        pairs = zip(learner.module.parameters(), model.parameters(), strict=True)
        optimisers = copy.deepcopy(list(learner.optimisers), {id(old): new for old, new in pairs})
        generator = torch.Generator(device=learner.generator.device)
        generator.set_state(learner.generator.get_state())
        buffer = copy.copy(learner.get_buffer())
        kept = learner.get_buffer().state_dict()
        buffer = copy.deepcopy(
            buffer, {id(buffer.generator): torch.Generator(), id(buffer.transform): buffer.transform}
        )
        buffer.load_state_dict(kept)
        night = Sleep(
            model,
            buffer,
            optimisers,
            recipe=self.sleep.recipe,
            objective=learner.objective,
            accumulate=learner.accumulate,
            autocast=learner.autocast,
            generator=generator,
        )
        if learner.present is not None and night.learner.present is not None:
            night.learner.present.load_state_dict(learner.present.state_dict())
        return night


def find_held_out(sleep: Sleep) -> tuple[Any, Tensor]:
    """Inputs and labels of the probe, or of the buffer's held-out items.

    Raises:
        SharpwaveError: If there are none.
    """
    learner, probe = sleep.learner, sleep.recipe.probe
    batch: Mapping[str, Any] | None = None
    if probe is not None and isinstance(probe.held_out, Mapping):
        batch = probe.held_out
    elif learner.buffer is not None and learner.buffer.n_held_out:
        batch = learner.buffer.read_held_out()
    if batch is None or "x" not in batch or learner.objective.find_label(batch) not in batch:
        raise SharpwaveError(
            "items that sleep never replays, to score on",
            got="a Sleep without held-out items x and their labels",
            fix="pass inputs and labels, or ReplayBuffer(500, held_out=0.2)",
        )
    return batch["x"], batch[learner.objective.find_label(batch)]


def _draw(labels: Tensor, n: int, *, seed: int, number: int) -> Tensor:
    return torch.randint(len(labels), (n,), generator=torch.Generator().manual_seed(1000 * seed + number))
