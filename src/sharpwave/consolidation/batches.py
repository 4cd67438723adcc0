"""Batches as dictionaries of tensors, nested where the user's are, with one leading batch axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sharpwave.errors import SharpwaveError

Batch = dict[str, Any]

LENGTH = "_length"
"""Ending of the entry that holds how long each item of a padded entry is: `tokens` and `tokens_length`."""


def flatten(batch: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Entries of a nested batch by path (`image/left`); a list of tensors becomes a padded one and its lengths.

    Raises:
        SharpwaveError: If an entry is neither a tensor, a list of tensors nor a dictionary of them.
    """
    for name, value in batch.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{path}/")
        elif isinstance(value, Tensor):
            yield path, value.detach()
        elif isinstance(value, Sequence) and value and all(isinstance(item, Tensor) for item in value):
            lengths = torch.tensor([len(item) for item in value])
            yield path, torch.nn.utils.rnn.pad_sequence([item.detach() for item in value], batch_first=True)
            yield f"{path}{LENGTH}", lengths
        else:
            raise SharpwaveError(
                "a tensor, a list of tensors, or a dictionary of them for each entry of a batch",
                got=f"{type(value).__name__} in {path!r}",
                fix="turn it into a tensor with one leading batch axis, or leave it out",
            )


def nest(entries: Mapping[str, Tensor]) -> Batch:
    """A nested batch from entries by path: undoes `flatten`."""
    batch: Batch = {}
    for path, value in entries.items():
        *folders, name = path.split("/")
        inner = batch
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = value
    return batch


def count_items(batch: Mapping[str, Any]) -> int:
    """Items in a batch, which all its entries agree on.

    Raises:
        SharpwaveError: If the entries disagree, or there are none.
    """
    sizes = {path: value.shape[0] if value.ndim else 0 for path, value in flatten(batch)}
    if len(set(sizes.values())) != 1:
        raise SharpwaveError(
            "entries with one leading batch axis of the same size",
            got=", ".join(f"{path}: {size}" for path, size in sizes.items()) or "an empty batch",
            fix="give every entry one row per item",
        )
    return next(iter(sizes.values()))


def move(batch: Mapping[str, Any], device: torch.device | str) -> Batch:
    """The batch with every tensor on a device."""
    return {
        name: move(value, device)
        if isinstance(value, Mapping)
        else value.to(device, non_blocking=True)
        if isinstance(value, Tensor)
        else value
        for name, value in batch.items()
    }
