"""What a network's wake and sleep are made of, and the recipes that have a name."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakMethod

import torch

from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.modules import agree_first
from sharpwave.consolidation.night import Night, Phase
from sharpwave.consolidation.nrem import NREM
from sharpwave.consolidation.probe import Probe
from sharpwave.consolidation.schedule import FixedRatio, Schedule
from sharpwave.consolidation.significance import Homeostasis
from sharpwave.consolidation.sleep_report import NREM_STAGE, REM_STAGE
from sharpwave.consolidation.spiking import SpikingReplay
from sharpwave.consolidation.wake import Wake
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.budget import Budget
    from sharpwave.consolidation.language.dreams import Dreams
    from sharpwave.consolidation.protection import Protection
    from sharpwave.consolidation.rem import REM

READINGS = {"steps": 0.1, "replays": 10.0}
"""Sleep steps per wake step in the two readings of "1:10": one sleep step for ten wake steps (which +15 % time allows),
or ten replays of each wake step (which it does not)."""


PARTS: dict[str, tuple[tuple[str, ...], str]] = {
    "wake": (("method", "count_items"), "Wake('der++')"),
    "nrem": (("make_phase",), "NREM()"),
    "rem": (("make_phase", "share", "cycles"), "REM()"),
    "homeostasis": (("apply",), "Homeostasis(prune=0.1)"),
    "protection": (("make_guard",), "Protection(step_size=0.3)"),
    "probe": (("held_out", "tolerance"), "Probe()"),
    "schedule": (("is_due", "plan"), "FixedRatio(0.1)"),
}
"""What each part of a recipe must have, and an example of it."""

OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "recipe": (lambda value: isinstance(value, Recipe), "Recipe(...)"),
    "objective": (lambda value: hasattr(value, "compute_losses"), "Objective(loss=...)"),
    "accumulate": (lambda value: isinstance(value, Integral) and int(value) >= 1, "4, a whole number of batches"),
    "autocast": (lambda value: isinstance(value, torch.dtype), "torch.bfloat16"),
    "scaler": (lambda value: hasattr(value, "unscale_"), "torch.amp.GradScaler()"),
    "generator": (lambda value: isinstance(value, torch.Generator), "torch.Generator().manual_seed(0)"),
    "budget": (
        lambda value: hasattr(value, "plan_replay") or (isinstance(value, Real) and not isinstance(value, bool)),
        "0.15, or a Budget",
    ),
}
"""What says whether an option of `Sleep` is of its kind, and an example of it."""


class Optimisers:
    """Several optimisers as one, each with parameters of its own.

    Args:
        parts: The optimisers; their states stay theirs.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all, in order."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """A step of each."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of each."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for part, kept in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(kept)


