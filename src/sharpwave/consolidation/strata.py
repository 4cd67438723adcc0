"""Which slots of a buffer hold items of which class (or class and group): O(1) to change and to draw from."""

from __future__ import annotations

from collections import Counter
from typing import Any

Key = tuple[int, ...]


class Strata:
    """Slots by key, each key's slots in a list from which one is removed by swapping it with the last."""

    def __init__(self) -> None:
        self.members: dict[Key, list[int]] = {}
        self.keys: dict[int, Key] = {}
        self.seen: Counter[Key] = Counter()
        self._positions: dict[int, int] = {}

    def place(self, slot: int, key: Key) -> None:
        """Say that a slot now holds an item of this key."""
        if slot in self.keys:
            self._remove(slot)
        slots = self.members.setdefault(key, [])
        self.keys[slot], self._positions[slot] = key, len(slots)
        slots.append(slot)

    def find_largest(self) -> Key:
        """The key with most slots; of equals, the one that came first."""
        return max(self.members, key=lambda key: len(self.members[key]))

    def _remove(self, slot: int) -> None:
        key, position = self.keys.pop(slot), self._positions.pop(slot)
        slots = self.members[key]
        last = slots.pop()
        if last != slot:
            slots[position], self._positions[last] = last, position
        if not slots:
            del self.members[key]

    def state_dict(self) -> dict[str, Any]:
        """Everything, as lists; the order of slots too, so that later draws are the same."""
        return {
            "members": [[list(key), list(slots)] for key, slots in self.members.items()],
            "seen": [[list(key), count] for key, count in self.seen.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.members = {tuple(key): list(slots) for key, slots in state["members"]}
        self.seen = Counter({tuple(key): count for key, count in state["seen"]})
        self.keys = {slot: key for key, slots in self.members.items() for slot in slots}
        self._positions = {slot: place for slots in self.members.values() for place, slot in enumerate(slots)}
