"""The network that learns and sleeps, what it does so with, how it was before it slept, and how far it has moved."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.consolidation.batches import Batch, Objective, move
from sharpwave.consolidation.gradients import centre_gradients, copy_moments, tame_gradients
from sharpwave.consolidation.modules import average, list_state, reshard, unwrap
from sharpwave.consolidation.schedule import Day
from sharpwave.consolidation.texts import count_places, count_tokens
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.blocks import Memories
    from sharpwave.consolidation.buffer import ReplayBuffer
    from sharpwave.consolidation.present import Present

FORWARD = 1 / 3
"""Passes of an item that goes forward alone: the way back takes about twice as long."""

N_SAMPLED = 128
"""Items of the buffer that statistics are taken of, and of a step of sleep before any step of wake."""


@dataclass(eq=False)
class Learner:
    """A network in training.

    Attributes:
        model: Any module; DistributedDataParallel around it or not.
        buffer: Replay buffer; None where nothing is stored.
        optimiser: Optimiser of the model's parameters; several as `Optimisers`.
        objective: How a batch goes through the model.
        generator: Random generator of all of sleep.
        accumulate: Number of batches per optimiser step; default 1.
        autocast: Lower precision of the passes, such as torch.bfloat16; None for full precision.
        scaler: Scaler of gradients, for torch.float16; None for none.
        wake_items: Number of items that a wake step passes through the network, new and replayed; a step of sleep takes
            as many.
        day: What was learned since the last night.
        rates: Learning rate of each group in a night, that of the day before it; empty for what the optimiser has now.
        trouble: Why the last step was not taken; empty if it was.
        n_passed: Number of items that passed forward and backward in this night.
        n_passes: What this night has cost so far, in passes: items forward and backward through the whole network;
            forward alone counts a third, and the top alone its share.
        memories: What the lower part of the network made of stored items, in a shallow night; else None.
        n_refreshed: Largest number of items whose logits are stored anew after this night; None for any.
        untrained: Names of parameters that asked for gradients and were in no optimiser, as of the last night.
        caution: What rates are multiplied by, awake and asleep: 1, and less once steps of wake were undone.
        n_undone: Number of times that steps of wake were undone since the last night.
        forward_share: Passes of an item that goes forward alone; a third where it was not measured.
        n_dreams: Largest number of dreams that this night can pay for; None for any.
        n_tokens: Number of tokens that passed in this night, forward alone too.
        present: What came last while awake, which nights check memory against; None where they do not.
    """

    model: nn.Module
    buffer: ReplayBuffer | None
    optimiser: Any
    objective: Objective
    generator: torch.Generator
    accumulate: int = 1
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None
    wake_items: int = N_SAMPLED
    day: Day = field(default_factory=Day)
    rates: list[float] = field(default_factory=list)
    trouble: str = ""
    n_passed: int = 0
    n_passes: float = 0.0
    memories: Memories | None = None
    n_refreshed: int | None = None
    untrained: list[str] = field(default_factory=list)
    caution: float = 1.0
    n_undone: int = 0
    forward_share: float = FORWARD
    n_dreams: int | None = None
    n_tokens: int = 0
    present: Present | None = None

    @property
    def optimisers(self) -> list[torch.optim.Optimizer]:
        """Each optimiser by itself."""
        return list(getattr(self.optimiser, "parts", [self.optimiser]))

    @property
    def module(self) -> nn.Module:
        """The user's module."""
        return unwrap(self.model)

    @property
    def device(self) -> torch.device:
        return next(p for group in self.optimiser.param_groups for p in group["params"]).device

    def state_dict(self) -> dict[str, Any]:
        """What is known of the day: numbers and lists."""
        return {
            "wake_items": self.wake_items,
            "day": self.day.state_dict(),
            "rates": list(self.rates),
            "present": None if self.present is None else self.present.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.wake_items, self.rates, self.day = state["wake_items"], list(state.get("rates", [])), Day()
        if "day" in state:
            self.day.load_state_dict(state["day"])
        if self.present is not None:
            self.present.load_state_dict(state.get("present"))

    def prepare_night(self) -> None:
        """Take batch size and rates from the day; warn of parameters that will not learn asleep."""
        self.wake_items = self.day.find_size() or self.wake_items
        self.rates, self.n_passed, self.n_passes, self.n_tokens = self.day.find_rates() or self.rates, 0, 0.0, 0
        self.memories = self.n_refreshed = self.n_dreams = None
        if self.present is not None:
            self.present.compare(self.buffer, self.objective)
        untrained = self.find_untrained()
        if untrained and untrained != self.untrained:
            names = ", ".join(untrained[:3]) + (f" and {len(untrained) - 3} more" if len(untrained) > 3 else "")
            warnings.warn(
                f"parameters that are in no optimiser of Sleep do not learn asleep: {names}; give it all optimisers",
                stacklevel=4,
            )
        self.untrained = untrained

    def find_untrained(self) -> list[str]:
        """Names of parameters that ask for gradients and are in no optimiser."""
        known = {id(p) for group in self.optimiser.param_groups for p in group["params"]}
        return [n for n, p in self.module.named_parameters() if p.requires_grad and id(p) not in known]

    def describe_undone(self) -> str:
        """A sentence on steps of wake that were undone since the last night; empty where none was."""
        times = "once" if self.n_undone == 1 else f"{self.n_undone} times"
        rates = f"rates are {self.caution:.3g} of the optimiser's"
        return f"steps of wake were undone {times}: the loss exploded; {rates}" if self.n_undone else ""

    def get_buffer(self) -> ReplayBuffer:
        """The buffer.

        Raises:
            SharpwaveError: If there is none, or nothing in it to replay.
        """
        if self.buffer is None or len(self.buffer) <= self.buffer.n_held_out:
            n_refused = getattr(self.buffer, "n_refused", 0)
            refused = f"an empty one: all {n_refused} items hold NaN or infinite values, or gave such outputs"
            raise SharpwaveError(
                "a buffer with something to replay",
                got="no buffer" if self.buffer is None else refused if n_refused else "an empty one",
                fix="give Sleep a ReplayBuffer and call Sleep.wake on the batches it learns from, before it sleeps",
            )
        return self.buffer

    def sample(self, n_items: int = N_SAMPLED, *, balanced: bool = True) -> Batch:
        """A batch from the buffer, on the network's device.

        Args:
            n_items: Number of items; default 128.
            balanced: Whether there are as many of each class; default true.
        """
        self.n_passed += n_items
        if self.memories is not None:
            return self.memories.draw(n_items, generator=self.generator, balanced=balanced)
        items = self.get_buffer().sample(n_items, generator=self.generator, balanced=balanced)
        return self.recall(move(items, self.device))

    def recall(self, items: Batch) -> Batch:
        """Stored items as they are replayed: as they would look at present, where that differs."""
        return items if self.present is None else self.present.recall(items, self.objective)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (item, ..., class) of a batch, in the chosen precision."""
        rows = None if self.memories is None else self.memories.find(batch)
        part = 1.0 if rows is None or self.memories is None else self.memories.top.share
        with self.precision():
            if rows is None or self.memories is None:
                output = self.objective.run(self.model, batch)
            else:
                output = self.memories.run(rows, batch)
        self.n_tokens += count_tokens(batch) if part == 1 else 0
        self.charge(batch, output.shape[0], part * (1.0 if output.requires_grad else self.forward_share))
        return output

    def charge(self, batch: Batch, n_items: int, passes: float) -> None:
        """Count what a pass of a batch cost.

        Args:
            batch: The batch; the longer its texts are beside those of the day, the more its items cost.
            n_items: Number of items.
            passes: What an item of the day's mean length costs, in passes.
        """
        self.n_passes += passes * (self.day.convert_places(count_places(batch)) or n_items)

    def precision(self) -> AbstractContextManager:
        """Lower precision where it is asked for."""
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)

    @contextmanager
    def learning_rate(self, rate: float | None, *, factor: float = 1.0) -> Iterator[None]:
        """Another learning rate for a while.

        Args:
            rate: Learning rate; that of the day where it is None, else the optimiser's own.
            factor: What the rate is multiplied by; default 1.
        """
        groups = self.optimiser.param_groups
        own = [group["lr"] for group in groups]
        day = self.rates if len(self.rates) == len(groups) else [float(value) for value in own]
        for group, value, base in zip(groups, own, day, strict=True):
            changed = factor * self.caution * (base if rate is None else rate)
            group["lr"] = torch.full_like(value, changed) if isinstance(value, Tensor) else changed
        try:
            yield
        finally:
            for group, value in zip(groups, own, strict=True):
                group["lr"] = value

    def clear_gradients(self) -> None:
        """Clear the gradients of every parameter, those of no optimiser too."""
        if self.memories is not None:  # no other has one
            for parameter in self.memories.top.parameters():
                parameter.grad = None
            return
        reshard(self.module)
        for parameter in self.module.parameters():
            parameter.grad = None

    def descend(
        self,
        compute_loss: Callable[[], Tensor],
        *,
        around: AbstractContextManager | None = None,
        clip: float | None = None,
        centre: bool = False,
    ) -> float:
        """One step down a loss, over `accumulate` batches.

        Args:
            compute_loss: Function that samples a batch and gives its loss.
            around: Context that is entered for the passes and left before the step, as by noise in the weights.
            clip: Longest step, in lengths of the weights; None, the default, for any.
            centre: Whether gradients are centred (`centre_gradients`); default false.

        Returns:
            The mean loss, over processes too. No step is taken where it or a gradient is not finite; `trouble` says
            why.
        """
        self.clear_gradients()
        total, self.trouble = 0.0, ""
        with around or nullcontext():
            for _ in range(self.accumulate):
                loss = compute_loss() / self.accumulate
                if not loss.requires_grad:
                    raise SharpwaveError(
                        "parameters that learn, and a loss that depends on them",
                        got="a loss without gradients",
                        fix="let some parameters require gradients, and keep detach() and no_grad() out of the loss",
                    )
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()
                total += float(loss.detach())
        (total,) = average([total], self.device)
        if math.isfinite(total):
            total = self._take_step(total, clip, centre=centre)
        else:
            self.trouble = "a loss was not finite"
        self.clear_gradients()
        return total

    def _take_step(self, loss: float, clip: float | None, *, centre: bool) -> float:
        if self.scaler is not None:
            for optimiser in self.optimisers:
                self.scaler.unscale_(optimiser)
        if centre:
            centre_gradients(self.module)
        if self.scaler is None and not tame_gradients(self.optimiser.param_groups, clip):
            self.trouble = "a gradient was not finite"
            return math.nan
        for optimiser in self.optimisers:
            if self.scaler is None:
                optimiser.step()
            else:
                self.scaler.step(optimiser)
        if self.scaler is not None:
            self.scaler.update()
        return loss


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A network as it was before it slept, to go back to: all that a night may change, and nothing twice.

    Attributes:
        weights: Parameters that are trained, and all buffers of the model (those it does not save too), by name; tied
            ones once.
        moments: State of the optimiser.
        scaler: State of the scaler of gradients; None where there is none.
        gradients: Gradients that the user had left on parameters, by name; they are taken aside, not copied.
        frozen: Versions of the parameters that are not trained, which no phase may write to.
    """

    weights: dict[str, Tensor]
    moments: dict[str, Any]
    scaler: dict[str, Any] | None = None
    gradients: dict[str, Tensor] = field(default_factory=dict)
    frozen: dict[str, int] = field(default_factory=dict)

    @classmethod
    def take(cls, learner: Learner) -> Snapshot:
        """Copy what a night may change; the gradients stay where they are until `Learner.clear_gradients`."""
        module = learner.module
        weights = {name: value.detach().clone() for name, value in list_state(module).items()}
        gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        if learner.model is not module:  # what DistributedDataParallel lends may be written over
            gradients = {name: value.clone() for name, value in gradients.items()}
        moments = copy_moments(learner.optimiser)
        scaler = None if learner.scaler is None else deepcopy(learner.scaler.state_dict())
        frozen = {name: p._version for name, p in module.named_parameters() if not p.requires_grad}
        return cls(weights, moments, scaler, gradients, frozen)

    def give_back_gradients(self, learner: Learner) -> None:
        """Put the gradients back where they were; parameters without one have none."""
        reshard(learner.module)
        for name, parameter in learner.module.named_parameters():
            parameter.grad = self.gradients.get(name)

    @torch.no_grad()
    def restore(self, learner: Learner) -> None:
        """Make all of it what it was, bit for bit.

        Raises:
            SharpwaveError: If a parameter that is not trained was written to, of which there is no copy.
        """
        for name, value in list_state(learner.module).items():
            kept = self.weights.get(name)
            if kept is not None and kept.shape == value.shape:
                value.copy_(kept)
            elif kept is not None:
                owner, _, leaf = name.rpartition(".")
                setattr(learner.module.get_submodule(owner), leaf, kept.clone())
        learner.optimiser.load_state_dict(deepcopy(self.moments))
        if learner.scaler is not None and self.scaler is not None:
            learner.scaler.load_state_dict(self.scaler)
        self.give_back_gradients(learner)
        versions = {name: parameter._version for name, parameter in learner.module.named_parameters()}
        written = [name for name, version in self.frozen.items() if versions.get(name, version) != version]
        if written:
            raise SharpwaveError(
                "phases of sleep that write to trained parameters only",
                got=f"a change of {', '.join(written[:3])}, which cannot be put back",
                fix="let the parameter require gradients during the night, or leave it alone",
            )

    def has_moved(self, learner: Learner) -> bool:
        """Whether any parameter is another than it was."""
        return any(
            name in self.weights and not torch.equal(parameter.detach(), self.weights[name])
            for name, parameter in learner.module.named_parameters()
        )


_DRIFT = "consolidation.present:measure_drift_and_forgetting"
__getattr__ = moved.rename(
    __name__,
    {
        "Body": "Learner",
        "measure_strain": _DRIFT,
        "measure_drift_and_forgetting": _DRIFT,
        "compute_annealing": "consolidation.gradients:compute_annealing",
    },
)
