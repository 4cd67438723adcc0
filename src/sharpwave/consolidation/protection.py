"""Protecting significant weights while awake: an anchor that pulls them back, or smaller steps for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation.modules import is_sharded
from sharpwave.consolidation.significance import compute_fisher
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.learner import Learner


@dataclass(frozen=True)
class Protection:
    """How strongly significant weights are protected; both ways are off at 0.

    Attributes:
        anchor: Weight of the quadratic penalty (Kirkpatrick et al. 2017, elastic weight consolidation, eq. 3; summed
            over tasks as in the online variant, Schwarz et al. 2018); default 0. It must stay below 2 / (learning rate
            × the largest Fisher information), or training diverges.
        step_size: Strength of smaller steps: a weight's step is divided by 1 + `step_size` × its Fisher information
            over the layer's mean; default 0.
        decay: Share that is left of the Fisher information of earlier nights after each night; default 0.9.
        n_items: Number of replayed items that Fisher information is gathered from after a night; default 128.

    Example:
        >>> from sharpwave.consolidation import ReplayBuffer, Sleep
        >>> sleep = Sleep(nn.Linear(2, 2), ReplayBuffer(8), protection=Protection(anchor=1.0))
        >>> loss = sleep.wake({"x": torch.eye(2), "y": torch.arange(2)})
        >>> report = sleep.night(1)
        >>> sleep.guard.is_anchored
        True
    """

    anchor: float = 0.0
    step_size: float = 0.0
    decay: float = 0.9
    n_items: int = 128

    def __post_init__(self) -> None:
        if min(self.anchor, self.step_size) < 0 or not 0 <= self.decay <= 1:
            raise SharpwaveError(
                "an anchor and a step_size that are not negative, and a decay from 0 to 1",
                got=f"anchor={self.anchor:g}, step_size={self.step_size:g}, decay={self.decay:g}",
                fix="set what is not wanted to 0",
            )

    def make_guard(self) -> Guard:
        """Protection of one network."""
        return Guard(self)


class Guard:
    """What is protected so far: Fisher information and weights, by name; nothing before the first night.

    Args:
        protection: How strongly it is protected.
    """

    def __init__(self, protection: Protection) -> None:
        self.protection = protection
        self.fisher: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}

    def gather(self, learner: Learner) -> None:
        """Anchor the weights where they are after a night, with Fisher information of items from the buffer.

        Args:
            learner: Network with a buffer.
        """
        if self.protection.anchor or self.protection.step_size:
            items = learner.sample(self.protection.n_items)
            self.update(learner.module, compute_fisher(learner.module, items, objective=learner.objective))

    @torch.no_grad()
    def update(self, model: nn.Module, fisher: Mapping[str, Tensor]) -> None:
        """Anchor the weights of a network where they are.

        Args:
            model: The network.
            fisher: Fisher information of its parameters, by name.
        """
        self.anchor(
            fisher, {n: p.detach().clone() for n, p in model.named_parameters() if n in {*self.fisher, *fisher}}
        )

    def anchor(self, fisher: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        """Anchor some weights with the Fisher information that was just gathered of them.

        Args:
            fisher: Fisher information by name, in the weights' shapes; it is added to what is left of earlier nights.
            weights: Weights by name, where they are now.
        """
        for name, value in fisher.items():
            before = self.fisher.get(name)
            if before is not None and before.shape != value.shape:
                before = _grow(before, value)
            self.fisher[name] = value.clone() if before is None else self.protection.decay * before + value
        self.weights = dict(weights)

    @property
    def is_anchored(self) -> bool:
        """Whether there is a penalty by now."""
        return bool(self.protection.anchor and self.weights)

    def compute_penalty(self, model: nn.Module) -> Float[Tensor, ""]:
        """Half the anchor's weight times the significance-weighted squared distance from it.

        Weights that are sharded over processes (FSDP2) are left out: between the passes they may be whole in one module
        and sharded in another. Their part of the gradient comes before the step, in `shrink_gradients`.
        """
        parts = [torch.zeros((), device=next(model.parameters()).device)]
        for name, parameter in model.named_parameters():
            if name in self.weights and not is_sharded(self.weights[name]):
                part = tuple(slice(size) for size in self.weights[name].shape)  # the rest came since: a head that grew
                distance = (
                    parameter if parameter.shape == self.weights[name].shape else parameter[part]
                ) - self.weights[name]
                parts.append((self.fisher[name] * distance.square()).sum())
        return self.protection.anchor / 2 * torch.stack(parts).sum()

    @torch.no_grad()
    def shrink_gradients(self, model: nn.Module, parameters: Collection[int] | None = None) -> None:
        """Divide the gradient of each weight by how much it is protected; call between backward and step.

        Sharded weights are drawn to their anchor here, too.

        Args:
            model: Network.
            parameters: Ids of the parameters that take the step; all where omitted.
        """
        for name, parameter in model.named_parameters():
            if parameters is not None and id(parameter) not in parameters:
                continue
            if name not in self.fisher or parameter.grad is None:
                continue
            fisher = self.fisher[name]
            if self.is_anchored and is_sharded(self.weights[name]):
                parameter.grad.add_(self.protection.anchor * fisher * (parameter - self.weights[name]))
            if self.protection.step_size:
                relative = fisher / fisher.mean().clamp(min=torch.finfo(fisher.dtype).tiny)
                if relative.shape != parameter.shape:
                    relative = _grow(relative, parameter)
                parameter.grad.div_(1 + self.protection.step_size * relative)

    def state_dict(self) -> dict[str, Any]:
        """Tensors by name."""
        return {"fisher": dict(self.fisher), "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Take up what `state_dict` gave; None is of a network without protection."""
        state = state or {"fisher": {}, "weights": {}}
        self.fisher, self.weights = dict(state["fisher"]), dict(state["weights"])

    def check(self, state: Mapping[str, Any] | None, model: nn.Module) -> None:
        """Refuse what was protected in another network, as one in JAX or of another shape: it would protect nothing.

        Args:
            state: What `state_dict` gave; None is of a network without protection.
            model: Network that goes on with it; parameters that have grown since, or came since, are right.

        Raises:
            SharpwaveError: If a protected weight is no parameter of the network.
        """
        mine, kept = dict(model.named_parameters()), {} if state is None else state["weights"]
        wrong = [name for name, weight in kept.items() if name not in mine or not _fits(weight, mine[name])]
        if wrong:
            raise SharpwaveError(
                f"weights that were protected in this network, such as {_list_shapes(mine)}",
                got=_list_shapes({name: kept[name] for name in wrong}),
                fix="load the state into the network that it was saved with; what JAX protected cannot be taken up: "
                "to go on without it, set state['guard'] = None",
            )


def _list_shapes(weights: Mapping[str, Tensor]) -> str:
    few = [f"{name} {tuple(weight.shape)}" for name, weight in list(weights.items())[:3]]
    return ", ".join(few) + (f" and {len(weights) - len(few)} others" if len(weights) > len(few) else "")


def _fits(weight: Tensor, parameter: Tensor) -> bool:
    """Whether a protected weight is a parameter's, or a corner of it, as where a head has grown."""
    sizes = (weight.shape, parameter.shape)
    return len(sizes[0]) == len(sizes[1]) and all(old <= new for old, new in zip(*sizes, strict=True))


def _grow(values: Tensor, like: Tensor) -> Tensor:
    """Values of a parameter that has grown since, with 0 for what came."""
    grown = torch.zeros_like(like)
    part = tuple(slice(min(sizes)) for sizes in zip(values.shape, like.shape, strict=True))
    grown[part] = values[part]
    return grown
