"""Which items of a stream a full buffer keeps, at O(1) an item.

`reservoir`: every item seen so far is in the buffer with the same probability (Vitter 1985, doi:10.1145/3147.3165);
items to skip are drawn at once (Li 1994, algorithm L, doi:10.1145/198429.198435). `balanced`: classes share the buffer
as evenly as the stream allows, and within a class every item is kept with the same probability (Chrysakis & Moens
2020, class-balancing reservoir sampling). `group-balanced`: the same over pairs of class and group.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from sharpwave.consolidation.strata import Key, Strata

Placement = tuple[int, int]
"""A row of the batch, and the slot it goes to."""


class Reservoir:
    """Uniform over everything seen.

    Args:
        capacity: Slots.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.n_seen, self._next, self._weight = capacity, 0, -1, 1.0

    def offer(
        self, n_items: int, find_keys: Callable[[], list[Key]], strata: Strata, *, generator: torch.Generator | None
    ) -> list[Placement]:
        """Where the rows of a batch go; rows that are not kept are left out.

        Args:
            n_items: Rows.
            find_keys: Gives the key of each; not called where nothing is kept.
            strata: Of the buffer; changed.
            generator: Of randomness.
        """
        first = self.n_seen
        self.n_seen += n_items
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
            for row, slot in placements:
                strata.place(slot, keys[row])
        return placements

    def _jump(self, generator: torch.Generator | None) -> None:
        """To the next item that is kept."""
        first, second = (1 - torch.rand(2, generator=generator, dtype=torch.float64)).tolist()
        self._weight *= math.exp(math.log(first) / self.capacity)
        rest = math.log1p(-self._weight) if self._weight < 1 else -math.inf
        self._next += int(math.log(second) / rest) + 1 if rest < 0 else 2**62

    def state_dict(self) -> dict[str, Any]:
        """Counters, as plain numbers."""
        return {"n_seen": self.n_seen, "next": self._next, "weight": self._weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.n_seen, self._next, self._weight = state["n_seen"], state["next"], state["weight"]


class BalancedReservoir:
    """Uniform within each key; keys as even as the stream allows.

    Args:
        capacity: Slots.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.n_seen = capacity, 0
        self._full: set[Key] = set()

    def offer(
        self, n_items: int, find_keys: Callable[[], list[Key]], strata: Strata, *, generator: torch.Generator | None
    ) -> list[Placement]:
        """Where the rows of a batch go, as for `Reservoir.offer`."""
        chances = torch.rand(n_items, generator=generator, dtype=torch.float64).tolist()
        placements = []
        for row, (key, chance) in enumerate(zip(find_keys(), chances, strict=True)):
            slot = self._find_slot(key, strata, chance)
            if slot is not None:
                strata.place(slot, key)
                placements.append((row, slot))
        self.n_seen += n_items
        return placements

    def _find_slot(self, key: Key, strata: Strata, chance: float) -> int | None:
        strata.seen[key] += 1
        if len(strata.keys) < self.capacity:
            return len(strata.keys)
        if key not in self._full:
            largest = strata.find_largest()
            self._full.add(largest)
            if key != largest and len(strata.members.get(key, [])) < len(strata.members[largest]):
                slots = strata.members[largest]
                return slots[int(chance * len(slots))]
            self._full.add(key)
        slots = strata.members.get(key, [])
        draw = int(chance * strata.seen[key])
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
