"""Damage to torch networks and their data: weight noise, lesions, corrupted inputs, wrong labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpwave.errors import SharpwaveError

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def list_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Linear and convolutional layers by name, in order: what is damaged. Norms and embeddings are left alone."""
    return {name or "model": layer for name, layer in model.named_modules() if isinstance(layer, LAYERS)}


@torch.no_grad()
def add_weight_noise(model: nn.Module, dose: float, *, rng: np.random.Generator, part: str | None = None) -> None:
    """Gaussian noise on the weights, in standard deviations of each layer's own weights.

    Args:
        model: Changed in place.
        dose: Standard deviation of the noise relative to that of the layer's weights.
        rng: For the noise.
        part: One layer only.
    """
    for layer in _choose(model, part).values():
        weight: Tensor = layer.weight  # type: ignore[assignment]
        noise = torch.as_tensor(rng.standard_normal(tuple(weight.shape)), dtype=weight.dtype)
        weight.add_(dose * weight.std() * noise.to(weight.device))


@torch.no_grad()
def lesion_units(model: nn.Module, share: float, *, rng: np.random.Generator, part: str | None = None) -> None:
    """Silence a share of the output units of each layer but the last: their weights and biases become 0.

    Args:
        model: Changed in place.
        share: 0 to 1.
        rng: For the choice of units.
        part: One layer only (the last one too, if named).
    """
    layers = _choose(model, part)
    names = list(layers) if part is not None else list(layers)[:-1]
    for name in names:
        n_units = len(layers[name].weight)  # type: ignore[arg-type]
        silence_units(layers[name], rng.permutation(n_units)[: round(share * n_units)].tolist())


@torch.no_grad()
def silence_units(layer: nn.Module, units: Sequence[int]) -> None:
    """Weights and biases of some output units of one layer become 0, in place."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    weight[list(units)] = 0
    if isinstance(layer.bias, Tensor):
        layer.bias[list(units)] = 0


def corrupt_inputs(
    inputs: Float[Tensor, "sample ..."], dose: float, *, rng: np.random.Generator
) -> Float[Tensor, "sample ..."]:
    """Gaussian noise on the inputs, in standard deviations of all inputs together."""
    noise = torch.as_tensor(rng.standard_normal(tuple(inputs.shape)), dtype=inputs.dtype, device=inputs.device)
    return inputs + dose * inputs.std() * noise


def flip_labels(
    labels: Int[Tensor, " sample"], share: float, *, n_classes: int, rng: np.random.Generator
) -> Int[Tensor, " sample"]:
    """A share of the labels replaced by another class."""
    wrong = torch.as_tensor(rng.random(len(labels)) < share, device=labels.device)
    shift = torch.as_tensor(rng.integers(1, n_classes, len(labels)), dtype=labels.dtype, device=labels.device)
    return torch.where(wrong, (labels + shift) % n_classes, labels)


def _choose(model: nn.Module, part: str | None) -> dict[str, nn.Module]:
    layers = list_layers(model)
    if not layers or (part is not None and part not in layers):
        raise SharpwaveError(
            "a network with linear or convolutional layers" if part is None else f"a layer among {', '.join(layers)}",
            got=f"layers {list(layers)}, part {part!r}",
            fix="see sharpwave.benchmarks.resilience.perturbations.list_layers",
        )
    return layers if part is None else {part: layers[part]}
