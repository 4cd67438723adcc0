"""One night: a transaction on a network, which can be put back as it was at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.consolidation.body import Body
from sharpwave.consolidation.distributed import agree_any
from sharpwave.consolidation.modes import get_modes, set_modes
from sharpwave.consolidation.probe import Probe, Scores, compare_groups, judge, measure_scores
from sharpwave.consolidation.replaying import Replayer
from sharpwave.consolidation.report import SleepReport, make_hypnogram
from sharpwave.consolidation.snapshot import Snapshot
from sharpwave.consolidation.spiking import SpikingSleeper


class Night:
    """The network as it was, the steps planned, and how far they have come.

    Args:
        body: The network that sleeps.
        sleeper: Carries out the steps.
        plan: Stage of each step.
        probe: What decides whether the night is kept.
        start: Step of the run at which it begins.
        pressure: At its beginning, where it is known.
    """

    def __init__(
        self,
        body: Body,
        sleeper: Replayer | SpikingSleeper,
        plan: list[int],
        *,
        probe: Probe,
        start: int,
        pressure: float | None = None,
    ) -> None:
        self.body, self.sleeper, self.plan, self.probe = body, sleeper, plan, probe
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
        self.snapshot = Snapshot.take(self.body.module, self.body.optimiser)
        self.modes = get_modes(self.body.model)
        self.before = measure_scores(self.body, self.probe)
        self.sleeper.prepare(self.snapshot.weights)
        if not self.body.model.training:
            self.body.model.train()
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
        self.losses.append(self.sleeper.step(self.plan, self.position))
        self.position += 1
        taken = time.perf_counter() - began
        self.seconds += taken
        return taken

    def end(self, *, pressure: float | None = None) -> SleepReport:
        """Score the network, keep it or put it back, and say what was done.

        Args:
            pressure: At the end, where it is known.
        """
        began = time.perf_counter()
        if self.position and not self._has_failed:
            self.sleeper.settle()
        after = measure_scores(self.body, self.probe)
        reason = "a loss was not finite" if self._has_failed else judge(self.before, after, self.probe)
        if agree_any(bool(reason), self.body.device):
            reason = reason or "it was not good in another process"
            self.undo()
        else:
            set_modes(self.body.model, self.modes)
            self.sleeper.remember()
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
            homeostasis=dict(self.sleeper.counts),
            pressure=(self.pressure, pressure) if known else None,  # type: ignore[arg-type]
            seconds=self.seconds + time.perf_counter() - began,
        )

    def undo(self) -> None:
        """Put the network and its optimiser back as they were."""
        self.snapshot.restore(self.body.module, self.body.optimiser)
        set_modes(self.body.model, self.modes)

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
        self.sleeper.prepare(self.snapshot.weights)
