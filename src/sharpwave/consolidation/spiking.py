"""Sleep without stored data: the network is run as one of spiking neurons, driven by noise with the statistics of
what it has seen, while a local rule changes its weights (Tadros et al. 2022, doi:10.1038/s41467-022-34938-7).

Our rendering of the described procedure: integrate-and-fire neurons instead of rectifiers, inputs that fire at random
in proportion to their mean while awake, weights scaled by the largest activity of each layer (Diehl et al. 2015), and
for each neuron that fires, weights from inputs that fired go up and from those that did not go down. The published
networks have no biases; on three validation streams of MNIST classes those with biases gained less. The defaults were
found on such streams, on a narrow ridge: depression nearly three times potentiation, a low threshold, a short memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.modules import share_weights, uncompiled
from sharpwave.consolidation.night import Phase
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.recipe import Recipe


@dataclass(frozen=True)
class SpikingReplay:
    """Sleep replay consolidation, in place of `NREM`.

    Attributes:
        n_steps: Number of time steps per night; default 200.
        rate: Probability that the most active input fires in a step; default 0.3.
        threshold: Threshold of the potential, in largest activities of the layer while awake; default 0.12.
        potentiation: Rise of a weight, in standard deviations of its layer; default 0.006.
        depression: Fall of a weight, in standard deviations of its layer; default 0.017.
        leak: Share of the potential that is left after a step; default 0.4.
    """

    n_steps: int = 200
    rate: float = 0.3
    threshold: float = 0.12
    potentiation: float = 6e-3
    depression: float = 1.7e-2
    leak: float = 0.4

    def __post_init__(self) -> None:
        if self.n_steps < 1 or not 0 < self.rate <= 1 or self.threshold <= 0 or not 0 <= self.leak <= 1:
            raise SharpwaveError(
                "at least one step, a rate in (0, 1], a threshold above 0 and a leak from 0 to 1",
                got=f"n_steps={self.n_steps}, rate={self.rate}, threshold={self.threshold}, leak={self.leak}",
                fix="the defaults are 200, 0.3, 0.12 and 0.4",
            )

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase:
        """Spiking replay in the nights of one network."""
        return SpikingPhase(learner, self)


class Activity:
    """What a stack of linear layers saw while awake: mean input of the first, largest activity of each.

    It holds one number per input and one per layer, and no item.
    """

    def __init__(self) -> None:
        self.mean = torch.empty(0)
        self.n_items = 0
        self.highest: dict[str, float] = {}

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Look on while the model runs."""
        layers = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        handles = [m.register_forward_hook(lambda _, i, o, name=name: self._see(name, i[0], o)) for name, m in layers]
        try:
            with uncompiled():
                yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def _see(self, name: str, inputs: Tensor, outputs: Tensor) -> None:
        if not self.highest or next(iter(self.highest)) == name:
            inputs = inputs.flatten(0, -2).float()
            self.n_items += len(inputs)
            mean = inputs.clamp(min=0).mean(dim=0)
            self.mean = mean if not self.mean.numel() else self.mean.lerp(mean, len(inputs) / self.n_items)
        self.highest[name] = max(self.highest.get(name, 1e-8), float(outputs.max()))

    def find_chain(self, model: nn.Module) -> list[nn.Linear]:
        """The layers in the order in which they were called.

        Raises:
            SharpwaveError: If they do not feed one another, or nothing was seen.
        """
        layers = [model.get_submodule(name) for name in self.highest]
        chain = [layer for layer in layers if isinstance(layer, nn.Linear)]
        pairs = pairwise(chain)
        if not chain or any(first.out_features != second.in_features for first, second in pairs):
            raise SharpwaveError(
                "linear layers that feed one another, seen at work in Sleep.wake",
                got=", ".join(f"{layer.in_features}→{layer.out_features}" for layer in chain) or "none",
                fix="use sleep replay consolidation on a multilayer perceptron, or Sleep() with a buffer",
            )
        return chain

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers."""
        return {"mean": self.mean, "n_items": self.n_items, "highest": dict(self.highest)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.mean, self.n_items, self.highest = state["mean"], state["n_items"], dict(state["highest"])


@torch.no_grad()
def step_spikes(
    model: nn.Module,
    activity: Activity,
    potentials: list[Tensor],
    replay: SpikingReplay,
    *,
    generator: torch.Generator,
) -> list[Tensor]:
    """One time step: spikes from the inputs to the head, and the weights they change, in place.

    Args:
        model: Network.
        activity: Activity of the network while awake.
        potentials: Potentials of each layer's neurons after the step before; an empty list at first.
        replay: Options of the replay.
        generator: Random generator of the inputs' spikes.

    Returns:
        Potentials after the step.
    """
    chain = activity.find_chain(model)
    highest = list(activity.highest.values())
    rates = replay.rate * activity.mean / activity.mean.max().clamp(min=1e-8)
    spikes = (torch.rand(rates.shape, generator=generator).to(rates) < rates).float()
    potentials = potentials or [layer.weight.new_zeros(layer.out_features) for layer in chain]
    scales = [1.0, *highest[:-1]]
    after = []
    for layer, potential, below, above in zip(chain, potentials, scales, highest, strict=True):
        weight = layer.weight
        potential = replay.leak * potential + (below / above) * (weight @ spikes.to(weight))
        fired = (potential > replay.threshold).to(weight)
        spread = weight.std()
        change = replay.potentiation * spikes - replay.depression * (1 - spikes)
        weight += spread * torch.outer(fired, change.to(weight))
        after.append(torch.where(fired > 0, 0, potential))
        spikes = fired
    return after


class SpikingPhase(Phase):
    """Spiking replay in the nights of one network.

    Args:
        learner: Network that sleeps.
        replay: Options of the replay.
    """

    def __init__(self, learner: Learner, replay: SpikingReplay) -> None:
        self.learner, self.replay, self.n_steps = learner, replay, replay.n_steps
        self.activity = Activity()
        self.potentials: list[Tensor] = []

    def watch(self) -> AbstractContextManager:
        """Look on while the network runs awake."""
        return self.activity.watch(self.learner.module)

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Check that the network can sleep so."""
        self.activity.find_chain(self.learner.module)

    def step(self, plan: Sequence[int], position: int) -> float:
        """One time step; there is no loss."""
        self.potentials = step_spikes(
            self.learner.module, self.activity, self.potentials, self.replay, generator=self.learner.generator
        )
        return 0.0

    def finish(self) -> None:
        """Where several processes sleep, all take the first one's weights."""
        share_weights(self.learner.module)

    def state_dict(self) -> dict[str, Any]:
        """Potentials, and what the network saw while awake."""
        return {"potentials": list(self.potentials), "activity": self.activity.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], *, weights: Mapping[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        self.potentials = list(state["potentials"])
        self.activity.load_state_dict(state["activity"])
