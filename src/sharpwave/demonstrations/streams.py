"""Streams of tasks: what is learned one after another, made from labelled images or from tables of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor, nn

from sharpwave.consolidation.modules import evaluating
from sharpwave.errors import MissingExtraError, SharpwaveError


@dataclass(frozen=True)
class ImageSet:
    """Images with a class each.

    Attributes:
        name: Name of the data set in tables.
        x_train: Images to learn from, one byte a channel.
        y_train: Their classes, from 0.
        x_test: Images to be judged on.
        y_test: Their classes.
        note: Sentence on what was done to the files so that they fit; empty if nothing.
    """

    name: str
    x_train: UInt8[np.ndarray, "train channel height width"]
    y_train: Int64[np.ndarray, " train"]
    x_test: UInt8[np.ndarray, "test channel height width"]
    y_test: Int64[np.ndarray, " test"]
    note: str = ""

    @property
    def n_classes(self) -> int:
        """Classes that occur in training."""
        return int(self.y_train.max()) + 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width


Inputs = Tensor | Mapping[str, Tensor]
"""A batch: images in 0…1, or named tensors (tokens, lengths) of a text stream, with the batch axis first."""


@dataclass(frozen=True)
class Task:
    """What is learned at one time.

    Attributes:
        x_train: Inputs to learn from; bytes become 0…1 in `take`.
        y_train: Their classes.
        x_test: Inputs to be judged on.
        y_test: Their classes.
        classes: Classes that occur in this task; what is answered when the task is known.
    """

    x_train: Inputs
    y_train: Tensor
    x_test: Inputs
    y_test: Tensor
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Stream:
    """Tasks in the order in which they come.

    Attributes:
        name: Name of the stream in tables.
        tasks: In order.
        n_classes: Size of the answer.
        shape: Shape of one input, for the model; empty where inputs are named tensors.
    """

    name: str
    tasks: tuple[Task, ...]
    n_classes: int
    shape: tuple[int, ...] = ()


def permute_images(
    images: ImageSet, *, n_tasks: int, rng: np.random.Generator, n_train: int | None = None, n_test: int | None = None
) -> Stream:
    """All classes in each task, the pixels in another order each time (Goodfellow et al. 2013).

    Args:
        images: Labelled images.
        n_tasks: Tasks; the first keeps the order of the pixels.
        rng: Random generator of permutations and images.
        n_train: Training images per task, drawn anew for each; all where omitted.
        n_test: Test images per task, the same images in each; all where omitted.
    """
    n_pixels = int(np.prod(images.shape))
    flat_train, flat_test = (x.reshape(len(x), n_pixels) for x in (images.x_train, images.x_test))
    tested = _draw(len(flat_test), n_test, rng)
    tasks = []
    for index in range(n_tasks):
        order = rng.permutation(n_pixels) if index else np.arange(n_pixels)
        trained = _draw(len(flat_train), n_train, rng)
        tasks.append(
            Task(
                torch.from_numpy(flat_train[trained][:, order].reshape(-1, *images.shape)),
                torch.from_numpy(images.y_train[trained]),
                torch.from_numpy(flat_test[tested][:, order].reshape(-1, *images.shape)),
                torch.from_numpy(images.y_test[tested]),
                tuple(range(images.n_classes)),
            )
        )
    return Stream(f"permuted {images.name}", tuple(tasks), images.n_classes, images.shape)


def split_classes(
    images: ImageSet, *, n_tasks: int, rng: np.random.Generator, n_train: int | None = None, n_test: int | None = None
) -> Stream:
    """A few classes at a time; which ones is drawn, and the classes are numbered in the order in which they come.

    Args:
        images: Labelled images.
        n_tasks: Tasks; the classes are shared out as evenly as can be.
        rng: Random generator of the order of classes and of images.
        n_train: Training images per task; all where omitted.
        n_test: Test images per task; all where omitted.

    Raises:
        SharpwaveError: If a task would hold fewer than two classes.
    """
    if images.n_classes < 2 * n_tasks:
        raise SharpwaveError(
            "two classes or more in each task",
            got=f"{images.n_classes} classes for {n_tasks} tasks",
            fix="use fewer tasks",
        )
    order = rng.permutation(images.n_classes)
    rank = torch.from_numpy(np.argsort(order))
    tasks = []
    for group in np.array_split(np.arange(images.n_classes), n_tasks):
        parts: list[Tensor] = []
        for x, y, most in ((images.x_train, images.y_train, n_train), (images.x_test, images.y_test, n_test)):
            members = np.flatnonzero(np.isin(y, order[group]))
            chosen = members[_draw(members.size, most, rng)]
            parts += [torch.from_numpy(x[chosen]), rank[torch.from_numpy(y[chosen])]]
        tasks.append(Task(parts[0], parts[1], parts[2], parts[3], tuple(int(label) for label in group)))
    return Stream(f"split {images.name}", tuple(tasks), images.n_classes, images.shape)


def take(x: Inputs, indices: Tensor | slice) -> Inputs:
    """Some of the inputs as the model wants them: bytes as floats in 0…1, whatever else as it is."""
    if isinstance(x, Tensor):
        chosen = x[indices]
        return chosen.float() / 255 if chosen.dtype == torch.uint8 else chosen
    return {name: part[indices] for name, part in x.items()}


def _draw(n: int, most: int | None, rng: np.random.Generator) -> np.ndarray:
    return np.arange(n) if most is None or most >= n else rng.choice(n, size=most, replace=False)


def join(parts: Sequence[Inputs]) -> Inputs:
    """Inputs one after another."""
    if isinstance(parts[0], Tensor):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}  # type: ignore[index]


def load_digits() -> ImageSet:
    """The 1797 digits of 8 by 8 pixels; every fourth is for testing."""
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise MissingExtraError("scikit-learn", extra="brain") from error
    found = load()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = found.target.astype(np.int64)
    tested = np.arange(len(labels)) % 4 == 0
    return ImageSet("digits", images[~tested], labels[~tested], images[tested], labels[tested])


def stream_digits(*, seed: int) -> Stream:
    """Five tasks of two digits each; which ones is drawn."""
    return split_classes(load_digits(), n_tasks=5, rng=np.random.default_rng(seed))


@dataclass(frozen=True, eq=False)
class StreamTestSet:
    """What networks are asked.

    Attributes:
        inputs: Inputs of all tasks, one after another.
        labels: Their classes.
        sizes: Items of each task.
    """

    inputs: Float[Tensor, "sample ..."]
    labels: Int[Tensor, " sample"]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, stream: Stream) -> Self:
        """The test items of a stream of images."""
        inputs = take(join([task.x_test for task in stream.tasks]), slice(None))
        assert isinstance(inputs, Tensor)
        labels = torch.cat([task.y_test for task in stream.tasks])
        return cls(inputs, labels, tuple(len(task.y_test) for task in stream.tasks))

    @torch.no_grad()
    def score(self, network: nn.Module) -> list[float]:
        """Accuracy on each task; the network is put back into the mode it was in."""
        right = torch.from_numpy(self.score_items(network))
        return [float(part.mean()) for part in right.split(list(self.sizes))]

    @torch.no_grad()
    def score_items(self, network: nn.Module) -> Float[np.ndarray, " sample"]:
        """1 for each item that is answered right, else 0, in the order of the tasks."""
        with evaluating(network):
            return (network(self.inputs).argmax(dim=1) == self.labels).float().numpy()
