"""Noise in the weights for the length of one pass: exploration in REM, and replay steered to brittle layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def perturb_weights(
    weights: Mapping[str, nn.Parameter], scales: Mapping[str, float], *, generator: torch.Generator
) -> Iterator[None]:
    """Gaussian noise in some weights, which are put back bit for bit.

    Args:
        weights: By name.
        scales: Standard deviation of the noise by name, in those of the weight.
        generator: Of the noise.
    """
    kept: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, scale in scales.items():
            if scale and name in weights:
                weight = weights[name]
                kept[name] = weight.detach().clone()
                drawn = torch.randn(weight.shape, generator=generator).to(weight)
                weight.add_(drawn, alpha=scale * float(kept[name].std()))
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                weights[name].copy_(value)


def compute_brittleness(fisher: Mapping[str, Tensor], weights: Mapping[str, nn.Parameter]) -> dict[str, float]:
    """How much the loss is expected to rise when each layer's weights take noise of one standard deviation of theirs.

    To second order that is half the sum of Fisher information times the weights' variance; the most brittle is 1.

    Args:
        fisher: By name.
        weights: By name, in the same shapes.
    """
    rises = {name: 0.5 * float(fisher[name].sum() * weights[name].detach().var()) for name in weights}
    highest = max(rises.values(), default=0.0)
    return {name: rise / highest if highest > 0 else 0.0 for name, rise in rises.items()}
