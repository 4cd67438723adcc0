"""Small networks that are trained in seconds, and how they are damaged, scored and looked into."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

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


MODELS: dict[str, type[Perceptron] | type[NarrowResNet18]] = {"mlp": Perceptron, "resnet": NarrowResNet18}
"""Networks by name; each takes the shape of an input and the number of classes."""


def make_model(name: str, shape: tuple[int, ...], n_classes: int, *, seed: int) -> nn.Module:
    """A freshly initialised network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name](shape, n_classes)


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
        rng: Random generator of the noise.
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
        rng: Random generator of the choice of units.
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
            fix="see sharpwave.demonstrations.networks.list_layers",
        )
    return layers if part is None else {part: layers[part]}


DOSES: dict[str, tuple[float, ...]] = {
    "weight_noise": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    "lesion": (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
    "input_noise": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    "label_noise": (0.0, 0.2, 0.4, 0.6, 0.8),
}
"""Weight and input noise in standard deviations; shares of units and of labels."""

Recover = Callable[[nn.Module, int], None]
Relearn = Callable[[nn.Module, Int[Tensor, " sample"]], None]


class NetworkSubject:
    """One network under test.

    Args:
        model: Classifier; never changed, copies are.
        inputs: Held-out inputs to score on.
        labels: Their classes.
        recover: One step of recovery of a copy: sleep, or new data, drawn from the number of the step alone. Without
            it nothing recovers.
        relearn: Trains a copy on its own data with the labels given, for label noise; without it that dose is left out.
        train_labels: Labels that `relearn` is given, some of them wrong.
        doses: Doses by kind; `DOSES` where omitted.
        shock: Kind and dose from which it must recover.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> subject = NetworkSubject(network, torch.rand(40, 1, 4, 4), torch.arange(40) % 2)
    >>> twin = subject.copy()
    >>> twin.damage("weight_noise", 1.0, rng=np.random.default_rng(0))
    >>> list(subject.parts), torch.equal(network[1].weight, twin.model[1].weight)
    (['1'], False)
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Float[Tensor, "sample ..."],
        labels: Int[Tensor, " sample"],
        *,
        recover: Recover | None = None,
        relearn: Relearn | None = None,
        train_labels: Int[Tensor, " sample"] | None = None,
        doses: Mapping[str, Sequence[float]] | None = None,
        shock: tuple[str, float] = ("weight_noise", 1.0),
    ) -> None:
        self.model = model
        self.inputs, self.labels = inputs, labels
        self.n_classes = int(labels.max()) + 1
        self.chance = float(torch.bincount(labels).max() / len(labels))
        self.shock = shock
        # One dose does the same to each layer relative to its weights: a layer's damage is its share of all weights.
        sizes = {name: layer.weight.numel() for name, layer in list_layers(model).items()}  # type: ignore[operator, union-attr]
        self.parts: Mapping[str, float] = {name: size / sum(sizes.values()) for name, size in sizes.items()}
        self._recover, self._relearn, self._train_labels = recover, relearn, train_labels
        known = DOSES if relearn is not None else {kind: row for kind, row in DOSES.items() if kind != "label_noise"}
        self.doses: Mapping[str, Sequence[float]] = known if doses is None else doses

    def copy(self) -> NetworkSubject:
        """The same network, to be damaged."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        return twin

    @torch.no_grad()
    def score(self) -> float:
        """Accuracy."""
        training = self.model.training
        self.model.eval()
        found = self.model(self.inputs).argmax(dim=-1)
        self.model.train(training)
        return float((found == self.labels).float().mean())

    def damage(self, kind: str, dose: float, *, rng: np.random.Generator, part: str | None = None) -> None:
        """Damage this copy.

        Raises:
            SharpwaveError: If the kind is unknown, or label noise is asked for without `relearn`.
        """
        if kind == "weight_noise":
            add_weight_noise(self.model, dose, rng=rng, part=part)
        elif kind == "lesion":
            lesion_units(self.model, dose, rng=rng, part=part)
        elif kind == "input_noise":
            self.inputs = corrupt_inputs(self.inputs, dose, rng=rng)
        elif kind == "label_noise" and self._relearn is not None and self._train_labels is not None:
            wrong = flip_labels(self._train_labels, dose, n_classes=self.n_classes, rng=rng)
            self._relearn(self.model, wrong)
        else:
            raise SharpwaveError(
                f"damage among {', '.join(DOSES)} (label_noise with relearn= and train_labels=)",
                got=repr(kind),
                fix="choose one of these, or pass relearn and train_labels",
            )

    @property
    def recovers(self) -> bool:
        """Whether there is a way to recover; without one, recovery is not measured."""
        return self._recover is not None

    def recover(self, number: int) -> None:
        """One step of recovery."""
        if self._recover is not None:
            self._recover(self.model, number)


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

    training = model.training
    hook = modules[layer].register_forward_hook(keep)
    try:
        model.eval()
        model(inputs)
    finally:
        hook.remove()
        model.train(training)
    states = found[-1]
    states = states[0] if states.ndim == 3 and len(states) == 1 else states
    if states.ndim != 2 or len(states) < 2:
        raise SharpwaveError(
            "hidden states (token, unit) of one sequence",
            got=f"shape {tuple(found[-1].shape)}",
            fix="give one sequence at a time, with the batch first",
        )
    return states.float().cpu().numpy().astype(np.float64)
