"""Learners that keep some items of each class, chosen: GDumb, iCaRL, X-DER."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, normalize

from sharpwave.benchmarks.continual.learners.contract import DRAWS, Learner, Setting, count_draw
from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.modules import evaluating, watch_hidden
from sharpwave.demonstrations.streams import Inputs, Task, take

PASS = 500
"""Items that go through a network together where no gradient is taken."""


class ClassMemory:
    """Items by class within the setting's bytes: images in one byte a channel, with their label, and logits if wanted.

    Args:
        setting: Setting that is equal for all learners.
        with_logits: Whether each item has room for logits.
    """

    def __init__(self, setting: Setting, *, with_logits: bool = False) -> None:
        self.setting, self.with_logits = setting, with_logits
        self.slots: dict[int, list[int]] = {}
        self.values: dict[str, Tensor] = {}
        self.capacity = self.item_bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self.slots.values()))

    @property
    def n_bytes(self) -> int:
        """Bytes that are allocated."""
        return self.capacity * self.item_bytes

    def open(self, x: Inputs) -> None:
        """Make room for as many items as the bytes allow, once; `x` is a batch like those to come."""
        if self.values:
            return
        parts = {"": x} if isinstance(x, Tensor) else dict(x)
        rows = {f"x{name}": self._pack(part[:1])[0] for name, part in parts.items()}
        rows["y"] = torch.zeros((), dtype=torch.int64)
        if self.with_logits:
            rows["logits"] = torch.zeros(self.setting.n_classes)
        self.item_bytes = sum(prod(row.shape) * row.element_size() for row in rows.values())
        self.capacity = self.setting.buffer_bytes // self.item_bytes
        self.values = {name: row.new_zeros(self.capacity, *row.shape) for name, row in rows.items()}

    def put(self, x: Inputs, y: Tensor, slots: Sequence[int], *, logits: Tensor | None = None) -> None:
        """Write items into slots, and note whose they are.

        Args:
            x: Inputs.
            y: Their classes.
            slots: A slot for each, free or that of an item that `drop` let go.
            logits: Their logits, where there is room for them.
        """
        parts = {"": x} if isinstance(x, Tensor) else dict(x)
        for name, part in parts.items():
            self.values[f"x{name}"][list(slots)] = self._pack(part)
        self.values["y"][list(slots)] = y
        if logits is not None:
            self.values["logits"][list(slots)] = logits
        for label, slot in zip(y.tolist(), slots, strict=True):
            self.slots.setdefault(label, []).append(slot)

    def find_free(self) -> list[int]:
        """Slots that hold nothing."""
        taken = {slot for mine in self.slots.values() for slot in mine}
        return [slot for slot in range(self.capacity) if slot not in taken]

    def cut(self, n_each: int) -> None:
        """Keep the first items of each class."""
        self.slots = {label: mine[:n_each] for label, mine in self.slots.items()}

    def read(self, slots: Sequence[int]) -> Batch:
        """The items in some slots, as the model wants them."""
        rows = torch.tensor(list(slots), dtype=torch.int64)
        parts = {name[1:]: self.values[name][rows] for name in self.values if name.startswith("x")}
        x: Inputs = take(parts[""], slice(None)) if "" in parts else parts
        rest = {name: self.values[name][rows] for name in self.values if not name.startswith("x")}
        return {"x": x, **rest, "index": rows}

    def draw(self, n_items: int, *, generator: torch.Generator) -> Batch:
        """Items drawn at random, without putting back where there are enough."""
        slots = [slot for mine in self.slots.values() for slot in mine]
        chosen = torch.randperm(len(slots), generator=generator)[:n_items]
        return self.read([slots[place] for place in chosen.tolist()])

    def draw_replay(self, generator: torch.Generator) -> Iterator[Batch]:
        """The replay of one step; nothing while there is nothing."""
        for _ in range(DRAWS if len(self) else 0):
            yield self.draw(count_draw(self.setting), generator=generator)

    def _pack(self, x: Tensor) -> Tensor:
        return (x * 255).round().to(torch.uint8) if self.setting.images and x.is_floating_point() else x


class GreedyDumb(Learner):
    """GDumb: stores greedily as many items of each class as of any other, and learns from these alone, from the start.

    Prabhu, Torr & Dokania 2020, ECCV, algorithm 1. It is trained anew whenever a task ends, since its accuracy is asked
    for then: with the gradient samples of one task, and after the last one with those of all tasks, which alone count.
    Without CutMix: nobody's images are augmented here.

    Args:
        model: The network; trained in place, from the weights that it has now.
        setting: Setting that is equal for all learners.
        lr: Step size.
        anneal: Share of the training, its last part, over which the step size falls to nothing.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, anneal: float = 0.0) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.memory = ClassMemory(setting)
        self.start = copy.deepcopy(model.state_dict())

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.memory.open(x)
        placed = {slot: row for row, label in enumerate(y.tolist()) if (slot := self._find_place(label)) >= 0}
        rows = torch.tensor(list(placed.values()), dtype=torch.int64)
        if len(rows):
            for label in set(y[rows].tolist()):  # `put` notes them again
                self.memory.slots[label] = [slot for slot in self.memory.slots[label] if slot not in placed]
            self.memory.put(take(x, rows), y[rows], list(placed))

    def end_task(self, task: Task, index: int) -> None:
        self.model.load_state_dict(self.start)
        self.n_gradient_samples = 0
        n_tasks = self.setting.n_tasks if index + 1 == self.setting.n_tasks else 1
        n_steps = round(n_tasks * self.setting.n_steps * (1 + self.setting.replay))
        for number in range(n_steps):
            self.progress = number / n_steps
            items = self.memory.draw(self.setting.batch, generator=self.generator)
            self.update(cross_entropy(self.model(items["x"]), items["y"]), len(items["index"]))

    def _find_place(self, label: int) -> int:
        """Slot for an item of a class, reserved for it; -1 where the class has its share."""
        slots = self.memory.slots
        n_classes = len(slots) + (label not in slots)
        if label in slots and len(slots[label]) >= self.memory.capacity / n_classes:
            return -1
        if len(self.memory) < self.memory.capacity:
            slot = self.memory.find_free()[0]
        else:
            largest = max(slots, key=lambda each: len(slots[each]))
            out = int(torch.randint(len(slots[largest]), (), generator=self.generator))
            slot = slots[largest].pop(out)
        slots.setdefault(label, []).append(slot)
        return slot

    @property
    def n_buffer_bytes(self) -> int:
        return self.memory.n_bytes


