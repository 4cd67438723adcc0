"""Shocks: what happens to a network, or to the world that it lives in, from which it is to come back.

A lesion, noise and stale statistics happen to the network. Inputs that shift and labels that are swapped happen to the
world, for good: what the network remembers is of the world before, and it has had one short day in the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.demonstrations.damage import add_weight_noise, lesion_units
from sharpwave.demonstrations.streams import Inputs, Stream, Task
from sharpwave.errors import SharpwaveError


@dataclass(frozen=True)
class Shock:
    """What happens.

    Attributes:
        hurt: Changes a network in place, given a random generator; None where it is left alone.
        change: Makes a stream of another; None where the world stays.
        model: Network that it happens to, a key of `networks.MODELS`; default "mlp".
    """

    hurt: Callable[[nn.Module, np.random.Generator], None] | None = None
    change: Callable[[Stream], Stream] | None = None
    model: str = "mlp"


def add_noise(network: nn.Module, rng: np.random.Generator) -> None:
    """Noise on the weights of one standard deviation of each layer's own."""
    add_weight_noise(network, SHOCK_DOSES["weight_noise"], rng=rng)


def silence_half(network: nn.Module, rng: np.random.Generator) -> None:
    """Half of the units of each hidden layer fall silent."""
    lesion_units(network, SHOCK_DOSES["lesion"], rng=rng)


@torch.no_grad()
def forget_statistics(network: nn.Module, rng: np.random.Generator | None = None) -> None:
    """Running means and variances of BatchNorm become 0 and 1.

    Args:
        network: Changed in place.
        rng: Not used: there is no chance in it.

    Raises:
        SharpwaveError: If the network has none.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        raise SharpwaveError("a network with BatchNorm", got="none", fix='train model="mlp with norms"')
    for norm in norms:
        norm.reset_running_stats()


def invert_inputs(stream: Stream) -> Stream:
    """The same images, light for dark, in every task, to learn from and to be judged on."""
    return _change_tasks(stream, lambda task: replace(task, x_train=invert(task.x_train), x_test=invert(task.x_test)))


def dim_inputs(stream: Stream) -> Stream:
    """The same images in half of the contrast, on the lighter half of the range."""
    return _change_tasks(stream, lambda task: replace(task, x_train=dim(task.x_train), x_test=dim(task.x_test)))


def swap_labels(stream: Stream) -> Stream:
    """The classes of the last task take each other's names, two by two, in every task.

    >>> from sharpwave.demonstrations.streams import stream_digits
    >>> stream = stream_digits(seed=0)
    >>> swapped = swap_labels(stream)
    >>> bool((stream.tasks[-1].y_test + swapped.tasks[-1].y_test == sum(stream.tasks[-1].classes)).all())
    True
    """
    classes = stream.tasks[-1].classes
    renamed = torch.arange(stream.n_classes)
    for first, second in zip(classes[::2], classes[1::2], strict=False):
        renamed[first], renamed[second] = second, first
    return _change_tasks(stream, lambda task: replace(task, y_train=renamed[task.y_train], y_test=renamed[task.y_test]))


def invert(x: Inputs) -> Tensor:
    """Images, light for dark."""
    return 255 - _as_bytes(x)


def dim(x: Inputs) -> Tensor:
    """Images in half of the contrast, on the lighter half of the range."""
    return 128 + _as_bytes(x) // 2


def _as_bytes(x: Inputs) -> Tensor:
    if not isinstance(x, Tensor) or x.dtype != torch.uint8:
        raise SharpwaveError("images in bytes", got=type(x).__name__, fix="use another shock for other inputs")
    return x


def _change_tasks(stream: Stream, change: Callable[[Task], Task]) -> Stream:
    return replace(stream, tasks=tuple(change(task) for task in stream.tasks))


SHOCK_DOSES: dict[str, float] = {"weight_noise": 1.0, "lesion": 0.5}
"""Standard deviations of each layer's weights, and a share of the hidden units."""

SHOCKS: dict[str, Shock] = {
    "weight_noise": Shock(hurt=add_noise),
    "lesion": Shock(hurt=silence_half),
    "stale_statistics": Shock(hurt=forget_statistics, model="mlp with norms"),
    "inverted_inputs": Shock(change=invert_inputs),
    "dimmed_inputs": Shock(change=dim_inputs),
    "swapped_labels": Shock(change=swap_labels),
}
"""Shocks by name."""
