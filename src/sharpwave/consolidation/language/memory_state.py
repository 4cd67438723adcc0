"""The state of a memory of tokens: what it gives for going on, and the index in its folder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharpwave.consolidation.language.store import explaining
from sharpwave.consolidation.state_files import HEAD, load_state, save_state
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.language.memory import TokenMemory

INDEX = "index"
"""Folder of the index in a memory's folder."""


def describe_memory(memory: TokenMemory) -> dict[str, Any]:
    """Everything that a memory needs to go on; the tokens are not copied."""
    return {
        "budget": memory.budget,
        "tasks": list(memory.tasks),
        "layout": memory._layout.state_dict(),
        "pool": memory._pool.state_dict(),
        "store": memory._store.state_dict(memory._pool.order),
        "new": sorted(memory._new),
        "counts": [memory.n_seen, memory.n_refused, memory._next, memory._outputs.n_values],
        "shift": memory.shift,
        "label": memory.label,
        "salt": memory._salt.hex(),
        "arrived": [memory._arrived.get(handle, 0) for handle in memory._pool.order],
        "generator": memory.generator.get_state(),
    }


def take_up_memory(memory: TokenMemory, state: Mapping[str, Any]) -> None:
    """Take up what `describe_memory` gave, in a memory made with the same options.

    Raises:
        SharpwaveError: If it is no such state, or was changed.
    """
    with explaining():
        memory._pool.load_state_dict(state["pool"])
        memory._store.load_state_dict(state["store"], memory._pool.order)
        memory._layout.load_state_dict(state["layout"])
        memory.tasks, memory._new = [str(name) for name in state["tasks"]], set(state["new"]) & set(memory._pool.order)
        memory.n_seen, memory.n_refused, memory._next, memory._outputs.n_values = (
            int(count) for count in state["counts"]
        )
        memory._next = max([memory._next, *(handle + 1 for handle in memory._pool.order)])
        memory.shift, memory.label, memory._salt = state["shift"], state["label"], bytes.fromhex(state["salt"])
        memory.generator.set_state(state["generator"])
        memory._arrived = dict(zip(memory._pool.order, state.get("arrived", []), strict=False))
        memory.rights.recheck()


def write_index(memory: TokenMemory) -> Path:
    """Write all of a memory but its tokens, which are in its file already.

    Args:
        memory: A memory with a path.

    Raises:
        SharpwaveError: If it has none.
    """
    if memory.path is None:
        raise SharpwaveError(
            "a memory in a folder",
            got="one in memory",
            fix="write TokenMemory('64 MB', path='memory/'), or save its state_dict with save_state",
        )
    state = memory.state_dict()
    state["store"]["n_blocks"] = len(state["store"].pop("arena"))
    return save_state(state, memory.path / INDEX)


def read_index(memory: TokenMemory) -> None:
    """Take up the index of a memory's folder where there is one, without the items that were written over since.

    Args:
        memory: A memory with a path, that holds nothing.
    """
    if memory.path is None or not (memory.path / INDEX / HEAD).is_file():
        return
    memory.load_state_dict(load_state(memory.path / INDEX))
    n_lost = memory.forget_lost()
    if n_lost:
        warnings.warn(
            f"{n_lost} of {n_lost + len(memory)} items of {memory.path.name} were written over since it was saved, "
            "and are left out: call TokenMemory.save after the last batch",
            stacklevel=3,
        )
