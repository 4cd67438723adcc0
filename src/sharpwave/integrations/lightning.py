"""Sleep in a Lightning training: a callback that sleeps after each epoch, or at the end of each fit.

    class Classifier(lightning.LightningModule):
        def training_step(self, batch, index):
            return self.sleep.wake(batch)  # the loss, with what is replayed beside the batch

    trainer = lightning.Trainer(callbacks=[SleepCallback(ReplayBuffer(500))])

Buffer, generators and counters go into Lightning's checkpoint with the callback's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from sharpwave.consolidation import Sleep
from sharpwave.errors import MissingExtraError, SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation import ReplayBuffer, SleepReport

WHEN = ("epoch", "fit", "schedule")
LOWER = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Precisions of Lightning in which passes are lower than the weights."""


try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    Callback = object  # type: ignore[assignment, misc]


class SleepCallback(Callback):
    """Wake and sleep for a LightningModule, which finds it as `self.sleep` in its `training_step`.

    One process, automatic optimisation. A second `fit` of the same module goes on with the same memories.

    Args:
        buffer: Replay buffer; None for recipes that store nothing.
        every: When it sleeps, one of `WHEN`: "epoch", the default, after each epoch of training; "fit", at the end of
            each `fit`, as where each task has its own; "schedule", after any step at which the schedule calls for it.
        options: Options of `Sleep`.

    Raises:
        MissingExtraError: If Lightning is not installed.

    Attributes:
        sleep: The `Sleep`, from the start of training on; None before.
        reports: What each night did.

    Example:
        >>> from sharpwave.consolidation import ReplayBuffer
        >>> SleepCallback(ReplayBuffer(500), every="fit").every  # doctest: +SKIP
        'fit'
    """

    def __init__(self, buffer: ReplayBuffer | None, *, every: str = "epoch", **options: Any) -> None:
        if Callback is object:
            raise MissingExtraError("lightning", extra="lightning")
        if every not in WHEN:
            raise SharpwaveError(f"a time to sleep among {', '.join(WHEN)}", got=repr(every), fix="choose one of them")
        self.buffer, self.every, self.options = buffer, every, options
        self.sleep: Sleep | None = None
        self.reports: list[SleepReport] = []
        self._pending: Mapping[str, Any] | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Make the `Sleep`, or go on with that of the `fit` before; take up what a checkpoint held.

        Raises:
            SharpwaveError: If several processes train, or the module optimises by hand.
        """
        if trainer.world_size > 1 or not pl_module.automatic_optimization:
            raise SharpwaveError(
                "one process and automatic optimisation",
                got=f"{trainer.world_size} processes, automatic_optimization={pl_module.automatic_optimization}",
                fix="call Sleep in a loop of your own, around DistributedDataParallel",
            )
        if self.sleep is not None and self.sleep.learner.model is pl_module:
            self.sleep.use(*trainer.optimizers)
        else:
            plugin = trainer.precision_plugin
            options = {"autocast": LOWER.get(str(plugin.precision)), "scaler": getattr(plugin, "scaler", None)}
            options["accumulate"] = trainer.accumulate_grad_batches
            self.sleep = Sleep(pl_module, self.buffer, list(trainer.optimizers), **(options | self.options))
        if self._pending is not None:
            self.sleep.load_state_dict(self._pending)
            self._pending = None
        object.__setattr__(pl_module, "sleep", self.sleep)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Sleep if the schedule calls for it."""
        if self.every == "schedule" and self.sleep is not None:
            report = self.sleep.rest()
            self.reports += [] if report is None else [report]

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """A night after each epoch."""
        if self.every == "epoch":
            self._sleep(pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """A night at the end of the fit."""
        if self.every == "fit":
            self._sleep(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """What Lightning puts into its checkpoint: everything of `Sleep` but the model and the optimiser."""
        if self.sleep is None:
            return {} if self._pending is None else dict(self._pending)
        return self.sleep.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Hold what a checkpoint held until training starts, and model and optimisers are there."""
        self._pending = state_dict or None

    def _sleep(self, pl_module: Any) -> None:
        if self.sleep is None or not self.sleep.learner.day.n_new:
            raise SharpwaveError(
                "batches that were learned awake, before a night",
                got=f"{type(pl_module).__name__}.training_step without self.sleep.wake",
                fix="return self.sleep.wake(batch) as the loss in training_step",
            )
        with torch.enable_grad():
            report = self.sleep.night()
        self.reports.append(report)
        pl_module.log("night_score", report.score_after) if self.every == "epoch" else None
