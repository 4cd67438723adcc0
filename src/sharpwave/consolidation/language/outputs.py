"""What is stored of a language model's outputs: of few classes all, of a vocabulary the most likely tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sharpwave.consolidation.batches import LENGTH
from sharpwave.consolidation.language.records import encode, encode_top_k
from sharpwave.consolidation.language.store import OUTPUTS, count_tokens
from sharpwave.consolidation.texts import IGNORED, take_top_k

FEW = 256
"""Classes of an output for an item that is stored whole, at most."""

FEW_EACH = 16
"""Classes of an output for each token that is stored whole, at most."""


class Outputs:
    """Fields of outputs of items, and batches of them.

    Args:
        top_k: Number of tokens of each answer; None stores no outputs.
        n_answers: Largest number of answer tokens of an item; of more, so many that lie evenly.

    Attributes:
        n_values: Values that the outputs of one token, or of one item without tokens, have.
    """

    def __init__(self, top_k: int | None, n_answers: int) -> None:
        self.top_k, self.n_answers, self.n_values = top_k, n_answers, 1

    def encode_items(
        self,
        logits: Tensor | None,
        items: Sequence[Mapping[str, Any]],
        rows: Sequence[int],
        starts: Sequence[int],
        *,
        label: str,
        shift: int | None,
    ) -> list[bytes]:
        """The field of each of some items of a batch; empty where nothing is stored.

        Args:
            logits: Outputs of the batch; None for none.
            items: The items without padding.
            rows: Their rows in the batch.
            starts: Place at which each begins in it.
            label: Entry with their labels.
            shift: As for `TokenMemory`.
        """
        if logits is None:
            return [b""] * len(items)
        lengths = [count_tokens(item) for item in items]
        labels = [
            each if each is not None and each.shape == (length,) else None
            for each, length in zip((item.get(label) for item in items), lengths, strict=True)
        ]
        chosen = logits[torch.as_tensor(rows, device=logits.device)]
        return self.encode(chosen, labels, name=0, starts=starts, lengths=lengths, shift=shift)

    def encode(
        self,
        logits: Tensor,
        labels: Sequence[np.ndarray | None],
        *,
        name: int,
        starts: Sequence[int],
        lengths: Sequence[int],
        shift: int | None,
    ) -> list[bytes]:
        """The field of each item; empty where nothing is stored.

        Args:
            logits: Outputs (item, ...).
            labels: Labels of each item without padding; None where it has none for each token.
            name: Number of the entry.
            starts: Place at which each item begins in the outputs.
            lengths: Number of tokens of each item.
            shift: As for `TokenMemory`.
        """
        if self.top_k is None or not logits.is_floating_point():
            return [b""] * len(logits)
        self.n_values = logits.shape[-1]
        if logits.ndim == 2 and logits.shape[1] <= FEW:
            return [encode({OUTPUTS: row}, {OUTPUTS: name}) for row in logits.to(torch.float16).cpu().numpy()]
        if logits.ndim == 2:
            logits, places = logits[:, None], [np.zeros(1, np.int64)] * len(logits)
            return self._encode_top_k(logits, places, name, [0] * len(logits))
        if logits.ndim == 3 and logits.shape[2] <= FEW_EACH and not any(starts):
            cut = [row[start : start + length] for row, start, length in zip(logits, starts, lengths, strict=True)]
            return [encode({OUTPUTS: row.to(torch.float16).cpu().numpy()}, {OUTPUTS: name}) for row in cut]
        if logits.ndim != 3 or logits.shape[2] <= FEW_EACH or any(label is None for label in labels):
            return [b""] * len(logits)
        places = [self._find_answers(label, shift) for label in labels if label is not None]
        return self._encode_top_k(logits, places, name, starts)

    def _find_answers(self, labels: np.ndarray, shift: int | None) -> np.ndarray:
        counted = labels != IGNORED
        if shift is None:
            counted[:-1] |= counted[1:]
        elif shift:
            counted = np.append(counted[shift:], np.zeros(min(shift, len(labels)), dtype=bool))
        found = np.flatnonzero(counted)
        if len(found) > self.n_answers:
            found = found[np.linspace(0, len(found) - 1, self.n_answers).round().astype(np.int64)]
        return found

    def _encode_top_k(self, logits: Tensor, places: list[np.ndarray], name: int, starts: Sequence[int]) -> list[bytes]:
        assert self.top_k is not None
        sizes = [len(found) for found in places]
        rows = np.repeat(np.arange(len(places)), sizes)
        at = np.concatenate([found + start for found, start in zip(places, starts, strict=True)])
        inside = torch.from_numpy(np.minimum(at, logits.shape[1] - 1)).to(logits.device)
        values, ids = take_top_k(logits[torch.from_numpy(rows).to(logits.device), inside], self.top_k)
        ends = np.cumsum(sizes)
        value_rows, id_rows = values.cpu().numpy(), ids.cpu().numpy()
        parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        return [
            encode_top_k(name, value_rows[part], id_rows[part], found)
            for part, found in zip(parts, places, strict=True)
        ]

    def join(self, found: Sequence[Any], starts: Tensor) -> dict[str, Tensor]:
        """Entries of the outputs of some items by path; none where no item has any.

        Args:
            found: Outputs of each item as `records.decode` gives them; None of one that has none.
            starts: Place at which each item begins in the batch.
        """
        known = next((each for each in found if each is not None), None)
        if known is None:
            return {}
        if isinstance(known, tuple):
            return self._join_top_k([each if isinstance(each, tuple) else None for each in found], starts)
        shape = np.max([each.shape for each in found if isinstance(each, np.ndarray)], axis=0)
        values = torch.zeros(len(found), *shape.tolist())
        lengths = torch.zeros(len(found), dtype=torch.int64)
        for row, each in enumerate(found):
            if isinstance(each, np.ndarray):
                lengths[row] = len(each)
                values[row][tuple(slice(size) for size in each.shape)] = torch.from_numpy(each.astype(np.float32))
        whole = bool((lengths == values.shape[1]).all())
        return {OUTPUTS: values} if whole else {OUTPUTS: values, f"{OUTPUTS}{LENGTH}": lengths}

    def _join_top_k(self, found: Sequence[Any], starts: Tensor) -> dict[str, Tensor]:
        n_rows = max(len(each[0]) for each in found if each is not None)
        k = max(each[1].shape[1] for each in found if each is not None)
        positions = torch.full((len(found), n_rows), -1)
        ids = torch.zeros(len(found), n_rows, k, dtype=torch.int64)
        values = torch.full((len(found), n_rows, k), -torch.inf)
        for row, each in enumerate(found):
            if each is not None:
                n_mine, width = each[1].shape
                positions[row, :n_mine] = torch.from_numpy(each[0]) + int(starts[row])
                ids[row, :n_mine, :width] = torch.from_numpy(each[1])
                values[row, :n_mine, :width] = torch.from_numpy(each[2])
        return {f"{OUTPUTS}/values": values, f"{OUTPUTS}/ids": ids, f"{OUTPUTS}/positions": positions}
