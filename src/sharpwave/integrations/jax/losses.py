"""Losses of networks in JAX, awake and asleep, as pure functions; those of PyTorch, term by term."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sharpwave.consolidation.nrem import NREM
from sharpwave.consolidation.wake import Wake
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.jax.network import ROWS, Network, as_network, find_label, takes_statistics, unpack

PRIVATE = (ROWS, "index")
"""Entries of a batch that no network is given."""


class WakeOutput(NamedTuple):
    """What one pass of wake gives beside its loss.

    Attributes:
        logits: Outputs of the new items.
        losses: Loss of each new item.
        stats: Running statistics after it; None for a network without.
    """

    logits: Any
    losses: Any
    stats: Any


def wake_loss(
    params: Any,
    apply: Network | Callable[..., Any],
    batch: Mapping[str, Any],
    replay: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    wake: Wake | None = None,
    scale: Any = 1.0,
) -> tuple[Any, WakeOutput]:
    """The loss of new items, and of what is replayed beside them, as a pure function.

    Args:
        params: Parameters, or `Variables`.
        apply: Function of params and a batch that gives the logits, or a `Network`.
        batch: New items: a dictionary of arrays.
        replay: Items of the memory, from `Memory.draw`, or a sequence of a draw for logits and one for labels; None for
            none.
        wake: How the network learns while awake; `Wake()` where omitted.
        scale: Weight of the new items; default 1.

    Returns:
        Loss and `WakeOutput`, for `jax.value_and_grad(wake_loss, has_aux=True)`.

    Example:
        >>> params, batch = jnp.eye(2), {"x": jnp.eye(2), "y": jnp.arange(2)}
        >>> loss, output = wake_loss(params, lambda params, batch: batch["x"] @ params, batch)
        >>> round(float(loss), 3), output.logits.shape
        (0.313, (2, 2))
    """
    network, wake, (trained, stats) = as_network(apply), wake or Wake(), unpack(params)
    old = [replay] if isinstance(replay, Mapping) else list(replay or [])
    if wake.method == "none":
        old = []
    fuse = wake.fuse if wake.fuse is not None else not takes_statistics(stats)
    logits, replayed, stats = _pass_through(network, trained, stats, batch, old, fuse=fuse)
    seen = mask_unseen(logits, batch) if old and wake.method == "er-ace" else logits
    losses = network.compute_losses(seen, batch)
    loss = mean_of_rows(losses, batch)
    if old:
        loss = loss * scale
        if wake.method == "der++":
            _check_logits(old[0])
            loss = loss + wake.distillation * compute_distillation(replayed[0], old[0])
        weight = wake.replay if wake.method == "der++" else 1.0
        weight = weight if weight is not None else 0.5 if takes_statistics(stats) else 1.0
        if weight:
            loss = loss + weight * mean_of_rows(network.compute_losses(replayed[-1], old[-1]), old[-1])
    return loss, WakeOutput(logits, losses, stats)


def nrem_loss(logits: Any, batch: Mapping[str, Any], nrem: NREM, network: Network) -> Any:
    """The loss of replayed items: labels, and the stored logits where there are some.

    Args:
        logits: Outputs of the network.
        batch: Items of the memory.
        nrem: Options of replay.
        network: The network, whose loss it is.
    """
    logits = logits if logits.dtype == jnp.float64 else logits.astype(jnp.float32)
    loss = nrem.labels * mean_of_rows(network.compute_losses(logits, batch), batch)
    if nrem.distillation and "logits" in batch:
        loss = loss + nrem.distillation * compute_distillation(logits, batch, temperature=nrem.temperature)
    return loss


def compute_distillation(logits: Any, batch: Mapping[str, Any], *, temperature: float | None = None) -> Any:
    """How far logits are from those that are stored, as `consolidation.wake.compute_distillation` has it.

    Args:
        logits: Outputs, shape (item, ..., class).
        batch: Items with their `logits`, of as many classes or fewer.
        temperature: Temperature of the divergence; None, the default, for the mean squared difference.
    """
    taught = batch["logits"].astype(logits.dtype)
    part = tuple(slice(min(mine, theirs)) for mine, theirs in zip(logits.shape, taught.shape, strict=True))
    logits, taught = logits[part], taught[part]
    known = jnp.ones(taught.shape[:2], bool)
    if "logits_length" in batch:
        known = jnp.arange(taught.shape[1])[None] < batch["logits_length"][:, None]
    known = known & batch.get(ROWS, jnp.ones(len(taught), bool))[:, None]
    counted = jnp.broadcast_to(known.reshape(known.shape + (1,) * (taught.ndim - 2)), taught.shape)
    if temperature is None:
        return jnp.where(counted, (logits - taught) ** 2, 0).sum() / jnp.maximum(counted.sum(), 1)
    lowest = jnp.finfo(logits.dtype).min / 4
    if taught.ndim == 2:
        logits, taught = (jnp.where(counted, each, lowest) for each in (logits, taught))
    ours, theirs = (jax.nn.log_softmax(each / temperature, axis=-1) for each in (logits, taught))
    rows = counted.any(axis=-1)
    each = jnp.where(rows, (jnp.exp(theirs) * (theirs - ours)).sum(axis=-1), 0)
    return each.sum() / jnp.maximum(rows.sum(), 1) * temperature**2


def mean_of_rows(values: Any, batch: Mapping[str, Any]) -> Any:
    """Mean over the items of a batch that do not only fill its bucket."""
    rows = batch.get(ROWS)
    if rows is None:
        return values.mean()
    return jnp.where(rows, values, 0).sum() / jnp.maximum(rows.sum(), 1)


def mask_unseen(logits: Any, batch: Mapping[str, Any]) -> Any:
    """Logits with classes that are not among the labels at their lowest value (asymmetric cross-entropy)."""
    labels = batch[find_label(batch)].reshape(len(logits), -1)
    rows = jnp.broadcast_to(batch.get(ROWS, jnp.ones(len(logits), bool))[:, None], labels.shape)
    n_classes = logits.shape[-1]
    places = jnp.where(rows & (labels >= 0), labels, n_classes)
    present = jnp.zeros(n_classes + 1, bool).at[places].set(True, mode="drop")[:n_classes]
    return jnp.where(present, logits, jnp.finfo(logits.dtype).min)


def _check_logits(batch: Mapping[str, Any]) -> None:
    if "logits" not in batch:
        raise SharpwaveError(
            "replayed items with their logits, for der++",
            got=f"entries {', '.join(batch)}",
            fix="store them as wake_step does, or use Wake('er')",
        )


def _pass_through(
    network: Network, trained: Any, stats: Any, batch: Mapping[str, Any], old: list[Any], *, fuse: bool
) -> tuple[Any, list[Any], Any]:
    """Outputs of the new items and of each draw, in one pass where that is wanted and the batches fit."""
    inputs = [{name: each[name] for name in each if name not in PRIVATE} for each in (batch, *old)]
    if old and fuse and all(_fits(inputs[0], each) for each in inputs[1:]):
        parts = [{name: each[name] for name in inputs[0]} for each in inputs]
        joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        output, stats = network.run(trained, stats, joined, train=True)
        ends = np.cumsum([len(jax.tree.leaves(each)[0]) for each in parts])[:-1]
        first, *rest = jnp.split(output, ends)
        return first, rest, stats
    outputs = []
    for each in inputs:
        output, stats = network.run(trained, stats, each, train=True)
        outputs.append(output)
    return outputs[0], outputs[1:], stats


def _fits(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether the entries of one batch are in another, in the same type and shape of an item."""
    for name, value in first.items():
        if name not in second or isinstance(value, Mapping) != isinstance(second[name], Mapping):
            return False
        if isinstance(value, Mapping):
            if not _fits(value, second[name]):
                return False
        elif value.shape[1:] != second[name].shape[1:] or value.dtype != second[name].dtype:
            return False
    return True
