"""Steps in JAX: gradients before a step, any optax transformation after them, and a step of wake.

A compiled step is kept for each shape of batch; batches are filled up to buckets, so there are few of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sharpwave.consolidation.gradients import TINY
from sharpwave.consolidation.protection import Protection
from sharpwave.consolidation.recipe import Recipe
from sharpwave.consolidation.wake import Wake
from sharpwave.integrations.jax.losses import WakeOutput, wake_loss
from sharpwave.integrations.jax.network import (
    Network,
    as_network,
    fill,
    name_path,
    pack,
    takes_statistics,
    to_arrays,
    unpack,
)
from sharpwave.integrations.jax.significance import compute_penalty, hold, shrink

if TYPE_CHECKING:
    from sharpwave.integrations.jax.memory import Memory


class Taken(NamedTuple):
    """One step of wake that was taken.

    Attributes:
        loss: Loss of new and replayed items, and the penalty of protection where there is one.
        logits: Outputs of the new items, shape (item, ...).
        losses: Loss of each new item, shape (item).
        is_taken: Whether loss and gradient were finite; if not, params and state are as they were.
    """

    loss: float
    logits: np.ndarray
    losses: np.ndarray
    is_taken: bool


def centre(gradients: Any, network: Network) -> Any:
    """Gradients in which what all inputs of a unit share is shrunk where it is longer than the rest.

    As `consolidation.gradients.centre_gradients` does in PyTorch.

    Args:
        gradients: Pytree of gradients.
        network: The network, which knows what is a kernel and where its inputs are.
    """

    def shrink(path: Any, gradient: Any) -> Any:
        axes = network.find_inputs(name_path(path), gradient)
        n_inputs = math.prod(gradient.shape[axis] for axis in axes)
        if n_inputs < 2:
            return gradient
        mean = gradient.mean(axis=axes, keepdims=True)
        common = n_inputs * (mean**2).sum()
        rest = (gradient**2).sum() - common
        kept = jnp.minimum(1.0, jnp.maximum(n_inputs**-0.5, rest / jnp.maximum(common, TINY)))
        return gradient - jnp.where(rest >= common, 0.0, 1 - kept).astype(gradient.dtype) * mean

    return jax.tree_util.tree_map_with_path(shrink, gradients)


def take_step(
    trained: Any,
    opt_state: Any,
    gradients: Any,
    loss: Any,
    *,
    network: Network,
    tx: optax.GradientTransformation,
    rate: Any,
    factor: Any,
    clip: float | None,
    centred: bool,
    among: Any = None,
) -> tuple[Any, Any, Any]:
    """One step of an optax transformation, no longer than `clip` lengths of the weights; none if all is not finite.

    Args:
        trained: Parameters.
        opt_state: State of the transformation.
        gradients: Gradients in the shape of the parameters.
        loss: The loss.
        network: The network.
        tx: The transformation.
        rate: Its learning rate times `factor`; NaN where it is not known: the limit is then on the step itself.
        factor: What its updates are multiplied by.
        clip: Longest step, in lengths of the weights; None for any.
        centred: Whether gradients are centred.
        among: Pytree of booleans, which parameters are trained; None, the default, for all.

    Returns:
        Parameters, state, and whether the step was taken.
    """
    mine = trained
    if among is not None:
        mine, gradients = (jax.tree.map(lambda m, leaf: leaf * m, among, tree) for tree in (trained, gradients))
    gradients = centre(gradients, network) if centred else gradients
    length, size = optax.global_norm(gradients), optax.global_norm(mine)
    is_fine = jnp.isfinite(length) & jnp.isfinite(loss)

    def limit(tree: Any, step: Any) -> Any:
        if not clip:
            return tree
        is_far = jnp.isfinite(step) & (step > clip * size) & (size > 0)
        shrink = jnp.where(is_far, clip * size / jnp.maximum(step, TINY), 1.0)
        return jax.tree.map(lambda leaf: leaf * shrink.astype(leaf.dtype), tree)

    def step() -> tuple[Any, Any]:
        updates, state = tx.update(limit(gradients, rate * length), opt_state, trained)
        updates = jax.tree.map(lambda leaf: leaf * jnp.asarray(factor, leaf.dtype), updates)
        unknown = jnp.where(jnp.isnan(rate), optax.global_norm(updates), jnp.nan)
        updates = limit(updates, unknown) if clip else updates
        if among is not None:
            updates = jax.tree.map(lambda m, leaf: leaf * m, among, updates)
            own = optax.tree_map_params(tx, lambda _, m: m, state, among, transform_non_params=lambda _: True)
            state = jax.tree.map(lambda m, new, old: jnp.where(m, new, old), own, state, opt_state)
        return optax.apply_updates(trained, updates), state

    taken, state = jax.lax.cond(is_fine, step, lambda: (trained, opt_state))
    return taken, state, is_fine


def hold_schedules(state: Any, before: Any) -> Any:
    """The state of a transformation whose schedules stand still: a night is no part of what they count.

    Args:
        state: State after a step.
        before: State before it.
    """
    kinds = tuple(
        kind
        for name in ("ScaleByScheduleState", "InjectHyperparamsState", "InjectStatefulHyperparamsState")
        if (kind := getattr(optax, name, None)) is not None
    )

    def is_schedule(node: Any) -> bool:
        return isinstance(node, kinds)

    def hold(new: Any, old: Any) -> Any:
        return new._replace(count=old.count) if is_schedule(new) else new

    return jax.tree.map(hold, state, before, is_leaf=is_schedule)


@partial(jax.jit, static_argnames=("network", "tx", "wake", "protection"))
def _take_wake_step(
    params: Any,
    opt_state: Any,
    batch: Any,
    old: Any,
    held: Any,
    numbers: Any,
    *,
    network: Network,
    tx: Any,
    wake: Wake,
    protection: Protection | None,
) -> tuple[Any, Any, Any, WakeOutput, Any]:
    scale, rate, factor = numbers
    trained, stats = unpack(params)

    def compute(trained: Any) -> tuple[Any, WakeOutput]:
        loss, output = wake_loss(pack(trained, stats), network, batch, old, wake=wake, scale=scale)
        if held is not None and protection is not None and protection.anchor:
            loss = loss + compute_penalty(trained, held, protection)
        return loss, output

    (loss, output), gradients = jax.value_and_grad(compute, has_aux=True)(trained)
    if held is not None and protection is not None:
        gradients = shrink(gradients, held, protection)
    replays = wake.method != "none"
    clip, centred = wake.clip if replays else None, wake.centre and replays
    trained, opt_state, is_taken = take_step(
        trained,
        opt_state,
        gradients,
        loss,
        network=network,
        tx=tx,
        rate=rate,
        factor=factor,
        clip=clip,
        centred=centred,
    )
    return pack(trained, output.stats), opt_state, loss, output, is_taken


def wake_step(
    params: Any,
    opt_state: Any,
    memory: Memory,
    batch: Mapping[str, Any],
    *,
    tx: optax.GradientTransformation,
    apply: Network | Callable[..., Any],
    plan: Recipe | None = None,
    task: int | None = None,
    rate: float | Callable[[Any], Any] | None = None,
) -> tuple[Any, Any, Taken]:
    """A step on a batch of new items, with what is replayed beside it; the items go into the memory.

    Args:
        params: Parameters, or `Variables`; they are not changed.
        opt_state: State of `tx`.
        memory: What is remembered; it takes in the batch.
        batch: New items: a dictionary of arrays.
        tx: Any optax transformation, as it is.
        apply: Function of params and a batch that gives the logits, or a `Network`. It is compiled once for each shape:
            give the same function at every step.
        plan: What wake and nights are made of, the same as for `night`; `Recipe()` where omitted.
        task: Number of the task, stored with the items where given.
        rate: Learning rate of `tx`, a number or the schedule that it was given, by which steps are limited; where
            omitted, that of `optax.inject_hyperparams`, else the step itself is measured.

    Returns:
        Parameters, state, and what the step gave.

    Example:
        >>> from sharpwave.consolidation import ReplayBuffer
        >>> from sharpwave.integrations.jax import Memory
        >>> tx, params, memory = optax.sgd(0.1), {"kernel": jnp.zeros((2, 2))}, Memory(ReplayBuffer(8))
        >>> batch = {"x": np.eye(2, dtype=np.float32), "y": np.arange(2)}
        >>> apply = lambda params, batch: batch["x"] @ params["kernel"]
        >>> params, opt_state, step = wake_step(params, tx.init(params), memory, batch, tx=tx, apply=apply)
        >>> round(step.loss, 3), len(memory.buffer)
        (0.693, 2)
    """
    began, plan = time.perf_counter(), plan or Recipe()
    network, wake, stats = as_network(apply), plan.wake, unpack(params)[1]
    batch = to_arrays(memory.transform(batch))
    old, scale = memory.draw_beside(batch, wake, apart=takes_statistics(stats))
    protection, held = plan.protection, hold(memory, plan.protection, params)
    if memory.budget is not None and not old and protection is None:  # the user's own step
        wake = replace(wake, clip=None, centre=False)
    n_items = len(next(iter(jax.tree.leaves(batch))))
    found = memory.find_rate(opt_state, rate)
    numbers = [np.asarray(each, np.float64) for each in (scale, found * memory.caution, memory.caution)]
    filled, *beside = [each if takes_statistics(stats) else fill(each) for each in (batch, *old)]
    options: dict[str, Any] = {"network": network, "tx": tx, "wake": wake, "protection": protection}
    taken = _take_wake_step(params, opt_state, filled, tuple(beside), held, numbers, **options)
    params, opt_state, loss, output, is_taken = taken
    step = Taken(float(loss), np.asarray(output.logits)[:n_items], np.asarray(output.losses)[:n_items], bool(is_taken))
    memory.learner.day.seconds += time.perf_counter() - began
    memory.take_in(batch, step, plan, task=task, rate=found, n_replayed=sum(len(each["index"]) for each in old))
    return params, opt_state, step
