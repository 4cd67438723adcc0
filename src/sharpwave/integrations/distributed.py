"""A reservoir that is uniform over the whole stream of several processes, however unevenly they share it.

    model = torch.nn.parallel.DistributedDataParallel(network)
    sleep = Sleep(model, SharedReplayBuffer(500), optimiser)

With a plain `ReplayBuffer` each process keeps a reservoir of its own share. If one sees three times as many items as
the other, both still replay as many, and items of the smaller share are replayed three times as often. Here the new
items of all processes are gathered and dealt out in turn, so each keeps a reservoir of an even share: the price is that
each new item is sent to all processes once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed

from sharpwave.consolidation import ReplayBuffer
from sharpwave.consolidation.batches import count_items, flatten, nest
from sharpwave.consolidation.modules import is_shared
from sharpwave.errors import SharpwaveError


class SharedReplayBuffer(ReplayBuffer):
    """A `ReplayBuffer` to which all processes add together, each as many times as the others.

    In a single process it is a `ReplayBuffer`. Its arguments are the same; the capacity is that of each process.

    Example:
        >>> buffer = SharedReplayBuffer(100)
        >>> buffer.add({"x": torch.rand(8, 2), "y": torch.arange(8)})
        >>> len(buffer)
        8
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._n_dealt = 0

    def add(self, items: Mapping[str, Any], *, task: int | None = None, keep: Tensor | None = None) -> None:
        """Offer this process's items, and take its part of those of all.

        Args:
            items: Entries (item, ...), nested or not; the same entries in all processes.
            task: Number of the task, stored as the entry `task` where given.
            keep: Which items may be kept, shape (item); all where omitted.

        Raises:
            SharpwaveError: If the processes give other entries or shapes.
        """
        if not is_shared():
            super().add(items, task=task, keep=keep)
            return
        entries = {name: value.cpu() for name, value in flatten(items)}
        if keep is not None:
            entries = {name: value[keep.cpu()] for name, value in entries.items()}
        gathered: list[dict[str, Tensor]] = [{} for _ in range(distributed.get_world_size())]
        distributed.all_gather_object(gathered, entries)
        layouts = [{name: (value.shape[1:], value.dtype) for name, value in each.items()} for each in gathered]
        if any(layout != layouts[0] for layout in layouts):
            raise SharpwaveError(
                "the same entries, of the same shapes and types, in all processes",
                got=" and ".join(", ".join(f"{name} {tuple(s)}" for name, (s, _) in each.items()) for each in layouts),
                fix="pad batches to one width in all processes, or give each a ReplayBuffer of its own",
            )
        joined = {name: torch.cat([each[name] for each in gathered]) for name in entries}
        n_items = count_items(joined)
        world, rank = distributed.get_world_size(), distributed.get_rank()
        mine = (self._n_dealt + torch.arange(n_items)) % world == rank
        self._n_dealt = (self._n_dealt + n_items) % world
        if mine.any():
            super().add(nest({name: value[mine] for name, value in joined.items()}), task=task)

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to go on, whose turn it is included."""
        return super().state_dict() | {"n_dealt": self._n_dealt}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, in a buffer made with the same options."""
        super().load_state_dict(state)
        self._n_dealt = state["n_dealt"]
