"""A budget of replay and nights: how many items are replayed beside a step, and how much of a night is shallow.

What things cost is counted in *passes*, so that it is the same on any machine: an item that goes forward and backward
through the whole network is one pass, one that goes forward alone a third of it, and through the top of the network
alone the top's share of the operations. A text costs as much as its tokens do, with what pads them, beside a new item
of mean length.

A *shallow night* lets the lower part of the network, which it does not change, see the memories once, and then trains
the top (the last module) on what came out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, flatten, move
from sharpwave.consolidation.blocks import BlockTop, Memories, count_operations, find_block_top, measure_forward_share
from sharpwave.consolidation.learner import FORWARD, Learner
from sharpwave.consolidation.modules import evaluating, find_head, is_shared, takes_statistics
from sharpwave.consolidation.schedule import ShortNight
from sharpwave.consolidation.texts import count_places
from sharpwave.errors import SharpwaveError

LEAST, LEAST_APART = 0.08, 0.3
"""Fewest items that are replayed at once, as a share of the new ones; by themselves, beside BatchNorm."""

LARGE_TOP = 0.1
"""Share of a top from which on its own passes are counted in when memories are chosen."""


class Budget:
    """How much replay and nights may cost together, beside plain training, and how much of that is spent.

    All that is above `night`, and half at least, is spent awake, once enough items are due; the rest in the next night.

    Args:
        share: Passes of replay and nights over passes of new items; 0.15 is 15 % on top of plain training.
        top: Name of the module that shallow nights train, or of the first block from which on they do; where omitted,
            the last one with parameters if the network's output is what it gives, else the last block and what follows.
        night: Largest part of `share` that is kept for nights; default 0.15.
        least: Fewest items replayed at once, as a share of the new ones; where omitted 0.08, and 0.3 beside BatchNorm.
        n_steps: Largest number of shallow steps in a night; default 200.

    Attributes:
        earned: Passes that could have been spent so far.
        replayed: Passes of replay while awake.
        slept: Passes of nights.

    Example:
        >>> budget = Budget(0.15)
        >>> [budget.plan_replay(32) for _ in range(5)]
        [0, 4, 7, 9, 12]
        >>> round(budget.left, 1)
        24.0
    """

    def __init__(
        self,
        share: float,
        *,
        top: str | None = None,
        night: float = 0.15,
        least: float | None = None,
        n_steps: int = 200,
    ) -> None:
        if not share > 0 or not night >= 0 or not (least is None or least > 0) or n_steps < 1:
            raise SharpwaveError(
                "a budget above 0, as a share of plain training",
                got=f"share={share}, night={night}, least={least}, n_steps={n_steps}",
                fix="0.15 spends 15 % on top of plain training",
            )
        self.share, self.top, self.least, self.n_steps = float(share), top, least, n_steps
        self.awake = 1 - min(0.5, night / share)
        self.earned = self.replayed = self.slept = 0.0
        self.told = ""
        self._found: Top | BlockTop | None = None

    @property
    def left(self) -> float:
        """Passes that can be spent now; below 0 where more was spent."""
        return self.earned - self.replayed - self.slept

    def plan_replay(self, n_new: int, model: nn.Module | None = None) -> int:
        """How many items to replay beside a step; what is replayed counts in `replayed`.

        Args:
            n_new: Number of new items.
            model: The network; one without BatchNorm where omitted.
        """
        self.earned += self.share * n_new
        due = self.earned * self.awake - self.replayed
        least = self.least or (LEAST_APART if model is not None and takes_statistics(model) else LEAST)
        return int(due) if due >= max(1.0, least * n_new) else 0

    def plan_night(self, *, n_items: int, n_stored: int, share: float | None, forward: float = FORWARD) -> ShortNight:
        """What a night can hold.

        Args:
            n_items: Number of items of a step.
            n_stored: Number of items in the buffer that can be replayed.
            share: Share of the top in the operations of the network; None where nothing can be shallow.
            forward: Passes of an item that goes forward alone; a third where omitted.
        """
        left = self.left
        if share is None:
            n_seen = max(min(n_stored, int(0.15 * left / (3 * forward))), 0)  # before, after, and for new logits
            return ShortNight(n_seen, max(int((left - 3 * forward * n_seen) / n_items), 0), 0, n_seen)
        seen = 1 + 2 * share if share > LARGE_TOP else 1  # what scores the night is no small matter there
        n_memories = min(n_stored, int(0.6 * left / (forward * seen)))
        rest = left - forward * n_memories * (1 + 2 * share)
        if n_memories < 2 or rest <= 0:
            return ShortNight(0, 0, 0, 0)
        n_shallow = min(self.n_steps, int(rest / (share * n_items)))
        n_full = int((rest - n_shallow * share * n_items - forward * n_memories) / n_items)
        return ShortNight(n_memories, max(n_full, 0), n_shallow, n_memories)

    def prepare_night(self, learner: Learner) -> tuple[int, Shallow | None, int, int]:
        """The night that what is left pays for.

        Args:
            learner: Network that is about to sleep.

        Returns:
            Number of full steps, what makes the last steps shallow, the number of those, and that of probed items.
        """
        if learner.buffer is None:
            return self._plan_dreams(learner), None, 0, 0
        buffer = learner.get_buffer()
        top = self._find_top(learner)
        if isinstance(top, str):
            self.say(top)
        share = None if isinstance(top, str) else top.share
        learner.forward_share = FORWARD if isinstance(top, str) else top.forward
        times = _compare_lengths(learner)
        spent = self.slept
        self.slept += learner.n_passes  # of finding the top, which count as the night's at its end
        self.slept += max(self.left, 0.0) * (1 - 1 / times)
        n_items, n_stored = learner.wake_items * learner.accumulate, len(buffer) - buffer.n_held_out
        plan = partial(self.plan_night, n_items=n_items, n_stored=n_stored, forward=learner.forward_share)
        night = plan(share=share)
        night = night if night.n_shallow else plan(share=None)  # one of full steps alone costs otherwise
        self.slept = spent
        if isinstance(top, str) or not night.n_shallow:
            learner.n_refreshed = night.n_memories if night.n_full else 0
            return night.n_full, None, 0, night.n_probed
        return night.n_full, Shallow(night.n_full, top, night.n_memories), night.n_shallow, night.n_probed

    def _plan_dreams(self, learner: Learner) -> int:
        """Steps of a night of dreams alone, after a third of what is left has gone into writing them."""
        left = max(self.left, 0.0)
        learner.n_dreams = int(left / 3 / learner.forward_share)
        n_items = min(learner.wake_items, max(learner.n_dreams, 1)) * learner.accumulate
        return int((left - learner.forward_share * learner.n_dreams) / n_items)

    def _find_top(self, learner: Learner) -> Top | BlockTop | str:
        """The top; the one of the night before where the network is still made of it."""
        known = self._found
        if known is None or dict(learner.module.named_modules()).get(known.name) is not known.module:
            batch = move(learner.get_buffer().sample(2, generator=torch.Generator().manual_seed(0)), learner.device)
            found: Top | BlockTop | str = find_top(learner, batch, name=self.top)
            if isinstance(found, str):
                blocks = find_block_top(learner, batch, name=self.top)
                found = found if isinstance(blocks, str) else blocks
            if isinstance(found, str):
                return found
            self._found = known = found
        return known

    def say(self, reason: str) -> None:
        """Warn, once, that nights go through the whole network."""
        if reason != self.told:
            self.told = reason
            warnings.warn(
                f"nights within the budget take full steps, and so fewer of them, since {reason}", stacklevel=5
            )

    def state_dict(self) -> dict[str, Any]:
        """What was earned and spent, as plain numbers."""
        return {"earned": self.earned, "replayed": self.replayed, "slept": self.slept}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Take up what `state_dict` gave; None, from a run without a budget, changes nothing."""
        state = self.state_dict() if state is None else state
        self.earned, self.replayed, self.slept = state["earned"], state["replayed"], state["slept"]


