"""Sleep in a Trainer of the Transformers library, or TRL's SFTTrainer: a callback that replays and sleeps.

    memory = TokenMemory("64 MB")
    trainer = Trainer(model, args, train_dataset=contracts, callbacks=[SleepCallback(memory, task="contracts")])
    trainer.train()
    print(trainer.sleep_report)

Beside some of the Trainer's batches a few memories pass through the model, whose gradients add up with the batch's; the
Trainer's own loss, clipping and schedule stay as they are. A loop of Accelerate needs no callback: give `Sleep` what
`accelerator.prepare` gave (docs/language-models.md).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sharpwave.consolidation import Budget, FixedRatio
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.integrations.beside import SleepBeside
from sharpwave.integrations.day import DayReport

WHEN = ("fit", "epoch", "schedule")
FOLDER = "sleep"
"""Folder within a checkpoint of the Trainer that holds what sleep needs to go on."""

try:
    from transformers import TrainerCallback
except ModuleNotFoundError:
    TrainerCallback = object


class SleepCallback(TrainerCallback):
    """Wake and sleep for a `transformers.Trainer`.

    Memories are of training batches alone, of what the Trainer gives the model. Trainers one after the other may share
    a memory; a second `train()` of the same one goes on with it. The report of the last night is `trainer.sleep_report`
    too.

    Args:
        memory: A `TokenMemory`, or its size, such as "64 MB"; None for recipes that store nothing (`rem=Dreams(...)`).
        task: Name or number of what is learned now, by which memories are balanced and reported; it may be set anew
            between calls of `train`. None, the default, for one task.
        budget: What replay and nights may cost together, as a share of the tokens of training, or a `Budget`; default
            0.15. None for as much as the recipe takes.
        every: When it sleeps: "fit", the default, at the end of each `train`; "epoch", after each epoch; "schedule",
            after a step at which the schedule calls for it; or a number of optimiser steps.
        save_every: Number of steps of a night after which it is written into the Trainer's checkpoint of that step,
            where there is one, to be gone on with; None, the default, for never: a night that was interrupted then
            begins again.
        options: Options of `Sleep`.

    Raises:
        MissingExtraError: If Transformers is not installed.
        SharpwaveError: If there is neither a memory nor dreams, or `every` is no time to sleep.

    Attributes:
        sleep: The `SleepBeside`, from the start of training on; None before.
        reports: What each day and night did.

    Example:
        >>> SleepCallback("1 MB", task="contracts", every="epoch").task
        'contracts'
    """

    def __init__(
        self,
        memory: Any,
        *,
        task: int | str | None = None,
        budget: Budget | float | None = 0.15,
        every: str | int = "fit",
        save_every: int | None = None,
        **options: Any,
    ) -> None:
        if TrainerCallback is object:
            raise MissingExtraError("transformers", extra="language")
        if every not in WHEN and (not isinstance(every, int) or every < 1):
            raise SharpwaveError(
                f"a time to sleep among {', '.join(WHEN)}, or a number of steps", got=repr(every), fix="choose one"
            )
        if memory is None and options.get("rem") is None and options.get("recipe") is None:
            raise SharpwaveError(
                "a memory, or dreams in its place",
                got="None",
                fix='write SleepCallback(TokenMemory("64 MB"), task="contracts")',
            )
        schedule = options.get("schedule") or getattr(options.get("recipe"), "schedule", None)
        if getattr(schedule, "measure_every", 0):
            raise SharpwaveError(
                "a schedule that counts steps, beside a Trainer",
                got=f"{type(schedule).__name__}, which listens to drift and forgetting",
                fix='use every="fit", every="epoch" or a number of steps',
            )
        if isinstance(every, int):
            options.setdefault("schedule", FixedRatio(every=every))
        self.memory = make_memory(memory) if isinstance(memory, str) else memory
        self.task, self.budget, self.every, self.options = task, budget, every, options
        self.save_every = save_every
        self.sleep: SleepBeside | None = None
        self.reports: list[DayReport] = []
        self._beside: Beside | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Make the `SleepBeside`, or go on with that of a `train` before or of a checkpoint; watch the Trainer's loss.

        Raises:
            SharpwaveError: If the Trainer shards the model, or has another such callback.
        """
        trainer, resumed = find_trainer(self)
        check_trainer(trainer, self)
        optimisers = trainer.optimizer
        if self.sleep is not None and self.sleep.learner.model is trainer.model_wrapped:
            self.sleep.use(optimisers)
        else:
            options = {"budget": self.budget, "accumulate": args.gradient_accumulation_steps}
            options["scaler"] = getattr(trainer.accelerator, "scaler", None)
            self.sleep = SleepBeside(trainer.model_wrapped, self.memory, optimisers, **(options | self.options))
        notice_loss(trainer, self)
        self._beside = Beside(self, trainer)
        kept = None if resumed is None else self._find_folder(Path(resumed))
        going_on = None
        if kept is not None and kept.is_dir():
            going_on = self.sleep.load(kept)
        else:
            self.sleep.get_up(self.task)
        if self.sleep.is_asleep:
            self._sleep(trainer, state, going_on=going_on)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Sleep if the schedule calls for it."""
        listens = self.every == "schedule" or isinstance(self.every, int)
        if listens and self.sleep is not None and self.sleep.is_due():
            self._sleep(self._get_trainer(), state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """A night after each epoch."""
        if self.every == "epoch":
            self._sleep(self._get_trainer(), state)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """A night at the end of training; the Trainer's loss is its own again."""
        trainer = self._get_trainer()
        try:
            if self.every == "fit":
                self._sleep(trainer, state)
        finally:
            if self._beside is not None:
                self._beside.remove()
            self._beside = None

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Write memory, counters and generators into the Trainer's checkpoint; nothing is pickled."""
        checkpoint = find_checkpoint(self._get_trainer(), state)
        if self.sleep is not None and checkpoint.is_dir():
            self.sleep.save(self._find_folder(checkpoint))

    def _sleep(self, trainer: Any, state: Any, *, going_on: Tensor | None = None) -> None:
        sleep = self.sleep
        assert sleep is not None
        if not sleep.is_asleep and not sleep.learner.day.n_new:
            if self.reports:  # slept already, as at the end of the last epoch or from a checkpoint
                return
            raise SharpwaveError(
                "batches that were learned awake, before a night",
                got=f"{type(trainer).__name__}, whose steps do not call compute_loss",
                fix="sleep in a loop of your own: Sleep(model, memory, optimizer)",
            )
        folder = find_checkpoint(trainer, state)

        def write(position: int) -> None:
            if self.save_every is not None and position % self.save_every == 0 and folder.is_dir():
                sleep.save(self._find_folder(folder), asleep=True)

        report = sleep.sleep_through(at_step=write, generator_state=going_on)
        if self.save_every is not None and folder.is_dir():
            sleep.save(self._find_folder(folder), asleep=True)
        self.reports.append(report)
        trainer.sleep_report = report
        sleep.get_up(self.task)

    def _get_trainer(self) -> Any:
        return find_trainer(self)[0] if self._beside is None else self._beside.trainer

    def _find_folder(self, checkpoint: Path) -> Path:
        """Where in a checkpoint this process writes: each has a memory of its own."""
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        return checkpoint / (FOLDER if not rank else f"{FOLDER}-{rank}")


