"""One memory over several processes: as if one process had seen the whole stream, each holding its share of the rows.

    model = torch.nn.parallel.DistributedDataParallel(network)
    sleep = Sleep(model, SharedReplayBuffer(500), optimiser)

With a plain `ReplayBuffer` each process keeps a reservoir of its own share. If one sees nine times as many items as the
other, both still replay as many, and items of the smaller share are replayed nine times as often. Here the counts (and
classes) of all processes decide: every process keeps the same lists of what lies where, and asks the same policy with
the same random numbers, so that all agree without a word which new items are kept and which are drawn. Only rows move,
all at once (`all_to_all`), on a side group of the processors, and the next draw while a step runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from zlib import crc32

import torch
from jaxtyping import Int
from torch import Tensor, distributed

from sharpwave.consolidation import ReplayBuffer
from sharpwave.consolidation.admission import ClassIndex, Key, find_finite, find_keys, make_random
from sharpwave.consolidation.batches import Batch, count_items, nest
from sharpwave.consolidation.modules import is_shared
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.shared_states import deal, split_state

TIMEOUT = 60.0
"""Seconds after which a process that others wait for is taken for dead."""


class SharedReplayBuffer(ReplayBuffer):
    """A `ReplayBuffer` that all processes add to and draw from together; in a single process it is one.

    All processes call `add`, and `sample(balanced=True)`, at the same time, as the steps of training do. `sample`
    without balance draws from this process's rows, which are a uniform share. The arguments are those of
    `ReplayBuffer`; the capacity is that of each process.

    Args:
        arguments: As for `ReplayBuffer`.
        timeout: Seconds after which a process that others wait for is taken for dead; default 60.
        prefetch: Whether the rows of the next balanced draw are fetched while a step runs; default true.
        options: As for `ReplayBuffer`.

    Attributes:
        n_moved: Bytes that this process has sent to others.

    Example:
        >>> buffer = SharedReplayBuffer(100)
        >>> buffer.add({"x": torch.rand(8, 2), "y": torch.arange(8)})
        >>> len(buffer)
        8
    """

    def __init__(self, *arguments: Any, timeout: float = TIMEOUT, prefetch: bool = True, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout, self.prefetch, self.n_moved = timeout, prefetch, 0
        self._whole: ClassIndex | None = None
        self._whole_open = ClassIndex()
        self._plans = torch.Generator()
        self._group: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._ahead: tuple[int, Tensor, Future[Batch]] | None = None

    @property
    def n_stored(self) -> int:
        """Items that all processes hold together."""
        return len(self) if self._whole is None else len(self._whole.keys)

    def add(self, items: Mapping[str, Any], *, task: int | str | None = None, keep: Tensor | None = None) -> None:
        """Offer this process's items, together with those of all.

        Args:
            items: Entries (item, ...), nested or not; the same entries in all processes.
            task: Number of the task, stored as the entry `task` where given.
            keep: Which items may be kept, shape (item); all where omitted.

        Raises:
            SharpwaveError: If the processes give other entries or shapes, or one does not answer.
        """
        if not is_shared():
            super().add(items, task=task, keep=keep)
            return
        self._drop_ahead()
        entries, keys, trouble = dict[str, Tensor](), list[Key](), ""
        try:  # whoever cannot take part says so to the others, which would wait
            entries, keys = self._prepare(items, task, keep)
        except SharpwaveError as error:
            trouble = str(error)
        self._begin()
        self._ask(self._add_together, entries, keys, trouble)

    def _prepare(
        self, items: Mapping[str, Any], task: int | str | None, keep: Tensor | None
    ) -> tuple[dict[str, Tensor], list[Key]]:
        """New items as they are stored, and their classes."""
        if self.rights.keep_for is not None:
            raise SharpwaveError(
                "a memory without keep_for, over several processes",
                got=f"keep_for={self.rights.keep_for:g}",
                fix="store a date and call forget(where={'date': (None, day)}) in all processes",
            )
        entries = self._list_entries(items, task)
        if not self._table.paths:
            with self._table.beginning(entries):
                self._open()
        if self._table.has_grown(entries):
            self._table.grow(entries, len(self), capacity=self.capacity)
        finite = find_finite(entries, keep)
        if finite is not None:
            self._refuse(count_items(entries) - int(finite.sum()))
            entries = {path: value[finite.to(value.device)] for path, value in entries.items()}
        n_items = count_items(entries) if finite is None or bool(finite.any()) else 0
        self._table.check(entries)
        names = (self.label, self.group) if self.policy == "group-balanced" else (self.label,)
        return entries, find_keys(entries, names, n_items) if n_items else []

    def sample(self, n_items: int, *, generator: torch.Generator | None = None, balanced: bool = False) -> Batch:
        """Items drawn at random; if `balanced`, as many of each class over all processes.

        Args:
            n_items: Number of items for this process.
            generator: Random generator of a draw without balance; balanced draws have one that all processes share.
            balanced: Whether there are as many of each class; those that other processes hold are fetched, and have -1
                as their `index`.

        Raises:
            SharpwaveError: If the buffer is empty, or a process does not answer.
        """
        if not balanced or self._whole is None or not is_shared():
            return super().sample(n_items, generator=generator, balanced=balanced)
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == n_items:
            items = self._wait(ahead[2])
        else:
            if ahead is not None:
                self._wait(ahead[2])
                self._plans.set_state(ahead[1])
            items = self._ask(self._draw_together, n_items)
        if self.prefetch and self._thread is not None:
            self._ahead = (n_items, self._plans.get_state(), self._thread.submit(self._draw_together, n_items))
        return items if self.transform is None else {**self.transform(items), "index": items["index"]}

    def settle(self) -> None:
        """Wait for the draw that is under way, so that the process group can be destroyed; no draw changes by it."""
        self._drop_ahead()

    def take_new(self, among: Tensor | None = None) -> Int[Tensor, " item"]:
        """As in `ReplayBuffer`; a draw ahead is dropped, since stored logits are about to change.

        Args:
            among: Slots that may be taken; all where omitted.
        """
        self._drop_ahead()
        return super().take_new(among)

    def discard(self, slots: Int[Tensor, " item"], *, anew: bool = False) -> None:
        """Give up items of this process; in all processes at the same time, with none where there are none.

        Args:
            slots: Slots of this process.
            anew: As for `ReplayBuffer`.
        """
        if self._whole is None or not is_shared():
            super().discard(slots, anew=anew)
            return
        self._drop_ahead()
        self._ask(self._discard_together, slots)

    def state_dict(self) -> dict[str, Any]:
        """Everything that this process needs to go on; `join_states` makes one of those of all."""
        state = super().state_dict()
        if self._whole is None:
            return state
        ahead = self._plans.get_state() if self._ahead is None else self._ahead[1]
        return state | {
            "rank": distributed.get_rank(),
            "world": distributed.get_world_size(),
            "n_whole": self._admission.capacity,
            "whole": self._whole.state_dict(),
            "whole_open": self._whole_open.state_dict(),
            "plans": ahead,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave in this process, or what `join_states` made of all, in any number of them.

        Raises:
            SharpwaveError: If it is the state of one of another number of processes.
        """
        self._drop_ahead()
        world, rank = (distributed.get_world_size(), distributed.get_rank()) if is_shared() else (1, 0)
        if "world" in state and (state["world"], state["rank"]) != (world, rank):
            raise SharpwaveError(
                f"the state of process {rank} of {world}",
                got=f"that of {state['rank']} of {state['world']}",
                fix="give load_state_dict(join_states([state of each process])) to all",
            )
        if world == 1:
            super().load_state_dict(state)
            return
        if "world" not in state:
            state = split_state(state, rank, world)
        super().load_state_dict(state)
        self._begin()
        self._admission.capacity = state["n_whole"]
        self._get_whole().load_state_dict(state["whole"])
        if self._whole_open is not self._whole:
            open_slots = {s: k for s, k in self._get_whole().keys.items() if s >= self._n_first * world}
            known = state["whole_open"]
            self._whole_open.fill(open_slots) if known is None else self._whole_open.load_state_dict(known)
        self._plans.set_state(state["plans"])

    def _begin(self) -> None:
        """Set up what all processes share, once: the lists, the policy, the random numbers and the side group."""
        if self._whole is not None:
            return
        world = distributed.get_world_size()
        self._group = distributed.new_group(backend="gloo", timeout=timedelta(seconds=self.timeout))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sharpwave-memory")
        self._whole, first = ClassIndex(), self._n_first * world
        self._whole_open = self._whole
        if first:
            self._whole_open = ClassIndex()
            self._whole.mirror(first, self._whole_open)
        self._admission.capacity = self.capacity * world
        state = [self.generator.get_state()]
        self._ask(lambda: distributed.broadcast(state[0], 0, group=self._group))
        self._plans.set_state(state[0])

    def _ask(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something with all processes, in the thread that alone speaks on the side group."""
        assert self._thread is not None
        return self._wait(self._thread.submit(work, *arguments))

    def _wait(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except (RuntimeError, ValueError) as error:
            if isinstance(error, SharpwaveError):
                raise
            raise SharpwaveError(
                f"an answer of all processes within {self.timeout:g} s",
                got=f"{type(error).__name__}: {str(error).splitlines()[0][:120]}",
                fix="start again from the last state that was saved; a night that was under way is put back",
            ) from error

    def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._wait(ahead[2])
            self._plans.set_state(ahead[1])

    def _gather(self, values: Tensor) -> list[Tensor]:
        gathered = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
        distributed.all_gather(gathered, values, group=self._group)
        return gathered

    def _add_together(self, entries: dict[str, Tensor], keys: list[Key], trouble: str) -> None:
        world, rank, n_items = distributed.get_world_size(), distributed.get_rank(), len(keys)
        layout = str([(path, column.shape, str(column.dtype)) for path, column in self._table.columns.items()])
        head = [n_items, len(keys[0]) if keys else 0, crc32(layout.encode()), int(bool(trouble))]
        heads = torch.stack(self._gather(torch.tensor(head)))
        if len(heads[:, 2].unique()) > 1 or bool(heads[:, 3].any()):
            raise SharpwaveError(
                "the same entries, of the same shapes and types, in all processes",
                got=trouble or f"{layout} in process {rank}, and something else in another",
                fix="pad batches to one width in all processes, or give each a ReplayBuffer of its own",
            )
        counts, width = heads[:, 0].tolist(), int(heads[:, 1].max())
        padded = torch.zeros(max(counts), width, dtype=torch.int64)
        if n_items:
            padded[:n_items] = torch.tensor(keys, dtype=torch.int64).view(n_items, width)
        rows = [each[:count].tolist() for each, count in zip(self._gather(padded), counts, strict=True)]
        known = [tuple(key) for each in rows for key in each]
        index = self._get_whole()
        placements = self._admission.offer(sum(counts), lambda: known, index, generator=self._plans)
        last = {slot: row for row, slot in placements}
        starts = [sum(counts[:each]) for each in range(world + 1)]
        routes: list[list[list[tuple[int, int]]]] = [[[] for _ in range(world)] for _ in range(world)]
        for slot, row in last.items():
            source = next(each for each in range(world) if row < starts[each + 1])
            routes[source][slot % world].append((row - starts[source], slot // world))
        if not last:
            return
        chosen = [torch.tensor([row for row, _ in route], dtype=torch.int64) for route in routes[rank]]
        packed = [self._table.pack({path: value[rows] for path, value in entries.items()}) for rows in chosen]
        come = [[slot for _, slot in routes[source][rank]] for source in range(world)]
        received = self._exchange(packed, [len(slots) for slots in come])
        slots = [slot for each in come for slot in each]
        if slots:
            self._table.write(torch.tensor(slots), self._table.unpack(received))
            for slot in slots:
                self._index.place(slot, index.keys[slot * world + rank])
            self._new.update(slots)

    def _draw_together(self, n_items: int) -> Batch:
        world, rank = distributed.get_world_size(), distributed.get_rank()
        wanted = torch.cat(self._gather(torch.tensor([n_items]))).tolist()
        plan = deal(self.plan_draw(sum(wanted)), wanted)
        send = [torch.tensor([s // world for s in each if s % world == rank], dtype=torch.int64) for each in plan]
        packed = [self._table.pack(self._table.read(slots)) for slots in send]
        by_owner = sorted(range(n_items), key=lambda place: plan[rank][place] % world)
        come = [sum(slot % world == owner for slot in plan[rank]) for owner in range(world)]
        received = self._exchange(packed, come)
        order = torch.empty(n_items, dtype=torch.int64)
        order[torch.tensor(by_owner, dtype=torch.int64)] = torch.arange(n_items)
        own = torch.tensor([slot // world if slot % world == rank else -1 for slot in plan[rank]], dtype=torch.int64)
        return nest(self._table.cut(self._table.unpack(received[order])) | {"index": own})

    def plan_draw(self, n_items: int) -> list[int]:
        """Slots over all processes (slot s of process r is s × processes + r) of the next balanced draw of so many.

        Raises:
            SharpwaveError: If nothing is stored.
        """
        if not len(self._whole_open.keys):
            raise SharpwaveError("a buffer that holds items", got="none", fix="add items before sampling")
        return self._whole_open.draw(n_items, make_random(self._plans))

    def _discard_together(self, slots: Tensor) -> None:
        world, rank, index = distributed.get_world_size(), distributed.get_rank(), self._get_whole()
        counts = torch.cat(self._gather(torch.tensor([len(slots)]))).tolist()
        padded = torch.zeros(max(counts), dtype=torch.int64)
        padded[: len(slots)] = slots * world + rank
        gone = {s for each, n in zip(self._gather(padded), counts, strict=True) for s in each[:n].tolist()}
        kept, first = [slot for slot in sorted(index.keys) if slot not in gone], self._n_first * world
        n_held = sum(slot < first for slot in kept) // world  # none that was replayed becomes a probe
        self._n_lost = int(self.held_out * self.capacity) - n_held if first else 0
        moves = [
            [s // world for p, s in enumerate(kept) if (s % world, p % world) == (rank, to)] for to in range(world)
        ]
        send = [torch.tensor(rows, dtype=torch.int64) for rows in moves]
        packed = [self._table.pack(self._table.read(rows)) for rows in send]
        mine = [slot for place, slot in enumerate(kept) if place % world == rank]
        by_owner = sorted(range(len(mine)), key=lambda place: mine[place] % world)
        received = self._exchange(packed, [sum(slot % world == owner for slot in mine) for owner in range(world)])
        keys, seen = dict(index.keys), index.seen
        self._table.keep_rows(torch.zeros(0, dtype=torch.int64))
        if mine:
            self._table.write(torch.tensor(by_owner), self._table.unpack(received))
        self._index = self._open_index = ClassIndex()
        self._watch_open()
        self._index.fill({place: keys[slot] for place, slot in enumerate(mine)})
        self._whole = self._whole_open = ClassIndex()
        if self._n_first:
            self._whole_open = ClassIndex()
            self._whole.mirror(self._n_first * world, self._whole_open)
        self._whole.seen = seen
        self._whole.fill({place: keys[slot] for place, slot in enumerate(kept)})
        known = {slot * world + rank for slot in self._new}  # type: ignore[has-type]
        self._new = {place for place, slot in enumerate(mine) if slot in known}

    def _exchange(self, packed: list[Tensor], come: list[int]) -> Tensor:
        """Rows for each process, for those that each has for this one."""
        joined = torch.cat(packed)
        received = joined.new_empty(sum(come), joined.shape[1])
        rank = distributed.get_rank()
        self.n_moved += sum(part.numel() for each, part in enumerate(packed) if each != rank)
        distributed.all_to_all_single(received, joined, come, [len(part) for part in packed], group=self._group)
        return received

    def _get_whole(self) -> ClassIndex:
        assert self._whole is not None
        return self._whole
