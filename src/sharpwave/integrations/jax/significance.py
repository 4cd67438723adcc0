"""Which weights of a network in JAX matter: Fisher information, noise in some of them, and their protection awake.

Weights are named by their paths ("dense/kernel"). What decides is PyTorch's code; what holds a gradient is JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.modules import perturb_weights
from sharpwave.consolidation.protection import Guard, Protection
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.jax.carrier import Carrier, prepare_batch
from sharpwave.integrations.jax.losses import PRIVATE
from sharpwave.integrations.jax.network import ROWS, Network, fill, name_path, to_tensor, unpack

if TYPE_CHECKING:
    from sharpwave.integrations.jax.memory import Memory

CHUNK = 64
"""Items whose gradients are taken together for Fisher information."""


@partial(jax.jit, static_argnames=("network",))
def _sum_squares(params: Any, batch: Any, *, network: Network) -> Any:
    """Sum over items of the squared gradient of the item's loss."""
    trained, stats = unpack(params)
    inputs = {name: batch[name] for name in batch if name not in PRIVATE}

    def compute(trained: Any, item: Any) -> Any:
        single = jax.tree.map(lambda leaf: leaf[None], item)
        return network.compute_losses(network.run(trained, stats, single, train=False)[0], single).sum()

    each = jax.vmap(jax.grad(compute), in_axes=(None, 0))(trained, inputs)
    rows = batch[ROWS]
    return jax.tree.map(lambda g: (jnp.where(rows.reshape(-1, *[1] * (g.ndim - 1)), g, 0) ** 2).sum(axis=0), each)


def list_weights(trained: Any) -> dict[str, Any]:
    """Parameters by their paths.

    Args:
        trained: Pytree of parameters.
    """
    return {name_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(trained)}


def replace_weights(trained: Any, weights: Mapping[str, Tensor]) -> Any:
    """The parameters, some of them with other values.

    Args:
        trained: Pytree of parameters.
        weights: New values by path.
    """

    def take(path: Any, leaf: Any) -> Any:
        new = weights.get(name_path(path))
        return leaf if new is None else jnp.array(new.detach().numpy(), leaf.dtype)

    return jax.tree_util.tree_map_with_path(take, trained)


def compute_fisher(carrier: Carrier, batch: Batch) -> dict[str, Tensor]:
    """Empirical Fisher information of each parameter, by its path: the mean over items of the squared gradient.

    Args:
        carrier: The network.
        batch: Items of the buffer with their labels.
    """
    assert carrier.network is not None
    arrays, n_items = prepare_batch(batch), len(batch["index"])
    parts = [jax.tree.map(lambda a, i=i: a[i : i + CHUNK], arrays) for i in range(0, n_items, CHUNK)]
    sums = [_sum_squares(carrier.variables, fill(part), network=carrier.network) for part in parts]
    total = jax.tree.map(lambda *each: sum(each) / n_items, *sums)
    return {name: to_tensor(leaf) for name, leaf in list_weights(total).items()}


def find_plastic(carrier: Carrier) -> dict[str, nn.Parameter]:
    """Copies of the weights that homeostasis may change and brittleness is measured of, by path."""
    network = carrier.network
    assert network is not None
    leaves = list_weights(unpack(carrier.variables)[0])
    return {name: _copy(leaf) for name, leaf in leaves.items() if network.is_plastic(name, leaf)}


def perturb(carrier: Carrier, scales: Mapping[str, float], *, generator: torch.Generator) -> Any:
    """The parameters with Gaussian noise in some, as `consolidation.modules.perturb_weights` draws it; None for none.

    Args:
        carrier: The network.
        scales: Standard deviation of the noise by path, in standard deviations of the weight.
        generator: Random generator of the noise.
    """
    if not scales:
        return None
    trained = unpack(carrier.variables)[0]
    leaves = list_weights(trained)
    _refuse_unknown(scales, leaves, what="noise by the path of a parameter")
    weights = {name: _copy(leaves[name]) for name in scales}
    with perturb_weights(weights, scales, generator=generator):
        return replace_weights(trained, weights)


def gather(guard: Guard, carrier: Carrier, batch: Batch) -> None:
    """Anchor the weights where they are after a night.

    Args:
        guard: What is protected.
        carrier: The network.
        batch: Items that Fisher information is gathered from.
    """
    weights = {name: _copy(leaf).detach() for name, leaf in list_weights(unpack(carrier.variables)[0]).items()}
    guard.anchor(compute_fisher(carrier, batch), weights)


def hold(memory: Memory, protection: Protection | None, params: Any) -> Any:
    """What is protected so far, as pytrees in the shape of the parameters; None for nothing.

    Args:
        memory: Memory of the network.
        protection: How strongly weights are protected.
        params: Parameters, or `Variables`.
    """
    guard = memory.guard
    if guard is None or protection is None or not guard.weights:
        return None
    trained = unpack(params)[0]
    _refuse_unknown(guard.weights, list_weights(trained), what="weights that were protected in this network")

    def find(known: Mapping[str, Tensor]) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, leaf: known[name_path(path)].numpy(), trained)

    return find(guard.fisher), find(guard.weights)


def compute_penalty(trained: Any, held: Any, protection: Protection) -> Any:
    """Half the anchor's weight times the significance-weighted squared distance from it."""
    parts = jax.tree.map(lambda p, fisher, weight: (fisher * (p - weight) ** 2).sum(), trained, *held)
    return protection.anchor / 2 * sum(jax.tree.leaves(parts))


def shrink(gradients: Any, held: Any, protection: Protection) -> Any:
    """Gradients divided by how much each weight is protected."""
    if not protection.step_size:
        return gradients

    def divide(gradient: Any, fisher: Any) -> Any:
        relative = fisher / jnp.maximum(fisher.mean(), jnp.finfo(fisher.dtype).tiny)
        return gradient / (1 + protection.step_size * relative)

    return jax.tree.map(divide, gradients, held[0])


def _copy(leaf: Any) -> nn.Parameter:
    return nn.Parameter(to_tensor(np.array(leaf)))


def _refuse_unknown(named: Mapping[str, Any], leaves: Mapping[str, Any], *, what: str) -> None:
    wrong = [name for name in named if name not in leaves or np.shape(leaves[name]) == ()]
    if wrong:
        raise SharpwaveError(
            f"{what}, such as {', '.join(list(leaves)[:3])}",
            got=", ".join(wrong[:3]),
            fix="name parameters by the keys of the tree, joined by '/'; what PyTorch protected cannot be taken up",
        )
