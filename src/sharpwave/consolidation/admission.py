"""Which items of a stream a full buffer keeps, and the index of their classes, at O(1) an item.

`reservoir`: every item seen so far is in the buffer with the same probability (Vitter 1985, doi:10.1145/3147.3165);
items to skip are drawn at once (Li 1994, algorithm L, doi:10.1145/198429.198435). `balanced`: classes share the buffer
as evenly as the stream allows, and within a class every item is kept with the same probability (Chrysakis & Moens
2020, class-balancing reservoir sampling). `group-balanced`: the same over pairs of class and group.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sharpwave import moved
from sharpwave.errors import SharpwaveError

Key = tuple[int, ...]
"""A class, or a class and a group."""


class ClassIndex:
    """Which slots of a buffer hold items of which class (or class and group).

    Each key's slots are in a list, from which one is removed by swapping it with the last, and so are the keys: O(1) to
    change and to draw. A heap, kept once it is asked for, has the largest key at its top.

    Attributes:
        members: Slots of each key, keys in the order in which they came.
        order: The keys, for drawing.
        touched: Slots that were placed since this was last emptied.
    """

    def __init__(self) -> None:
        self.touched: set[int] = set()
        self.members: dict[Key, list[int]] = {}
        self.keys: dict[int, Key] = {}
        self.seen: Counter[Key] = Counter()
        self.order: list[Key] = []
        self._positions: dict[int, int] = {}
        self._places: dict[Key, int] = {}
        self._ages: dict[Key, int] = {}
        self._n_born = 0
        self._heap: list[tuple[int, int, Key]] | None = None
        self._mirror: tuple[int, ClassIndex] | None = None

    def mirror(self, first: int, index: ClassIndex) -> None:
        """Keep another index of the slots from `first` on, which may be drawn."""
        self._mirror = (first, index)

    def place(self, slot: int, key: Key) -> None:
        """Say that a slot now holds an item of this key."""
        self.touched.add(slot)
        if slot in self.keys:
            self.remove(slot)
        if key not in self.members:
            self.members[key] = []
            self._places[key], self._ages[key] = len(self.order), self._n_born
            self._n_born += 1
            self.order.append(key)
        slots = self.members[key]
        self.keys[slot], self._positions[slot] = key, len(slots)
        slots.append(slot)
        self._push(key)
        if self._mirror is not None and slot >= self._mirror[0]:
            self._mirror[1].place(slot, key)

    def fill(self, keys: Mapping[int, Key]) -> None:
        """Place the keys of many slots, in the order of the slots."""
        for slot, key in sorted(keys.items()):
            self.place(slot, key)

    def draw(self, n_items: int, rng: random.Random) -> list[int]:
        """Slots with as many of each key; a key with too few gives some more than once.

        Args:
            n_items: Number of slots.
            rng: Random generator.
        """
        share, rest = divmod(n_items, len(self.order))
        extra = sorted(rng.sample(range(len(self.order)), rest))
        chosen, drawn = set(extra), list[int]()
        for place in range(len(self.order)) if share else extra:
            slots, quota = self.members[self.order[place]], share + (place in chosen)
            more = max(quota - len(slots), 0)
            drawn += rng.sample(slots, quota - more) + rng.choices(slots, k=more)
        return drawn

    def stratify(self, n_items: int, rng: random.Random) -> list[int]:
        """Different slots, as many of each key as of any other, or all that it has.

        Args:
            n_items: Largest number of slots.
            rng: Random generator.
        """
        waiting = rng.sample(self.order, len(self.order))
        waiting.sort(key=lambda key: len(self.members[key]))
        left, taken = n_items, list[int]()
        for place, key in enumerate(waiting):
            mine = rng.sample(self.members[key], min(len(self.members[key]), -(-left // (len(waiting) - place))))
            taken += mine
            left -= len(mine)
        return taken

    def find_largest(self) -> Key:
        """The key with most slots; of equals, the one that came first."""
        if self._heap is None or len(self._heap) > 4 * len(self.members) + 64:
            self._heap = [(-len(slots), self._ages[key], key) for key, slots in self.members.items()]
            heapq.heapify(self._heap)
        while True:
            size, age, key = self._heap[0]
            if self._ages.get(key) == age and len(self.members[key]) == -size:
                return key
            heapq.heappop(self._heap)

    def _push(self, key: Key) -> None:
        if self._heap is not None:
            heapq.heappush(self._heap, (-len(self.members[key]), self._ages[key], key))

    def remove(self, slot: int) -> None:
        """Say that a slot holds nothing any more."""
        key, position = self.keys.pop(slot), self._positions.pop(slot)
        slots = self.members[key]
        last = slots.pop()
        if last != slot:
            slots[position], self._positions[last] = last, position
        if slots:
            self._push(key)
        else:
            del self.members[key], self._ages[key]
            place, final = self._places.pop(key), self.order.pop()
            if final != key:
                self.order[place], self._places[final] = final, place
        if self._mirror is not None and slot >= self._mirror[0]:
            self._mirror[1].remove(slot)

    def state_dict(self) -> dict[str, Any]:
        """Everything, as lists; the order of slots too, so that later draws are the same."""
        return {
            "members": [[list(key), list(slots)] for key, slots in self.members.items()],
            "seen": [[list(key), count] for key, count in self.seen.items()],
            "order": [list(key) for key in self.order],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.members = {tuple(key): list(slots) for key, slots in state["members"]}
        self.seen = Counter({tuple(key): count for key, count in state["seen"]})
        self.keys = {slot: key for key, slots in self.members.items() for slot in slots}
        self.order = [tuple(key) for key in state.get("order", [key for key, _ in state["members"]])]
        self._positions = {slot: place for slots in self.members.values() for place, slot in enumerate(slots)}
        self._places = {key: place for place, key in enumerate(self.order)}
        self._ages = {key: age for age, key in enumerate(self.members)}
        self._n_born, self._heap = len(self.members), None


def make_random(generator: torch.Generator | None) -> random.Random:
    """A random generator of Python's, seeded by a draw from one of torch's."""
    return random.Random(int(torch.randint(2**62, (), generator=generator)))


Placement = tuple[int, int]
"""A row of the batch, and the slot it goes to."""


def draw_places(n_open: int, n_items: int, generator: torch.Generator | None) -> Tensor:
    """Places from 0 to below `n_open`, drawn at random: different ones, unless there are many to draw from."""
    if n_open <= 8 * n_items:
        return torch.randperm(n_open, generator=generator)[:n_items]
    return torch.randint(n_open, (n_items,), generator=generator)


def find_finite(entries: Mapping[str, Tensor], keep: Tensor | None = None) -> Tensor | None:
    """Which rows of a batch hold finite numbers only, of those to keep; None where all do."""
    finite = None if keep is None else torch.as_tensor(keep).cpu()
    floating = [value for value in entries.values() if value.is_floating_point()]
    for value in floating if not _is_sum_finite(floating) else ():
        rows = torch.isfinite(value).flatten(1).all(dim=1).cpu() if value.ndim > 1 else torch.isfinite(value).cpu()
        finite = rows if finite is None else finite & rows
    return None if finite is None or bool(finite.all()) else finite


def _is_sum_finite(values: list[Tensor]) -> bool:
    """Whether the sum of all values is a finite number: then they all are. One wait for the device they are on."""
    sums = [value.sum(dtype=torch.float32) for value in values]
    if len({each.device for each in sums}) > 1:
        sums = [each.cpu() for each in sums]
    return math.isfinite(sum(sums))


def find_keys(entries: Mapping[str, Tensor], names: tuple[str, ...], n_items: int) -> list[Key]:
    """The key of each item: its class, or its class and group.

    Args:
        entries: A batch.
        names: Entry of the class, and that of the group where it counts.
        n_items: Number of items.

    Raises:
        SharpwaveError: If there is no group.
    """
    if names[1:] and names[1] not in entries:
        got = ", ".join(entries)
        raise SharpwaveError(f"an entry {names[1]!r} with the group of each item", got=got, fix="add it to the items")
    values = [entries[name] for name in names if name in entries]
    lists = [value.tolist() for value in values if value.ndim == 1 and not value.is_floating_point()]
    return list(zip(*lists, strict=True)) if lists else [()] * n_items


def find_seed() -> int:
    """A seed of this process's own, from torch's."""
    rank = (
        torch.distributed.get_rank() if torch.distributed.is_available() and torch.distributed.is_initialized() else 0
    )
    return (torch.initial_seed() + rank) % 2**63


class Reservoir:
    """Uniform over everything seen.

    Args:
        capacity: Number of slots.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.n_seen, self._next, self._weight = capacity, 0, -1, 1.0

    def offer(
        self, n_items: int, find_keys: Callable[[], list[Key]], index: ClassIndex, *, generator: torch.Generator | None
    ) -> list[Placement]:
        """Where the rows of a batch go; rows that are not kept are left out.

        Args:
            n_items: Number of rows.
            find_keys: Function that gives the key of each row; not called where nothing is kept.
            index: Class index of the buffer; it is changed.
            generator: Random generator; torch's own where it is None.
        """
        kept = self.n_seen, self._next, self._weight
        try:
            return self._offer(n_items, find_keys, index, generator)
        except BaseException:
            self.n_seen, self._next, self._weight = kept
            raise

    def _offer(
        self, n_items: int, find_keys: Callable[[], list[Key]], index: ClassIndex, generator: torch.Generator | None
    ) -> list[Placement]:
        first = self.n_seen
        self.n_seen += n_items
        if first >= self.capacity and self._next >= self.n_seen:
            return []
        placements = [(row, first + row) for row in range(min(n_items, self.capacity - first))]
        if self.n_seen > self.capacity and self._next < 0:
            self._next = self.capacity - 1
            self._jump(generator)
        while self.capacity <= self._next < self.n_seen:
            slot = int(torch.randint(self.capacity, (), generator=generator))
            placements.append((self._next - first, slot))
            self._jump(generator)
        if placements:
            keys = find_keys()
            for place, (row, slot) in enumerate(placements):
                free = min(slot, len(index.keys))  # a slot whose item was forgotten is taken as it would have been
                placements[place] = (row, free)
                index.place(free, keys[row])
        return placements

    def _jump(self, generator: torch.Generator | None) -> None:
        """To the next item that is kept."""
        first, second = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        self._weight *= math.exp(math.log(1 - first) / self.capacity)
        rest = math.log1p(-self._weight) if self._weight < 1 else -math.inf
        self._next += int(math.log(1 - second) / rest) + 1 if rest < 0 else 2**62

    def state_dict(self) -> dict[str, Any]:
        """Counters, as plain numbers."""
        return {"n_seen": self.n_seen, "next": self._next, "weight": self._weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.n_seen, self._next, self._weight = state["n_seen"], state["next"], state["weight"]


class BalancedReservoir:
    """Uniform within each key; keys as even as the stream allows.

    Args:
        capacity: Number of slots.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.n_seen = capacity, 0
        self._full: set[Key] = set()

    def offer(
        self, n_items: int, find_keys: Callable[[], list[Key]], index: ClassIndex, *, generator: torch.Generator | None
    ) -> list[Placement]:
        """Where the rows of a batch go, as for `Reservoir.offer`."""
        chances = torch.rand(n_items, generator=generator, dtype=torch.float64).tolist()
        placements = []
        for row, (key, chance) in enumerate(zip(find_keys(), chances, strict=True)):
            if key in self._full and int(chance * (index.seen[key] + 1)) >= len(index.members.get(key, ())):
                index.seen[key] += 1  # as nearly all are that come late
                continue
            slot = self._find_slot(key, index, chance)
            if slot is not None:
                index.place(slot, key)
                placements.append((row, slot))
        self.n_seen += n_items
        return placements

    def _find_slot(self, key: Key, index: ClassIndex, chance: float) -> int | None:
        index.seen[key] += 1
        if len(index.keys) < self.capacity:
            return len(index.keys)
        if key not in self._full:
            largest = index.find_largest()
            self._full.add(largest)
            if key != largest and len(index.members.get(key, [])) < len(index.members[largest]):
                slots = index.members[largest]
                return slots[int(chance * len(slots))]
            self._full.add(key)
        slots = index.members.get(key, [])
        draw = int(chance * index.seen[key])
        return slots[draw] if draw < len(slots) else None

    def state_dict(self) -> dict[str, Any]:
        """Counters, as plain numbers."""
        return {"n_seen": self.n_seen, "full": sorted(list(key) for key in self._full)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.n_seen, self._full = state["n_seen"], {tuple(key) for key in state["full"]}


POLICIES: dict[str, type[Reservoir] | type[BalancedReservoir]] = {
    "reservoir": Reservoir,
    "balanced": BalancedReservoir,
    "group-balanced": BalancedReservoir,
}


def check_state(state: Any, policy: str) -> None:
    """Raise where something is not the state of a buffer of this policy.

    Args:
        state: What `ReplayBuffer.state_dict` gave.
        policy: Key of `POLICIES`.

    Raises:
        SharpwaveError: If it is another.
    """
    has = set(state) if isinstance(state, Mapping) else set[str]()
    counters = state["admission"] if {"capacity", "admission", "table"} <= has else {}
    if counters.keys() != POLICIES[policy](1).state_dict().keys():
        got = f"one of policy {'balanced' if 'full' in counters else 'reservoir'!r}" if counters else "none of a buffer"
        fix = "load it into a buffer that is made with the same options"
        raise SharpwaveError(f"the state of a ReplayBuffer with policy={policy!r}", got=got, fix=fix)


__getattr__ = moved.rename(__name__, {"Strata": "ClassIndex"})
