"""REM in JAX: dreams are made of stored items by PyTorch's code, and the network learns from them in JAX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

from sharpwave.consolidation.gradients import compute_annealing
from sharpwave.consolidation.night import Phase
from sharpwave.consolidation.rem import REM, recombine
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.jax.carrier import evaluate_in_pieces, prepare_batch
from sharpwave.integrations.jax.memory import Memory, find_night_rate
from sharpwave.integrations.jax.network import Network, pack, to_array, to_tensor, unpack
from sharpwave.integrations.jax.significance import list_weights, perturb
from sharpwave.integrations.jax.steps import hold_schedules, take_step


@partial(jax.jit, static_argnames=("network", "tx", "clip", "centred"))
def _take_rem_step(
    params: Any,
    around: Any,
    opt_state: Any,
    batch: Any,
    target: Any,
    numbers: Any,
    *,
    network: Network,
    tx: Any,
    clip: float | None,
    centred: bool,
) -> tuple[Any, Any, Any, Any]:
    """One step down the cross-entropy with soft targets; through weights `around` these, where there are some."""
    rate, factor = numbers
    trained, stats = unpack(params)

    def compute(trained: Any) -> tuple[Any, Any]:
        logits, after = network.run(trained, stats, batch, train=True)
        logits = logits if logits.dtype == jnp.float64 else logits.astype(jnp.float32)
        return -(target * jax.nn.log_softmax(logits, axis=-1)).sum(axis=-1).mean(), after

    at = trained if around is None else around
    (loss, after), gradients = jax.value_and_grad(compute, has_aux=True)(at)
    options: dict[str, Any] = {"rate": rate, "factor": factor, "clip": clip, "centred": centred}
    trained, opt_state, is_taken = take_step(trained, opt_state, gradients, loss, network=network, tx=tx, **options)
    return pack(trained, after), opt_state, loss, is_taken


class JaxDreams(Phase):
    """Dreams in one night of a network in JAX.

    Args:
        memory: Memory of the network, whose carrier holds its parameters and the state of `tx`.
        tx: The optax transformation.
        rem: Options of dreams.
        rate: Learning rate of `tx`; a number, a schedule, or None.
        anneal: Whether the rate falls over the night.
    """

    def __init__(self, memory: Memory, tx: Any, rem: REM, rate: Any, *, anneal: bool) -> None:
        self.memory, self.learner, self.carrier = memory, memory.learner, memory.carrier
        self.tx, self.rem, self.rate, self.anneal = tx, rem, rate, anneal
        self._before = memory.carrier.variables  # as it fell asleep, which labels made-up dreams

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Dreams need nothing more than the network as it fell asleep."""

    def step(self, plan: Sequence[int], position: int) -> float:
        """Learn from one batch of dreams."""
        learner, rem, carrier = self.learner, self.rem, self.carrier
        factor = learner.caution * (compute_annealing(position, len(plan)) if self.anneal else 1.0)
        rate, change = find_night_rate(self.memory, rem.rate, self.rate, name="REM")
        own = unpack(carrier.variables)[0]
        noise = {n: rem.exploration for n, leaf in list_weights(own).items() if leaf.ndim > 1 and rem.exploration}
        around = perturb(carrier, noise, generator=learner.generator)
        if around is not None:
            carrier.variables = pack(around, unpack(carrier.variables)[1])
        dreams, target = self._dream(rem.batch_size or learner.wake_items)
        carrier.variables = pack(own, unpack(carrier.variables)[1])
        learner.charge(dreams, len(target), 1.0)
        before = carrier.opt_state
        carrier.variables, state, loss, is_taken = _take_rem_step(
            carrier.variables,
            around,
            before,
            prepare_batch(dreams),
            to_array(target),
            [np.asarray(each, np.float64) for each in (rate * factor, change * factor)],
            network=carrier.network,
            tx=self.tx,
            clip=rem.clip,
            centred=rem.centre,
        )
        carrier.opt_state = hold_schedules(state, before)
        if not is_taken:
            learner.trouble = "a gradient was not finite" if math.isfinite(loss) else "a loss was not finite"
            return math.nan
        return float(loss)

    def finish(self) -> None:
        """Dreams leave nothing to be done."""

    def _dream(self, n_items: int) -> tuple[Any, Tensor]:
        """A batch, and what the network is to say of each."""
        rem, learner = self.rem, self.learner
        if rem.generator is None:
            mixed, target = recombine(learner, rem, n_items)
            if not isinstance(target, Tensor):
                raise SharpwaveError(
                    "outputs that are classes, for dreams in JAX", got="numbers, or many labels", fix="leave rem out"
                )
            return mixed, target
        dreams = rem.generator(n_items, learner.generator)
        assert self.carrier.network is not None
        said = to_tensor(evaluate_in_pieces(self._before, prepare_batch(dreams), network=self.carrier.network))
        said = said if said.dtype == torch.float64 else said.float()
        return dreams, torch.softmax(said / rem.temperature, dim=-1)
