"""A network as it was before it slept, to go back to: parameters, buffers and the optimiser's moments."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Copies.

    Attributes:
        weights: The model's state by name.
        moments: The optimiser's state.
    """

    weights: dict[str, Tensor]
    moments: dict[str, Any]

    @classmethod
    def take(cls, model: nn.Module, optimiser: torch.optim.Optimizer) -> Snapshot:
        """Copy both."""
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        return cls(weights, deepcopy(optimiser.state_dict()))

    @torch.no_grad()
    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Make both what they were, bit for bit."""
        for name, value in model.state_dict().items():
            value.copy_(self.weights[name])
        optimiser.load_state_dict(deepcopy(self.moments))
