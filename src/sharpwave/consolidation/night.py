"""One night: a transaction on a network, whose phases go step by step and which can be put back as it was at any step.

`Night` asks its phases in this order: `prepare`, then `step` for each step of the plan, then `finish`; the network is
then scored, and either put back as it was or kept, in which case the phases are told so by `keep`.
"""

from __future__ import annotations

import math
import time
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import pandas as pd
from torch import Tensor

from sharpwave.consolidation.budget import Shallow, deepen, resume_shallow
from sharpwave.consolidation.learner import Learner, Snapshot
from sharpwave.consolidation.modules import agree_any, find_unfinite, get_modes, set_modes
from sharpwave.consolidation.probe import Probe, Scores, compare_groups, draw_items, judge, measure_scores
from sharpwave.consolidation.sleep_report import SleepReport, make_hypnogram


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
            weights: Trained parameters and all buffers of the network as it fell asleep, by name.
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

    def wake_up(self) -> None:
        """After a night, whether it is kept or not."""
        return

    def describe(self) -> str:
        """What a user should know of it in the report; empty for nothing."""
        return ""

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


class Night:
    """The network as it was, the steps planned, and how far they have come.

    Args:
        learner: Network that sleeps.
        phases: Phase of each stage, by its code.
        plan: Stage of each step.
        probe: What decides whether the night is kept.
        start: Step of the run at which the night begins.
        pressure: Sleep pressure at its beginning; None where it is not known.

    Attributes:
        shallow: What turns the last steps into steps of the top alone; None, the default, for none.
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
        self.shallow: Shallow | None = None
        self.position = 0
        self.losses: list[float] = []
        self.seconds = 0.0
        self.modes: dict[str, bool] = {}
        self.snapshot = Snapshot({}, {})
        self.before = Scores(math.nan, pd.DataFrame(), False)
        self.probed: list[int] = []
        self.failure = ""

    @classmethod
    def resume(cls, state: Mapping[str, Any], learner: Learner, phases: Mapping[int, Phase], *, probe: Probe) -> Night:
        """The night that `state_dict` gave, of the same network."""
        night = cls(learner, phases, list(state["plan"]), probe=probe, start=state["start"], pressure=state["pressure"])
        night.shallow = resume_shallow(learner, state.get("shallow"))
        night.load_state_dict(state)
        return night

    def begin(self) -> None:
        """Copy the network, score it, and put it in training mode if it is not."""
        began = time.perf_counter()
        self.modes = get_modes(self.learner.model)
        self.snapshot = Snapshot.take(self.learner)
        self.learner.clear_gradients()
        deepen(self.shallow, self.learner, self.position)
        self.probed = draw_items(self.learner, self.probe)
        self.before = measure_scores(self.learner, self.probe, self.probed)
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
        deepen(self.shallow, self.learner, self.position)
        self.learner.trouble = ""
        self.losses.append(phase.step(self.plan, self.position))
        if self._has_failed:
            self.failure = self.learner.trouble or "a loss was not finite"
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
        after = measure_scores(self.learner, self.probe, self.probed)
        broken = find_unfinite(self.learner.module)
        reason = self.failure or (f"{broken} is not finite" if broken else judge(self.before, after, self.probe))
        note = ""
        if agree_any(bool(reason), self.learner.device):
            reason = reason or "it was not good in another process"
            self.undo()
        else:
            note = self._find_note()
            set_modes(self.learner.model, self.modes)
            for phase in self.phases.values():
                phase.keep()
            self.learner.memories = None
            self.snapshot.give_back_gradients(self.learner)
            self._wake_phases()
        told = [phase.describe() for phase in self.phases.values() if hasattr(phase, "describe")]
        seconds = self.seconds + time.perf_counter() - began
        known = self.pressure is not None and pressure is not None
        cost = self.learner.day.compute_cost(
            slept=self.learner.n_passed,
            scored=2 * len(self.before.items),
            n_passes=self.learner.n_passes,
            asleep_seconds=seconds,
        )
        return SleepReport(
            committed=not reason,
            reason=reason,
            hypnogram=make_hypnogram(self.plan[: self.position], start=self.start),
            losses=np.array(self.losses, dtype=np.float64),
            n_planned=len(self.plan),
            score_before=self.before.score,
            score_after=after.score,
            held_out=self.before.is_held_out,
            groups=compare_groups(self.before, after, name_task=getattr(self.learner.buffer, "name_task", int)),
            homeostasis=self._count_changes(),
            pressure=(self.pressure, pressure) if known else None,  # type: ignore[arg-type]
            seconds=seconds,
            note="; ".join(filter(None, (note, self.learner.describe_undone(), *told))),
            cost=cost | {"undone": self.learner.n_undone, "asleep_tokens": self.learner.n_tokens},
            divergence=self._find_divergence(after),
        )

    def _find_divergence(self, after: Scores) -> tuple[float, float]:
        """Nats from what was said before, on dreams where there are any, else on stored items."""
        for phase in self.phases.values():
            found = getattr(phase, "divergence", [])
            if len(found) == 2:
                return found[0], found[1]
        return self.before.divergence, after.divergence

    def _find_note(self) -> str:
        """That no weight moved, and why, where that is so."""
        learner = self.learner
        if not self.position or self.snapshot.has_moved(learner):
            return ""
        rates = learner.rates or [float(group["lr"]) for group in learner.optimiser.param_groups]
        why = "the learning rate is 0" if not any(rates) else "its steps changed nothing"
        note = f"no weight moved, since {why}"
        fix = "give NREM(rate=...)" if not any(rates) else "check the optimiser and which parameters ask for gradients"
        warnings.warn(f"a night of {self.position} steps was slept, but {note}: {fix}", stacklevel=4)
        return note

    def undo(self) -> None:
        """Put the network, its optimiser, modes and gradients back as they were."""
        self.learner.memories = None
        try:
            if self.snapshot.moments:  # else it could not be copied, and nothing was changed
                self.snapshot.restore(self.learner)
        finally:
            set_modes(self.learner.model, self.modes)
            self._wake_phases()

    def _wake_phases(self) -> None:
        for phase in self.phases.values():
            if hasattr(phase, "wake_up"):
                phase.wake_up()

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
            "scaler": self.snapshot.scaler,
            "probed": list(self.probed),
            "n_passed": self.learner.n_passed,
            "n_passes": self.learner.n_passes,
            "n_refreshed": self.learner.n_refreshed,
            "shallow": None if self.shallow is None else self.shallow.state_dict(),
            "before": {
                "score": self.before.score,
                "items": self.before.items.to_dict("list"),
                "is_held_out": self.before.is_held_out,
                "unit": self.before.unit,
                "label": self.before.label,
                "divergence": self.before.divergence,
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, of a night with the same plan."""
        self.position, self.losses, self.seconds = state["position"], list(state["losses"]), state["seconds"]
        self.modes = dict(state["modes"])
        self.snapshot = Snapshot(dict(state["weights"]), state["moments"], state.get("scaler"))
        self.probed, self.learner.n_passed = list(state.get("probed", [])), state.get("n_passed", 0)
        self.learner.n_passes = state.get("n_passes", 0.0)
        self.learner.n_refreshed = state.get("n_refreshed")
        before = state["before"]
        known = {name: before[name] for name in ("unit", "label", "divergence") if name in before}
        self.before = Scores(before["score"], pd.DataFrame(before["items"]), before["is_held_out"], **known)
        if not self.probed:  # version 0.1.0, whose probe was the first slots
            self.probed = list(range(len(self.before.items)))

    def _count_changes(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for phase in self.phases.values():
            counts.update(phase.count_changes())
        return dict(counts)
