"""Does memory still hold? What came last while awake, held against what is stored, before a night replays it.

Two ways in which a world changes are told from its class means, of the classes that came last: its inputs became
others by a gain and an offset (light, contrast, an inverted or recalibrated sensor), and classes changed their labels.
Stored items are then replayed as they would look, and be called, at present.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.modules import average, evaluating
from sharpwave.consolidation.wake import compute_distillation
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.batches import Objective
    from sharpwave.consolidation.buffer import ReplayBuffer
    from sharpwave.consolidation.learner import Learner

N_RECENT = 256
"""Items of wake that are held, the last ones."""
N_PAST = 1024
"""Items of the buffer that they are held against."""
FEWEST = 8
"""Items of a class, in either, below which it says nothing."""
LEAST_CHANGE = 4.0
"""Squared difference of means, in squared standard errors, from which the inputs have changed at all."""
MOST_LEFT = 0.25
"""Share of that difference which a gain and an offset may leave unexplained."""
MOST_CHANNELS = 16
LEAST_GAIN = 0.05
NEAR = 1.3
"""How much farther from stored items than from each other items of late may be, to be told by them what they are."""
SIMILAR = 1.15
"""How much farther from the mean input of its new class than of its old one an item may be that gets the new name."""


@dataclass(frozen=True, eq=False)
class World:
    """How the present differs from what is stored.

    Attributes:
        gain: Gain of the inputs by channel, to broadcast over items; 1 where they are as they were.
        offset: Offset of the inputs, in their unit.
        mean: Mean of the inputs of late, with which it is told which stored items are of that world already.
        spread: Their variance, never 0.
        renamed: Label that each class has now, by its old one.
        looks: Mean input of each class of late, by its label.
    """

    gain: Float[Tensor, "..."]
    offset: Float[Tensor, "..."]
    mean: Float[Tensor, "..."]
    spread: Float[Tensor, "..."]
    renamed: Mapping[int, int]
    looks: Mapping[int, Float[Tensor, "..."]]

    @property
    def is_same(self) -> bool:
        """Whether nothing has changed."""
        return not self.renamed and bool((self.gain == 1).all() and (self.offset == 0).all())

    def recall(self, batch: Batch, *, label: str = "y") -> Batch:
        """Stored items as they would look, and be called, at present; those of that world already stay as they are.

        Args:
            batch: Items with their inputs `x`.
            label: Name of the entry with their classes; default "y".
        """
        x = batch.get("x")
        if self.is_same or not isinstance(x, Tensor) or x.shape[1:] != self.mean.shape:
            return batch
        changed = dict(batch)
        changed["x"] = x = self.shift(x)
        labels = batch.get(label)
        if not self.renamed or not isinstance(labels, Tensor):
            return changed
        changed[label], moved = self._rename(x, labels)
        logits = batch.get("logits")
        if isinstance(logits, Tensor) and logits.ndim == 2:
            changed["logits"] = _exchange(logits, labels, changed[label], moved)
        return changed

    def shift(self, x: Float[Tensor, "item ..."]) -> Float[Tensor, "item ..."]:
        """Inputs as they would look at present, those of the world before (the likelier, by feature)."""
        mean, spread, gain, offset = (part.to(x) for part in (self.mean, self.spread, self.gain, self.offset))
        steep = torch.where(gain.abs() < LEAST_GAIN, LEAST_GAIN * torch.ones_like(gain), gain)
        worlds = ((mean - offset) / steep, spread / steep**2), (mean, spread)
        old, new = (((x - at) ** 2 / wide + wide.log()).flatten(1).mean(dim=1) for at, wide in worlds)
        return torch.where((old < new).view(-1, *(1,) * (x.ndim - 1)), gain * x + offset, x)

    def _rename(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Labels of the present, and which items have another one: all but those that look like their class of late."""
        found = labels.clone()
        for old, new in self.renamed.items():
            own = labels == old
            if not own.any():
                continue
            stays, moves = (((x - self.looks[each].to(x)) ** 2).flatten(1).sum(dim=1) for each in (old, new))
            found[own & (moves < SIMILAR * stays)] = new
        return found, found != labels

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and lists."""
        return {
            "tensors": [self.gain, self.offset, self.mean, self.spread],
            "renamed": [list(pair) for pair in self.renamed.items()],
            "looks": [[label, look] for label, look in self.looks.items()],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state_dict` gave."""
        renamed = {int(old): int(new) for old, new in state["renamed"]}
        gain, offset, mean, spread = state["tensors"]
        return cls(gain, offset, mean, spread, renamed, {int(label): look for label, look in state["looks"]})


