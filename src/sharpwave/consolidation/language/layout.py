"""Batches of tokens to single items without their padding, and back: on the side on which they were padded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from sharpwave.consolidation.batches import LENGTH
from sharpwave.consolidation.language.store import TOKENS
from sharpwave.consolidation.texts import IGNORED, LABELS, find_padding

MASK = "attention_mask"
PLACES = ("start_positions", "end_positions")
"""Entries that point at a token, and move with it."""


class Layout:
    """How the items of one table of tokens lie in a batch.

    Args:
        padding: What pads each entry, by its name; where omitted -100 for labels, 0 for the rest, and for `input_ids`
            the token that masked places held.

    Attributes:
        side: Side on which items are padded, as in the last batch that was: "right" until then.
        dtypes: Type of each entry as it was given.
    """

    def __init__(self, padding: Mapping[str, float]) -> None:
        self.padding = dict(padding)
        self.side = "right"
        self.dtypes: dict[str, str] = {}

    def find_regions(self, entries: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray, int]:
        """First token of each item, the one after its last, and the length of the axis of tokens; 0 for none.

        Side and padding of the batch are kept.
        """
        mask, tokens = entries.get(MASK), entries.get(TOKENS)
        lengths = next((entries[path] for path in (f"{TOKENS}{LENGTH}", f"{MASK}{LENGTH}") if path in entries), None)
        given = tokens if mask is None or mask.ndim != 2 else mask
        if given is None or given.ndim != 2:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), 0
        n_items, width = given.shape
        first, last = np.zeros(n_items, np.int64), np.full(n_items, width)
        if lengths is not None:
            last = np.minimum(lengths.cpu().numpy(), width)
        elif mask is not None and mask.ndim == 2:
            seen = mask.cpu().numpy() != 0
            any_seen = seen.any(axis=1)
            first = np.where(any_seen, seen.argmax(axis=1), 0)
            last = np.where(any_seen, width - seen[:, ::-1].argmax(axis=1), width)
            self._learn_padding(tokens, seen, first, last)
        return first, last, width

    def _learn_padding(self, tokens: Tensor | None, seen: np.ndarray, first: np.ndarray, last: np.ndarray) -> None:
        if bool(seen.all()):
            return
        if int(first.max()) > 0 or int(last.min()) < seen.shape[1]:
            self.side = "left" if int(first.max()) > 0 else "right"
        row, place = (int(part[0]) for part in np.nonzero(~seen))
        if tokens is not None and tokens.shape == seen.shape and TOKENS not in self.padding:
            self.padding[TOKENS] = int(tokens[row, place])

    def split(self, entries: Mapping[str, Tensor]) -> tuple[list[dict[str, Any]], np.ndarray, int]:
        """Single items without their padding, where each began, and the length of the batch's axis of tokens."""
        first, last, width = self.find_regions(entries)
        arrays: dict[str, np.ndarray] = {}
        for path, tensor in entries.items():
            if path.endswith(LENGTH) and path.removesuffix(LENGTH) in entries:
                continue
            self.dtypes.setdefault(path, str(tensor.dtype).removeprefix("torch."))
            arrays[path] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()
        items: list[dict[str, Any]] = []
        for row in range(len(next(iter(arrays.values())))):
            item: dict[str, Any] = {}
            for path, array in arrays.items():
                value: Any = array[row]
                if width and value.ndim and value.shape[0] == width:
                    value = value[first[row] : last[row]]
                elif value.ndim == 1 and f"{path}{LENGTH}" in entries:
                    value = value[: int(entries[f"{path}{LENGTH}"][row])]
                elif value.ndim == 1 and value.dtype.kind in "iu":
                    value = self._cut(path, value)
                elif width and path.rpartition("/")[2] in PLACES and value.ndim == 0:
                    value = value - first[row]
                item[path] = value
            items.append(item)
        return items, first if width else np.zeros(len(items), np.int64), width

    def _cut(self, path: str, value: np.ndarray) -> np.ndarray:
        """Without the padding at the end of an entry that has an axis of its own, such as a decoder's labels."""
        if path.rpartition("/")[2] not in LABELS:
            return value
        counted = np.flatnonzero(value != IGNORED)
        return value[: int(counted[-1]) + 1] if counted.size else value[:0]

    def join(self, items: list[dict[str, Any]], *, masked: bool) -> tuple[dict[str, Tensor], Int[Tensor, " item"]]:
        """A batch of items, and the place at which each begins in it.

        Args:
            items: Items with the same entries.
            masked: Whether an attention mask is made where items differ in length and have none.
        """
        batch: dict[str, Tensor] = {}
        lengths = [len(item[TOKENS]) for item in items if TOKENS in item and np.ndim(item[TOKENS])]
        width = max(lengths, default=0)
        starts = torch.zeros(len(items), dtype=torch.int64)
        if self.side == "left" and lengths:
            starts = width - torch.tensor(lengths)
        for path in items[0]:
            values = [item[path] for item in items]
            joined = _stack(values, self.find_fill(path), left=self.side == "left")
            if path.rpartition("/")[2] in PLACES and joined.ndim == 1:
                joined = np.where(joined >= 0, joined + starts.numpy(), joined)
            dtype = getattr(torch, self.dtypes.get(path, "int64"))
            batch[path] = torch.from_numpy(joined).to(dtype)
        if masked and lengths and MASK not in batch and min(lengths) < width:
            places = torch.arange(width)[None]
            ends = starts + torch.tensor(lengths)
            batch[MASK] = ((places >= starts[:, None]) & (places < ends[:, None])).long()
        return batch, starts

    def find_starts(self, lengths: list[int]) -> Int[Tensor, " item"]:
        """Place at which items of these lengths begin in a batch of them."""
        known = torch.tensor(lengths, dtype=torch.int64)
        return max(lengths, default=0) - known if self.side == "left" else torch.zeros_like(known)

    def find_fill(self, path: str) -> float:
        """What pads an entry."""
        dtype = getattr(torch, self.dtypes.get(path, "int64"))
        return find_padding(path, dtype if dtype.is_signed else torch.int64, self.padding)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and names."""
        return {"side": self.side, "padding": dict(self.padding), "dtypes": dict(self.dtypes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        known = {name for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)}
        if state["side"] not in ("left", "right") or not set(state["dtypes"].values()) <= known:
            raise ValueError(f"items padded on the {state['side']}, of types {set(state['dtypes'].values())}")
        self.side, self.padding, self.dtypes = state["side"], dict(state["padding"]), dict(state["dtypes"])


def _stack(values: list[Any], fill: float, *, left: bool) -> np.ndarray:
    """Values of items as one array, padded along their first axis where they differ."""
    arrays = [np.asarray(value) for value in values]
    if len({array.shape for array in arrays}) == 1:
        return np.stack(arrays)
    width = max(array.shape[0] for array in arrays)
    stacked = np.full((len(arrays), width, *arrays[0].shape[1:]), fill, dtype=arrays[0].dtype)
    for row, array in enumerate(arrays):
        start = width - len(array) if left else 0
        stacked[row, start : start + len(array)] = array
    return stacked
