"""A memory in a folder that another process opens again: its index beside the file of its tokens."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from sharpwave.consolidation.state_files import HEAD, load_state, save_state
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.language.memory import TokenMemory

INDEX = "index"
"""Folder of the index in a memory's folder."""


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
