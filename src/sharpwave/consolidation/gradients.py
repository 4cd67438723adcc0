"""Gradients before a step: how long they are, how far they may move the weights, and what all inputs share in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from sharpwave.consolidation.modules import is_sharded, localise

TINY = 1e-30


@torch.no_grad()
def measure_length(tensors: Iterable[Tensor]) -> float:
    """Euclidean norm of all values of some tensors together, over processes where they are sharded; 0 for none."""
    gradients = [tensor.detach() for tensor in tensors]
    if len(gradients) == 1 and not gradients[0].is_sparse and not is_sharded(gradients[0]):
        return float(torch.linalg.vector_norm(gradients[0]))
    if len({(each.dtype, each.device, each.layout) for each in gradients}) == 1 and not any(
        each.is_sparse or is_sharded(each) for each in gradients
    ):
        return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
    dense = [gradient.coalesce().values() if gradient.is_sparse else gradient for gradient in gradients]
    if not dense:
        return 0.0
    whole = [gradient for gradient in dense if not is_sharded(gradient)]
    squares = [nn.utils.get_total_norm(whole).float().square()] if whole else []
    parts = [localise(gradient) for gradient in dense if is_sharded(gradient)]
    if parts:
        total = nn.utils.get_total_norm(parts).float().square()
        distributed.all_reduce(total)
        squares.append(total)
    return float(torch.stack(squares).sum().sqrt())


@torch.no_grad()
def measure_gradient_norm(parameters: Iterable[Tensor]) -> float:
    """Euclidean norm of the gradients of some parameters; 0 where there are none."""
    return measure_length(parameter.grad for parameter in parameters if parameter.grad is not None)


@torch.no_grad()
def tame_gradients(groups: Iterable[Mapping[str, Any]], clip: float | None) -> bool:
    """Before a step: shrink gradients that would move the weights far, and clear them where one is not finite.

    The step is as long as the gradients times their learning rates. A limit in lengths of the weights themselves
    means the same at any scale of inputs and loss, and at any learning rate.

    Args:
        groups: Groups of parameters of the optimiser that is about to step.
        clip: Longest step, in lengths of the weights; None for any.

    Returns:
        Whether the gradients are finite.
    """
    square = length = 0.0
    taken: list[Tensor] = []
    for group in groups:
        mine = [parameter for parameter in group["params"] if parameter.grad is not None]
        norm = measure_gradient_norm(mine)
        square += (float(group["lr"]) * norm) ** 2 if math.isfinite(norm) else math.inf
        length += measure_length(mine) ** 2 if clip else 0.0
        taken += mine
    if not math.isfinite(square):
        for parameter in taken:
            parameter.grad = None
        return False
    if clip and length and square > clip**2 * length:
        for parameter in taken:
            if parameter.grad is not None:
                parameter.grad.mul_(clip * math.sqrt(length / square))
    return True


@torch.no_grad()
def centre_gradients(module: nn.Module, parameters: Iterable[Tensor] | None = None) -> None:
    """Before a step: shrink what all inputs of a unit share in its gradient, where that is longer than the rest.

    Where inputs have a mean (bright images, rectified activities), one direction of each unit's weights is as steep as
    all inputs together and decides at which rate training diverges. Steepness grows with the square of a gradient, so
    the mean of a layer's gradient over its inputs is multiplied by the square of the rest's length over its own: never
    by more than 1, never by less than 1/√(number of inputs). Gradient centralisation (Yong et al. 2020,
    arXiv:2004.01461) takes it away whole, and with it what a single layer could learn of a common level.

    Args:
        module: Network with gradients; weights of linear layers and convolutions are centred, but for those that an
            embedding shares.
        parameters: The only parameters that may be changed; all where omitted.

    Example:
        >>> layer = nn.Linear(4, 1)
        >>> layer.weight.grad = torch.tensor([[1.0, 1.0, 1.0, 5.0]])
        >>> centre_gradients(layer)
        >>> layer.weight.grad
        tensor([[0.5000, 0.5000, 0.5000, 4.5000]])
    """
    weights = _list_centred(module, list(module.parameters() if parameters is None else parameters))
    for weight in weights:
        if weight.grad is None or (n_inputs := weight[0].numel()) < 2:
            continue
        mean = weight.grad.mean(dim=tuple(range(1, weight.ndim)), keepdim=True)
        common = n_inputs * measure_length([mean]) ** 2
        rest = measure_length([weight.grad]) ** 2 - common
        if not rest >= common:
            weight.grad.sub_(mean, alpha=1 - min(1.0, max(n_inputs**-0.5, rest / max(common, TINY))))


_KNOWN: WeakKeyDictionary[nn.Module, dict[int, tuple[ReferenceType[Tensor], bool]]] = WeakKeyDictionary()
"""Of each network, its parameters by their `id`, and whether they are centred: a walk of all layers, once."""


def _list_centred(module: nn.Module, parameters: list[Tensor]) -> list[Tensor]:
    """Those parameters that are weights of linear layers or convolutions, and not an embedding's too."""
    known = _KNOWN.get(module, {})
    if any(id(each) not in known or known[id(each)][0]() is not each for each in parameters):
        layers = list(module.modules())
        embedded = {id(layer._parameters.get("weight")) for layer in layers if isinstance(layer, nn.Embedding)}
        centred = {
            id(layer._parameters.get("weight"))
            for layer in layers
            if isinstance(layer, nn.Linear | _ConvNd) and not isinstance(layer, _ConvTransposeNd)
        }
        every = {id(each): each for each in [*parameters, *module.parameters()]}
        known = {key: (ref(each), key in centred - embedded) for key, each in every.items()}
        _KNOWN[module] = known
    return [each for each in parameters if known[id(each)][1]]


