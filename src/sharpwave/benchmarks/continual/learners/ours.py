"""Ours: `sharpwave.consolidation.Sleep`, a night after each task, within the gradient samples of every baseline.

And the same recipe with one ingredient more, less or other, for a table of what each does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from sharpwave.benchmarks.continual.learners.contract import DRAWS, WAKE_REPLAY, Learner, Setting, make_buffer
from sharpwave.consolidation import NREM, REM, Homeostasis, Protection, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.spiking import SpikingReplay
from sharpwave.demonstrations.streams import Inputs, Task

N_DRAWS = {"none": 0, "er": 1, "er-ace": 1, "der++": DRAWS}


class SleepLearner(Learner):
    """Wakes with DER++ and sleeps after each task, for as many samples as the baselines replay more while awake.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
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


class DefaultSleepLearner(Learner):
    """What a user gets: `Sleep(model, buffer, optimiser)` and a night after each task, with the package's own defaults.

    Args:
        model: The network.
        setting: Setting that is equal for all learners; replay and nights are the defaults', not its share.
        lr: Step size of plain stochastic gradient descent.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float) -> None:
        super().__init__(model, setting, lr=lr)
        self.buffer = make_buffer(setting, self.generator)
        self.sleep = Sleep(model, self.buffer, self.optimiser, generator=self.generator)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        n_before = self.sleep.learner.day.n_replayed
        loss = self.sleep.wake({"x": x, "y": y})
        self.update(loss, len(y) + self.sleep.learner.day.n_replayed - n_before)

    def end_task(self, task: Task, index: int) -> None:
        self.n_gradient_samples += int(self.sleep.night().cost["slept"])

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes


class SSRLearner(Learner):
    """Synaptic Sleep Replay as it is described, `Sleep.ssr`, in the same budget.

    Awake experience replay; asleep reconstruction under noise, then prune and strengthen.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
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


class SRCLearner(Learner):
    """Sleep replay consolidation, `Sleep.src`: no stored data and no gradients in sleep; for multilayer perceptrons.

    Biases are held at zero, as in the published networks.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
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
    """Wake that replays its part of the budget, in two draws as the peers do."""
    n_replay = round(WAKE_REPLAY * setting.batch / max(N_DRAWS[method], 1))
    return Wake(method, n_replay=n_replay, draws=DRAWS, **weights)


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


NIGHTS: dict[str, Callable[[NREM], dict[str, Any]]] = {
    "sleep": lambda nrem: {},
    "sleep, rate not annealed": lambda nrem: {"nrem": replace(nrem, anneal=False)},
    "sleep, classes not balanced": lambda nrem: {"nrem": replace(nrem, balanced=False)},
    "sleep, no distillation": lambda nrem: {"nrem": replace(nrem, distillation=0.0)},
    "sleep, no labels": lambda nrem: {"nrem": replace(nrem, labels=0.0)},
    "sleep, softened distillation": lambda nrem: {"nrem": replace(nrem, temperature=2.0)},
    "sleep, logits not refreshed": lambda nrem: {"nrem": replace(nrem, refresh="none")},
    "sleep, all logits refreshed": lambda nrem: {"nrem": replace(nrem, refresh="replayed")},
    "sleep + noise": lambda nrem: {"nrem": replace(nrem, noise=0.1)},
    "sleep + noise, no distillation": lambda nrem: {"nrem": replace(nrem, noise=0.1, distillation=0.0)},
    "sleep + slow oscillation": lambda nrem: {"nrem": replace(nrem, noise=0.1, oscillation=8)},
    "sleep + reconstruction": lambda nrem: {"nrem": replace(nrem, noise=0.1, reconstruction=1.0)},
    "sleep + dreams": lambda nrem: {"rem": REM(batch_size=nrem.batch_size)},
    "sleep + anchor": lambda nrem: {"protection": Protection(anchor=3.0)},
    "sleep + smaller steps where significant": lambda nrem: {"protection": Protection(step_size=0.3)},
    "sleep + prune 10 %": lambda nrem: {"homeostasis": Homeostasis(prune=0.1)},
    "sleep + prune 10 %, regrow": lambda nrem: {"homeostasis": Homeostasis(prune=0.1, regrow=1.0)},
    "sleep + strengthen 5 %": lambda nrem: {"homeostasis": Homeostasis(strengthen=0.05)},
    "sleep + downscale 2 %": lambda nrem: {"homeostasis": Homeostasis(downscale=0.02)},
}
"""Options of `Sleep` by name of the variant, from the recipe's NREM."""

AWAKE = ("er", "er-ace")
"""Other ways to learn while awake, with the same nights."""


def list_variants(options: dict[str, float]) -> dict[str, Callable[[nn.Module, Setting], Learner]]:
    """Learners by name, all with the tuned options of `sleep`.

    Args:
        options: Options of `SleepLearner`: lr, alpha and beta.
    """
    variants: dict[str, Callable[[nn.Module, Setting], Learner]] = {
        name: partial(_make, options=options, change=change) for name, change in NIGHTS.items()
    }
    for method in AWAKE:
        variants[f"sleep, {method} awake"] = partial(_make_awake, options=options, method=method)
    variants["no sleep"] = partial(SleepLearner, sleeps=False, **options)  # type: ignore[arg-type]
    return variants


def _make(
    model: nn.Module, setting: Setting, *, options: dict[str, float], change: Callable[[NREM], dict[str, Any]]
) -> SleepLearner:
    plain = SleepLearner(model, setting, **options).sleep.recipe.nrem  # type: ignore[arg-type]
    assert isinstance(plain, NREM)
    return SleepLearner(model, setting, **options, changes=change(plain))  # type: ignore[arg-type]


def _make_awake(model: nn.Module, setting: Setting, *, options: dict[str, float], method: str) -> SleepLearner:
    changes = {"wake": make_wake(setting, method, replay=options["beta"])}
    return SleepLearner(model, setting, **options, changes=changes)  # type: ignore[arg-type]
