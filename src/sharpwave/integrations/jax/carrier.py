"""A network in JAX as PyTorch's side of a night meets it: a module that gives outputs, and what they are scored by."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, Objective
from sharpwave.integrations.jax.network import (
    ROWS,
    Network,
    fill,
    find_pieces,
    pack,
    to_arrays,
    to_tensor,
    unpack,
)


class Carrier(nn.Module):
    """A network in JAX as a module of torch that gives its outputs, so that a night can score it.

    Attributes:
        network: The network.
        variables: Its parameters, or `Variables`.
        opt_state: State of the transformation in a night.
        weights: What stands for its parameters: NaN where one is not finite, another number once one has changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network: Network | None = None
        self.variables: Any = None
        self.opt_state: Any = None
        self.weights = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Batch) -> Tensor:
        """Outputs of a batch; in training mode statistics are taken, as of any pass."""
        arrays = prepare_batch(batch)
        assert self.network is not None
        if self.training and unpack(self.variables)[1] is not None:
            output, self.variables = _pass_in_training(self.variables, arrays, network=self.network)
            return to_tensor(output)
        return to_tensor(evaluate_in_pieces(self.variables, arrays, network=self.network))


@jax.jit
def count_changes(before: Any, after: Any) -> Any:
    """How many arrays of a tree are others than before; NaN where a value is not finite."""
    changed = [
        jax.numpy.any(old != new) for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    ]
    finite = [jax.numpy.all(jax.numpy.isfinite(leaf)) for leaf in jax.tree.leaves(after)]
    return jax.numpy.where(
        jax.numpy.all(jax.numpy.stack(finite)), jax.numpy.sum(jax.numpy.stack(changed)), jax.numpy.nan
    )


@partial(jax.jit, static_argnames=("network",))
def evaluate(params: Any, batch: Any, *, network: Network) -> Any:
    """Outputs of a batch in evaluation mode."""
    return network.run(*unpack(params), batch, train=False)[0]


@partial(jax.jit, static_argnames=("network",))
def _pass_in_training(params: Any, batch: Any, *, network: Network) -> tuple[Any, Any]:
    trained, stats = unpack(params)
    output, stats = network.run(trained, stats, batch, train=True)
    return output, pack(trained, stats)


def evaluate_in_pieces(params: Any, batch: Mapping[str, Any], *, network: Network) -> np.ndarray:
    """Outputs of a batch of any length in evaluation mode, in pieces of few lengths, so that few programs are compiled.

    Args:
        params: Parameters, or `Variables`.
        batch: Entries (item, ...), as arrays.
        network: The network.
    """
    n_items, pieces, first = len(jax.tree.leaves(batch)[0]), [], 0
    for size in find_pieces(n_items):
        part = jax.tree.map(lambda leaf, first=first, size=size: leaf[first : first + size], batch)
        filled = fill(part, size=size)
        filled.pop(ROWS)
        pieces.append(evaluate(params, filled, network=network))
        first += size
    return np.concatenate([np.asarray(piece) for piece in pieces])[:n_items]


@partial(jax.jit, static_argnames=("network",))
def _compute_losses(output: Any, batch: Any, *, network: Network) -> Any:
    return network.compute_losses(output, batch)


def make_objective(network: Network, *, label: str = "y") -> Objective:
    """What torch's side of a night asks of a network: its outputs, its losses, and whether its answers are classes.

    Args:
        network: The network.
        label: Name of the labels' entry; default "y".
    """

    def compute_losses(output: Tensor, batch: Batch) -> Tensor:
        filled = fill({"output": output.numpy(), "batch": prepare_batch(batch)})
        return to_tensor(_compute_losses(filled["output"], filled["batch"], network=network))[: len(output)]

    has_classes = None if network.loss == "classification" or callable(network.loss) else False
    return Objective(lambda model, batch: model(batch), compute_losses, label, has_classes)


def prepare_batch(batch: Batch) -> dict[str, Any]:
    """What the network is given of a batch of the buffer, as arrays."""
    return to_arrays({name: batch[name] for name in batch if name not in ("index", "logits", "logits_length")})
