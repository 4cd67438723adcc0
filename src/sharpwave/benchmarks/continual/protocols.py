"""The streams that results come from: what is learned, by which network, and how much of it fits two cores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from sharpwave.benchmarks.continual.harness import Outcome, make_setting, run_stream
from sharpwave.benchmarks.continual.images import hold_out, load_images
from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.demonstrations.streams import ImageSet, Stream, permute_images, split_classes
from sharpwave.errors import SharpwaveError

ANY = "any-images"
"""Hyper-parameters that are best in the worst case, for images that nobody tuned on."""
MOST_TASKS = 5
LARGEST_GREY = 28


@dataclass(frozen=True)
class Protocol:
    """How a data set becomes a stream.

    Attributes:
        name: In tables, and in `tuned.json`.
        source: File below the folder of data.
        permutes: Pixels permuted, all classes in each task; otherwise a few classes at a time.
        n_tasks: Tasks.
        n_train: Training images per task.
        n_test: Test images per task.
        model: Key of `MODELS`.
        batch: New samples per step.
        tried_on: Tasks, and training images per task, of the validation streams that hyper-parameters are chosen on.
        tuned_as: Protocol whose hyper-parameters are used; its own name where it was tuned itself.
    """

    name: str
    source: str
    permutes: bool
    n_tasks: int
    n_train: int
    n_test: int
    model: str
    batch: int
    tried_on: tuple[int, int]
    tuned_as: str

    def make_stream(self, images: ImageSet, *, seed: int, validation: bool = False) -> Stream:
        """The stream of a seed: permutations, or the order of classes, and the images are drawn anew.

        Args:
            images: The data set.
            seed: Seed of the stream.
            validation: Made of training images alone, by another generator than any stream of results.
        """
        rng = np.random.default_rng([seed, int(validation)])
        make = permute_images if self.permutes else split_classes
        part = hold_out(images, rng=rng) if validation else images
        return make(part, n_tasks=self.n_tasks, rng=rng, n_train=self.n_train, n_test=self.n_test)

    def shorten(self, *, n_tasks: int, n_train: int) -> Protocol:
        """The same with fewer tasks and training images, on which many options can be tried."""
        return replace(self, n_tasks=min(n_tasks, self.n_tasks), n_train=min(n_train, self.n_train))

    def load(self, folder: Path) -> ImageSet:
        """The data set of a protocol.

        Raises:
            SharpwaveError: If the folder does not hold it.
        """
        path = folder / self.source
        if not path.exists():
            raise SharpwaveError(
                f"{self.source} in the folder of data", got=str(folder), fix="name the folder with --data"
            )
        return load_images(path)

    def run(
        self, stream: Stream, make_learner: Callable[[nn.Module, Setting], Learner], *, seed: int, buffer_items: int
    ) -> Outcome:
        """One learner on one stream.

        Args:
            stream: From `make_stream`.
            make_learner: From the network and the setting.
            seed: Seed of network and learner.
            buffer_items: Size of the buffer in items, as for `make_setting`.
        """
        setting = make_setting(stream, batch=self.batch, buffer_items=buffer_items, seed=seed)
        return run_stream(stream, make_learner, setting, model=self.model)


MNIST, CIFAR = "images/mnist.npz", "images/cifar10_subset_jpeg.tar"
PROTOCOLS = {
    each.name: each
    for each in (
        Protocol("permuted-mnist", MNIST, True, 20, 6000, 1000, "mlp", 128, (8, 5000), "permuted-mnist"),
        Protocol("split-mnist", MNIST, False, 5, 2500, 1000, "mlp", 32, (5, 2500), "split-mnist"),
        Protocol("split-cifar10", CIFAR, False, 5, 1500, 800, "resnet", 32, (4, 1000), "split-cifar10"),
    )
}
"""By name; sizes are such that a run takes seconds on one core."""


def make_protocols(images: ImageSet) -> list[Protocol]:
    """Protocols for a data set that is not among ours: its classes a few at a time, and small grey images permuted too.

    Args:
        images: The data set.
    """
    channels, height, _ = images.shape
    small = channels == 1 and height <= LARGEST_GREY
    n_tasks = max(1, min(MOST_TASKS, images.n_classes // 2))
    like = PROTOCOLS["split-mnist" if small else "split-cifar10"]
    name = f"split {images.name}"
    tuned_as = ANY if small else like.tuned_as
    protocols = [replace(like, name=name, source="", n_tasks=n_tasks, tuned_as=tuned_as)]
    if small:
        like = PROTOCOLS["permuted-mnist"]
        name = f"permuted {images.name}"
        protocols.append(replace(like, name=name, source="", n_tasks=10))
    return protocols