class ICaRL(Learner):
    """iCaRL: the nearest mean of exemplars answers; the network of before teaches what it said of the old classes.

    Rebuffi et al. 2017, CVPR (arXiv:1611.07725): binary cross-entropy of each class, with the labels for new classes
    and the outputs of the network before this task for old ones, on new items and exemplars alike (its algorithm 3);
    exemplars chosen by herding (algorithm 4), as many of each class; the nearest mean of their normalised features
    answers (algorithm 1). For streams in which classes come anew.

    Args:
        model: The network, with a `head`.
        setting: Setting that is equal for all learners.
        lr: Step size.
        anneal: As for `Learner`.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, anneal: float = 0.0) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.memory = ClassMemory(setting)
        self.before: nn.Module | None = None
        self.present: set[int] = set()
        self.means: dict[int, Tensor] = {}
        self.deployed = self._answer

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.present |= set(y.tolist()) - set(self.means)
        parts = [(x, y)] + [(old["x"], old["y"]) for old in self.memory.draw_replay(self.generator)]
        n_items = sum(len(labels) for _, labels in parts)
        loss = torch.zeros(())
        for inputs, labels in parts:
            loss = loss + self.compute_loss(inputs, labels) * len(labels) / n_items
        self.update(loss, n_items)

    def compute_loss(self, x: Inputs, y: Tensor) -> Tensor:
        """Binary cross-entropy, summed over the classes that were met, a mean over items."""
        columns = [*self.means, *sorted(self.present)]
        targets = nn.functional.one_hot(y, self.setting.n_classes).float()
        if self.before is not None:
            with torch.no_grad():
                targets[:, list(self.means)] = self.before(x)[:, list(self.means)].sigmoid()
        each = binary_cross_entropy_with_logits(self.model(x)[:, columns], targets[:, columns], reduction="none")
        return each.sum(dim=1).mean()

    def end_task(self, task: Task, index: int) -> None:
        self.memory.open(take(task.x_train, slice(1)))
        new = sorted(self.present)
        n_each = self.memory.capacity // (len(self.means) + len(new))
        self.memory.cut(n_each)
        for label in new:
            rows = torch.nonzero(task.y_train == label)[:, 0]
            chosen = rows[herd(self.extract(take(task.x_train, rows)), n_each)]
            free = self.memory.find_free()[: len(chosen)]
            self.memory.put(take(task.x_train, chosen), task.y_train[chosen], free)
        self.means = {
            label: normalize(self.extract(self.memory.read(slots)["x"]).mean(dim=0), dim=0)
            for label, slots in self.memory.slots.items()
        }
        self.present = set()
        self.before = copy.deepcopy(self.model).eval().requires_grad_(False)

    @torch.no_grad()
    def extract(self, x: Inputs) -> Float[Tensor, "item unit"]:
        """What goes into the head, of length one, in evaluation mode."""
        found = []
        n_items = len(x) if isinstance(x, Tensor) else len(next(iter(x.values())))
        with evaluating(self.model), watch_hidden(self.model, "head") as hidden:
            for start in range(0, n_items, PASS):
                self.model(take(x, slice(start, start + PASS)))
                assert hidden.value is not None
                found.append(normalize(hidden.value, dim=1))
        return torch.cat(found)

    def _answer(self, x: Inputs, index: int) -> Tensor:
        """Minus the squared distance from the mean of each class; classes without one come last."""
        if not self.means:
            return self.model(x)
        states = self.extract(x)
        answer = states.new_full((len(states), self.setting.n_classes), -1e6)
        for label, mean in self.means.items():
            answer[:, label] = -(states - mean).square().sum(dim=1)
        return answer

    @property
    def n_buffer_bytes(self) -> int:
        return self.memory.n_bytes


def herd(states: Float[Tensor, "item unit"], n_items: int) -> Tensor:
    """Items whose running mean stays nearest to the mean of all: each brings it as near as one can (ibid., eq. 4)."""
    mean, total = states.mean(dim=0), torch.zeros(states.shape[1])
    left = torch.ones(len(states), dtype=torch.bool)
    chosen: list[int] = []
    for number in range(1, min(n_items, len(states)) + 1):
        apart = (mean - (total + states) / number).norm(dim=1).masked_fill(~left, torch.inf)
        best = int(apart.argmin())
        chosen.append(best)
        left[best] = False
        total = total + states[best]
    return torch.tensor(chosen, dtype=torch.int64)


SCALE, MARGIN, CONSTRAINT = 0.85, 0.3, 0.1
"""Of X-DER, as published: largest logit written into a memory over that of its class; margin of the constraints and
their weight."""


class ExtendedReplay(Learner):
    """X-DER: the stored logits learn of classes that came later, and heads of classes to come are held down.

    Boschini et al. 2022, TPAMI (arXiv:2201.00766), without the preparation of future heads (which needs two augmented
    views) and without the regular polytope. Beside DER++ on the memory: cross-entropy of new items among the classes of
    their task alone; logits of later classes written into the memory at each replay (`write_logits`); hinges that keep
    the classes of the past, and those to come, below those of the task (`compute_constraint`). The memory is filled at
    the end of a task, with as many items of each class. For streams in which classes come anew.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        alpha: Weight of the logits.
        beta: Weight of the replayed labels.
        anneal: As for `Learner`.
    """

    def __init__(
        self, model: nn.Module, setting: Setting, *, lr: float, alpha: float, beta: float, anneal: float = 0.0
    ) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.alpha, self.beta = alpha, beta
        self.memory = ClassMemory(setting, with_logits=True)
        self.task_of = torch.full((setting.n_classes,), -1)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.task_of[torch.unique(y[self.task_of[y] < 0])] = index
        present, past, future = self.task_of == index, (self.task_of >= 0) & (self.task_of < index), self.task_of < 0
        logits, n_items = self.model(x), len(y)
        low = torch.finfo(logits.dtype).min
        loss = cross_entropy(logits.masked_fill(~present, low), y)
        if past.any():
            likely = logits.masked_fill(future, low).softmax(dim=1)
            held = torch.where(past, likely, 0).amax(dim=1).detach()
            loss = loss + CONSTRAINT * compute_constraint(torch.where(present, likely, 0).amax(dim=1), held)
        passed = [(logits, y)]
        for number, old in enumerate(self.memory.draw_replay(self.generator)):
            replayed = self.model(old["x"])
            if number == 0:
                loss = loss + self.alpha * mse_loss(replayed, old["logits"])
            else:
                loss = loss + self.beta * cross_entropy(replayed.masked_fill(future, low), old["y"])
            passed.append((replayed, old["y"]))
            written = write_logits(old["logits"], replayed.detach(), old["y"], columns=present | future)
            self.memory.values["logits"][old["index"]] = written
            n_items += len(old["y"])
        if future.any():
            every, labels = (torch.cat(parts) for parts in zip(*passed, strict=True))
            mine = self.task_of[None] == self.task_of[labels][:, None]
            own, held = every.masked_fill(~mine, low).amax(dim=1), every[:, future].amax(dim=1)
            loss = loss + CONSTRAINT * compute_constraint(own, held)
        self.update(loss, n_items)

    def end_task(self, task: Task, index: int) -> None:
        self.memory.open(take(task.x_train, slice(1)))
        present = self.task_of == index
        stored = [slot for mine in self.memory.slots.values() for slot in mine]
        if stored:
            old = self.memory.read(stored)
            written = write_logits(old["logits"], self._pass(old["x"]), old["y"], columns=present)
            self.memory.values["logits"][old["index"]] = written
        n_each = self.memory.capacity // int((self.task_of >= 0).sum())
        self.memory.cut(n_each)
        for label in torch.nonzero(present)[:, 0].tolist():
            rows = torch.nonzero(task.y_train == label)[:, 0]
            rows = rows[torch.randperm(len(rows), generator=self.generator)[:n_each]]
            free = self.memory.find_free()[: len(rows)]
            x = take(task.x_train, rows)
            self.memory.put(x, task.y_train[rows], free, logits=self._pass(x))

    @torch.no_grad()
    def _pass(self, x: Inputs) -> Tensor:
        with evaluating(self.model):
            return self.model(x)

    @property
    def n_buffer_bytes(self) -> int:
        return self.memory.n_bytes


def compute_constraint(own: Float[Tensor, " item"], other: Float[Tensor, " item"]) -> Tensor:
    """How far others come within the margin of one's own, a mean over the items where they do; 0 where none does."""
    within = (other + MARGIN - own).clamp(min=0)
    return within.sum() / (within > 0).sum().clamp(min=1)


def write_logits(
    stored: Float[Tensor, "item class"], now: Float[Tensor, "item class"], labels: Tensor, *, columns: Tensor
) -> Float[Tensor, "item class"]:
    """Stored logits with some columns as they are now; where these would top the item's own class, scaled below it.

    Args:
        stored: Logits of the memory.
        now: Logits of the network now.
        labels: Class of each item.
        columns: Which classes came later, shape (class).
    """
    if not columns.any():
        return stored
    own = stored.gather(1, labels[:, None])
    new = now[:, columns]
    largest = new.amax(dim=1, keepdim=True)
    written = stored.clone()
    written[:, columns] = torch.where(largest > own, new * SCALE * own / largest, new)
    return written
