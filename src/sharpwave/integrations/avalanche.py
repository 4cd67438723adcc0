"""Sleep in an Avalanche strategy: a plugin that replays beside each batch and sleeps after each experience.

    strategy = Naive(model=model, optimizer=optimizer, criterion=nn.CrossEntropyLoss(), plugins=[SleepPlugin(500)])
    for experience in benchmark.train_stream:
        strategy.train(experience)

Avalanche needs torchvision, for which there is no build beside this project's torch, so the tests drive the plugin by
Avalanche's public contract instead: the callbacks of `SupervisedPlugin` in the order of `SGDUpdate.training_epoch`, and
the attributes `model`, `optimizer`, `criterion`, `loss`, `mb_x`, `mb_y`, `mb_task_id` and `mb_output`, as in version
0.6.0. That version itself, with a stand-in for torchvision, has run it once, by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from sharpwave.consolidation import ReplayBuffer, Sleep, SleepReport, Wake
from sharpwave.consolidation.batches import Batch, Objective
from sharpwave.errors import SharpwaveError

WHEN = ("experience", "epoch", "schedule")

try:
    from avalanche.core import SupervisedPlugin
except ImportError:  # also where Avalanche is there and torchvision is not: strategies ask for callbacks by their names
    SupervisedPlugin = object


class SleepPlugin(SupervisedPlugin):
    """Wake and sleep for any strategy of Avalanche that trains by stochastic gradient descent.

    The pass of the new items is Avalanche's own, so what other plugins do to it, or add to the loss, stays. New items
    are stored with their labels, and with the task's label where the benchmark has one.

    Args:
        buffer: Replay buffer, or its size in items; None for recipes that store nothing.
        every: When it sleeps, one of `WHEN`: "experience", the default, at the end of each; "epoch", after each epoch;
            "schedule", after any step at which the schedule calls for it.
        options: Options of `Sleep`. Replayed items take a pass of their own (`Wake(fuse=False)`).

    Raises:
        SharpwaveError: If `every` is none of these.

    Attributes:
        sleep: The `Sleep`, from the first experience on; None before.
        reports: What each night did.

    Example:
        >>> SleepPlugin(500, every="epoch").buffer.capacity
        500
    """

    def __init__(self, buffer: ReplayBuffer | int | None, *, every: str = "experience", **options: Any) -> None:
        super().__init__()
        if every not in WHEN:
            raise SharpwaveError(f"a time to sleep among {', '.join(WHEN)}", got=repr(every), fix="choose one of them")
        self.buffer = ReplayBuffer(buffer) if isinstance(buffer, int) else buffer
        self.every, self.options = every, options
        self.sleep: Sleep | None = None
        self.reports: list[SleepReport] = []
        self._pending: Mapping[str, Any] | None = None
        self._passed: tuple[Tensor, Tensor] | None = None

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Make the `Sleep` at the first experience; at later ones go on with what Avalanche made of the optimiser."""
        if self.sleep is None:
            self.sleep = self._make_sleep(strategy)
        elif self.sleep.learner.model is not strategy.model:
            raise SharpwaveError(
                "the same model in every experience, grown or not",
                got=f"another {type(strategy.model).__name__}",
                fix="give each strategy a SleepPlugin of its own",
            )
        else:
            self.sleep.use(strategy.optimizer)
        if self._pending is not None:
            self.sleep.load_state_dict(self._pending)
            self._pending = None

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Put the loss of wake in the place of that of the new items; what other plugins added stays."""
        assert self.sleep is not None
        batch = {"x": strategy.mb_x, "y": strategy.mb_y}
        if _has_tasks(strategy):
            batch["task_label"] = strategy.mb_task_id
        self._passed = (strategy.mb_x, strategy.mb_output)
        try:
            strategy.loss = strategy.loss - strategy.criterion() + self.sleep.wake(batch)
        finally:
            self._passed = None

    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Sleep if the schedule calls for it."""
        if self.every == "schedule" and self.sleep is not None:
            report = self.sleep.rest()
            self.reports += [] if report is None else [report]

    def after_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """A night after each epoch."""
        if self.every == "epoch":
            self._sleep()

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """A night at the end of the experience."""
        if self.every == "experience":
            self._sleep()

    def state_dict(self) -> dict[str, Any]:
        """Everything of `Sleep` but the model and the optimiser, to be saved beside them."""
        if self.sleep is None:
            return {} if self._pending is None else dict(self._pending)
        return self.sleep.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Hold what was saved until an experience begins, and model and optimiser are there."""
        self.sleep, self._pending = None, state_dict or None

    def _make_sleep(self, strategy: Any) -> Sleep:
        options = dict(self.options)
        given = options.pop("objective", None)
        if given is None and not isinstance(getattr(strategy, "_criterion", None), nn.CrossEntropyLoss):
            raise SharpwaveError(
                "nn.CrossEntropyLoss as the strategy's criterion, or the loss of each item",
                got=type(getattr(strategy, "_criterion", None)).__name__,
                fix="say it as in SleepPlugin(500, objective=Objective.regression())",
            )
        objective = Objective() if given is None else given
        forward, with_tasks = objective.forward, given is None and _is_multi_task(strategy.model)

        def run(model: nn.Module, batch: Batch) -> Tensor:
            if self._passed is not None and batch.get("x") is self._passed[0]:
                return self._passed[1]
            return model(batch["x"], batch["task_label"]) if with_tasks else forward(model, batch)

        recipe = options.get("recipe")
        wake = options.pop("wake", Wake() if recipe is None else recipe.wake)
        options |= {"wake": replace(wake, fuse=False), "objective": replace(objective, forward=run)}
        return Sleep(strategy.model, self.buffer, strategy.optimizer, **options)

    def _sleep(self) -> None:
        if self.sleep is not None and self.sleep.learner.day.n_new:
            self.reports.append(self.sleep.night())

    def __getstate__(self) -> dict[str, Any]:
        """For Avalanche's checkpoints, which pickle a strategy whole: `Sleep` as its state."""
        return vars(self) | {"sleep": None, "_pending": self.state_dict() or None, "_passed": None}


def _is_multi_task(model: nn.Module) -> bool:
    """Whether a model is called with the labels of tasks (Avalanche's `MultiTaskModule`, by its method)."""
    return hasattr(getattr(model, "module", model), "forward_single_task")


def _has_tasks(strategy: Any) -> bool:
    """Whether the batches of a strategy come with labels of tasks."""
    return len(strategy.mbatch) >= 3 and isinstance(strategy.mbatch[-1], Tensor)
