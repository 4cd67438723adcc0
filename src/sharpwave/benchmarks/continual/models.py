"""The networks of the protocols: the usual multilayer perceptron, and a ResNet-18 narrow enough for two cores."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Two hidden layers of rectified units over the pixels.

    Args:
        shape: Of one image.
        n_classes: Size of the answer.
        width: Units per hidden layer.
    """

    def __init__(self, shape: tuple[int, ...], n_classes: int, *, width: int = 100) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(shape), width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))


class Block(nn.Module):
    """Two 3 × 3 convolutions with a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(n_out)
        self.second = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class NarrowResNet18(nn.Module):
    """ResNet-18 (He et al. 2016), stem included, with fewer channels; images below 32 pixels meet a stem of one step.

    Args:
        shape: Of one image: channels, height, width.
        n_classes: Size of the answer.
        width: Channels of the first of the four stages; the published network has 64.
    """

    def __init__(self, shape: tuple[int, ...], n_classes: int, *, width: int = 12) -> None:
        super().__init__()
        large = shape[-1] >= 32
        stem = nn.Conv2d(shape[0], width, 7 if large else 3, 2 if large else 1, 3 if large else 1, bias=False)
        layers: list[nn.Module] = [stem, nn.BatchNorm2d(width), nn.ReLU()]
        if large:
            layers.append(nn.MaxPool2d(3, 2, 1))
        n_in = width
        for stage in range(4):
            n_out = width * 2**stage
            layers += [Block(n_in, n_out, 1 if stage == 0 else 2), Block(n_out, n_out, 1)]
            n_in = n_out
        self.hidden = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(n_in, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(2 * x - 1))


MODELS: dict[str, type[Perceptron] | type[NarrowResNet18]] = {"mlp": Perceptron, "resnet": NarrowResNet18}
"""Networks by name; each takes the shape of an input and the number of classes."""


def make_model(name: str, shape: tuple[int, ...], n_classes: int, *, seed: int) -> nn.Module:
    """A freshly initialised network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name](shape, n_classes)
