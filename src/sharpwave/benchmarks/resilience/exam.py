"""The test items of all tasks of a stream, made ready once, because they are asked many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpwave.benchmarks.continual.streams import Stream, join, take


@dataclass(frozen=True, eq=False)
class Exam:
    """What networks are asked.

    Attributes:
        inputs: Of all tasks, one after another.
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
        training = network.training
        network.eval()
        right = (network(self.inputs).argmax(dim=1) == self.labels).float()
        network.train(training)
        return [float(part.mean()) for part in right.split(list(self.sizes))]
