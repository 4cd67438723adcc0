"""Training and evaluation mode, module by module, as the user has set them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn


def get_modes(model: nn.Module) -> dict[str, bool]:
    """Whether each module is in training mode, by name."""
    return {name: module.training for name, module in model.named_modules()}


def set_modes(model: nn.Module, modes: Mapping[str, bool]) -> None:
    """Put each module in the mode it was in."""
    for name, module in model.named_modules():
        module.training = modes[name]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back."""
    modes = get_modes(model)
    model.eval()
    try:
        yield
    finally:
        set_modes(model, modes)
