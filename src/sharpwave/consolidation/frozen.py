"""A network run with weights that are not its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn
from torch.func import functional_call


def freeze(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Something to call in place of a model, which then computes with given parameters and buffers.

    Args:
        model: The network; only calls of it are served, not its other methods.
        weights: Parameters and buffers by name.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return functional_call(model, dict(weights), args, kwargs)

    return cast(nn.Module, call)
