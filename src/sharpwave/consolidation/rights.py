"""The rights of whoever is in a memory: to be forgotten, and not to be kept for longer than was said.

`memory.forget(where={"person": 7})` removes items and all that was made of them: their logits, what came last while
awake, copies to go back to, Fisher information, dreams. It leaves a record of how many there were, not of what they
were. Weights that learned from them stay as they are: with `Private` the record says how much they can tell at most.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave.consolidation.batches import Batch, flatten
from sharpwave.consolidation.modules import is_shared
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.sleep import Sleep
    from sharpwave.consolidation.sleep_report import SleepReport

ARRIVED = "arrived"
"""Entry with the time at which an item came, in whole seconds since 1970, where a memory has a limit of time."""

TRACES = (
    "weights that were trained on these items still hold traces of them, which only training anew without them "
    "removes; copies that were saved elsewhere (checkpoints, backups, reports) are not reached"
)
BOUNDED = "; of any one item they tell no more than ε = {epsilon:.3g} at δ = {delta:g}"


class Memory(Protocol):
    """What can forget: a `ReplayBuffer` or a `TokenMemory`."""

    rights: Rights

    def __len__(self) -> int: ...
    def read(self, slots: Int[Tensor, " item"]) -> Batch: ...
    def discard(self, slots: Int[Tensor, " item"]) -> None: ...


@dataclass(frozen=True)
class Removal:
    """A record of what was forgotten, without what it was.

    Attributes:
        when: Date and time (UTC).
        entries: Names of the entries that it was told by; their values are not kept.
        n_items: Number of items that were removed.
        n_left: Number of items that stay.
        derived: What else was removed, in words.
        traces: What is not removed.

    Example:
        >>> from sharpwave.consolidation import ReplayBuffer
        >>> memory = ReplayBuffer(8)
        >>> memory.add({"x": torch.rand(4, 2), "y": torch.arange(4), "person": torch.tensor([7, 7, 8, 9])})
        >>> removal = memory.forget(where={"person": 7})
        >>> removal.n_items, removal.n_left, len(memory)
        (2, 2, 2)
    """

    when: str
    entries: tuple[str, ...]
    n_items: int
    n_left: int
    derived: tuple[str, ...]
    traces: str

    def __str__(self) -> str:
        also = f", and {', '.join(self.derived)}" if self.derived else ""
        by = f" told by {', '.join(self.entries)}" if self.entries else ""
        return f"{self.when}: {self.n_items} items{by} removed{also}; {self.n_left} stay. Note: {self.traces}"


class Rights:
    """Who holds something of a memory, how long items may be kept, and what was removed.

    Args:
        keep_for: Seconds for which an item is kept; None, the default, for any.
        clock: Function that gives the time in seconds since 1970; that of the machine where omitted.

    Attributes:
        removals: What was removed so far.
    """

    def __init__(self, keep_for: float | None = None, *, clock: Callable[[], float] = time.time) -> None:
        if keep_for is not None and not keep_for > 0:
            raise SharpwaveError(
                "keep_for as seconds above 0, or None", got=repr(keep_for), fix="30 days are keep_for=30 * 86400"
            )
        self.keep_for, self.clock = keep_for, clock
        self.removals: list[Removal] = []
        self._holders: weakref.WeakSet[Sleep] = weakref.WeakSet()
        self._oldest = float("inf")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_holders"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _holders=weakref.WeakSet())

    def watch(self, sleep: Sleep) -> None:
        """Remember a `Sleep` that makes something of the memory's items."""
        self._holders.add(sleep)

    def stamp(self, entries: dict[str, Tensor], n_items: int) -> None:
        """Write into new items when they came, where there is a limit of time."""
        if self.keep_for is not None:
            entries[ARRIVED] = torch.full((n_items,), self.note_time())

    def note_time(self) -> int:
        """The time, at which an item comes."""
        now = int(self.clock())
        self._oldest = min(self._oldest, now)
        return now

    def recheck(self) -> None:
        """Look at every item when next asked what is too old, as after a state was loaded."""
        self._oldest = -float("inf")

    def expire(self, memory: Memory) -> None:
        """Forget what was kept for as long as it may be; `add` and `sample` ask for it by themselves."""
        if self.keep_for is None or self.clock() - self._oldest < self.keep_for or not len(memory):
            return
        if any(sleep.is_asleep for sleep in self._holders):  # after the night
            return
        limit = self.clock() - self.keep_for
        forget(memory, {ARRIVED: lambda values: values <= limit})
        left = dict(flatten(memory.read(torch.arange(len(memory))))).get(ARRIVED) if len(memory) else None
        self._oldest = float(left.min()) if left is not None and len(left) else float("inf")

    def forget_derived(self) -> tuple[tuple[str, ...], str]:
        """Remove what was made of items, in every `Sleep` that did; what it was, and what stays, in words."""
        told, traces = list[str](), TRACES
        for sleep in self._holders:
            told += forget_derived(sleep)
            if sleep.private is not None:
                traces = TRACES + BOUNDED.format(epsilon=sleep.private.spent, delta=sleep.private.options.delta)
        return tuple(dict.fromkeys(told)), traces

    def refuse_asleep(self) -> None:
        """Raise where a night is under way, whose cached states and plan are of the items as they are."""
        if any(sleep.is_asleep for sleep in self._holders):
            raise SharpwaveError(
                "a network that is awake, to forget", got="one that is asleep", fix="call wake_up() or abandon() first"
            )