def _compare_lengths(learner: Learner) -> float:
    """How many times as long as a new item a memory is, with what pads it; 1 where items are no texts."""
    buffer = learner.get_buffer()
    if not learner.day.n_places or len(buffer) <= buffer.n_held_out:
        return 1.0
    n_items = learner.day.find_size() or learner.wake_items
    items = buffer.sample(n_items, balanced=True, generator=torch.Generator().manual_seed(0))
    return max(learner.day.convert_places(count_places(items)) / len(items["index"]), 0.1)


@dataclass(frozen=True, eq=False)
class Top:
    """The part of a network that shallow nights train.

    Attributes:
        name: Name of the module.
        module: The module.
        share: Share of the operations of a pass that are its own.
        forward: Passes of an item that goes forward alone; default a third.
    """

    name: str
    module: nn.Module
    share: float
    forward: float = FORWARD

    def parameters(self) -> list[nn.Parameter]:
        """What it trains."""
        return list(self.module.parameters())

    def catch(self, learner: Learner, batch: Batch) -> Tensor:
        """What goes into it for a batch, in evaluation mode."""
        with torch.no_grad(), evaluating(learner.model):
            part = _catch_input(learner, self.module, batch)[1]
        assert part is not None
        return part

    def run(self, learner: Learner, states: Tensor, batch: Batch) -> Tensor:
        """What the network gives for what goes into the top."""
        return self.module(states)


