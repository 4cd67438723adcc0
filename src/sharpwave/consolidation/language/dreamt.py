"""Texts that a language model wrote in a night, which of them are good, and what their teacher said of each token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from sharpwave.consolidation.batches import Batch, move

MOST_REPEATED = 0.5
"""Share of pairs of neighbouring tokens that may have come before in the same dream."""


@dataclass
class Dreamt:
    """What was dreamt in a night.

    Attributes:
        texts: Tokens of each dream, the prompt first.
        n_prompt: Number of tokens of its prompt.
        values: Logarithms of the teacher's probabilities of each new token, shape (token, k).
        ids: Whose they are.
        left_out: Number of dreams that were left out, by why.
        seconds: Seconds that writing took.
        n_tokens: Number of tokens that were written, those left out too.
    """

    texts: list[list[int]] = field(default_factory=list)
    n_prompt: list[int] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    ids: list[Tensor] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    n_tokens: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def forget(self) -> None:
        """Keep no dream."""
        self.left_out["of another process"] += len(self)
        self.texts, self.n_prompt, self.values, self.ids = [], [], [], []

    def find_fault(self, text: list[int], new: list[int], least: int) -> str:
        """Why a dream is left out; empty if it is not."""
        if not new:
            return "empty"
        if len(new) < least:
            return "too short"
        pairs = list(pairwise(new))
        if len(pairs) >= 4 and 1 - len(set(pairs)) / len(pairs) > MOST_REPEATED:
            return "repeats itself"
        return "dreamt before" if text in self.texts else ""

    def batch(self, rows: Sequence[int], *, pad: int, device: torch.device) -> Batch:
        """Some dreams, padded on the right, and what their teacher said of them."""
        texts = [self.texts[row] for row in rows]
        width, n_new, k = max(map(len, texts)), max(len(self.ids[r]) for r in rows), self.ids[rows[0]].shape[1]
        tokens = torch.full((len(rows), width), pad)
        mask = torch.zeros(len(rows), width, dtype=torch.int64)
        positions = torch.full((len(rows), n_new), -1)
        ids = torch.zeros(len(rows), n_new, k, dtype=torch.int64)
        values = torch.zeros(len(rows), n_new, k)
        for place, row in enumerate(rows):
            tokens[place, : len(texts[place])] = torch.tensor(texts[place])
            mask[place, : len(texts[place])] = 1
            n_mine, first = len(self.ids[row]), self.n_prompt[row] - 1
            positions[place, :n_mine] = torch.arange(first, first + n_mine)
            ids[place, :n_mine], values[place, :n_mine] = self.ids[row], self.values[row]
        taught = {"values": values, "ids": ids, "positions": positions}
        labels = torch.where(mask > 0, tokens, -100)
        batch = {"input_ids": tokens, "attention_mask": mask, "labels": labels, "logits": taught}
        return move(batch, device)

    def describe(self) -> str:
        """A sentence on what was dreamt."""
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.left_out.items()) if count)
        out = f" ({self.left_out.total()} left out: {why})" if why else ""
        return f"{len(self)} dreams{out} of {self.n_tokens} tokens in {self.seconds:.2g} s"