class Present:
    """What came last while awake.

    Args:
        n_items: Number of items that are held.
    """

    def __init__(self, n_items: int = N_RECENT) -> None:
        self.n_items = n_items
        self.x: Tensor | None = None
        self.y: Tensor | None = None
        self.world: World | None = None

    def see(self, batch: Batch, objective: Objective) -> None:
        """Hold the items of a batch of wake, in place of the oldest.

        Args:
            batch: The batch; one without inputs `x` in real numbers and a class each is passed by.
            objective: How a batch goes through the model, which names the classes.
        """
        x, y = batch.get("x"), batch.get(objective.find_label(batch))
        if not isinstance(x, Tensor) or not isinstance(y, Tensor) or not x.is_floating_point():
            return
        if y.ndim != 1 or y.is_floating_point() or len(x) != len(y):
            return
        x, y = x.detach(), y.detach().cpu()
        if self.x is not None and self.y is not None and self.x.shape[1:] == x.shape[1:]:
            x, y = torch.cat([self.x.to(x), x]), torch.cat([self.y, y])
        self.x, self.y = x[-self.n_items :].clone(), y[-self.n_items :].clone()

    def compare(self, buffer: ReplayBuffer | None, objective: Objective) -> None:
        """Find how the present differs from what is stored.

        Args:
            buffer: What is stored.
            objective: How a batch goes through the model, which names the classes.
        """
        self.world = None
        if self.x is None or self.y is None or buffer is None or not len(buffer):
            return
        stored = buffer.read(buffer.stratify(N_PAST, generator=torch.Generator().manual_seed(len(buffer))))
        x, y = stored.get("x"), stored.get(objective.find_label(stored))
        if not isinstance(x, Tensor) or not isinstance(y, Tensor) or x.shape[1:] != self.x.shape[1:]:
            return
        world = compare_worlds((x.float().cpu(), y.cpu()), (self.x.float().cpu(), self.y))
        self.world = None if world is None or world.is_same else world

    def recall(self, items: Batch, objective: Objective) -> Batch:
        """Stored items as they would look, and be called, at present.

        Args:
            items: Items of the buffer.
            objective: How a batch goes through the model, which names the classes.
        """
        return items if self.world is None else self.world.recall(items, label=objective.find_label(items))

    def state_dict(self) -> dict[str, Any]:
        """The items, and what this night found."""
        return {"x": self.x, "y": self.y, "world": None if self.world is None else self.world.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Take up what `state_dict` gave; None, of a state without, is nothing."""
        self.x, self.y = (None, None) if state is None else (state["x"], state["y"])
        world = None if state is None else state["world"]
        self.world = None if world is None else World.from_state(world)


Items = tuple[Float[Tensor, "item ..."], Int[Tensor, " item"]]


def compare_worlds(past: Items, present: Items) -> World | None:
    """How the inputs and labels of the present differ from those of the past, by the means of the classes of both.

    Gain and offset are fitted to the mean over classes, so that labels do not matter, on one half of the present items,
    and are believed if they explain most of the difference in the other half. A class was renamed if its mean is
    nearer to the mean of another past class in both halves.

    Args:
        past: Inputs and classes of stored items.
        present: Inputs and classes of what came last.

    Returns:
        The difference; None where no class has enough items in both.

    Example:
        >>> old = torch.rand(200, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(6)
        >>> labels = torch.arange(200) % 2
        >>> world = compare_worlds((old[:100], labels[:100]), (5 - 0.5 * old[100:], labels[100:]))
        >>> round(float(world.gain), 1), round(float(world.offset), 1)
        (-0.5, 5.0)
    """
    classes = [label for label in present[1].unique().tolist() if _count(present, label) >= 2 * FEWEST]
    classes = [label for label in classes if _count(past, label) >= FEWEST]
    if not classes:
        return None
    order = present[1].argsort(stable=True)  # as many of each class in either half
    halves = [(present[0][order[place::2]], present[1][order[place::2]]) for place in range(2)]
    members = [torch.isin(part[1], torch.tensor(classes)) for part in (past, present)]
    old, new = past[0][members[0]], present[0][members[1]]
    spread = new.var(dim=0)
    spread = spread + 0.1 * spread.mean() + 1e-12
    looks = {label: _average(present, label) for label in classes}
    one = torch.ones(())
    world = World(one, torch.zeros(()), new.mean(dim=0), spread, {}, looks)
    gain, offset = _fit_change(past, halves, classes, spread)
    if gain is not None and offset is not None:
        world = World(gain, offset, world.mean, spread, {}, looks)
        is_old = (world.shift(old) != old).flatten(1).any(dim=1)
        kept = past[0][members[0]][is_old], past[1][members[0]][is_old]
        if all(_count(kept, label) >= 2 for label in classes):  # without those of the new world, a cleaner fit
            gain, offset = _regress(_average_all(kept, classes), _average_all(present, classes))
            world = World(gain, offset, world.mean, spread, {}, looks)
        past = world.shift(past[0]), past[1]
    return World(world.gain, world.offset, world.mean, spread, _find_renamed(past, halves, classes), looks)


def _fit_change(
    past: Items, halves: list[Items], classes: list[int], spread: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Gain and offset; None where the inputs have not changed, or in a way that these do not explain."""
    before = _average_all(past, classes)
    n_past, n_half = (min(_count(part, label) for label in classes) for part in (past, halves[0]))
    noise = (spread * (1 / n_past + 1 / max(n_half, 1)) / len(classes)).sum()
    change = left = 0.0
    for fitted, seen in (halves, halves[::-1]):
        gain, offset = _regress(before, _average_all(fitted, classes))
        after = _average_all(seen, classes)
        change += float(((after - before) ** 2).sum() / noise) / 2
        left += float(((after - gain * before - offset) ** 2).sum() / noise) / 2
    if change < LEAST_CHANGE or left > max(MOST_LEFT * change, 1.0):
        return None, None
    return _regress(
        before, _average_all((torch.cat([h[0] for h in halves]), torch.cat([h[1] for h in halves])), classes)
    )


def _regress(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares of one mean input on the other: by channel (the first axis) where there are few, else over all."""
    by_channel = before.ndim > 1 and before.shape[0] <= MOST_CHANNELS and before[0].numel() >= MOST_CHANNELS
    x, y = (part.flatten(1) if by_channel else part.reshape(1, -1) for part in (before, after))
    centred = x - x.mean(dim=1, keepdim=True)
    power = (centred**2).sum(dim=1)
    slope = (centred * y).sum(dim=1) / power.clamp(min=1e-12)
    gain = torch.where(power > 1e-8 * x.shape[1], slope, torch.ones_like(slope))
    offset = y.mean(dim=1) - gain * x.mean(dim=1)
    shape = (-1, *(1,) * (before.ndim - 1)) if by_channel else ()
    return gain.reshape(shape), offset.reshape(shape)


def _find_renamed(past: Items, halves: list[Items], classes: list[int]) -> dict[int, int]:
    """Old and new label of classes that took each other's names.

    Items of late are asked for the label of the stored item that is most like them. A class is displaced if in both
    halves another label gets most answers, half as many again as its own. Names are taken as exchanged only if they
    go round among displaced classes: one that merely looks like another does not drive that one out of its name.
    """
    late = torch.cat([x.flatten(1) for x, _ in halves])
    members = torch.isin(past[1], torch.tensor(classes))
    x, y = past[0][members].flatten(1), past[1][members]
    is_old = torch.cdist(x, late).min(dim=1).values > 1e-3 * late.std() * late.shape[1] ** 0.5
    past = x[is_old], y[is_old]
    n_each = min(_count(past, label) for label in classes)
    if not n_each or len(classes) < 2:
        return {}
    places = torch.cat([torch.nonzero(past[1] == label)[:n_each, 0] for label in classes])
    known, names = past[0][places], past[1][places]
    own = torch.cdist(late, late).fill_diagonal_(torch.inf).min(dim=1).values
    if torch.cdist(late, known).min(dim=1).values.median() > NEAR * own.median():
        return {}  # they are of another kind than all that is stored
    source: dict[int, int] = {}
    for label in classes:
        modes = []
        for x, y in halves:
            answers = names[torch.cdist(x[y == label].flatten(1), known).argmin(dim=1)].tolist()
            votes = Counter(answers).most_common(1)[0]
            modes.append(votes[0] if 2 * votes[1] >= 3 * answers.count(label) else label)
        if modes[0] == modes[1] != label:
            source[label] = modes[0]
    while source and set(source) != set(source.values()):
        source = {label: old for label, old in source.items() if label in source.values() and old in source}
    return {old: label for label, old in source.items()}


def _exchange(logits: Tensor, before: Tensor, after: Tensor, moved: Tensor) -> Tensor:
    """Logits of items with another label: what stood for the one stands for the other."""
    exchanged = logits.clone()
    rows = torch.nonzero(moved)[:, 0]
    rows = rows[torch.maximum(before[rows], after[rows]) < logits.shape[1]]
    exchanged[rows, before[rows]], exchanged[rows, after[rows]] = logits[rows, after[rows]], logits[rows, before[rows]]
    return exchanged


def _count(items: Items, label: int) -> int:
    return int((items[1] == label).sum())


def _average(items: Items, label: int) -> Tensor:
    return items[0][items[1] == label].mean(dim=0)


def _average_all(items: Items, classes: list[int]) -> Tensor:
    """Mean over classes of their means."""
    return torch.stack([_average(items, label) for label in classes]).mean(dim=0)


@torch.no_grad()
def measure_drift_and_forgetting(learner: Learner, *, n_items: int = 64) -> tuple[float, float]:
    """Drift and forgetting since the items' logits were stored, in evaluation mode: what sleep pressure is made of.

    Args:
        learner: Network with a buffer that holds logits.
        n_items: Number of items sampled from its buffer; default 64.

    Returns:
        Drift: mean squared change of the logits over their variance. Forgetting: mean rise of the loss in nats, falls
        counted as 0.

    Raises:
        SharpwaveError: If the buffer holds no logits.
    """
    items = learner.sample(n_items, balanced=False)
    if not isinstance(items.get("logits"), Tensor):
        raise SharpwaveError(
            "a buffer that holds whole logits, to measure drift and forgetting",
            got=f"entries {', '.join(items)}",
            fix="use wake method 'der++' and outputs of few classes, or schedule=FixedRatio()",
        )
    with evaluating(learner.model):
        now, then = learner.forward(items).float(), items["logits"].float()
    drift = compute_distillation(now, then, lengths=items.get("logits_length"))
    drift = drift / then.var().clamp(min=torch.finfo(then.dtype).tiny)
    rise: Tensor = learner.objective.compute_losses(now, items) - learner.objective.compute_losses(then, items)
    drift_mean, forgetting = average([float(drift), float(rise.clamp(min=0).mean())], learner.device)
    return drift_mean, forgetting
