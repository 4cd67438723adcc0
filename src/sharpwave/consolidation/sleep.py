"""Sleep: nights for any network, between the steps of any training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import move
from sharpwave.consolidation.body import Body
from sharpwave.consolidation.buffer import ReplayBuffer
from sharpwave.consolidation.distributed import agree_any, agree_first
from sharpwave.consolidation.homeostasis import Homeostasis
from sharpwave.consolidation.night import Night
from sharpwave.consolidation.nrem import NREM
from sharpwave.consolidation.objective import Objective
from sharpwave.consolidation.probe import Probe
from sharpwave.consolidation.protection import Guard, Protection
from sharpwave.consolidation.recipe import Recipe, make_oscillatory, make_plan, make_src, make_ssr
from sharpwave.consolidation.rem import REM
from sharpwave.consolidation.replaying import Replayer
from sharpwave.consolidation.report import WAKE, SleepReport, make_hypnogram
from sharpwave.consolidation.schedule import FixedRatio, Schedule
from sharpwave.consolidation.significance import compute_fisher
from sharpwave.consolidation.spiking import Activity, SpikingReplay, SpikingSleeper
from sharpwave.consolidation.strain import measure_strain
from sharpwave.consolidation.wake import Wake, compute_wake_loss
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram

DEFAULT = Recipe()


class Sleep:
    """Wake and sleep of one network.

    `wake` gives the loss of a batch and remembers it; `night` sleeps, as at the end of a task, and `rest` sleeps only
    if the schedule says so. A night is a transaction: if the probe says that it harmed, the network is put back.

    Args:
        model: Any module; for several processes within DistributedDataParallel.
        buffer: What it remembers; None for recipes that store nothing.
        optimiser: The one of the training loop, whose moments go on through the night; SGD at 0.01 where omitted.
        wake: How it learns while awake.
        nrem: Replay.
        rem: Dreams; None for nights without.
        homeostasis: Pruning and the like; None for none.
        protection: Of significant weights while awake; None for none.
        schedule: When to sleep, and for how long.
        probe: What decides whether a night is kept.
        steer: "brittle" turns replay towards brittle layers; a mapping says how much by parameter name.
        steer_noise: Noise of the most brittle layer in replay, in standard deviations of its weights.
        objective: How a batch goes through the model; `model(batch["x"])` classified as `batch["y"]` where omitted.
        accumulate: Batches per optimiser step, awake and asleep.
        autocast: Lower precision of the passes, such as torch.bfloat16.
        scaler: Of gradients, for torch.float16.
        generator: Of all randomness of sleep; seeded with 0 where omitted.
    """

    def __init__(
        self,
        model: nn.Module,
        buffer: ReplayBuffer | None,
        optimiser: torch.optim.Optimizer | None = None,
        *,
        wake: Wake = DEFAULT.wake,
        nrem: NREM | SpikingReplay = DEFAULT.nrem,
        rem: REM | None = DEFAULT.rem,
        homeostasis: Homeostasis | None = None,
        protection: Protection | None = None,
        schedule: Schedule | None = None,
        probe: Probe = DEFAULT.probe,
        steer: str | Mapping[str, float] | None = None,
        steer_noise: float = 0.1,
        objective: Objective | None = None,
        accumulate: int = 1,
        autocast: torch.dtype | None = None,
        scaler: torch.amp.GradScaler | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.recipe = Recipe(wake, nrem, rem, homeostasis, protection, probe, steer, steer_noise)
        self.schedule: Schedule = schedule or FixedRatio()
        self._owns_optimiser = optimiser is None
        self.body = Body(
            model,
            buffer,
            optimiser or torch.optim.SGD(model.parameters(), lr=0.01),
            objective or Objective(),
            generator or torch.Generator().manual_seed(0),
            accumulate=accumulate,
            autocast=autocast,
            scaler=scaler,
        )
        self.activity = Activity()
        self.guard = Guard(protection or Protection())
        self._sleeper = self._make_sleeper()
        self._night: Night | None = None
        self._stops = False
        self._n_calls = self._n_since_night = self._n_since_measured = 0
        self._stages: list[int] = []
        if self.guard.protection.step_size:
            self.body.optimiser.register_step_pre_hook(lambda *_: self._shrink())

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
            buffer: What it remembers.
            optimiser: The one of the training loop.
            reading: Of "1:10", a key of `recipe.READINGS`.
            options: Others of `Sleep`.
        """
        recipe, schedule = make_ssr(reading)
        return cls(model, buffer, optimiser, **(recipe.get_options() | {"schedule": schedule} | options))

    @classmethod
    def src(cls, model: nn.Module, optimiser: torch.optim.Optimizer | None = None, **options: Any) -> Self:
        """Sleep replay consolidation, which stores no data (`spiking`), for stacks of linear layers."""
        return cls(model, None, optimiser, **(make_src().get_options() | options))

    @classmethod
    def oscillatory(
        cls, model: nn.Module, buffer: ReplayBuffer, optimiser: torch.optim.Optimizer | None = None, **options: Any
    ) -> Self:
        """Replay on a slow oscillation (`recipe.make_oscillatory`)."""
        return cls(model, buffer, optimiser, **(make_oscillatory().get_options() | options))

    @property
    def is_asleep(self) -> bool:
        """Whether a night has begun and not ended."""
        return self._night is not None

    @property
    def hypnogram(self) -> Hypnogram:
        """Wake, NREM and REM of the run so far, a step each."""
        return make_hypnogram(self._stages)

    def wake(self, batch: Mapping[str, Any], *, task: int | None = None) -> Tensor:
        """The loss of a batch of new items, and of what is replayed beside it; the items go into the buffer.

        Args:
            batch: Entries (item, ...): `x` and `y`, or what the objective expects.
            task: Stored with the items, where given.

        Returns:
            The loss, for `backward`.
        """
        self._refuse_asleep()
        body, spiking = self.body, isinstance(self.recipe.nrem, SpikingReplay)
        moved = move(batch, body.device)
        if body.buffer is None:
            with self.activity.watch(body.module), body.precision():
                logits = body.objective.forward(body.model, moved)
                loss = body.objective.loss(logits, moved).mean()
        else:
            with body.precision():
                loss, logits = compute_wake_loss(
                    body.model,
                    moved,
                    body.buffer,
                    wake=self.recipe.wake,
                    objective=body.objective,
                    generator=body.generator,
                )
            kept = {"logits": logits.float()} if not spiking and self._uses_logits() else {}
            body.buffer.add({**batch, **kept}, task=task)
            if isinstance(self._sleeper, Replayer):
                self._sleeper.wake_items = self.recipe.wake.count_items(len(logits))
        self._n_calls += 1
        if self._n_calls % body.accumulate == 0:
            self._stages.append(WAKE)
            self._n_since_night += 1
            self._n_since_measured += 1
        return loss + self.guard.compute_penalty(body.module) if self.guard.is_anchored else loss

    def rest(self) -> SleepReport | None:
        """Sleep if the schedule says that it is time; call after each optimiser step."""
        every = self.schedule.measure_every
        if every and self._n_since_measured >= every:
            drift, forgetting = measure_strain(self.body)
            self.schedule.experience(drift=drift, forgetting=forgetting, n_steps=self._n_since_measured)
            self._n_since_measured = 0
        is_due = agree_first(int(self.schedule.is_due(self._n_since_night)), self.body.device)
        return self.night() if is_due else None

    def night(self, steps: int | None = None, *, until: Callable[[], bool] | None = None) -> SleepReport:
        """A whole night; one that was begun, or resumed, is slept to its end.

        Args:
            steps: How many; the schedule's plan where omitted.
            until: Asked after each step whether to wake up: what was learned so far is then kept or not, as always.

        Returns:
            What was done.
        """
        if not self.is_asleep:
            self.fall_asleep(steps)
        try:
            while self.step():
                if until is not None and agree_any(until(), self.body.device):
                    break
        except BaseException:
            self.abandon()
            raise
        return self.wake_up()

    def fall_asleep(self, steps: int | None = None) -> None:
        """Begin a night; `step` and `wake_up` then go through it one step at a time."""
        self._refuse_asleep()
        spiking = self.recipe.nrem if isinstance(self.recipe.nrem, SpikingReplay) else None
        planned = self.schedule.plan(self._n_since_night) if spiking is None else spiking.n_steps
        n_steps = agree_first(planned if steps is None else steps, self.body.device)
        plan = make_plan(n_steps, self.recipe.rem, depth=self.schedule.find_depth())
        night = Night(
            self.body,
            self._sleeper,
            plan,
            probe=self.recipe.probe,
            start=len(self._stages),
            pressure=self.schedule.pressure,
        )
        night.begin()
        self._night, self._stops = night, False

    def step(self) -> bool:
        """One step of sleep, after which the night can be broken off without harm.

        Returns:
            Whether there is another.
        """
        night = self._get_night()
        if night.is_over or self._stops:
            return False
        seconds = night.step()
        self._stages.append(night.plan[night.position - 1])
        self._stops = agree_any(not self.schedule.rest(seconds), self.body.device)
        return not (night.is_over or self._stops)

    def wake_up(self) -> SleepReport:
        """End the night: what was learned is kept, or the network is put back."""
        night = self._get_night()
        report = night.end(pressure=self.schedule.pressure)
        self._night, self._n_since_night = None, 0
        protection = self.guard.protection
        if report.committed and (protection.anchor or protection.step_size):
            items = self.body.draw(protection.n_items, balanced=True)
            self.guard.update(self.body.module, compute_fisher(self.body.module, items, objective=self.body.objective))
        return report

    def abandon(self) -> None:
        """End the night at once, and put the network back as it was before."""
        self._get_night().undo()
        self._night = None

    def state_dict(self) -> dict[str, Any]:
        """Everything but the model and the user's optimiser, at any step of wake or sleep: tensors, numbers, lists."""
        return {
            "buffer": None if self.body.buffer is None else self.body.buffer.state_dict(),
            "generator": self.body.generator.get_state(),
            "optimiser": self.body.optimiser.state_dict() if self._owns_optimiser else None,
            "schedule": self.schedule.state_dict(),
            "activity": self.activity.state_dict(),
            "guard": self.guard.state_dict(),
            "counts": [self._n_calls, self._n_since_night, self._n_since_measured, int(self._stops)],
            "stages": list(self._stages),
            "sleeper": self._sleeper.state_dict(),
            "night": None if self._night is None else self._night.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, in a `Sleep` made with the same options; the model is loaded by the user."""
        if self.body.buffer is not None:
            self.body.buffer.load_state_dict(state["buffer"])
        if self._owns_optimiser:
            self.body.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.activity.load_state_dict(state["activity"])
        self.guard.load_state_dict(state["guard"])
        self._n_calls, self._n_since_night, self._n_since_measured, stops = state["counts"]
        self._stops, self._stages, self._night = bool(stops), list(state["stages"]), None
        if state["night"] is not None:
            kept = state["night"]
            self._night = Night(
                self.body,
                self._sleeper,
                list(kept["plan"]),
                probe=self.recipe.probe,
                start=kept["start"],
                pressure=kept["pressure"],
            )
            self._night.load_state_dict(kept)
        self._sleeper.load_state_dict(state["sleeper"])
        self.body.generator.set_state(state["generator"])

    def _make_sleeper(self) -> Replayer | SpikingSleeper:
        recipe = self.recipe
        if isinstance(recipe.nrem, SpikingReplay):
            return SpikingSleeper(self.body, recipe.nrem, self.activity)
        return Replayer(
            self.body,
            recipe.nrem,
            rem=recipe.rem,
            homeostasis=recipe.homeostasis,
            steer=recipe.steer,
            steer_noise=recipe.steer_noise,
        )

    def _uses_logits(self) -> bool:
        nrem = self.recipe.nrem
        distils = isinstance(nrem, NREM) and nrem.distillation > 0
        return self.recipe.wake.method == "der++" or distils or self.schedule.measure_every > 0

    def _shrink(self) -> None:
        if not self.is_asleep:
            self.guard.shrink_gradients(self.body.module)

    def _get_night(self) -> Night:
        if self._night is None:
            raise SharpwaveError("a network that is asleep", got="one that is awake", fix="call fall_asleep() first")
        return self._night

    def _refuse_asleep(self) -> None:
        if self._night is not None:
            raise SharpwaveError(
                "a network that is awake", got="one that is asleep", fix="end the night with wake_up() or abandon()"
            )
