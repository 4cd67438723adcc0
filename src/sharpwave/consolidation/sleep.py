"""Sleep: nights for any network, between the steps of any training loop."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.consolidation.batches import Batch, Objective, move
from sharpwave.consolidation.budget import Budget
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.modules import agree_any, agree_first, check_parts, wait_at_most
from sharpwave.consolidation.night import Night
from sharpwave.consolidation.present import measure_drift_and_forgetting
from sharpwave.consolidation.probe import Stability
from sharpwave.consolidation.recipe import (
    Recipe,
    StepWatcher,
    check_options,
    join_optimisers,
    make_night,
    make_oscillatory,
    make_src,
    make_ssr,
)
from sharpwave.consolidation.schedule import Day, FixedRatio, add_stage, expand_stages
from sharpwave.consolidation.sleep_report import WAKE, SleepReport, make_hypnogram
from sharpwave.consolidation.sleep_state import SLEEPERS, list_sleep_state, refuse_asleep, take_up_sleep_state
from sharpwave.consolidation.wake import WakeStep, as_batch, count_rows, store_new, take_wake_step
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram

if TYPE_CHECKING:
    from sharpwave.consolidation.buffer import ReplayBuffer
    from sharpwave.consolidation.private import Private


class Sleep(StepWatcher):
    """Wake and sleep of one network.

    `wake` gives the loss of a batch and stores its items; `night` sleeps, as at the end of a task, `rest` only if the
    schedule says so. A night is a transaction: if the probe says that it harmed, the network is put back.

    Args:
        model: Any module; for several processes within DistributedDataParallel.
        buffer: Replay buffer; None for recipes that store nothing.
        optimiser: Optimiser of the training loop, or a list of several; its state goes on through the night. SGD at
            0.01 where omitted.
        recipe: What wake and sleep are made of; `Recipe()` where omitted.
        objective: How a batch goes through the model; `model(batch["x"])` classified as `batch["y"]` where omitted.
        accumulate: Number of batches per optimiser step, awake and asleep; default 1.
        autocast: Lower precision of the passes, such as torch.bfloat16; None for full precision.
        scaler: Scaler of gradients, for torch.float16; None for none.
        generator: Random generator of all of sleep; seeded with 0 where omitted.
        budget: What replay and nights may cost together, as a share of plain training: 0.15, or a `Budget`; None, the
            default, for what is most accurate.
        private: How much the weights may tell of one item (`private.Private`); None, the default, for any.
        changes: Parts of the recipe, in place of its own, as for `Recipe`.

    Example:
        >>> from sharpwave.consolidation import NREM, ReplayBuffer
        >>> model = nn.Linear(2, 2)
        >>> optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> sleep = Sleep(model, ReplayBuffer(100), optimiser, nrem=NREM(batch_size=16))
        >>> for _ in range(20):
        ...     optimiser.zero_grad()
        ...     sleep.wake({"x": torch.eye(2), "y": torch.arange(2)}).backward()
        ...     optimiser.step()
        >>> print(sleep.night())
        2 NREM and 0 REM steps in ... s; score (not held out) ...; kept; awake and asleep ... of its passes
    """

    def __init__(
        self,
        model: nn.Module,
        buffer: ReplayBuffer | None,
        optimiser: torch.optim.Optimizer | list[torch.optim.Optimizer] | None = None,
        *,
        recipe: Recipe | None = None,
        objective: Objective | None = None,
        accumulate: int = 1,
        autocast: torch.dtype | None = None,
        scaler: torch.amp.GradScaler | None = None,
        generator: torch.Generator | None = None,
        budget: Budget | float | None = None,
        private: Private | None = None,
        **changes: Any,
    ) -> None:
        check_parts(model, buffer)
        kinds = {"recipe": recipe, "objective": objective, "accumulate": accumulate, "autocast": autocast}
        check_options(**kinds, scaler=scaler, generator=generator, budget=budget)
        self.recipe = replace(recipe or Recipe(), **changes)
        kept = buffer
        if private is not None:
            self.recipe, buffer = private.settle(self.recipe, kept, changes, budget=budget), None
        self.schedule = self.recipe.schedule or FixedRatio()
        self.budget = Budget(budget) if isinstance(budget, int | float) else budget
        self._owns_optimiser = optimiser is None
        self.learner = Learner(
            model,
            buffer,
            join_optimisers(torch.optim.SGD(model.parameters(), lr=0.01) if optimiser is None else optimiser),
            objective or Objective(),
            generator or torch.Generator().manual_seed(0),
            accumulate=accumulate,
            autocast=autocast,
            scaler=scaler,
        )
        self.phases = self.recipe.make_phases(self.learner)
        self.private = (
            None
            if private is None
            else private.start(self.learner, kept, self.schedule, self.phases, self.recipe.probe)
        )
        self.stability = Stability(self.learner, self.recipe.wake)
        protection = self.recipe.protection
        self.guard = None if protection is None else protection.make_guard()
        self._night: Night | None = None
        self._n_calls = self._n_since_night = self._n_since_measured = 0
        self._stages: list[list[int]] = []
        self._woken, self._is_plain, self._stops = math.nan, False, False
        self._watch_steps()
        if kept is not None and hasattr(kept, "rights"):
            kept.rights.watch(self)

    @classmethod
    def ssr(
        cls,
        model: nn.Module,
        buffer: ReplayBuffer,
        optimiser: torch.optim.Optimizer | None = None,
        *,
        reading: str = "steps",
        **options: Any,
    ) -> Self:
        """Synaptic Sleep Replay as it is described (`recipe.make_ssr`).

        Args:
            model: Any module.
            buffer: Replay buffer.
            optimiser: Optimiser of the training loop; SGD at 0.01 where omitted.
            reading: How "1:10" is read, a key of `recipe.READINGS`: "steps", the default, is one step of sleep for ten
                of wake; "replays" is ten for one.
            options: Other options of `Sleep`; a `recipe` takes the place of this one.

        Example:
            >>> from sharpwave.consolidation import ReplayBuffer
            >>> Sleep.ssr(nn.Linear(2, 2), ReplayBuffer(8), reading="replays").schedule.ratio
            10.0
        """
        return cls(model, buffer, optimiser, **({"recipe": make_ssr(reading)} | options))

    @classmethod
    def src(cls, model: nn.Module, optimiser: torch.optim.Optimizer | None = None, **options: Any) -> Self:
        """Sleep replay consolidation, which stores no data (`recipe.make_src`).

        Args:
            model: Stack of linear layers with rectifiers between them.
            optimiser: Optimiser of the training loop; SGD at 0.01 where omitted.
            options: Other options of `Sleep`; a `recipe` takes the place of this one.
        """
        return cls(model, None, optimiser, **({"recipe": make_src()} | options))

    @classmethod
    def oscillatory(
        cls, model: nn.Module, buffer: ReplayBuffer, optimiser: torch.optim.Optimizer | None = None, **options: Any
    ) -> Self:
        """Replay on a slow oscillation (`recipe.make_oscillatory`).

        Args:
            model: Any module.
            buffer: Replay buffer.
            optimiser: Optimiser of the training loop; SGD at 0.01 where omitted.
            options: Other options of `Sleep`; a `recipe` takes the place of this one.
        """
        return cls(model, buffer, optimiser, **({"recipe": make_oscillatory()} | options))

    @property
    def body(self) -> Learner:
        """The old name of `learner`."""
        moved.warn("Sleep.body", "Sleep.learner")
        return self.learner

    @property
    def is_asleep(self) -> bool:
        """Whether a night has begun and not ended."""
        return self._night is not None

    @property
    def hypnogram(self) -> Hypnogram:
        """Wake, NREM and REM of the run so far, a step each."""
        return make_hypnogram(expand_stages(self._stages))

    def wake(self, batch: Any, *, task: int | str | None = None) -> Tensor:
        """The loss of a batch of new items, and of what is replayed beside it; the items go into the buffer.

        Args:
            batch: Entries (item, ...): `x` and `y`, or what the objective expects; or a pair (inputs, labels).
            task: Number (or, for a `TokenMemory`, name) of the task, stored with the items where given.

        Returns:
            The loss, for `backward`.
        """
        refuse_asleep(self)
        self._woken = time.perf_counter() if math.isnan(self._woken) else self._woken
        learner, batch = self.learner, as_batch(batch)
        with ExitStack() as watching:
            for context in (*(phase.watch() for phase in self.phases.values()), learner.precision()):
                watching.enter_context(context)
            step = self._take_wake_step(move(batch, learner.device))
        begun = time.perf_counter()
        if learner.buffer is not None:
            store_new(batch, step, learner.buffer, learner.objective, with_logits=self._uses_logits(), task=task)
        if learner.present is not None:
            learner.present.see(batch, learner.objective)
        loss, n_new, groups = step.loss, step.losses.shape[0], learner.optimiser.param_groups
        planned = self.recipe.wake.count_items(n_new) if self.budget is None else n_new
        seen = batch if self.private is None else {}
        learner.day.see(n_new, step.n_replayed, planned, [float(each["lr"]) for each in groups], batch=seen)
        if self.budget is not None:
            self.budget.replayed += learner.day.convert_places(step.n_places) or step.n_replayed
            self._is_plain = not step.n_replayed and math.isfinite(loss.detach())
        learner.day.kept_seconds += time.perf_counter() - begun
        self._n_calls += 1
        if self._n_calls % learner.accumulate == 0:
            add_stage(self._stages, WAKE)
            self._n_since_night += 1
            self._n_since_measured += 1
        if self.guard is not None and self.guard.is_anchored:
            return loss + self.guard.compute_penalty(learner.module)
        return loss

    def rest(self) -> SleepReport | None:
        """Sleep if the schedule says that it is time; call after each optimiser step."""
        every = self.schedule.measure_every
        if every and self._n_since_measured >= every:
            drift, forgetting = measure_drift_and_forgetting(self.learner)
            self.schedule.experience(drift=drift, forgetting=forgetting, n_steps=self._n_since_measured)
            self._n_since_measured = 0
        is_due = agree_first(int(self.schedule.is_due(self._n_since_night)), self.learner.device)
        return self.night() if is_due else None

    def night(self, steps: int | None = None, *, until: Callable[[], bool] | None = None) -> SleepReport:
        """A whole night; one that was begun, or resumed, is slept to its end.

        Args:
            steps: Number of steps, those of REM too; the schedule's plan, or what the budget can pay, where omitted.
            until: Function without arguments that is asked after each step whether to wake up: true ends the night
                early. It is then scored, and what was learned until there is kept or not, as always. Over several
                processes one that says so wakes all. None, the default, sleeps to the end.

        Returns:
            What the night did.
        """
        with self._undoing():
            if not self.is_asleep:
                self.fall_asleep(steps)
            while self.step():
                if until is not None and agree_any(until(), self.learner.device):
                    break
            return self.wake_up()

    def fall_asleep(self, steps: int | None = None) -> None:
        """Begin a night; `step` and `wake_up` then go through it one step at a time.

        Args:
            steps: Number of steps; the schedule's plan where omitted.
        """
        refuse_asleep(self)
        start = sum(n_steps for _, n_steps in self._stages)
        with self._undoing():
            self._night, self._stops = make_night(self, steps, start=start, n_awake=self._n_since_night), False
            SLEEPERS[self.learner.module] = weakref.ref(self)
            self._night.begin()

    def step(self) -> bool:
        """One step of sleep, after which the night can be broken off without harm; whether there is another."""
        night = self._get_night()
        if night.is_over or self._stops:
            return False
        with self._undoing():
            seconds = night.step()
            add_stage(self._stages, night.plan[night.position - 1])
            self._stops = agree_any(not self.schedule.rest(seconds), self.learner.device)
        return not (night.is_over or self._stops)

    def wake_up(self) -> SleepReport:
        """End the night: what was learned is kept, or the network is put back."""
        night = self._get_night()
        buffer, guarded = self.learner.buffer, None if self.guard is None else self.guard.state_dict()
        with self._undoing():
            try:
                with nullcontext() if buffer is None else buffer.undoable():
                    report = night.end(pressure=self.schedule.pressure)
                    if report.committed and self.guard is not None:
                        self.guard.gather(self.learner)
                    self._night = None
            except BaseException:
                if self.guard is not None and guarded is not None:
                    self.guard.load_state_dict(guarded)
                raise
        if self.budget is not None:
            self.budget.slept += self.learner.n_passes
        self._n_since_night, self._woken = 0, math.nan
        self.learner.day = Day()
        self.stability.forget()
        return report

    def abandon(self) -> None:
        """End the night at once, and put the network back as it was before."""
        night, self._night = self._get_night(), None
        night.undo()

    def use(self, *optimisers: torch.optim.Optimizer) -> None:
        """Go on with other optimisers, as after the model has grown.

        Args:
            optimisers: All that train the model from now on.
        """
        refuse_asleep(self)
        self.learner.optimiser, self._owns_optimiser = join_optimisers(list(optimisers)), False
        self._watch_steps()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the model and the user's optimiser, at any step of wake or sleep: tensors, numbers, lists."""
        return list_sleep_state(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, in a `Sleep` made with the same options; the model is loaded by the user.

        Args:
            state: What `state_dict` gave, now or in version 0.1.0, or `load_state` read.
        """
        take_up_sleep_state(self, state)

    def _take_wake_step(self, batch: Batch) -> WakeStep:
        if self.private is not None:
            return self.private.take_wake_step(batch)
        learner, buffer = self.learner, self.learner.buffer
        if buffer is not None and buffer.transform is not None:
            batch = buffer.transform(batch)
        n_replay = None if self.budget is None else self.budget.plan_replay(count_rows(batch), learner.model)
        take = partial(
            take_wake_step,
            learner.model,
            batch,
            buffer,
            wake=self.recipe.wake,
            objective=learner.objective,
            generator=learner.generator,
            n_typical=learner.day.n_typical,
            n_replay=n_replay,
        )
        return self.stability.check(take(), take)

    def _before_step(self, optimiser: torch.optim.Optimizer) -> None:
        if self.is_asleep or (self._is_plain and self.guard is None):  # plain: the user's own step, of a finite loss
            return
        if self.private is not None:
            self.private.release()
        if self.guard is not None:
            mine = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
            self.guard.shrink_gradients(self.learner.module, mine)
        self.stability.before_step(optimiser)

    def _after_step(self, _: torch.optim.Optimizer) -> None:
        """Count the seconds of a step of wake, from the first `wake` to the optimiser's step."""
        self.stability.after_step()
        if not self.is_asleep and not math.isnan(self._woken):
            self.learner.day.seconds += time.perf_counter() - self._woken
            self._woken = math.nan

    @contextmanager
    def _undoing(self) -> Iterator[None]:
        """Put everything back as it was before the night where anything raises."""
        try:
            with wait_at_most(getattr(self.learner.buffer, "timeout", None)):
                yield
        except BaseException:
            if self._night is not None:
                self.abandon()
            raise

    def _uses_logits(self) -> bool:
        used = self.recipe.wake.method == "der++" or any(phase.uses_logits for phase in self.phases.values())
        return used or self.schedule.measure_every > 0

    def _get_night(self) -> Night:
        if self._night is None:
            raise SharpwaveError("a network that is asleep", got="one that is awake", fix="call fall_asleep() first")
        return self._night
