"""One night: a transaction on a network, whose phases go step by step and which can be put back as it was at any step.

`Night` asks its phases in this order: `prepare`, then `step` for each step of the plan, then `finish`; the network is
then scored, and either put back as it was or kept, in which case the phases are told so by `keep`.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.modules import agree_any, get_modes, set_modes
from sharpwave.consolidation.probe import Probe, Scores, compare_groups, judge, measure_scores
from sharpwave.recordings.hypnogram import Hypnogram

WAKE, NREM_STAGE, REM_STAGE = 0, 1, 2
"""Codes of a network's stages, as in a person's hypnogram of three stages."""


class Phase(Protocol):
    """What one network does in the steps of one stage of sleep.

    A phase has to say how it is prepared, goes a step and is finished; everything else has a default. It is made for
    a network by options such as `NREM` or `REM`, or by any object with a method `make_phase`.

    Attributes:
        n_steps: Number of steps of a night; None, the default, leaves it to the schedule.
        uses_logits: Whether wake has to store the logits of its items; default false.

    Example:
        A night that shrinks all weights by a thousandth in each step:

        >>> import torch
        >>> class Downscaling(Phase):
        ...     def __init__(self, learner):
        ...         self.learner = learner
        ...     def prepare(self, weights):
        ...         pass
        ...     @torch.no_grad()
        ...     def step(self, plan, position):
        ...         for weight in self.learner.module.parameters():
        ...             weight *= 0.999
        ...         return 0.0
        ...     def finish(self):
        ...         pass
        >>> class Options:
        ...     def make_phase(self, learner, recipe):
        ...         return Downscaling(learner)
        >>> from sharpwave.consolidation import Recipe, Sleep, Wake
        >>> model = torch.nn.Linear(2, 1)
        >>> print(Sleep(model, None, recipe=Recipe(wake=Wake("none"), nrem=Options())).night(3))
        3 NREM and 0 REM steps in ... s; score (not held out) nan → nan; kept
    """

    n_steps: int | None = None
    uses_logits: bool = False

    @abstractmethod
    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Before the first step of a night.

        Args:
            weights: Parameters and buffers of the network as it fell asleep, by name.
        """

    @abstractmethod
    def step(self, plan: Sequence[int], position: int) -> float:
        """One step.

        Args:
            plan: Stage of each step of the night.
            position: Which step it is.

        Returns:
            The loss; the night ends where it is not finite.
        """

    @abstractmethod
    def finish(self) -> None:
        """After the last step, before the network is scored; not called if no step was slept, or one failed."""

    def keep(self) -> None:
        """After a night that is kept."""
        return

    def watch(self) -> AbstractContextManager:
        """Entered for each pass of wake."""
        return nullcontext()

    def count_changes(self) -> Mapping[str, int]:
        """Weights that homeostasis changed since `prepare`, by what was done to them."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a night that is interrupted needs to go on: tensors, numbers, lists."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], *, weights: Mapping[str, Tensor]) -> None:
        """Take up what `state_dict` gave, in place of `prepare`.

        Args:
            state: What `state_dict` gave.
            weights: Parameters and buffers of the network as it fell asleep, by name; empty if it is awake.
        """
        return


@dataclass(frozen=True, eq=False)
class SleepReport:
    """What one night did.

    Attributes:
        committed: Whether what was learned is kept; if not, the network is as it was before.
        reason: Why it is not kept; empty if it is.
        hypnogram: Stage of each step, `unit="step"`, from the step at which the network fell asleep.
        losses: Loss of each step, shape (step).
        n_planned: Number of steps that were planned; fewer were slept if the night was interrupted.
        score_before: Score of the probe before the night.
        score_after: Score of the network after it, whether that was kept or not.
        held_out: Whether the probe's items are never replayed.
        groups: Columns `kind` (all, y, task, group), `value`, `n`, `before`, `after`: where sleep helped and hurt.
        homeostasis: Numbers of weights that were pruned, regrown, strengthened and downscaled.
        pressure: Sleep pressure before and after, where the schedule knows it; else None.
        seconds: Duration in seconds.

    Example:
        >>> import torch
        >>> from sharpwave.consolidation import ReplayBuffer, Sleep
        >>> sleep = Sleep(torch.nn.Linear(2, 2), ReplayBuffer(8))
        >>> loss = sleep.wake({"x": torch.eye(2), "y": torch.arange(2)})
        >>> report = sleep.night(4)
        >>> report.losses.shape, report.hypnogram.labels
        ((4,), ['NREM', 'NREM', 'NREM', 'NREM'])
    """

    committed: bool
    reason: str
    hypnogram: Hypnogram
    losses: Float[np.ndarray, " step"]
    n_planned: int
    score_before: float
    score_after: float
    held_out: bool
    groups: pd.DataFrame
    homeostasis: dict[str, int]
    pressure: tuple[float, float] | None
    seconds: float

    def __str__(self) -> str:
        stages = self.hypnogram.stages
        where = "held out" if self.held_out else "not held out"
        return (
            f"{(stages == NREM_STAGE).sum()} NREM and {(stages == REM_STAGE).sum()} REM steps in {self.seconds:.2g} s; "
            f"score ({where}) {self.score_before:.3g} → {self.score_after:.3g}; "
            + ("kept" if self.committed else f"rolled back: {self.reason}")
        )


def make_hypnogram(stages: list[int], *, start: int = 0) -> Hypnogram:
    """Stages of a network, a step each."""
    return Hypnogram(np.array(stages, dtype=np.int8), 1.0, 3, float(start), scorer="schedule", unit="step")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A network as it was before it slept, to go back to: parameters, buffers and the optimiser's moments.

    Attributes:
        weights: Parameters and buffers of the model by name.
        moments: State of the optimiser.
    """

    weights: dict[str, Tensor]
    moments: dict[str, Any]

    @classmethod
    def take(cls, model: nn.Module, optimiser: torch.optim.Optimizer) -> Snapshot:
        """Copy both."""
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        return cls(weights, deepcopy(optimiser.state_dict()))

    @torch.no_grad()
    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Make both what they were, bit for bit."""
        for name, value in model.state_dict().items():
            value.copy_(self.weights[name])
        optimiser.load_state_dict(deepcopy(self.moments))


class Night:
    """The network as it was, the steps planned, and how far they have come.

    Args:
        learner: Network that sleeps.
        phases: Phase of each stage, by its code.
        plan: Stage of each step.
        probe: What decides whether the night is kept.
        start: Step of the run at which the night begins.
        pressure: Sleep pressure at its beginning; None where it is not known.
    """

    def __init__(
        self,
        learner: Learner,
        phases: Mapping[int, Phase],
        plan: list[int],
        *,
        probe: Probe,
        start: int,
        pressure: float | None = None,
    ) -> None:
        self.learner, self.phases, self.plan, self.probe = learner, phases, plan, probe
        self.start, self.pressure = start, pressure
        self.position = 0
        self.losses: list[float] = []
        self.seconds = 0.0
        self.modes: dict[str, bool] = {}
        self.snapshot = Snapshot({}, {})
        self.before = Scores(math.nan, pd.DataFrame(), False)

    def begin(self) -> None:
        """Copy the network, score it, and put it in training mode if it is not."""
        began = time.perf_counter()
        self.snapshot = Snapshot.take(self.learner.module, self.learner.optimiser)
        self.modes = get_modes(self.learner.model)
        self.before = measure_scores(self.learner, self.probe)
        for phase in self.phases.values():
            phase.prepare(self.snapshot.weights)
        if not self.learner.model.training:
            self.learner.model.train()
        self.seconds += time.perf_counter() - began

    @property
    def is_over(self) -> bool:
        """Whether every planned step was slept, or one failed."""
        return self.position >= len(self.plan) or self._has_failed

    @property
    def _has_failed(self) -> bool:
        return bool(self.losses) and not math.isfinite(self.losses[-1])

    def step(self) -> float:
        """One step.

        Returns:
            Seconds it took.
        """
        began = time.perf_counter()
        phase = self.phases[self.plan[self.position]]
        self.losses.append(phase.step(self.plan, self.position))
        self.position += 1
        taken = time.perf_counter() - began
        self.seconds += taken
        return taken

    def end(self, *, pressure: float | None = None) -> SleepReport:
        """Score the network, keep it or put it back, and say what was done.

        Args:
            pressure: Sleep pressure at the end; None where it is not known.
        """
        began = time.perf_counter()
        if self.position and not self._has_failed:
            for phase in self.phases.values():
                phase.finish()
        after = measure_scores(self.learner, self.probe)
        reason = "a loss was not finite" if self._has_failed else judge(self.before, after, self.probe)
        if agree_any(bool(reason), self.learner.device):
            reason = reason or "it was not good in another process"
            self.undo()
        else:
            set_modes(self.learner.model, self.modes)
            for phase in self.phases.values():
                phase.keep()
        known = self.pressure is not None and pressure is not None
        return SleepReport(
            committed=not reason,
            reason=reason,
            hypnogram=make_hypnogram(self.plan[: self.position], start=self.start),
            losses=np.array(self.losses, dtype=np.float64),
            n_planned=len(self.plan),
            score_before=self.before.score,
            score_after=after.score,
            held_out=self.before.is_held_out,
            groups=compare_groups(self.before, after),
            homeostasis=self._count_changes(),
            pressure=(self.pressure, pressure) if known else None,  # type: ignore[arg-type]
            seconds=self.seconds + time.perf_counter() - began,
        )

    def undo(self) -> None:
        """Put the network and its optimiser back as they were."""
        self.snapshot.restore(self.learner.module, self.learner.optimiser)
        set_modes(self.learner.model, self.modes)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the network and its optimiser."""
        return {
            "plan": list(self.plan),
            "start": self.start,
            "pressure": self.pressure,
            "position": self.position,
            "losses": list(self.losses),
            "seconds": self.seconds,
            "modes": dict(self.modes),
            "weights": dict(self.snapshot.weights),
            "moments": self.snapshot.moments,
            "before": {
                "score": self.before.score,
                "items": self.before.items.to_dict("list"),
                "is_held_out": self.before.is_held_out,
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, of a night with the same plan."""
        self.position, self.losses, self.seconds = state["position"], list(state["losses"]), state["seconds"]
        self.modes = dict(state["modes"])
        self.snapshot = Snapshot(dict(state["weights"]), state["moments"])
        before = state["before"]
        self.before = Scores(before["score"], pd.DataFrame(before["items"]), before["is_held_out"])

    def _count_changes(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for phase in self.phases.values():
            counts.update(phase.count_changes())
        return dict(counts)
