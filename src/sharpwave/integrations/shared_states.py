"""States of one memory over several processes: joined, split, and drawn plans dealt out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sharpwave.consolidation.admission import ClassIndex
from sharpwave.errors import SharpwaveError


def deal(plan: Sequence[int], wanted: Sequence[int]) -> list[list[int]]:
    """A plan dealt out in turn, so that each process gets some of every class.

    Args:
        plan: Slots, class by class.
        wanted: Number of slots for each process.

    Example:
        >>> deal([1, 2, 3, 4, 5], [3, 2])
        [[1, 3, 5], [2, 4]]
    """
    hands: list[list[int]] = [[] for _ in wanted]
    turn = 0
    for slot in plan:
        while len(hands[turn % len(hands)]) >= wanted[turn % len(hands)]:
            turn += 1
        hands[turn % len(hands)].append(slot)
        turn += 1
    return hands


def join_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One state of those of all processes, for any number of them to go on with.

    Args:
        states: What `state_dict` gave in each process, of the buffer or of the whole `Sleep`; of the rest of a `Sleep`,
            the first process's counts.

    Raises:
        SharpwaveError: If one is missing.
    """
    if "buffer" in states[0]:
        return {**states[0], "buffer": join_states([state["buffer"] for state in states])}
    states = sorted(states, key=lambda state: state.get("rank", 0))
    first, world = states[0], int(states[0].get("world", 1))
    if [state.get("rank", 0) for state in states] != list(range(world)):
        raise SharpwaveError(
            f"the states of processes 0 to {world - 1}",
            got=", ".join(str(state.get("rank", 0)) for state in states),
            fix="save state_dict() in every process, and give all of them",
        )
    if world == 1:
        return dict(first)
    n_items, table = sum(len(keys) for _, keys in first["whole"]["members"]), dict[str, Any]()
    for path, part in first["table"].items():
        table[path] = dict(part)
        for name in ("values", "scales"):
            joined = part[name].new_zeros(n_items if len(part[name]) else 0, *part[name].shape[1:])
            for rank, state in enumerate(states):
                if len(joined):
                    joined[rank::world] = state["table"][path][name]
            table[path][name] = joined
    joined_state = {
        "capacity": first["n_whole"],
        "table": table,
        "class_index": first["whole"],
        "admission": first["admission"],
        "new": sorted(slot * world + rank for rank, state in enumerate(states) for slot in state["new"]),
        "n_refused": sum(state["n_refused"] for state in states),
        "n_lost": first["n_lost"] * world,
        "generator": first["plans"],
    }
    return joined_state | ({"open_index": first["whole_open"]} if "open_index" in first else {})


def split_state(state: Mapping[str, Any], rank: int, world: int) -> dict[str, Any]:
    """The part of one process of the state of a single one, as `SharedReplayBuffer.load_state_dict` takes it up."""
    index = ClassIndex()
    index.load_state_dict(state["class_index"])
    local = ClassIndex()
    local.fill({slot // world: key for slot, key in index.keys.items() if slot % world == rank})
    local.seen = index.seen
    table = {
        path: {**part, **{name: part[name][rank::world] for name in ("values", "scales")}}
        for path, part in state["table"].items()
    }
    return {
        "capacity": -(-int(state["capacity"]) // world),
        "n_whole": state["capacity"],
        "table": table,
        "class_index": local.state_dict(),
        "admission": state["admission"],
        "new": [slot // world for slot in state["new"] if slot % world == rank],
        "n_refused": state["n_refused"] if rank == 0 else 0,
        "n_lost": -(-int(state.get("n_lost", 0)) // world),
        "generator": state["generator"],
        "whole": state["class_index"],
        "whole_open": None,
        "plans": state["generator"],
    }
