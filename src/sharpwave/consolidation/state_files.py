"""A state on disk: tensors as safetensors and everything else as JSON, so that nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from sharpwave.errors import SharpwaveError
from sharpwave.untrusted import explained, read_json


def save_state(state: Mapping[str, Any], folder: str | Path) -> Path:
    """Write what a `state_dict` gave: of a `Sleep`, a model or an optimiser, or several in one dictionary.

    Args:
        state: State of tensors, numbers, strings, None, and lists, tuples and dictionaries of them.
        folder: Folder to write into; made if it does not exist.

    Returns:
        The folder.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_state(save_state({"weight": torch.ones(2), "step": 7}, folder))
        {'weight': tensor([1., 1.]), 'step': 7}
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    tree = _describe(state, tensors)
    save_file(tensors, folder / "state.safetensors")
    (folder / "state.json").write_text(json.dumps(tree) + "\n", encoding="utf-8")
    return folder


def load_state(folder: str | Path) -> dict[str, Any]:
    """What `save_state` wrote; tuples come back as lists.

    Raises:
        SharpwaveError: If files are missing, damaged, or do not fit each other.
    """
    folder = Path(folder)
    with explained(
        "a folder with state.json and state.safetensors that belong together",
        name=folder.name,
        fix="write it with save_state",
    ):
        tree = read_json(folder / "state.json")
        state = _rebuild(tree, load_file(folder / "state.safetensors"))
        if not isinstance(state, dict):
            raise ValueError(f"a state that is no dictionary but a {type(state).__name__}")
        return state


def _describe(value: Any, tensors: dict[str, Tensor]) -> Any:
    """As JSON: a tensor by its name, a dictionary as pairs, since JSON's keys are strings only."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _describe(inner, tensors)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        return [_describe(inner, tensors) for inner in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise SharpwaveError(
        "tensors, numbers, strings, None, lists and dictionaries in a state",
        got=type(value).__name__,
        fix="leave it out, or turn it into one of them",
    )


def _rebuild(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_rebuild(inner, tensors) for inner in tree]
    if isinstance(tree, dict):
        if "tensor" in tree:
            return tensors[tree["tensor"]]
        return {key: _rebuild(inner, tensors) for key, inner in tree["pairs"]}
    return tree
