"""What a night in JAX does in its steps: replay through the whole network or its top, and what follows it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.gradients import compute_annealing
from sharpwave.consolidation.learner import N_SAMPLED, Learner
from sharpwave.consolidation.night import Phase
from sharpwave.consolidation.nrem import NREM, NREMPhase, find_input
from sharpwave.consolidation.recipe import Recipe
from sharpwave.consolidation.significance import KINDS, Homeostasis, apply_homeostasis, compute_brittleness
from sharpwave.consolidation.sleep_report import NREM_STAGE
from sharpwave.integrations.jax.carrier import count_changes, prepare_batch
from sharpwave.integrations.jax.losses import PRIVATE, nrem_loss
from sharpwave.integrations.jax.memory import Memory, find_night_rate
from sharpwave.integrations.jax.network import (
    Network,
    fill,
    name_path,
    pack,
    takes_statistics,
    to_array,
    to_arrays,
    to_tensor,
    unpack,
)
from sharpwave.integrations.jax.significance import compute_fisher, find_plastic, perturb, replace_weights
from sharpwave.integrations.jax.steps import hold_schedules, take_step

DECODER = optax.adam(1e-3)
"""Of the linear map from hidden states back to inputs."""


@partial(jax.jit, static_argnames=("network", "tx", "nrem"))
def _take_nrem_step(
    params: Any,
    around: Any,
    opt_state: Any,
    decoder: Any,
    batch: Any,
    noise: Any,
    numbers: Any,
    *,
    network: Network,
    tx: Any,
    nrem: NREM,
) -> tuple[Any, Any, Any, Any, Any]:
    """One step of replay through the whole network; through weights `around` it, where there are some."""
    rate, factor, strength = numbers
    trained, stats = unpack(params)
    inputs = {name: batch[name] for name in batch if name not in PRIVATE}

    def compute(trained: Any, layer: Any) -> tuple[Any, Any]:
        if noise is None:
            logits, after = network.run(trained, stats, inputs, train=True)
            return nrem_loss(logits, batch, nrem, network), after
        hidden, after = network.run_lower(trained, stats, inputs, train=True)
        spread = jnp.std(jax.lax.stop_gradient(hidden), ddof=1)
        hidden = hidden + (strength * spread).astype(hidden.dtype) * noise.astype(hidden.dtype)
        loss = nrem_loss(network.get_split().upper(trained, hidden), batch, nrem, network)
        if layer is not None:
            flat = [each.reshape(len(each), -1).astype(layer["bias"].dtype) for each in (hidden, inputs["x"])]
            loss = loss + nrem.reconstruction * ((flat[0] @ layer["weight"] + layer["bias"] - flat[1]) ** 2).mean()
        return loss, after

    layer, moments = decoder or (None, None)
    at = trained if around is None else around
    (loss, after), gradients = jax.value_and_grad(compute, argnums=(0, 1), has_aux=True)(at, layer)
    options = {"rate": rate, "factor": factor, "clip": nrem.clip, "centred": nrem.centre}
    trained, opt_state, is_taken = take_step(trained, opt_state, gradients[0], loss, network=network, tx=tx, **options)
    if layer is not None:
        updates, moments = DECODER.update(gradients[1], moments, layer)
        layer = optax.apply_updates(layer, updates)
    return pack(trained, after), opt_state, (layer, moments), loss, is_taken


@partial(jax.jit, static_argnames=("network", "tx", "nrem"))
def _take_top_step(
    params: Any, opt_state: Any, states: Any, batch: Any, numbers: Any, *, network: Network, tx: Any, nrem: NREM
) -> tuple[Any, Any, Any, Any]:
    """One step of replay through the top alone, of what the lower part made of the items."""
    rate, factor, _ = numbers
    trained, stats = unpack(params)
    among = jax.tree_util.tree_map_with_path(lambda path, _: network.is_top(name_path(path)), trained)

    def compute(trained: Any) -> Any:
        return nrem_loss(network.get_split().upper(trained, states), batch, nrem, network)

    loss, gradients = jax.value_and_grad(compute)(trained)
    options = {"rate": rate, "factor": factor, "clip": nrem.clip, "centred": nrem.centre, "among": among}
    trained, opt_state, is_taken = take_step(trained, opt_state, gradients, loss, network=network, tx=tx, **options)
    return pack(trained, stats), opt_state, loss, is_taken


@partial(jax.jit, static_argnames=("network",))
def _catch(params: Any, batch: Any, *, network: Network) -> Any:
    return network.run_lower(*unpack(params), batch, train=False)[0]


@partial(jax.jit, static_argnames=("network",))
def _run_top(params: Any, states: Any, *, network: Network) -> Any:
    return network.get_split().upper(unpack(params)[0], states)


@partial(jax.jit, static_argnames=("network",))
def _measure_statistics(params: Any, batch: Any, *, network: Network) -> Any:
    """Statistics of one batch: what a pass makes of ones that are all 0, over the share that is new."""
    trained, stats = unpack(params)
    floats = jax.tree.map(lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating), stats)
    blank = jax.tree.map(lambda is_float, leaf: leaf * 0 if is_float else leaf, floats, stats)
    after = network.run(trained, blank, batch, train=True)[1]
    share = 1 - network.momentum
    return jax.tree.map(lambda is_float, leaf: leaf / share if is_float else leaf, floats, after)


class Top:
    """The part of a network in JAX that shallow nights train, as `consolidation.blocks.Memories` asks it.

    Args:
        memory: Memory of the network.
        share: Share of the operations of a pass that are its own.
    """

    name = "top"

    def __init__(self, memory: Memory, share: float) -> None:
        self.carrier, self.share = memory.carrier, share

    def catch(self, learner: Learner, batch: Batch) -> Tensor:
        """What goes into it for a batch."""
        arrays, network = to_arrays({n: batch[n] for n in batch if n not in ("index", "logits")}), self.carrier.network
        filled = {name: value for name, value in fill(arrays).items() if name not in PRIVATE}
        learner.charge(batch, len(batch["index"]), learner.forward_share)
        return to_tensor(_catch(self.carrier.variables, filled, network=network))[: len(batch["index"])]

    def run(self, learner: Learner, states: Tensor, batch: Batch) -> Tensor:
        """What the network gives for what goes into the top."""
        filled = fill({"states": to_array(states)})["states"]
        return to_tensor(_run_top(self.carrier.variables, filled, network=self.carrier.network))[: len(states)]

    def parameters(self) -> list[nn.Parameter]:
        """What stands for its parameters."""
        return [self.carrier.weights]


class JaxReplay(Phase):
    """Replay in one night of a network in JAX.

    Args:
        memory: Memory of the network, whose carrier holds its parameters.
        tx: The optax transformation, whose state the carrier holds.
        recipe: What the night is made of.
        rate: Learning rate of `tx`; a number, a schedule, or None.
    """

    def __init__(self, memory: Memory, tx: Any, recipe: Recipe, rate: Any) -> None:
        assert isinstance(recipe.nrem, NREM)
        self.memory, self.learner, self.carrier = memory, memory.learner, memory.carrier
        self.tx, self.rate, self.steer, self.steer_noise = tx, rate, recipe.steer, recipe.steer_noise
        self.nrem, self.homeostasis, self.given = recipe.nrem, recipe.homeostasis, memory.carrier.variables
        self.noise: dict[str, float] = {}
        self.uses_logits = self.nrem.distillation > 0
        self.refreshing = NREMPhase(self.learner, self.nrem)
        state = {name: value for name, value in memory.phase.items() if name != "decoder"}
        if state:
            self.refreshing.load_state_dict({**state, "decoder": None}, weights={})
        self.decoder = memory.phase.get("decoder")
        self.counts: Counter[str] = Counter()

    @property
    def network(self) -> Network:
        """The network."""
        assert self.carrier.network is not None
        return self.carrier.network

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Statistics first, whatever became of them; then what reconstruction needs."""
        learner, nrem = self.learner, self.nrem
        self.refreshing._replayed, self.counts = set(), Counter()
        if learner.memories is None and learner.n_refreshed is None and self._takes_statistics():
            slots = self.memory.buffer.stratify(
                N_SAMPLED, generator=torch.Generator().manual_seed(len(self.memory.buffer))
            )
            self._update_statistics([self.memory.buffer.read(slots)])
        if nrem.noise or nrem.reconstruction or self.homeostasis or self.steer == "brittle":
            learner.sample()  # as PyTorch does, to find the head
        if nrem.reconstruction and self.decoder is None:
            batch = learner.sample()
            hidden = jax.eval_shape(partial(_catch, network=self.network), self.carrier.variables, prepare_batch(batch))
            n_hidden, n_inputs = math.prod(hidden.shape[1:]), find_input(batch)[0].numel()
            dtype = jnp.float64 if hidden.dtype == jnp.float64 else jnp.float32
            layer = {"weight": jnp.zeros((n_hidden, n_inputs), dtype), "bias": jnp.zeros(n_inputs, dtype)}
            self.decoder = (layer, DECODER.init(layer))
        strengths = self.steer
        if strengths == "brittle":
            fisher = compute_fisher(self.carrier, learner.sample())
            strengths = compute_brittleness(fisher, find_plastic(self.carrier))  # type: ignore[arg-type]
        if isinstance(strengths, Mapping):
            self.noise = {name: self.steer_noise * value for name, value in strengths.items()}

    def step(self, plan: Sequence[int], position: int) -> float:
        """Replay one batch; after the last step of a bout follows homeostasis."""
        learner, nrem = self.learner, self.nrem
        factor = nrem.find_up(position) * learner.caution
        if nrem.anneal:
            factor *= compute_annealing(position, len(plan), warm=nrem.warm)
        rate, change = find_night_rate(self.memory, self.nrem.rate, self.rate, name="NREM")
        around = perturb(self.carrier, self.noise, generator=learner.generator)
        batch = learner.sample(nrem.batch_size or learner.wake_items, balanced=nrem.balanced)
        self.refreshing._replayed.update(batch["index"].tolist())
        numbers = [np.asarray(each, np.float64) for each in (rate * factor, change * factor, nrem.find_noise(position))]
        n_items = len(batch["index"])
        if learner.memories is not None:
            loss, is_taken = self._replay_top(batch, numbers)
            learner.charge(batch, n_items, learner.memories.top.share)
        else:
            loss, is_taken = self._replay(batch, numbers, around)
            learner.charge(batch, n_items, 1.0)
        if not is_taken:
            learner.trouble = "a loss was not finite" if not math.isfinite(loss) else "a gradient was not finite"
            return math.nan
        ends_bout = position + 1 == len(plan) or plan[position + 1] != NREM_STAGE
        if self.homeostasis is not None and ends_bout:
            self._apply(self.homeostasis)
        return loss

    def finish(self) -> None:
        """Take statistics of balanced batches, and say whether weights have moved and are finite."""
        learner = self.learner
        if learner.memories is None and self._takes_statistics():
            n_batches = min(8, -(-len(self.memory.buffer) // N_SAMPLED))
            self._update_statistics([learner.sample() for _ in range(n_batches)])
        changes = count_changes(unpack(self.given)[0], unpack(self.carrier.variables)[0])
        with torch.no_grad():
            self.carrier.weights.add_(float(changes))

    def keep(self) -> None:
        """Refresh the stored logits, as PyTorch's nights do."""
        self.refreshing.keep()
        self.memory.phase = {**self.refreshing.state_dict(), "decoder": self.decoder}

    def count_changes(self) -> Mapping[str, int]:
        """Weights that homeostasis changed."""
        return self.counts

    def _replay(self, batch: Batch, numbers: list[Any], around: Any) -> tuple[float, bool]:
        arrays, nrem, noise = to_arrays(batch), self.nrem, None
        if nrem.noise or nrem.reconstruction:
            inputs = prepare_batch(batch)
            hidden = jax.eval_shape(partial(_catch, network=self.network), self.carrier.variables, inputs)
            drawn = float(numbers[2]) != 0
            noise = (
                torch.randn(hidden.shape, generator=self.learner.generator).numpy() if drawn else np.zeros(hidden.shape)
            )
        before = self.carrier.opt_state
        self.carrier.variables, state, self.decoder, loss, is_taken = _take_nrem_step(
            self.carrier.variables,
            around,
            before,
            self.decoder if nrem.reconstruction else None,
            arrays,
            noise,
            numbers,
            network=self.network,
            tx=self.tx,
            nrem=nrem,
        )
        self.carrier.opt_state = hold_schedules(state, before)
        return float(loss), bool(is_taken)

    def _replay_top(self, batch: Batch, numbers: list[Any]) -> tuple[float, bool]:
        memories = self.learner.memories
        assert memories is not None
        rows, before = memories.find(batch), self.carrier.opt_state
        entries = dict(batch) | ({"logits": batch["logits"]} if "logits" in self.memory.buffer.entries else {})
        self.carrier.variables, state, loss, is_taken = _take_top_step(
            self.carrier.variables,
            before,
            to_array(memories.features[rows]),
            to_arrays(entries),
            numbers,
            network=self.network,
            tx=self.tx,
            nrem=self.nrem,
        )
        self.carrier.opt_state = hold_schedules(state, before)
        return float(loss), bool(is_taken)

    def _takes_statistics(self) -> bool:
        return takes_statistics(unpack(self.carrier.variables)[1])

    def _update_statistics(self, batches: Sequence[Batch]) -> None:
        """Plain averages of the statistics of some batches."""
        found = [
            _measure_statistics(self.carrier.variables, prepare_batch(batch), network=self.network) for batch in batches
        ]
        trained, _ = unpack(self.carrier.variables)

        def average(*leaves: Any) -> Any:
            return sum(leaves) / len(leaves) if jnp.issubdtype(leaves[0].dtype, jnp.floating) else leaves[-1]

        self.carrier.variables = pack(trained, jax.tree.map(average, *found))

    def _apply(self, homeostasis: Homeostasis) -> None:
        """Prune, regrow, strengthen and downscale, layer by layer, by PyTorch's code."""
        weights = find_plastic(self.carrier)
        batch = self.learner.sample(homeostasis.n_items)
        significance = {name: weight.detach().abs() for name, weight in weights.items()}
        if homeostasis.significance != "magnitude":
            fisher = compute_fisher(self.carrier, batch)
            kind = KINDS[homeostasis.significance]
            significance = {name: kind(fisher[name], weight.detach()) for name, weight in weights.items()}
        self.counts.update(apply_homeostasis(weights, significance, homeostasis, generator=self.learner.generator))
        trained, stats = unpack(self.carrier.variables)
        self.carrier.variables = pack(replace_weights(trained, weights), stats)