class Beside:
    """A Trainer's `compute_loss`, beside whose training batches memories are replayed.

    Args:
        callback: Whose memories.
        trainer: The Trainer, whose `compute_loss` this takes the place of until `remove`.
    """

    def __init__(self, callback: SleepCallback, trainer: Any) -> None:
        given = trainer.__dict__.get("compute_loss")
        self._kept = given.kept if isinstance(given, Beside) else given  # one that an interrupted run has left
        self.callback, self.trainer = callback, trainer
        self.own: Callable[..., Any] = self._kept or type(trainer).compute_loss.__get__(trainer)
        trainer.compute_loss = self

    @property
    def kept(self) -> Any:
        """What the Trainer had in its place as an attribute of its own; None for nothing."""
        return self._kept

    def __call__(self, model: Any, inputs: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """The Trainer's own loss; before it, in training, the gradients of what is replayed."""
        sleep, trainer = self.callback.sleep, self.trainer
        if sleep is not None and model.training and torch.is_grad_enabled() and not sleep.is_asleep:
            accelerator = trainer.accelerator
            several = accelerator.num_processes > 1
            with accelerator.no_sync(model) if several else nullcontext():
                loss = sleep.replay(inputs)
                if loss.requires_grad:
                    accelerator.backward(loss / max(getattr(trainer, "current_gradient_accumulation_steps", 1), 1))
        return self.own(model, inputs, *args, **options)

    def remove(self) -> None:
        """Give the Trainer its own loss again."""
        if self._kept is None:
            self.trainer.__dict__.pop("compute_loss", None)
        else:
            self.trainer.compute_loss = self._kept


def make_memory(size: str) -> Any:
    """A `TokenMemory` of a size such as "64 MB"."""
    from sharpwave.consolidation.language import TokenMemory

    return TokenMemory(size)


def find_trainer(callback: SleepCallback) -> tuple[Any, str | None]:
    """The Trainer that calls a callback, and the checkpoint that it resumes from: Trainers hand over neither.

    Raises:
        SharpwaveError: If no Trainer calls it.
    """
    frame, trainer, resumed = sys._getframe(1), None, None
    while frame is not None:
        owner = frame.f_locals.get("self")
        if callback in getattr(getattr(owner, "callback_handler", None), "callbacks", ()):
            trainer, resumed = owner, resumed or frame.f_locals.get("resume_from_checkpoint")
        frame = frame.f_back  # type: ignore[assignment]
    if trainer is None:
        raise SharpwaveError(
            "a callback that a Trainer calls",
            got="another caller",
            fix="give it to the Trainer: callbacks=[SleepCallback(...)]",
        )
    return trainer, resumed if isinstance(resumed, str) else None


def find_checkpoint(trainer: Any, state: Any) -> Path:
    """Folder of the Trainer's checkpoint of the step that it is at, whether there is one or not."""
    return Path(trainer.args.output_dir) / f"checkpoint-{state.global_step}"


def check_trainer(trainer: Any, callback: SleepCallback) -> None:
    """Raise where a Trainer trains in a way beside which nothing can sleep.

    Raises:
        SharpwaveError: If it shards the model, copies it within one process, or has several such callbacks, or the
            prompt is all that is trained.
    """
    sharding = [
        name for name in ("deepspeed", "fsdp", "fsdp_xla") if bool(getattr(trainer, f"is_{name}_enabled", False))
    ]
    if sharding or trainer.args.n_gpu > 1:
        raise SharpwaveError(
            "a Trainer with a whole model in each process",
            got=f"one that uses {', '.join(sharding) or f'DataParallel over {trainer.args.n_gpu} cards'}",
            fix="train with one process, or with torchrun, one process a card; with LoRA where the model is large",
        )
    others = [each for each in trainer.callback_handler.callbacks if isinstance(each, SleepCallback)]
    if others != [callback]:
        raise SharpwaveError("one SleepCallback", got=f"{len(others)} in one Trainer", fix="remove_callback the others")
    if getattr(getattr(trainer.model, "active_peft_config", None), "is_prompt_learning", False):
        raise SharpwaveError(
            "a model whose outputs are those of its inputs",
            got="prompt tuning, which puts tokens of its own before them",
            fix="train with LoRA: peft_config=LoraConfig(...)",
        )


def notice_loss(trainer: Any, callback: SleepCallback) -> None:
    """Warn where memories are learned by another loss than new items."""
    args = trainer.args
    others = [f"label_smoothing_factor={args.label_smoothing_factor}"] if args.label_smoothing_factor else []
    others += ["compute_loss_func"] if getattr(trainer, "compute_loss_func", None) is not None else []
    others += [f"loss_type={args.loss_type!r}"] if getattr(args, "loss_type", "nll") != "nll" else []
    if others and "objective" not in callback.options:
        warnings.warn(
            f"memories are learned by the model's own loss, without {', '.join(others)}: give "
            "SleepCallback(objective=Objective(...)) for the same",
            stacklevel=2,
        )
