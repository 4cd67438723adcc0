"""Small planted streams: classes are bright corners of a tiny image, or words of a tiny language."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.demonstrations.streams import ImageSet, Stream, Task


def make_blobs(rng: np.random.Generator, *, n_classes: int = 6, n_train: int = 60, n_test: int = 20) -> ImageSet:
    """One bright pixel per class, among noise."""
    parts = {}
    for name, n_each in (("train", n_train), ("test", n_test)):
        y = np.repeat(np.arange(n_classes), n_each)
        x = rng.integers(0, 80, size=(y.size, 1, 4, 4), dtype=np.uint8)
        x.reshape(y.size, 16)[np.arange(y.size), 2 * y] = 230
        order = rng.permutation(y.size)
        parts[f"x_{name}"], parts[f"y_{name}"] = x[order], y[order].astype(np.int64)
    return ImageSet("blobs", **parts)


class Reader(nn.Module):
    """Mean of word vectors, up to each item's length."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = Bag()
        self.head = nn.Linear(8, 4)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return self.head(self.hidden(x))


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        counted = torch.arange(x["tokens"].shape[1])[None] < x["length"][:, None]
        return (self.words(x["tokens"]) * counted[..., None]).sum(1) / x["length"][:, None]


def make_texts(rng: np.random.Generator, *, n_train: int = 60) -> Stream:
    """Two tasks of two classes: each class has words of its own."""
    tasks = []
    for task in range(2):
        parts = []
        for n_items in (n_train, 20):
            y = torch.from_numpy(rng.integers(2, size=n_items)) + 2 * task
            tokens = torch.from_numpy(rng.integers(5, size=(n_items, 7))) + 5 * y[:, None]
            parts.append(({"tokens": tokens, "length": torch.from_numpy(rng.integers(2, 8, size=n_items))}, y))
        (x_train, y_train), (x_test, y_test) = parts
        tasks.append(Task(x_train, y_train, x_test, y_test, (2 * task, 2 * task + 1)))
    return Stream("words", tuple(tasks), 4)
