"""A memory of tokens: what a language model keeps of its texts, within an exact number of bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave.consolidation.admission import ClassIndex, Key, draw_places, find_finite, make_random
from sharpwave.consolidation.batches import LENGTH, Batch, Objective, count_items, flatten, nest
from sharpwave.consolidation.language.layout import PLACES, Layout
from sharpwave.consolidation.language.memory_state import (
    INDEX,
    describe_memory,
    read_index,
    take_up_memory,
    write_index,
)
from sharpwave.consolidation.language.outputs import Outputs
from sharpwave.consolidation.language.pool import Pool
from sharpwave.consolidation.language.records import Fields
from sharpwave.consolidation.language.store import (
    OUTPUTS,
    Draft,
    ItemStore,
    count_tokens,
    explaining,
    hash_item,
    measure_size,
    parse_bytes,
)
from sharpwave.consolidation.rights import ARRIVED, Removal, Rights, forget
from sharpwave.errors import SharpwaveError

POLICIES = ("balanced", "reservoir")
MOST_VALUES = 1 << 24
STRATA = ("task", "group", "domain")


class TokenMemory:
    """Items of tokens of any length, for the nights of a language model; in place of a `ReplayBuffer`.

    An item takes what its tokens take: two bytes each where the vocabulary has at most 65,536, and nothing for
    padding, an attention mask of ones, or labels that are the tokens themselves. Which items are kept does not depend
    on their length or order: each has a random number, drawn by its content, and those with the lowest stay. So an
    item that comes again, as in a second epoch, is stored once. A task (and class) has as many as any other.

    Args:
        size: Budget in bytes for all that is stored, such as "64 MB"; the lists of which task holds which item (about
            300 bytes an item, in Python) come on top.
        path: Folder of the file that the tokens are in, mapped into memory; what `save` left there is taken up. None,
            the default, for memory alone.
        top_k: Number of the most likely tokens that are stored of each answer, to be held to later; 8 where omitted.
            None stores none. Outputs over few classes are stored whole.
        n_answers: Largest number of answer tokens of an item of which they are stored; default 12.
        padding: What pads an entry, by its name; where omitted -100 for labels, 0 for the rest, and for `input_ids`
            the token that masked places held.
        policy: "balanced", the default: tasks (and classes) share the memory evenly. "reservoir": any item is as
            likely as any other.
        label: Entry with the labels; default "labels". Where it is one class for each item, classes are balanced too.
        held_out: Share of the items that are never replayed, for a probe; default 0.
        generator: Random generator of which items are kept and drawn; one seeded with `torch.initial_seed()` where
            omitted.
        transform: Function of a batch to a batch that is applied to what is drawn; None, the default, for none.
        keep_for: Seconds for which an item is kept from when it first came; None, the default, for any.

    Attributes:
        rights: Who holds something of the items, and what was forgotten (`rights.Rights`).
        shift: Number of tokens by which labels come after the output that is to give them: 1 for a causal model, 0 for
            a masked one; None where it is not known, so that both outputs count as the answer's.

    Example:
        >>> memory = TokenMemory("1 MB")
        >>> ids = torch.tensor([[1, 5, 6, 7], [1, 8, 9, 0]])
        >>> memory.add({"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": ids}, task="letters")
        >>> memory.add({"input_ids": torch.tensor([[2, 3]]), "attention_mask": torch.ones(1, 2).long(),
        ...     "labels": torch.tensor([[-100, 3]])}, task="numbers")
        >>> len(memory), memory.tasks, memory.item_bytes < 256
        (3, ['letters', 'numbers'], True)
        >>> memory.sample(2, balanced=True)["task"].sort().values.tolist()
        [0, 1]
    """

    def __init__(
        self,
        size: int | float | str,
        path: str | Path | None = None,
        *,
        top_k: int | None = 8,
        n_answers: int = 12,
        padding: Mapping[str, float] | None = None,
        policy: str = "balanced",
        label: str = "labels",
        held_out: float = 0.0,
        generator: torch.Generator | None = None,
        transform: Callable[[Batch], Batch] | None = None,
        keep_for: float | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise SharpwaveError(f"a policy among {', '.join(POLICIES)}", got=repr(policy), fix="choose one of them")
        if not 0 <= held_out < 1 or not (top_k is None or 0 < top_k < 256) or n_answers < 1:
            raise SharpwaveError(
                "a share held out from 0 to below 1, top_k from 1 to 255 or None, and at least one answer token",
                got=f"held_out={held_out}, top_k={top_k}, n_answers={n_answers}",
                fix="write TokenMemory('64 MB', top_k=8)",
            )
        self.budget, self.policy, self.label, self.held_out = parse_bytes(size), policy, label, held_out
        self.generator = generator or torch.Generator().manual_seed(torch.initial_seed() % 2**63)
        self.transform, self.n_seen, self.n_refused = transform, 0, 0
        self.shift: int | None = None
        self.rights = Rights(keep_for)
        self._arrived: dict[int, int] = {}
        self.path = None if path is None else Path(path)
        self._store = ItemStore(self.budget, path=self.path)
        self._layout, self._outputs = Layout(padding or {}), Outputs(top_k, n_answers)
        self._pool = Pool(by_key=policy == "balanced")
        self.tasks: list[str] = []
        self._next = 0
        self._new: set[int] = set()
        self._salt = int(torch.randint(2**62, (), generator=self.generator)).to_bytes(8, "little")
        read_index(self)

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def n_bytes(self) -> int:
        """Bytes that are stored, of which there are never more than the budget."""
        return self._store.n_bytes

    @property
    def item_bytes(self) -> int:
        """Bytes that an item takes in the mean; 0 before the first is added."""
        return -(-self.n_bytes // len(self)) if len(self) else 0

    @property
    def capacity(self) -> int:
        """Number of items such as those that are stored for which there is room."""
        return self.budget // self.item_bytes if len(self) else 0

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of what is stored of each item."""
        return tuple(self._store.names[not self._store.n_with_outputs :])

    @property
    def n_held_out(self) -> int:
        """Items that `sample` never gives: the first slots."""
        return self._pool.n_held

    @property
    def top_k(self) -> int | None:
        """Number of tokens that are stored of each answer; None for none."""
        return self._outputs.top_k

    @property
    def n_chunk(self) -> int:
        """Items whose outputs fit into 64 MB together, at most 256."""
        n_tokens = max((stored.n_tokens for stored in self._store.items.values()), default=1)
        return max(1, min(256, MOST_VALUES // max(n_tokens * self._outputs.n_values, 1)))

    def add(self, items: Mapping[str, Any], *, task: int | str | None = None, keep: Tensor | None = None) -> None:
        """Offer a batch of items, of any length; those that hold NaN or infinite values are left out, with a warning.

        Args:
            items: Entries (item, ...), nested or not; `logits` are reduced to what is stored of them.
            task: Name or number of the task, stored as the entry `task` where given.
            keep: Which items may be kept, shape (item); all where omitted.

        Raises:
            SharpwaveError: If the items have other entries than those before them, or one is larger than the budget.
        """
        self.rights.expire(self)
        entries = dict(flatten(items, padding=self._layout.padding))
        n_items = count_items(entries)
        logits = entries.pop(OUTPUTS, None)
        entries.pop(f"{OUTPUTS}{LENGTH}", None)
        if task is not None:
            entries["task"] = torch.full((n_items,), self.number_task(task))
        self._store.name(entries)
        singles, starts, _ = self._layout.split(entries)
        floating = {path: value for path, value in entries.items() if value.is_floating_point()}
        finite = find_finite(floating if logits is None else {**floating, OUTPUTS: logits}, keep)
        if finite is not None:
            n_bad = n_items - int(finite.sum())
            self.n_refused += n_bad
            warnings.warn(f"{n_bad} items are not finite, and not stored: {self.n_refused} so far", stacklevel=2)
        self.n_seen += n_items
        drafts = {row: self._draft(item) for row, item in enumerate(singles) if finite is None or bool(finite[row])}
        rows = [row for row, draft in drafts.items() if draft is not None]
        chosen = [draft for draft in drafts.values() if draft is not None]
        if chosen:
            encode, begun, label = self._outputs.encode_items, starts[rows].tolist(), self.label
            parts = [draft.item for draft in chosen]
            self._keep(chosen, encode(logits, parts, rows, begun, label=label, shift=self.shift))

    def number_task(self, task: int | str) -> int:
        """The number of a task; names are counted as they come."""
        if not isinstance(task, str):
            return int(task)
        if task not in self.tasks:
            self.tasks.append(task)
        return self.tasks.index(task)

    def name_task(self, number: int) -> int | str:
        """The name of a task's number; the number where it has none."""
        return self.tasks[number] if 0 <= number < len(self.tasks) else number

    def follow(self, objective: Objective, batch: Mapping[str, Any]) -> None:
        """Take from an objective which entry of a batch holds the labels, and whether they are the next token's."""
        self.label = objective.find_label(batch)
        kind = getattr(getattr(objective.loss, "__self__", None), "kind", None)
        self.shift = self.shift if kind is None else int(kind == "causal")

    def take_new(self, among: Tensor | None = None) -> Int[Tensor, " item"]:
        """Slots of the items that came since they were last asked for, as `ReplayBuffer.take_new`."""
        slots = {self._pool.find_slot(handle) for handle in self._new}
        taken = slots if among is None else slots & set(among.tolist())
        self._new -= {self._pool.order[slot] for slot in taken}
        return torch.tensor(sorted(taken), dtype=torch.int64)

    def sample(self, n_items: int, *, generator: torch.Generator | None = None, balanced: bool = False) -> Batch:
        """Items drawn at random, with their slots as the entry `index`.

        Args:
            n_items: Number of items; all there are, where there are fewer and `balanced` is not asked for.
            generator: Random generator; the memory's own where omitted.
            balanced: Whether there are as many of each task (and class); one with too few gives some more than once.

        Raises:
            SharpwaveError: If the memory is empty.
        """
        self.rights.expire(self)
        generator, first = generator or self.generator, self.n_held_out
        n_open = len(self) - first
        if n_open <= 0:
            raise SharpwaveError("a memory that holds items", got="none", fix="add items before sampling")
        if balanced:
            handles = self._pool.open_index.draw(n_items, make_random(generator))
            slots = torch.tensor([self._pool.find_slot(handle) for handle in handles])
        else:
            slots = first + draw_places(n_open, n_items, generator)
        items = self.read(slots)
        return items if self.transform is None else {**self.transform(items), "index": slots}

    def stratify(self, n_items: int, *, generator: torch.Generator | None = None) -> Int[Tensor, " item"]:
        """Slots of different items, as many of each task (and class) as there are: for a probe.

        Args:
            n_items: Largest number of items; where the memory holds no more, it is all of them.
            generator: Random generator; the memory's own where omitted.
        """
        if len(self) <= n_items:
            return torch.arange(len(self))
        handles = self._pool.index.stratify(n_items, make_random(generator or self.generator))
        return torch.tensor(sorted(self._pool.find_slot(handle) for handle in handles))

    def index_rows(self, slots: Int[Tensor, " item"]) -> Callable[[int, torch.Generator], list[int]]:
        """Function of a number and a generator that draws so many places in `slots`, balanced as `sample` is."""
        index = ClassIndex()
        for row, slot in enumerate(slots.tolist()):
            index.place(row, self._pool.index.keys[self._pool.order[slot]])
        return lambda n_items, generator: index.draw(n_items, make_random(generator))

    def read(self, slots: Int[Tensor, " item"]) -> Batch:
        """The items in some slots, padded to the longest of them."""
        items = [self._store.read(self._pool.order[slot]) for slot in slots.tolist()]
        outputs = [item.pop(OUTPUTS, None) for item in items]
        if not items:
            return {"index": slots}
        with explaining():
            entries, starts = self._layout.join(items, masked=True)
            if self.rights.keep_for is not None:
                entries[ARRIVED] = torch.tensor([self._arrived.get(self._pool.order[s], 0) for s in slots.tolist()])
            return nest(entries | self._outputs.join(outputs, starts) | {"index": slots})

    def read_held_out(self) -> Batch:
        """The items that `sample` never gives."""
        return self.read(torch.arange(self.n_held_out))

    def update(self, slots: Int[Tensor, " item"], values: Mapping[str, Any]) -> None:
        """Store other outputs of some items, given as `logits` for the batch that `read` gives of these slots.

        Raises:
            SharpwaveError: If values of another name are given.
        """
        if set(values) - {OUTPUTS}:
            raise SharpwaveError(
                f"values of {OUTPUTS!r}, which alone change", got=", ".join(values), fix="add other items instead"
            )
        items = [self._store.read(self._pool.order[slot]) for slot in slots.tolist()]
        finite = find_finite(values)
        good = [row for row in range(len(items)) if finite is None or bool(finite[row])]
        if not good:
            return
        starts = self._layout.find_starts([count_tokens(item) for item in items])[good].tolist()
        chosen, encode = [items[row] for row in good], self._outputs.encode_items
        fields = encode(values[OUTPUTS], chosen, good, starts, label=self.label, shift=self.shift)
        for row, field in zip(good, fields, strict=True):
            self._store.replace_outputs(self._pool.order[int(slots[row])], field)

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """While this lasts an exception puts back the outputs that were stored, and what counts as new."""
        new = set(self._new)
        try:
            with self._store.undoable():
                yield
        except BaseException:
            self._new = new
            raise

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to go on; the tokens are not copied, so save it before the next `add`."""
        return describe_memory(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, in a memory made with the same options.

        Raises:
            SharpwaveError: If it is no such state, or was changed.
        """
        take_up_memory(self, state)

    def save(self) -> Path:
        """Write what another process needs to open the memory again from its folder; then go on as before."""
        return write_index(self)

    def forget(self, where: Mapping[str, Any] | Callable[[Batch], Tensor]) -> Removal:
        """Remove items, such as those of a person, and all that was made of them, as `rights.forget` says."""
        return forget(self, where)

    def discard(self, slots: Int[Tensor, " item"]) -> None:
        """Give up the items in some slots: nothing of them stays, in memory, in the file or in what `save` wrote."""
        self._give_up([self._pool.order[slot] for slot in slots.tolist()])
        self._store.wipe()
        if self.path is not None and (self.path / INDEX).is_dir():
            self.save()

    def forget_lost(self) -> int:
        """Give up items whose bytes are no longer those that were stored; their number."""
        lost = self._store.find_lost(self._salt)
        self._give_up(lost)
        return len(lost)

    def _give_up(self, handles: list[int]) -> None:
        for handle in handles:
            self._pool.discard(handle)
            self._store.remove(handle)
            self._arrived.pop(handle, None)
        self._new -= set(handles)

    def _draft(self, item: Fields) -> Draft | None:
        """What is needed to store an item; None where it is stored already or is not kept."""
        core = self._store.encode(item)
        digest = hash_item(core, self._salt)
        known = self._store.by_digest.get(digest)
        if known is not None:
            self._new.add(known)
            return None
        key, chance = self._find_key(item), int.from_bytes(digest[:8], "little") / 2**64
        if not self._pool.admits(key, chance):
            return None
        is_held = int.from_bytes(digest[8:], "little") / 2**64 < self.held_out
        return Draft(item, core, digest, key, chance, is_held)

    def _find_key(self, item: Fields) -> Key:
        label = item.get(self.label) if self.label not in PLACES else None
        parts = [item[name] for name in STRATA if name in item] + ([] if label is None else [label])
        return tuple(int(part) for part in parts if part.ndim == 0 and part.dtype.kind in "iub")

    def _keep(self, drafts: list[Draft], outputs: list[bytes]) -> None:
        """Store items, and give up as many as there is no room for, perhaps of them."""
        for draft, field in zip(drafts, outputs, strict=True):
            if draft.digest in self._store.by_digest:
                continue
            handle, self._next = self._next, self._next + 1
            self._pool.add(handle, draft.key, draft.chance, held=draft.held and len(self) > 0)
            field = field if measure_size(len(draft.core) + len(field)) <= self.budget else b""
            given_up = -1
            while given_up != handle and not self._store.has_room(len(draft.core) + len(field)):
                given_up = self._pool.pop()
                if given_up != handle:
                    self._store.remove(given_up)
                    self._new.discard(given_up)
                    self._arrived.pop(given_up, None)
            if given_up != handle:
                n_tokens = count_tokens(draft.item)
                self._store.put(handle, draft.core, field, n_tokens=n_tokens, digest=draft.digest)
                self._new.add(handle)
                self._arrived[handle] = self.rights.note_time()
