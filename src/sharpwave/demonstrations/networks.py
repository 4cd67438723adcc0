"""Small networks that are trained in seconds, and how they are looked into."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.errors import SharpwaveError


class Perceptron(nn.Module):
    """Two hidden layers of rectified units over the pixels.

    Args:
        shape: Shape of one image.
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


class NormedPerceptron(Perceptron):
    """A perceptron with BatchNorm after each hidden layer.

    Args:
        shape: Shape of one image.
        n_classes: Size of the answer.
        width: Units per hidden layer.
    """

    def __init__(self, shape: tuple[int, ...], n_classes: int, *, width: int = 100) -> None:
        super().__init__(shape, n_classes, width=width)
        flat, first, relu, second, last = self.hidden
        self.hidden = nn.Sequential(flat, first, nn.BatchNorm1d(width), relu, second, nn.BatchNorm1d(width), last)


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
        shape: Shape of one image: channels, height, width.
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


MODELS: dict[str, type[Perceptron] | type[NarrowResNet18]] = {
    "mlp": Perceptron,
    "mlp with norms": NormedPerceptron,
    "resnet": NarrowResNet18,
}
"""Networks by name; each takes the shape of an input and the number of classes."""


def make_model(name: str, shape: tuple[int, ...], n_classes: int, *, seed: int) -> nn.Module:
    """A freshly initialised network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name](shape, n_classes)


@torch.no_grad()
def record_hidden_states(model: nn.Module, inputs: Any, *, layer: str) -> Float[np.ndarray, "time unit"]:
    """What a layer gives for one sequence, token by token, for `sharpwave.resilience.card(states, rate=1.0)`.

    Args:
        model: Recurrent or attending network; put back into the mode it was in.
        inputs: Argument of the model: one sequence in its batch.
        layer: Name of a module in `named_modules`, whose output is (token, unit), (1, token, unit), or a tuple that
            begins with one of these, as recurrent layers give.

    Raises:
        SharpwaveError: If there is no such layer, or its output has no axis of tokens.

    >>> network = nn.Sequential(nn.RNN(3, 5, batch_first=True))
    >>> record_hidden_states(network, torch.rand(1, 20, 3), layer="0").shape
    (20, 5)
    """
    modules = dict(model.named_modules())
    if layer not in modules:
        raise SharpwaveError(
            f"a layer among {', '.join(name for name in modules if name)}", got=repr(layer), fix="choose one of these"
        )
    found: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    modes = {module: module.training for module in model.modules()}
    hook = modules[layer].register_forward_hook(keep)
    try:
        model.eval()
        model(inputs)
    finally:
        hook.remove()
        for module, training in modes.items():
            module.training = training
    states = found[-1]
    states = states[0] if states.ndim == 3 and len(states) == 1 else states
    if states.ndim != 2 or len(states) < 2:
        raise SharpwaveError(
            "hidden states (token, unit) of one sequence",
            got=f"shape {tuple(found[-1].shape)}",
            fix="give one sequence at a time, with the batch first",
        )
    return states.float().cpu().numpy().astype(np.float64)


DAMAGE = "add_weight_noise corrupt_inputs DOSES flip_labels lesion_units list_layers silence_units"
__getattr__ = moved.rename(
    __name__,
    {"NetworkSubject": "demonstrations.subject:NetworkSubject"}
    | {name: f"demonstrations.damage:{name}" for name in DAMAGE.split()},
)
