"""Nights of a network that learns in private: dreams made of its weights, which are free; or noisy replay.

A dream begins as noise and is moved until the network takes it for some class (inversion: Mahendran & Vedaldi 2015;
Yin et al. 2020 for whole networks). The network of yesterday dreams of what it knew, the network of this evening of the
day; both teach what they make of their own dreams. Nothing but weights goes in, so nothing is spent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor

from sharpwave.consolidation.batches import Batch, count_items, flatten, nest
from sharpwave.consolidation.gradients import compute_annealing
from sharpwave.consolidation.modules import evaluating, freeze, list_state
from sharpwave.consolidation.night import Phase
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.buffer import ReplayBuffer
    from sharpwave.consolidation.learner import Learner
    from sharpwave.consolidation.recipe import Recipe


ROOM = 4.5
"""Standard deviations of the number of kept items for which the buffer has room: more come 3 times in a million."""


class Spender(Protocol):
    """What takes noisy steps and writes them down: `private.PrivateTraining`."""

    def replay(self, position: int, n_steps: int) -> None: ...


@dataclass(frozen=True)
class DreamNight:
    """Nights of dreams that a network makes of its own weights.

    Attributes:
        n_items: Number of dreams of each teacher; default 128.
        n_moves: Number of steps by which noise becomes a dream; default 40.
        batch_size: Number of dreams in a step, half of each teacher; default 128.
        temperature: Temperature that softens what a teacher says; default 2.
        rate: Learning rate; that of the day where omitted.
        clip: Longest step, in lengths of the weights; default 0.05.

    Example:
        >>> DreamNight(n_items=64).n_moves
        40
    """

    n_items: int = 128
    n_moves: int = 40
    batch_size: int = 128
    temperature: float = 2.0
    rate: float | None = None
    clip: float | None = 0.05

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase:
        """Dreams in the nights of one network."""
        return DreamPhase(learner, self)


class DreamPhase(Phase):
    """Dreams in the nights of one network.

    Args:
        learner: Network that sleeps.
        options: How it dreams.

    Attributes:
        shape: Shape and type of an input, of which no value is known; None before the first step of wake.
    """

    def __init__(self, learner: Learner, options: DreamNight) -> None:
        self.learner, self.options = learner, options
        self.shape: tuple[list[int], str] | None = None
        self._yesterday: dict[str, Tensor] = {}
        self._dreams: list[tuple[Tensor, Tensor]] = []

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Dream, as yesterday's network and as this evening's."""
        if self.shape is None:
            raise SharpwaveError(
                "a floating entry 'x', of which dreams take the shape",
                got="none so far",
                fix="call sleep.wake first; for language models give rem=Dreams(prompts=[...]), which writes texts",
            )
        teachers = [dict(weights)] if not self._yesterday else [self._yesterday, dict(weights)]
        self._dreams = [self._dream(teacher) for teacher in teachers]

    def step(self, plan: Sequence[int], position: int) -> float:
        """Learn what the teachers make of their dreams."""
        options, learner = self.options, self.learner
        size = max(1, options.batch_size // len(self._dreams))
        parts = []
        for dreams, answers in self._dreams:
            rows = torch.randint(len(dreams), (size,), generator=learner.generator).to(dreams.device)
            parts.append((dreams[rows], answers[rows]))
        x, soft = (torch.cat(each) for each in zip(*parts, strict=True))

        def compute_loss() -> Tensor:
            said = learner.forward({"x": x}).float() / options.temperature
            return -(soft * torch.log_softmax(said, dim=-1)).sum(dim=-1).mean() * options.temperature

        with learner.learning_rate(options.rate, factor=compute_annealing(position, len(plan))):
            return learner.descend(compute_loss, clip=options.clip)

    def finish(self) -> None:
        """Dreams are forgotten when the night is over."""
        self._dreams = []

    def keep(self) -> None:
        """Remember the network as it wakes up."""
        self._yesterday = {n: value.detach().clone() for n, value in list_state(self.learner.module).items()}

    def see(self, batch: Batch) -> None:
        """Take the shape of inputs from a batch, and nothing else."""
        value = dict(flatten(batch)).get("x")
        if self.shape is None and value is not None and value.is_floating_point():
            self.shape = (list(value.shape[1:]), str(value.dtype).removeprefix("torch."))

    def describe(self) -> str:
        """Where the night came from."""
        return "dreams of its own weights: free of charge" if self._yesterday else "its first dreams: free of charge"

    def state_dict(self) -> dict[str, Any]:
        """Yesterday's weights, the dreams of a night that goes on, and the shape of inputs."""
        return {
            "yesterday": dict(self._yesterday),
            "dreams": [list(pair) for pair in self._dreams],
            "shape": None if self.shape is None else [list(self.shape[0]), self.shape[1]],
        }

    def load_state_dict(self, state: Mapping[str, Any], *, weights: Mapping[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        if state:
            shape = state["shape"]
            self._yesterday = dict(state["yesterday"])
            self._dreams = [(pair[0], pair[1]) for pair in state["dreams"]]
            self.shape = None if shape is None else (list(shape[0]), str(shape[1]))

    def _dream(self, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs that a network takes for classes drawn at random, and what it says of them."""
        learner, options = self.learner, self.options
        shape, dtype = cast(tuple[list[int], str], self.shape)
        begun = torch.randn(options.n_items, *shape, generator=learner.generator)
        x = begun.to(learner.device, getattr(torch, dtype)).requires_grad_()
        teacher = freeze(learner.module, weights)
        mover = torch.optim.Adam([x], lr=0.1)
        with evaluating(learner.module):
            n_classes = learner.objective.run(teacher, {"x": x[:1]}).shape[-1]
            wanted = torch.randint(n_classes, (options.n_items,), generator=learner.generator).to(learner.device)
            for _ in range(options.n_moves):
                said = learner.objective.run(teacher, {"x": x}).float()
                loss = torch.nn.functional.cross_entropy(said, wanted) + 0.01 * x.float().square().mean()
                (x.grad,) = torch.autograd.grad(loss * options.n_items, [x])
                mover.step()
            with torch.no_grad():
                said = learner.objective.run(teacher, {"x": x}).float()
        return x.detach(), torch.softmax(said / options.temperature, dim=-1).detach()


@dataclass(frozen=True)
class ReplayNight:
    """Nights that replay the buffer in noisy steps.

    Attributes:
        rate: Learning rate; that of the day where omitted.
    """

    rate: float | None = None

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase:
        """Replay in the nights of one network."""
        return ReplayPhase(learner, self)


class ReplayPhase(Phase):
    """Noisy replay in the nights of one network.

    Args:
        learner: Network that sleeps.
        options: How it replays.

    Attributes:
        spender: What takes the steps; `Sleep` gives it.
    """

    def __init__(self, learner: Learner, options: ReplayNight) -> None:
        self.learner, self.options = learner, options
        self.spender: Spender | None = None

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Nothing: what a night costs is told at its first step, which knows how many there are."""

    def step(self, plan: Sequence[int], position: int) -> float:
        """A noisy step; its loss is withheld and reads 0."""
        if self.spender is not None:
            with self.learner.learning_rate(self.options.rate, factor=compute_annealing(position, len(plan))):
                self.spender.replay(position, len(plan))
        return 0.0

    def finish(self) -> None:
        """Noise leaves nothing to be done."""

    def describe(self) -> str:
        """What a reader should know."""
        return "losses and scores are withheld, since they are private"


def keep_by_coins(
    buffer: ReplayBuffer, entries: Mapping[str, Tensor], n_seen: int, before: float, *, generator: torch.Generator
) -> float:
    """A coin for each item, whatever it is: the buffer holds as many as it has room for, on average less a little.

    Which items are kept depends on how many there are, not on what they are; earlier ones are thinned by coins of the
    same kind. So one item more or less changes nothing but itself; in a reservoir it would put another out.

    Args:
        buffer: Where they are kept.
        entries: New items.
        n_seen: Number of items so far, these too.
        before: Chance with which those that are stored were kept.
        generator: Random generator of the coins.

    Returns:
        The chance with which all are kept now.

    Raises:
        SharpwaveError: If the buffer is too small.
    """
    size, n_items = buffer.capacity, count_items(entries)
    chance = min(before, max(0.0, size - ROOM * math.sqrt(size)) / n_seen if n_seen > size else 1.0)
    if chance < before and len(buffer):
        gone = torch.rand(len(buffer), generator=generator) >= chance / before
        buffer.discard(torch.nonzero(gone)[:, 0], anew=True)
    rows = torch.nonzero(torch.rand(n_items, generator=generator) < chance)[:, 0]
    if len(rows) + len(buffer) > size or not chance:
        raise SharpwaveError(
            f"room for {len(rows) + len(buffer)} items that coins keep",
            got=f"a buffer of {size}",
            fix="give ReplayBuffer a capacity of at least 50 items",
        )
    if len(rows):
        buffer.add(nest({path: value[rows.to(value.device)] for path, value in entries.items()}))
    return chance