def join_optimisers(optimiser: Any) -> Any:
    """One optimiser as it is, several as one; that of Accelerate or Fabric without what is around it.

    Raises:
        SharpwaveError: If it is none, or its step needs a function that computes the loss anew (LBFGS).
    """
    parts = list(optimiser) if isinstance(optimiser, list | tuple) else [optimiser]
    parts = [part.optimizer if hasattr(getattr(part, "optimizer", None), "param_groups") else part for part in parts]
    for part in parts:
        if not hasattr(part, "param_groups"):
            raise SharpwaveError(
                "Sleep(model, buffer, optimiser), with an optimiser of torch or a list of them",
                got=f"{type(part).__name__} as the optimiser",
                fix="give a ReplayBuffer second and the optimiser third",
            )
        closure = inspect.signature(part.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise SharpwaveError(
                "an optimiser that steps from gradients",
                got=f"{type(part).__name__}, whose step computes the loss several times",
                fix="train with SGD, Adam or another optimiser whose step() needs no function",
            )
    return parts[0] if len(parts) == 1 else Optimisers(parts)


class StepWatcher(ABC):
    """What is told of each step of its optimisers for as long as it is there; a copy is told of those of its own.

    It has a `learner` with the optimisers.
    """

    learner: Learner
    _handles: Sequence[Any] = ()

    @abstractmethod
    def _before_step(self, optimiser: torch.optim.Optimizer) -> None: ...

    @abstractmethod
    def _after_step(self, optimiser: torch.optim.Optimizer) -> None: ...

    def _watch_steps(self) -> None:
        for handle in self._handles:
            handle.remove()

        def tell(there: WeakMethod[Callable[[Any], None]], stepped: Any, *_: Any) -> None:
            method = there()
            if method is not None:
                method(stepped)

        first, last = (partial(tell, WeakMethod(method)) for method in (self._before_step, self._after_step))
        self._handles = [each.register_step_pre_hook(first) for each in self.learner.optimisers]
        self._handles += [each.register_step_post_hook(last) for each in self.learner.optimisers]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_handles"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._watch_steps()


def check_options(**options: Any) -> None:
    """Raise where options of `Sleep` are of another kind.

    Args:
        options: Options by name; None is as if left out.

    Raises:
        SharpwaveError: If one is of another kind.
    """
    for name, value in options.items():
        has, example = OPTIONS[name]
        if value is not None and (isinstance(value, type) or not has(value)):
            raise SharpwaveError(f"{name}={example}", got=repr(value), fix="give that kind, or leave it out")


class PhaseOptions(Protocol):
    """Options of a phase, such as `NREM`, which make the phase for one network."""

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase: ...


@dataclass(frozen=True, eq=False)
class Recipe:
    """What the wake and sleep of a network are made of; where None is the default, the part is left out.

    Attributes:
        wake: How the network learns while awake; default `Wake()`.
        nrem: How stored items are replayed, or another phase in place of that; default `NREM()`.
        rem: How dreams are made, as `REM` or `language.Dreams`; default None, nights without.
        homeostasis: What follows the last NREM step of each cycle; default None.
        protection: How significant weights are protected while awake; default None.
        probe: What decides whether a night is kept; default `Probe()`.
        steer: "brittle" lets noise into each layer during NREM replay in proportion to how brittle it is measured to be
            at the start of the night; a mapping says so by parameter name. Default None, no noise.
        steer_noise: Noise of the most brittle layer, in standard deviations of its weights; default 0.1.
        schedule: When to sleep, and for how long; None, the default, is `FixedRatio()`. A schedule holds the sleep
            pressure of one network, so no two networks may share one.

    Example:
        >>> import torch
        >>> from sharpwave.consolidation import REM, ReplayBuffer, Sleep
        >>> dreaming = Recipe(rem=REM(share=0.5))
        >>> sleep = Sleep(torch.nn.Linear(2, 2), ReplayBuffer(8), recipe=dreaming)
        >>> loss = sleep.wake({"x": torch.eye(2), "y": torch.arange(2)})
        >>> print(sleep.night(4))
        2 NREM and 2 REM steps in ... s; score (not held out) ...
    """

    wake: Wake = field(default_factory=Wake)
    nrem: PhaseOptions = field(default_factory=NREM)
    rem: REM | Dreams | None = None
    homeostasis: Homeostasis | None = None
    protection: Protection | None = None
    probe: Probe = field(default_factory=Probe)
    steer: str | Mapping[str, float] | None = None
    steer_noise: float = 0.1
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        if isinstance(self.wake, str):
            object.__setattr__(self, "wake", Wake(self.wake))
        for name, (has, example) in PARTS.items():
            part = getattr(self, name)
            needed = part is not None or name in ("wake", "nrem", "probe")
            if needed and (isinstance(part, type) or not all(hasattr(part, each) for each in has)):
                raise SharpwaveError(f"{name}={example}", got=repr(part), fix="give an object of that kind")
        if isinstance(self.steer, str) and self.steer != "brittle":
            raise SharpwaveError(
                "steer='brittle', or noise by parameter name", got=repr(self.steer), fix="leave it out otherwise"
            )

    def make_phases(self, learner: Learner) -> dict[int, Phase]:
        """The phases of one network's nights, by the code of their stage."""
        dreams_alone = learner.buffer is None and not getattr(self.rem, "needs_buffer", True)
        phases: dict[int, Phase] = {}
        if not dreams_alone or not isinstance(self.nrem, NREM):
            phases[NREM_STAGE] = self.nrem.make_phase(learner, self)
        if self.rem is not None:
            phases[REM_STAGE] = self.rem.make_phase(learner, self)
        return phases


def make_plan(n_steps: int, rem: REM | Dreams | None, *, depth: float = 1.0, alone: bool = False) -> list[int]:
    """Stage of each step of a night: in each cycle NREM, then REM.

    Args:
        n_steps: Number of steps of the night.
        rem: Options of dreams, or None.
        depth: Depth of the night, from 0 to 1; default 1. The deeper, the less REM: its share at depth 1, twice that
            at 0.
        alone: Whether there is nothing to replay, so that all steps are dreams; default false.
    """
    if alone:
        return [REM_STAGE] * n_steps
    if rem is None:
        return [NREM_STAGE] * n_steps
    share = min(1.0, rem.share * (2 - depth))
    plan: list[int] = []
    for cycle in range(rem.cycles):
        length = n_steps * (cycle + 1) // rem.cycles - n_steps * cycle // rem.cycles
        n_rem = round(share * length)
        plan += [NREM_STAGE] * (length - n_rem) + [REM_STAGE] * n_rem
    return plan


class Sleeper(Protocol):
    """What `Sleep` has that a night is made of."""

    learner: Learner
    recipe: Recipe
    schedule: Schedule
    budget: Budget | None
    phases: dict[int, Phase]


def make_night(sleep: Sleeper, steps: int | None, *, start: int, n_awake: int) -> Night:
    """The night that a network's schedule or budget plans, all of it set but not begun.

    Args:
        sleep: The network with its recipe, schedule and budget.
        steps: Number of steps; that of the schedule, or of the budget, where it is None.
        start: Step of the run at which the night begins.
        n_awake: Number of steps of wake since the last night.
    """
    if steps is not None and not (isinstance(steps, Integral) and steps >= 0):
        raise SharpwaveError("a whole number of steps for a night", got=repr(steps), fix="write sleep.night(20)")
    learner, budget, schedule = sleep.learner, sleep.budget, sleep.schedule
    fixed = getattr(sleep.phases.get(NREM_STAGE), "n_steps", None)
    planned = schedule.plan(n_awake) if fixed is None else fixed
    learner.prepare_night()
    probe, shallow, n_shallow, rem = sleep.recipe.probe, None, 0, sleep.recipe.rem
    if budget is not None and steps is None:
        planned, shallow, n_shallow, n_probed = budget.prepare_night(learner)
        probe = replace(probe, n_items=min(probe.n_items, n_probed))
    n_steps = agree_first(planned if steps is None else steps, learner.device)
    plan = make_plan(n_steps, rem, depth=schedule.find_depth(), alone=NREM_STAGE not in sleep.phases)
    plan += [NREM_STAGE] * n_shallow
    night = Night(learner, sleep.phases, plan, probe=probe, start=start, pressure=schedule.pressure)
    night.shallow = shallow
    return night


def make_ssr(reading: str = "steps") -> Recipe:
    """Synaptic Sleep Replay as it is described: replay reconstructed under Gaussian noise, then prune and strengthen.

    Args:
        reading: How "1:10" is read, a key of `READINGS`; default "steps".

    Raises:
        SharpwaveError: If there is no such reading of 1:10.
    """
    if reading not in READINGS:
        raise SharpwaveError(f"a reading among {', '.join(READINGS)}", got=repr(reading), fix="choose one of them")
    return Recipe(
        wake=Wake(method="er"),
        nrem=NREM(distillation=0.0, noise=0.1, reconstruction=1.0, balanced=False, anneal=False),
        homeostasis=Homeostasis(prune=0.1, strengthen=0.05, gain=0.05, significance="fisher"),
        schedule=FixedRatio(READINGS[reading]),
    )


def make_src() -> Recipe:
    """Sleep replay consolidation, which stores no data; without a probe of the user's, every night is kept."""
    return Recipe(wake=Wake(method="none"), nrem=SpikingReplay())


def make_oscillatory() -> Recipe:
    """Replay in the up states of a slow oscillation, noise in its down states."""
    return Recipe(nrem=NREM(distillation=0.0, noise=0.2, oscillation=8, anneal=False))
