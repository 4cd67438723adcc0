"""A state on disk: tensors as safetensors and everything else as JSON, so that nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sharpwave.disk import hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import read_head, replace_files
from sharpwave.untrusted import explained, parse_json

PART = 1 << 20
"""Values of a tensor that are written at once."""

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
"""Types of values as safetensors names them."""

HEAD, TENSORS = "state.json", "state.safetensors"


def save_state(state: Mapping[str, Any], folder: str | Path) -> Path:
    """Write what a `state_dict` gave: of a `Sleep`, a model or an optimiser, or several in one dictionary.

    Both files count at once: a process that dies while it writes leaves the state that was there before.

    Args:
        state: State of tensors, numbers, strings, None, and lists, tuples and dictionaries of them.
        folder: Folder to write into; made if it does not exist.

    Returns:
        The folder.

    Raises:
        SharpwaveError: If the state holds something else, the folder a state.json of something else, or the disk is
            full.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_state(save_state({"weight": torch.ones(2), "step": 7}, folder))
        {'weight': tensor([1., 1.]), 'step': 7}
    """
    folder = Path(folder)
    tensors: dict[str, Tensor] = {}
    tree = _describe(state, tensors)
    if (folder / HEAD).is_file() and not (folder / TENSORS).is_file():
        raise SharpwaveError(
            "a new folder, or one with a state in it",
            got=f"{folder} with a {HEAD} of something else",
            fix="give another folder",
        )
    with replace_files(folder) as partial:
        write_tensors(tensors, partial / TENSORS)
        content = tree | {"sha256": hash_path(partial / TENSORS)}
        (partial / HEAD).write_text(json.dumps(content) + "\n", encoding="utf-8")
    return folder


def load_state(folder: str | Path) -> dict[str, Any]:
    """What `save_state` wrote; tuples come back as lists.

    Raises:
        SharpwaveError: If files are missing, damaged, or were written at different times.
    """
    folder = Path(folder)
    with explained(
        "a folder with state.json and state.safetensors that belong together",
        name=folder.name,
        fix="write it with save_state",
    ):
        text, tensors = read_head(folder, HEAD, TENSORS)
        state = _rebuild(parse_json(text.encode("utf-8"), name=HEAD), load_file(tensors))
        if not isinstance(state, dict):
            raise ValueError(f"a state that is no dictionary but a {type(state).__name__}")
        return state


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, part by part, so that those of a mapped file are never whole in memory.

    Args:
        tensors: Contiguous tensors on the processor, by name.
        path: File.
    """
    order = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)  # each begins at a multiple of its size
    head: dict[str, Any] = {}
    place = 0
    for name in order:
        end = place + tensors[name].numel() * tensors[name].dtype.itemsize
        head[name] = {
            "dtype": _name_dtype(tensors[name]),
            "shape": list(tensors[name].shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(head).encode("utf-8")
    text = text.ljust(-(-len(text) // 8) * 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            for part in tensors[name].reshape(-1).split(PART):
                file.write(memoryview(part.view(torch.uint8).numpy()))


def _name_dtype(tensor: Tensor) -> str:
    try:
        return DTYPES[tensor.dtype]
    except KeyError as error:
        raise SharpwaveError(
            f"tensors of {', '.join(str(dtype).removeprefix('torch.') for dtype in DTYPES)}",
            got=str(tensor.dtype),
            fix="convert it before it is saved",
        ) from error


def _describe(value: Any, tensors: dict[str, Tensor]) -> Any:
    """As JSON: a tensor by its name, a dictionary as pairs, since JSON's keys are strings only."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        if value.layout is not torch.strided:
            raise SharpwaveError("dense tensors", got=f"one of {value.layout}", fix="save to_dense() of it")
        tensors[name] = value.detach().cpu().contiguous()
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
