"""The replay buffer: items that a network keeps of what it has learned from, within an exact number of bytes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave import moved
from sharpwave.consolidation.admission import POLICIES, ClassIndex, Key
from sharpwave.consolidation.batches import Batch, count_items, flatten, nest
from sharpwave.consolidation.table import Table
from sharpwave.errors import SharpwaveError


class ReplayBuffer:
    """Items of a stream, preallocated when the first arrive; an access costs the same however many there are.

    An entry with a sibling `<name>_length` (or given as a list of tensors) varies in length along its first axis.

    Args:
        capacity: Number of items. Give this or `n_bytes`.
        n_bytes: Budget in bytes for all that is stored of the items: values, scales, lengths, labels. The lists of
            which slot holds which class (about 200 bytes an item, in Python) come on top.
        policy: Which items a full buffer keeps, a key of `POLICIES`; default "reservoir".
        label: Entry that holds the class of an item, for balance; default "y". Without it all are one class.
        group: Entry that holds the group of an item, for `group-balanced`; default "group".
        storage: Type in which each entry is stored: a torch dtype, "uint8" or "int8" (see `table`); others are stored
            as they are given.
        max_length: Length of the longest item of each entry that varies in length; that of the first batch where
            omitted.
        held_out: Share of the slots whose items `sample` never gives, for a probe of sleep; default 0.
        path: Folder for the values, mapped into memory, where they are too large for it; None keeps them in memory.
        generator: Random generator; torch's own where omitted.

    Raises:
        SharpwaveError: If options do not fit each other.

    Example:
        >>> buffer = ReplayBuffer(100, storage={"x": "uint8"})
        >>> buffer.add({"x": torch.rand(8, 28, 28), "y": torch.arange(8)})
        >>> len(buffer), buffer.sample(4, balanced=True)["x"].shape
        (8, torch.Size([4, 28, 28]))
    """

    def __init__(
        self,
        capacity: int | None = None,
        *,
        n_bytes: int | None = None,
        policy: str = "reservoir",
        label: str = "y",
        group: str = "group",
        storage: Mapping[str, torch.dtype | str] | None = None,
        max_length: Mapping[str, int] | None = None,
        held_out: float = 0.0,
        path: str | Path | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if (capacity is None) == (n_bytes is None) or (capacity or n_bytes or 0) <= 0:
            raise SharpwaveError(
                "either a capacity in items or a budget in bytes, above 0",
                got=f"capacity={capacity}, n_bytes={n_bytes}",
                fix="give one of them",
            )
        if policy not in POLICIES:
            raise SharpwaveError(f"a policy among {', '.join(POLICIES)}", got=repr(policy), fix="choose one of them")
        if not 0 <= held_out < 1:
            raise SharpwaveError("a share held out from 0 to below 1", got=f"{held_out}", fix="0.1 keeps a tenth")
        self.policy, self.label, self.group, self.held_out = policy, label, group, held_out
        self.capacity, self._budget = capacity or 0, n_bytes
        self.generator = generator
        self._table = Table(storage or {}, max_length=max_length or {}, path=None if path is None else Path(path))
        self._index = ClassIndex()
        self._admission = POLICIES[policy](self.capacity)
        self._new: set[int] = set()

    def __len__(self) -> int:
        return len(self._index.keys)

    @property
    def n_seen(self) -> int:
        """Items offered so far."""
        return self._admission.n_seen

    @property
    def item_bytes(self) -> int:
        """Bytes that one item takes; 0 before the first is added."""
        return self._table.item_bytes

    @property
    def n_bytes(self) -> int:
        """Bytes that are allocated for the items."""
        return self.capacity * self.item_bytes

    @property
    def entries(self) -> tuple[str, ...]:
        """Paths of what is stored of each item."""
        return tuple(self._table.columns)

    @property
    def n_held_out(self) -> int:
        """Items that `sample` never gives."""
        return min(len(self), int(self.held_out * self.capacity))

    def add(self, items: Mapping[str, Any], *, task: int | None = None) -> None:
        """Offer a batch of items.

        Args:
            items: Entries (item, ...), nested or not.
            task: Number of the task, stored as the entry `task` where given.

        Raises:
            SharpwaveError: If the items are not like those before them.
        """
        entries = dict(flatten(items))
        n_items = count_items(entries)
        if task is not None:
            entries["task"] = torch.tensor(task).expand(n_items)
        if not self._table.columns:
            self._table.describe(entries)
            self._open()
        self._table.check(entries)
        placements = self._admission.offer(
            n_items, lambda: self._find_keys(entries, n_items), self._index, generator=self.generator
        )
        if placements:
            last = {slot: row for row, slot in placements}
            slots, rows = torch.tensor(list(last)), torch.tensor(list(last.values()))
            self._table.write(slots, {path: value[rows.to(value.device)] for path, value in entries.items()})
            self._new.update(last)

    def take_new(self) -> Int[Tensor, " item"]:
        """Slots of the items that arrived since the last time this was asked."""
        new, self._new = torch.tensor(sorted(self._new), dtype=torch.int64), set()
        return new

    def settle(self) -> Int[Tensor, " item"]:
        """The old name of `take_new`."""
        moved.warn("ReplayBuffer.settle", "ReplayBuffer.take_new")
        return self.take_new()

    def sample(self, n_items: int, *, generator: torch.Generator | None = None, balanced: bool = False) -> Batch:
        """Items drawn at random, with their slots as the entry `index`.

        Args:
            n_items: Number of items; all there are, where there are fewer and `balanced` is not asked for.
            generator: Random generator; the buffer's own where omitted.
            balanced: Whether there are as many of each class (of each class and group under `group-balanced`); a class
                with too few items gives some more than once.

        Raises:
            SharpwaveError: If the buffer is empty.
        """
        generator = generator or self.generator
        first = self.n_held_out
        n_open = len(self) - first
        if n_open <= 0:
            raise SharpwaveError("a buffer that holds items", got="none", fix="add items before sampling")
        if balanced:
            return self.read(self._draw_balanced(n_items, first, generator))
        if n_open <= 8 * n_items:
            return self.read(first + torch.randperm(n_open, generator=generator)[:n_items])
        return self.read(first + torch.randint(n_open, (n_items,), generator=generator))

    def read(self, slots: Int[Tensor, " item"]) -> Batch:
        """The items in some slots."""
        return nest(self._table.read(slots) | {"index": slots})

    def read_held_out(self) -> Batch:
        """The items that `sample` never gives."""
        return self.read(torch.arange(self.n_held_out))

    def update(self, slots: Int[Tensor, " item"], values: Mapping[str, Any]) -> None:
        """Write other values, such as fresh logits, of items that are stored.

        Raises:
            SharpwaveError: If nothing of that name is stored.
        """
        self._table.write(slots, dict(flatten(values)))

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to go on: tensors, numbers and lists, nested."""
        state: dict[str, Any] = {
            "capacity": self.capacity,
            "table": self._table.state_dict(len(self)),
            "class_index": self._index.state_dict(),
            "admission": self._admission.state_dict(),
            "new": sorted(self._new),
        }
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, in a buffer made with the same options."""
        self.capacity = self._admission.capacity = state["capacity"]
        self._index.load_state_dict(state.get("class_index") or state["strata"])  # "strata": version 0.1.0
        self._admission.load_state_dict(state["admission"])
        self._table.load_state_dict(state["table"], capacity=self.capacity)
        self._new = set(state["new"])
        if self.generator is not None and "generator" in state:
            self.generator.set_state(state["generator"])

    def _open(self) -> None:
        if self._budget is not None:
            self.capacity = self._budget // self.item_bytes
        if self.capacity < 1:
            raise SharpwaveError(
                f"a budget for at least one item of {self.item_bytes} bytes",
                got=f"{self._budget} bytes",
                fix="give more bytes, or store less precisely, as in storage={'x': 'uint8'}",
            )
        self._admission.capacity = self.capacity
        self._table.allocate(self.capacity)

    def _find_keys(self, entries: Mapping[str, Tensor], n_items: int) -> list[Key]:
        grouped = self.policy == "group-balanced"
        if grouped and self.group not in entries:
            raise SharpwaveError(
                f"an entry {self.group!r} with the group of each item",
                got=", ".join(entries),
                fix="add it to the items",
            )
        values = [entries[name] for name in ((self.label, self.group) if grouped else (self.label,)) if name in entries]
        lists = [value.tolist() for value in values if value.ndim == 1 and not value.is_floating_point()]
        return list(zip(*lists, strict=True)) if lists else [()] * n_items

    def _draw_balanced(self, n_items: int, first: int, generator: torch.Generator | None) -> Tensor:
        members = list(self._index.members.values())
        if first:
            members = [kept for slots in members if (kept := [slot for slot in slots if slot >= first])]
        rng = random.Random(int(torch.randint(2**62, (), generator=generator)))
        share, rest = divmod(n_items, len(members))
        quotas = [share] * len(members)
        for place in rng.sample(range(len(members)), rest):
            quotas[place] += 1
        drawn: list[int] = []
        for slots, quota in zip(members, quotas, strict=True):
            extra = max(quota - len(slots), 0)
            drawn += rng.sample(slots, quota - extra) + rng.choices(slots, k=extra)
        return torch.tensor(drawn)
