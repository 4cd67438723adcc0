"""The replay buffer: items that a network keeps of what it has learned from, within an exact number of bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave import moved
from sharpwave.consolidation.admission import (
    POLICIES,
    ClassIndex,
    check_state,
    draw_places,
    find_finite,
    find_keys,
    find_seed,
    make_random,
)
from sharpwave.consolidation.batches import LENGTH, Batch, Objective, count_items, flatten, nest
from sharpwave.consolidation.rights import Removal, Rights, forget
from sharpwave.consolidation.table import Table, check_memory, refuse_memory
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
        generator: Random generator of which items are kept and drawn; where omitted one of the buffer's own, seeded
            with `torch.initial_seed()`, whose state is saved with the buffer's.
        padding: What pads each entry that varies in length; -100 for labels (y, label, labels, target, targets) and 0
            for the rest where omitted.
        transform: Function of a batch to a batch, such as an augmentation, that `sample` applies to what it draws and
            `Sleep.wake` to what is new: items are stored as they were before it. None, the default, for none.
        keep_for: Seconds for which an item is kept, whatever the policy says; None, the default, for any.

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
        padding: Mapping[str, float] | None = None,
        transform: Callable[[Batch], Batch] | None = None,
        keep_for: float | None = None,
    ) -> None:
        if not isinstance(capacity, Integral | None) or isinstance(capacity, bool):
            raise SharpwaveError(
                "a capacity as a whole number of items", got=repr(capacity), fix="write ReplayBuffer(500)"
            )
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
        self.capacity, self._budget = int(capacity or 0), n_bytes
        self.generator = generator or torch.Generator().manual_seed(find_seed())
        self.transform, self.n_refused, self._n_lost = transform, 0, 0
        self.rights = Rights(keep_for)
        path = None if path is None else Path(path)
        self._table = Table(storage or {}, max_length=max_length or {}, padding=padding, path=path)
        self._index = self._open_index = ClassIndex()
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
        return tuple(self._table.paths)

    @property
    def n_held_out(self) -> int:
        """Items that `sample` never gives."""
        return min(len(self), self._n_first)

    @property
    def _n_first(self) -> int:
        return max(int(self.held_out * self.capacity) - self._n_lost, 0)

    def add(self, items: Mapping[str, Any], *, task: int | str | None = None, keep: Tensor | None = None) -> None:
        """Offer a batch of items; those that hold NaN or infinite values are left out, with a warning.

        Args:
            items: Entries (item, ...), nested or not.
            task: Number of the task, stored as the entry `task` where given.
            keep: Which items may be kept, shape (item); all where omitted.

        Raises:
            SharpwaveError: If the items are not like those before them.
        """
        self.rights.expire(self)
        entries = self._list_entries(items, task)
        n_items = count_items(entries)
        if not self._table.paths:
            with self._table.beginning(entries):
                self._open()
        if self._table.has_grown(entries):
            self._table.grow(entries, len(self), capacity=self.capacity)
        if f"logits{LENGTH}" in self._table.paths and f"logits{LENGTH}" not in entries and "logits" in entries:
            entries[f"logits{LENGTH}"] = torch.full((n_items,), entries["logits"].shape[1])
        finite = find_finite(entries, keep)
        if finite is not None:
            self._refuse(n_items - int(finite.sum()))
            entries = {path: value[finite.to(value.device)] for path, value in entries.items()}
            n_items = int(finite.sum())
        self._table.check(entries)
        n_before, self._index.touched, placements = len(self), set(), None
        names = (self.label, self.group) if self.policy == "group-balanced" else (self.label,)
        try:
            placements = self._admission.offer(
                n_items, lambda: find_keys(entries, names, n_items), self._index, generator=self.generator
            )
            if placements:
                last = {slot: row for row, slot in placements}
                slots, rows = torch.tensor([list(last), list(last.values())])
                self._table.write(
                    slots, {path: value.index_select(0, rows.to(value.device)) for path, value in entries.items()}
                )
                self._new.update(last)
        except BaseException:  # as by Ctrl-C: no slot stays that is half written, and none of these was seen
            self._admission.n_seen -= 0 if placements is None else n_items
            self._give_up(self._index.touched, n_before)
            raise

    def follow(self, objective: Objective, batch: Mapping[str, Any]) -> None:
        """Take the labels' entry from an objective, where that of the buffer's own is in no batch."""
        if self.label not in batch and not len(self):
            self.label = objective.find_label(batch)

    def take_new(self, among: Tensor | None = None) -> Int[Tensor, " item"]:
        """Slots of the items that arrived since they were last asked for; only those among some slots, where given."""
        taken = self._new if among is None else self._new & set(among.tolist())
        self._new = self._new - taken
        return torch.tensor(sorted(taken), dtype=torch.int64)

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
        self.rights.expire(self)
        generator = generator or self.generator
        first = self.n_held_out
        n_open = len(self) - first
        if n_open <= 0 or n_items < 0:
            got = f"{n_items} to draw" if n_items < 0 else "none"
            raise SharpwaveError("a buffer that holds items", got=got, fix="add items before sampling")
        if balanced:
            slots = torch.tensor(self._open_index.draw(n_items, make_random(generator)), dtype=torch.int64)
        else:
            slots = first + draw_places(n_open, n_items, generator)
        items = self.read(slots)
        return items if self.transform is None else {**self.transform(items), "index": slots}

    def stratify(self, n_items: int, *, generator: torch.Generator | None = None) -> Int[Tensor, " item"]:
        """Slots of different items out of the whole buffer, as many of each class as there are: for a probe.

        Args:
            n_items: Largest number of items; where the buffer holds no more, it is all of them.
            generator: Random generator; the buffer's own where omitted.
        """
        if len(self) <= n_items:
            return torch.arange(len(self))
        return torch.tensor(sorted(self._index.stratify(n_items, make_random(generator or self.generator))))

    def read(self, slots: Int[Tensor, " item"]) -> Batch:
        """The items in some slots.

        Raises:
            SharpwaveError: If one holds nothing.
        """
        slots = torch.as_tensor(slots)
        if slots.numel() and not 0 <= int(slots.min()) <= int(slots.max()) < len(self):
            raise SharpwaveError(f"slots of the {len(self)} items", got=f"{slots.tolist()[:9]}", fix="see len(buffer)")
        return nest(self._table.read(slots) | {"index": slots})

    def forget(self, where: Mapping[str, Any] | Callable[[Batch], Tensor]) -> Removal:
        """Remove items, such as those of a person, and all that was made of them, as `rights.forget` says."""
        return forget(self, where)

    def discard(self, slots: Int[Tensor, " item"], *, anew: bool = False) -> None:
        """Give up some items, in mapped files too; others take the room one by one, or at once (`anew`)."""
        self._give_up(set(slots.tolist()), len(self))
        if anew:
            self._admission = POLICIES[self.policy](self.capacity)
            self._admission.n_seen = len(self)

    def _give_up(self, gone: set[int], n_full: int) -> None:
        """Let some slots go; those from `n_full` on held nothing."""
        keys, seen, first = self._index.keys, self._index.seen, min(n_full, self._n_first)
        kept = [slot for slot in sorted(keys) if slot not in gone]
        moved = {slot: place for place, slot in enumerate(kept)}
        self._table.keep_rows(torch.tensor(kept, dtype=torch.int64))
        self._n_lost += sum(slot < first for slot in gone)
        self._index = self._open_index = ClassIndex()
        self._index.seen = seen
        self._index.fill({place: keys[slot] for slot, place in moved.items()})
        self._new = {moved[slot] for slot in self._new if slot in moved}
        self._watch_open()
        self._fill_open()

    def read_held_out(self) -> Batch:
        """The items that `sample` never gives."""
        return self.read(torch.arange(self.n_held_out))

    def update(self, slots: Int[Tensor, " item"], values: Mapping[str, Any]) -> None:
        """Write other values, such as fresh logits, of items that are stored.

        Raises:
            SharpwaveError: If nothing of that name is stored.
        """
        entries = dict(flatten(values))
        finite = find_finite(entries)
        if finite is not None:
            slots, entries = slots[finite.cpu()], {path: value[finite] for path, value in entries.items()}
        if f"logits{LENGTH}" in self._table.columns and "logits" in entries:
            entries[f"logits{LENGTH}"] = torch.full((len(slots),), entries["logits"].shape[1])
        self._table.write(slots, entries)

    @contextmanager
    def undoable(self, name: str = "logits") -> Iterator[None]:
        """While this lasts an exception puts back the values of one entry, and what counts as new.

        Args:
            name: The entry; default "logits".
        """
        column, new, n_items = self._table.columns.get(name), set(self._new), len(self)
        kept = None if column is None else (column.values[:n_items].clone(), column.scales[:n_items].clone())
        try:
            yield
        except BaseException:
            self._new = new
            if kept is not None and (column := self._table.columns.get(name)) is not None:  # what waits comes first
                column.values[:n_items], column.scales[:n_items] = kept
            raise

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to go on: tensors, numbers and lists, nested."""
        state: dict[str, Any] = {
            "capacity": self.capacity,
            "table": self._table.state_dict(len(self)),
            "class_index": self._index.state_dict(),
            "admission": self._admission.state_dict(),
            "new": sorted(self._new),
            "n_refused": self.n_refused,
            "n_lost": self._n_lost,
            "generator": self.generator.get_state(),
        }
        if self._open_index is not self._index:
            state["open_index"] = self._open_index.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, in a buffer made with the same options."""
        check_state(state, self.policy)
        self._table.load_state_dict(state["table"], capacity=state["capacity"])
        self.capacity = self._admission.capacity = state["capacity"]
        self._index.load_state_dict(state.get("class_index") or state["strata"])  # "strata": version 0.1.0
        self._admission.load_state_dict(state["admission"])
        self._new, self.n_refused = set(state["new"]), state.get("n_refused", 0)
        self._n_lost = state.get("n_lost", 0)
        self.rights.recheck()
        self._watch_open()
        if "open_index" in state and self._open_index is not self._index:
            self._open_index.load_state_dict(state["open_index"])
        else:
            self._fill_open()
        if "generator" in state:
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
        check_memory(self._table, self.capacity)
        try:
            self._table.allocate(self.capacity)
        except (RuntimeError, MemoryError) as error:
            raise refuse_memory(self._table, self.capacity, got="less memory than that") from error
        self._watch_open()

    def _watch_open(self) -> None:
        """Keep apart which slots may be drawn, where some are held out."""
        first = self._n_first
        if first:
            self._open_index = ClassIndex()
            self._index.mirror(first, self._open_index)

    def _fill_open(self) -> None:
        if self._open_index is not self._index:
            self._open_index.fill({s: key for s, key in self._index.keys.items() if s >= self.n_held_out})

    def _list_entries(self, items: Mapping[str, Any], task: int | str | None) -> dict[str, Tensor]:
        entries = dict(flatten(items, padding=self._table.padding))
        if isinstance(task, str):
            raise SharpwaveError(
                "the number of a task", got=repr(task), fix="number tasks, or use a TokenMemory, which knows names"
            )
        if task is not None:
            entries["task"] = torch.tensor(task).expand(count_items(entries))
        self.rights.stamp(entries, count_items(entries))
        for path in [path for path in self._table.max_length if path in entries and f"{path}{LENGTH}" not in entries]:
            value = entries[path]
            entries[f"{path}{LENGTH}"] = torch.full((len(value),), value.shape[1])
        return entries

    def _refuse(self, n_items: int) -> None:
        self.n_refused += n_items
        warnings.warn(
            f"{n_items} items with NaN or infinite values (in outputs too) are not stored, {self.n_refused} so far",
            stacklevel=4,
        )

    def index_rows(self, slots: Int[Tensor, " item"]) -> Callable[[int, torch.Generator], list[int]]:
        """Function of a number and a generator that draws so many places in `slots`, balanced as `sample` is."""
        index = ClassIndex()
        for row, slot in enumerate(slots.tolist()):
            index.place(row, self._index.keys[slot])
        return lambda n_items, generator: index.draw(n_items, make_random(generator))