def _catch_input(learner: Learner, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Output of the network for a batch, and what went into a module and came out; None where that is no tensor."""
    caught: list[tuple[Tensor | None, Tensor | None]] = []

    def catch(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        alone = len(inputs) == 1 and not named and isinstance(inputs[0], Tensor) and isinstance(output, Tensor)
        caught.append((inputs[0], output) if alone else (None, None))

    handle = module.register_forward_hook(catch, with_kwargs=True)
    try:
        output = learner.forward(batch)
    finally:
        handle.remove()
    if len(caught) != 1:
        return output, None, None
    return output, *caught[0]


def find_top(learner: Learner, batch: Batch, *, name: str | None = None) -> Top | str:
    """The part of a network that a shallow night can train, or why there is none.

    Args:
        learner: Network.
        batch: A few items, on its device.
        name: Name of the module; the last one with parameters that a pass calls where omitted.

    Raises:
        SharpwaveError: If there is no module of that name.
    """
    modules = dict(learner.module.named_modules())
    if name is not None and name not in modules:
        raise SharpwaveError(
            f"a top among {', '.join(each for each in modules if each)}", got=repr(name), fix="name one of them"
        )
    if is_shared():
        return "several processes train together"
    with torch.no_grad(), evaluating(learner.model):
        name = find_head(learner.module, lambda: learner.forward(batch)) if name is None else name
        module = modules[name]
        output, given, found = _catch_input(learner, module, batch)
    n_items = next(value for _, value in flatten(batch)).shape[0]
    mine = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    others = {
        id(parameter)
        for other, each in modules.items()
        if other != name and not other.startswith(f"{name}.")
        for parameter in each.parameters(recurse=False)
    }
    if not name:
        return "the network is a single module"
    if given is None or found is not output or given.shape[0] != n_items:
        return f"its output is not what {name!r} gives for one input"
    if not mine:
        return f"nothing in {name!r} is trained"
    if mine & others:
        return f"{name!r} shares weights with the rest"
    return Top(name, module, _measure_share(learner, batch, module, given), measure_forward_share(learner, batch))


@torch.enable_grad()  # without gradients, attention takes a shortcut whose operations are not counted
def _measure_share(learner: Learner, batch: Batch, module: nn.Module, given: Tensor) -> float:
    """Share of the operations of a pass that one module takes; by parameters where no operations are counted."""
    with evaluating(learner.model):
        counts = [count_operations(run) for run in (lambda: learner.forward(batch), lambda: module(given))]
    if not counts[0] or not counts[1]:
        counts = [sum(p.numel() for p in each.parameters()) for each in (learner.module, module)]
    return min(1.0, counts[1] / max(counts[0], 1))


class Shallow:
    """When a night goes on with the top alone, and with which memories.

    Args:
        first: Step from which on it does.
        top: The top.
        n_memories: Number of items that the lower part sees.
    """

    def __init__(self, first: int, top: Top | BlockTop, n_memories: int) -> None:
        self.first, self.top, self.n_memories = first, top, n_memories
        self.slots: list[int] = []

    def remember(self, learner: Learner) -> Memories:
        """Let the lower part see the memories: as many of each class as of any other, unless it sees all."""
        buffer = learner.get_buffer()
        first = buffer.n_held_out
        if not self.slots and self.n_memories >= len(buffer) - first:
            self.slots = list(range(first, len(buffer)))
        elif not self.slots:
            drawn = buffer.sample(self.n_memories, generator=learner.generator, balanced=True)["index"]
            self.slots = sorted(set(drawn.tolist()))
        return Memories(learner, self.top, torch.tensor(self.slots))

    def state_dict(self) -> dict[str, Any]:
        """What an interrupted night needs to go on."""
        return {"first": self.first, "n_memories": self.n_memories, "slots": list(self.slots)} | {
            "top": self.top.name,
            "share": self.top.share,
            "is_block": isinstance(self.top, BlockTop),
        }


def resume_shallow(learner: Learner, state: Mapping[str, Any] | None) -> Shallow | None:
    """The shallow part of a night that was interrupted, as `Shallow.state_dict` described it; None for none."""
    if state is None:
        return None
    top: Top | BlockTop = Top(state["top"], learner.module.get_submodule(state["top"]), state["share"])
    batch = move(learner.get_buffer().sample(2, generator=torch.Generator().manual_seed(0)), learner.device)
    blocks = find_block_top(learner, batch, name=state["top"]) if state.get("is_block") else ""
    top = top if isinstance(blocks, str) else replace(blocks, share=state["share"])
    shallow = Shallow(state["first"], top, state["n_memories"])
    shallow.slots = list(state["slots"])
    return shallow


def deepen(shallow: Shallow | None, learner: Learner, position: int) -> None:
    """Give a network its memories, once a night has come to the first of its shallow steps.

    Args:
        shallow: When that is; None for never.
        learner: The network.
        position: Step of the night.
    """
    if shallow is not None and learner.memories is None and position >= shallow.first:
        learner.memories = shallow.remember(learner)
