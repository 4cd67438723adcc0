"""A running average of the weights: what a run ends with, steadier than its last update."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sharpwave.brainmu.training.sharding import gather_tensor, scatter_tensor
from sharpwave.brainmu.training.training_options import compute_average_decay


class WeightAverage:
    """Average of a model's parameters, on their device, sharded where they are.

    Args:
        model: Whose parameters, as they are now.
        width: Share of the updates so far that the average spans.
    """

    def __init__(self, model: nn.Module, *, width: float) -> None:
        self.parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.values = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.width = width

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the parameters, after update `step` (from 0)."""
        decay = compute_average_decay(step, self.width)
        for name, value in self.values.items():
            value.lerp_(self.parameters[name].detach(), 1 - decay)

    @torch.no_grad()
    def use(self) -> None:
        """Give the model the average as its weights."""
        for name, value in self.values.items():
            self.parameters[name].copy_(value)

    def gather(self) -> dict[str, Tensor]:
        """Whole tensors, by name; every process must call this."""
        return {name: gather_tensor(value) for name, value in self.values.items()}

    def scatter(self, values: Mapping[str, Tensor]) -> None:
        """Take up whole tensors, by name."""
        for name, value in self.values.items():
            scatter_tensor(values[name], value)