def forget(memory: Memory, where: Mapping[str, Any] | Callable[[Batch], Tensor]) -> Removal:
    """Remove items, and all that was made of them.

    Args:
        memory: What they are in.
        where: Which: a value by entry (`{"person": 7}`), several (`{"source": {1, 2}}`), from and to before
            (`{"date": (20260101, 20260201)}`, None for open), or a function of the entry's values; of several, all
            have to fit. Or a function of a batch that gives yes or no for each item.

    Returns:
        A record, which is also kept in `memory.rights.removals`.

    Raises:
        SharpwaveError: If there is no such entry, or a night is under way.
    """
    memory.rights.refuse_asleep()
    slots = find_items(memory, where)
    memory.discard(slots)
    derived, traces = memory.rights.forget_derived() if len(slots) or is_shared() else ((), TRACES)
    removal = Removal(
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        tuple(where) if isinstance(where, Mapping) else (),
        len(slots),
        len(memory),
        ("their stored logits", *derived) if len(slots) else (),
        traces,
    )
    memory.rights.removals.append(removal)
    return removal


def find_items(memory: Memory, where: Mapping[str, Any] | Callable[[Batch], Tensor]) -> Int[Tensor, " item"]:
    """Slots of the items that fit, as for `forget`."""
    n_items = len(memory)
    if not n_items:
        return torch.zeros(0, dtype=torch.int64)
    tasks, wanted = getattr(memory, "tasks", []), where
    if isinstance(where, Mapping) and where.get("task") in tasks:
        wanted = {**where, "task": tasks.index(where["task"])}
    fits = torch.zeros(n_items, dtype=torch.bool)
    for first in range(0, n_items, 1024):  # never all of a large memory at once
        slots = torch.arange(first, min(first + 1024, n_items))
        batch = memory.read(slots)
        fits[slots] = _fit_all(batch, wanted) if isinstance(wanted, Mapping) else wanted(batch).bool().cpu()
    return torch.nonzero(fits)[:, 0]


def _fit_all(batch: Batch, where: Mapping[str, Any]) -> Tensor:
    entries = dict(flatten(batch))
    if not where:
        raise SharpwaveError("where= with an entry", got="none", fix="write forget(where={'person': 7})")
    fits = torch.ones(len(next(iter(entries.values()))), dtype=torch.bool)
    for name, wanted in where.items():
        values = entries.get(name)
        if values is None or values.ndim != 1:
            known = [path for path, value in entries.items() if value.ndim == 1 and path != "index"]
            raise SharpwaveError(
                f"an entry with one value for each item: {', '.join(known) or 'none is stored'}",
                got=repr(name),
                fix=f"store it with the items: sleep.wake({{..., {name!r}: numbers}})",
            )
        fits &= _fit(values.cpu(), wanted)
    return fits


def _fit(values: Tensor, wanted: Any) -> Tensor:
    if callable(wanted):
        return wanted(values).bool()
    if isinstance(wanted, tuple):
        low, high = wanted
        inside = torch.ones(len(values), dtype=torch.bool)
        inside &= True if low is None else values >= low
        return inside & (True if high is None else values < high)
    if isinstance(wanted, str):
        raise SharpwaveError(
            "a number, or several, since entries are numbers", got=repr(wanted), fix="give the number it was stored as"
        )
    several = list(wanted) if isinstance(wanted, Collection) else [wanted]
    return torch.isin(values, torch.tensor(several, dtype=values.dtype))


def forget_derived(sleep: Sleep) -> list[str]:
    """Remove what one `Sleep` has made of stored items; what it was, in words."""
    told = []
    sleep.stability.forget()
    sleep.learner.memories = None
    if sleep.learner.present is not None:
        sleep.learner.present = type(sleep.learner.present)(sleep.learner.present.n_items)
        told.append("what came last while awake")
    if sleep.guard is not None and sleep.guard.fisher:
        sleep.guard.fisher, sleep.guard.weights = {}, {}
        told.append("Fisher information, which the next night gathers anew from what is left")
    for phase in sleep.phases.values():
        forget_phase = getattr(phase, "forget", None)
        if forget_phase is not None:
            told.append(forget_phase())
    return told


def redact(report: SleepReport, where: Mapping[str, Any]) -> SleepReport:
    """A report without the rows of groups that were forgotten; the mean of all stays, of the items as they were.

    Args:
        report: Report of a night before.
        where: As for `forget`; entries that are no column of the report are left out.
    """
    groups = report.groups
    for kind, wanted in where.items():
        mine = (groups["kind"] == kind).to_numpy()
        if mine.any():
            values = torch.tensor(
                [float(value) if known else 0.0 for value, known in zip(groups["value"], mine, strict=True)]
            )
            groups = groups[~(mine & _fit(values, wanted).numpy())]
    return replace(report, groups=groups.reset_index(drop=True))