def compute_annealing(position: int, n_steps: int, *, warm: float = 0.0) -> float:
    """Factor of the learning rate at a step of a night: half a cosine, from 1 to nothing.

    Args:
        position: Step of the night.
        n_steps: Number of its steps.
        warm: Share of them, at the beginning, over which the factor rises evenly to the cosine; default 0.
    """
    rise = min(1.0, (position + 1) / (warm * n_steps + 1))
    return rise * (1 + math.cos(math.pi * position / n_steps)) / 2


def are_places(
    loss: Callable[[Tensor, Any], Tensor], outputs: Tensor, batch: Mapping[str, Any], labels: Tensor
) -> bool:
    """Whether labels say which output is right: whether a loss falls fastest where the output of the label rises.

    Labels may count from 1, or stand for classes by a table that the loss alone knows; then right and wrong cannot be
    told from them. True where the loss does not tell.

    Args:
        loss: Function of outputs and a batch that gives the loss of each item.
        outputs: Outputs, shape (item, class).
        batch: The batch.
        labels: Integers, shape (item); negative ones are not looked at.
    """
    with torch.inference_mode(False), torch.enable_grad():
        even = torch.zeros(outputs.shape, dtype=torch.float32, device=outputs.device, requires_grad=True)
        try:
            (slopes,) = torch.autograd.grad(loss(even, batch).sum(), even)
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError, AttributeError):
            return True
    told = (labels >= 0) & slopes.isfinite().all(dim=1) & slopes.any(dim=1)
    right = slopes.argmin(dim=1) == labels
    return not bool(told.any()) or float(right[told].float().mean()) > 0.9


def find_class_axis(logits: Tensor, labels: Any) -> int:
    """Axis of the classes in logits: 1 for pixels, (item, class, height, width), else the last, (item, token, class).

    Args:
        logits: Logits of each class.
        labels: Labels, classes or a share of each class, by whose shape (or shares, which add up to 1) the axis is told
            where it is another; anything else tells nothing.
    """
    axis = 1 if logits.ndim > 3 else -1
    if logits.ndim < 3 or not isinstance(labels, Tensor):
        return axis
    if labels.shape == logits.shape and labels.is_floating_point():
        other = 1 if axis == -1 else -1
        return other if add_up(labels, other) and not add_up(labels, axis) else axis
    fits = {1: labels.shape[1:] == logits.shape[2:], -1: labels.shape[1:] == logits.shape[1:-1]}
    return axis if fits[axis] or not fits[-axis] else -axis


def add_up(shares: Tensor, axis: int) -> bool:
    """Whether values are shares along an axis: none below 0, and no more than 1 together; unknown ones are."""
    try:
        return not bool((shares < 0).any()) and not bool((shares.sum(dim=axis) > 1.01).any())
    except RuntimeError:  # within vmap, which lets nobody look
        return True


def copy_moments(optimiser: Any) -> dict[str, Any]:
    """A copy of an optimiser's state; what it has of parameters that are no longer in it, as of a head that was
    replaced, is forgotten: torch cannot list the state of such an optimiser (a `KeyError`).
    """
    for part in getattr(optimiser, "parts", [optimiser]):
        known = {id(parameter) for group in part.param_groups for parameter in group["params"]}
        for parameter in [each for each in getattr(part, "state", {}) if id(each) not in known]:
            del part.state[parameter]
    return deepcopy(optimiser.state_dict())
