"""Ours: `sharpwave.consolidation.Sleep`, a night after each task, within the gradient samples of every peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from sharpwave.benchmarks.continual.learners.contract import WAKE_REPLAY, Learner, Setting
from sharpwave.benchmarks.continual.learners.stored import DRAWS, make_buffer
from sharpwave.benchmarks.continual.streams import Inputs, Task
from sharpwave.consolidation import NREM, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.spiking import SpikingReplay

N_DRAWS = {"none": 0, "er": 1, "er-ace": 1, "der++": DRAWS}


class Sleeper(Learner):
    """Wakes with DER++ and sleeps after each task, for as many samples as its peers replay more while awake.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size awake; that of the night falls from it to nothing.
        alpha: Weight of the logits, awake and asleep.
        beta: Weight of the replayed labels, awake and asleep.
        changes: Options of `Sleep` instead of the recipe's.
        sleeps: Whether there are nights at all; without, their budget is not spent.
    """

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        *,
        lr: float,
        alpha: float = 0.5,
        beta: float = 0.5,
        changes: Mapping[str, Any] | None = None,
        sleeps: bool = True,
    ) -> None:
        super().__init__(model, setting, lr=lr)
        self.buffer, self.sleeps = make_buffer(setting, self.generator), sleeps
        options: dict[str, Any] = {
            "wake": make_wake(setting, "der++", distillation=alpha, replay=beta),
            "nrem": NREM(batch_size=setting.batch, labels=beta, distillation=alpha),
        }
        options |= changes or {}
        self.sleep = Sleep(model, self.buffer, self.optimiser, generator=self.generator, **options)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        n_drawn = count_drawn(self.sleep.recipe.wake, self.buffer)
        self.update(self.sleep.wake({"x": x, "y": y}), len(y) + n_drawn)

    def end_task(self, task: Task, index: int) -> None:
        if self.sleeps:
            self.n_gradient_samples += sleep_within_budget(self.sleep, self.setting)

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes


class LiteralSleeper(Learner):
    """Synaptic Sleep Replay as it is described, `Sleep.ssr`, in the same budget.

    Awake experience replay; asleep reconstruction under noise, then prune and strengthen.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size, awake and asleep.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float) -> None:
        super().__init__(model, setting, lr=lr)
        self.buffer = make_buffer(setting, self.generator)
        wake = make_wake(setting, "er")
        self.sleep = Sleep.ssr(model, self.buffer, self.optimiser, wake=wake, generator=self.generator)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        n_drawn = count_drawn(self.sleep.recipe.wake, self.buffer)
        self.update(self.sleep.wake({"x": x, "y": y}), len(y) + n_drawn)

    def end_task(self, task: Task, index: int) -> None:
        self.n_gradient_samples += sleep_within_budget(self.sleep, self.setting)

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes


class SpikingSleeper(Learner):
    """Sleep replay consolidation, `Sleep.src`: no stored data and no gradients in sleep; for multilayer perceptrons.

    Biases are held at zero, as in the published networks.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size awake.
        potentiation: Rise of a weight, in standard deviations of its layer; what falls does so in proportion.
    """

    n_buffer_bytes = 0

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, potentiation: float = 6e-3) -> None:
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias).requires_grad_(False)
        super().__init__(model, setting, lr=lr)
        plain = SpikingReplay()
        nrem = replace(
            plain, potentiation=potentiation, depression=potentiation * plain.depression / plain.potentiation
        )
        self.sleep = Sleep.src(model, self.optimiser, nrem=nrem, generator=self.generator)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.update(self.sleep.wake({"x": x, "y": y}), len(y))

    def end_task(self, task: Task, index: int) -> None:
        self.sleep.night()


def make_wake(setting: Setting, method: str, **weights: float) -> Wake:
    """Wake that replays its part of the budget."""
    return Wake(method, n_replay=round(WAKE_REPLAY * setting.batch / max(N_DRAWS[method], 1)), **weights)


def count_drawn(wake: Wake, buffer: ReplayBuffer) -> int:
    """Samples that a wake step replays now."""
    return N_DRAWS[wake.method] * min(len(buffer), wake.n_replay or 0)


def sleep_within_budget(sleep: Sleep, setting: Setting) -> int:
    """A night of the gradient samples that are left after a task.

    Returns:
        Gradient samples taken, those of significance included.
    """
    recipe = sleep.recipe
    passed = round((1 + WAKE_REPLAY) * setting.batch)
    batch = (recipe.nrem.batch_size if isinstance(recipe.nrem, NREM) else None) or passed
    examined = sum(part.n_items for part in (recipe.protection, recipe.homeostasis) if part is not None)
    left = (setting.replay - WAKE_REPLAY) * setting.batch * setting.n_steps - examined
    report = sleep.night(max(1, round(left / batch)))
    return len(report.losses) * batch + examined
