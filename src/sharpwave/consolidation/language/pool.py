"""Which items of any length stay within a budget of bytes, and in which order they lie: O(log items) for each kept.

Every item has a random number, and each stratum (a task, or a task and class) keeps those with the lowest: a sample in
which every item that was seen is as likely as any other of its stratum, however long it is (bottom-k sampling, Cohen &
Kaplan 2007, doi:10.1145/1281100.1281133). Where room is needed, the largest stratum gives up its highest.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from sharpwave.consolidation.admission import ClassIndex, Key

HIGHEST = float("inf")


class Pool:
    """Handles of the items that are stored; those that are held out come first.

    Args:
        by_key: Whether each key is a stratum of its own; if not, there is one.

    Attributes:
        order: The handles; the place of one is its slot.
        n_held: Number of those that are held out.
        index: The handles of each key.
        open_index: Those of them that may be drawn.

    Example:
        >>> pool = Pool(by_key=True)
        >>> for handle, chance in enumerate([0.3, 0.9, 0.1]):
        ...     pool.add(handle, (0,), chance, held=False)
        >>> pool.pop(), pool.admits((0,), 0.95), pool.admits((1,), 0.95)
        (1, False, True)
    """

    def __init__(self, *, by_key: bool) -> None:
        self.by_key = by_key
        self.order: list[int] = []
        self.n_held = 0
        self.index, self.open_index = ClassIndex(), ClassIndex()
        self._slots: dict[int, int] = {}
        self._heaps: dict[Key, list[tuple[float, int]]] = {}
        self._limits: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self.order)

    def admits(self, key: Key, chance: float) -> bool:
        """Whether an item of this key with this number is kept if it comes."""
        return chance < self._limits.get(self._find_stratum(key), HIGHEST)

    def add(self, handle: int, key: Key, chance: float, *, held: bool) -> None:
        """Keep an item."""
        self.index.place(handle, key)
        heapq.heappush(self._heaps.setdefault(self._find_stratum(key), []), (-chance, handle))
        if not held:
            self.open_index.place(handle, key)
            self._put(handle, len(self.order))
            return
        if self.n_held < len(self.order):
            self._put(self.order[self.n_held], len(self.order))
        self._put(handle, self.n_held)
        self.n_held += 1

    def pop(self) -> int:
        """Give up the item with the highest number of the largest stratum; none above it is kept from now on."""
        stratum = self._find_stratum(self.index.find_largest())
        chance, handle = heapq.heappop(self._heaps[stratum])
        self._limits[stratum] = min(-chance, self._limits.get(stratum, HIGHEST))
        self._drop(handle)
        return handle

    def discard(self, handle: int) -> None:
        """Give up an item that was lost; others as likely as it may come."""
        stratum = self._find_stratum(self.index.keys[handle])
        self._heaps[stratum] = [pair for pair in self._heaps[stratum] if pair[1] != handle]
        heapq.heapify(self._heaps[stratum])
        self._drop(handle)

    def _drop(self, handle: int) -> None:
        self.index.remove(handle)
        slot = self._slots[handle]
        if slot < self.n_held:
            self.n_held -= 1
            self._put(self.order[self.n_held], slot)
            slot = self.n_held
        else:
            self.open_index.remove(handle)
        self._put(self.order[-1], slot)
        self.order.pop()
        del self._slots[handle]

    def find_slot(self, handle: int) -> int:
        """Where an item lies."""
        return self._slots[handle]

    def find_chances(self) -> dict[int, float]:
        """The number of each item."""
        return {handle: -chance for heap in self._heaps.values() for chance, handle in heap}

    def _put(self, handle: int, slot: int) -> None:
        if slot == len(self.order):
            self.order.append(handle)
        self.order[slot] = handle
        self._slots[handle] = slot

    def _find_stratum(self, key: Key) -> Key:
        return key if self.by_key else ()

    def state_dict(self) -> dict[str, Any]:
        """Everything, as lists; the order of handles too, so that later draws are the same."""
        chances = self.find_chances()
        return {
            "order": list(self.order),
            "n_held": self.n_held,
            "chances": [chances[handle] for handle in self.order],
            "limits": [[list(key), limit] for key, limit in self._limits.items()],
            "index": self.index.state_dict(),
            "open_index": self.open_index.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave.

        Raises:
            ValueError: If its lists do not belong together.
        """
        order, n_held = [int(handle) for handle in state["order"]], int(state["n_held"])
        self.index.load_state_dict(state["index"])
        self.open_index.load_state_dict(state["open_index"])
        is_whole = set(self.index.keys) == set(order) and set(self.open_index.keys) == set(order[n_held:])
        if len(set(order)) < len(order) or not is_whole or not 0 <= n_held <= len(order):
            raise ValueError("slots and strata of different items")
        self.order, self.n_held = order, n_held
        self._slots = {handle: slot for slot, handle in enumerate(order)}
        self._limits = {tuple(key): float(limit) for key, limit in state["limits"]}
        self._heaps = {}
        for handle, chance in zip(order, state["chances"], strict=True):
            stratum = self._find_stratum(self.index.keys[handle])
            self._heaps.setdefault(stratum, []).append((-float(chance), handle))
        for heap in self._heaps.values():
            heapq.heapify(heap)
