"""REM: dreams, which recombine stored items and are taught by the network itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sharpwave.consolidation.batches import LENGTH, Batch, Objective, compute_cross_entropy, flatten, move, nest
from sharpwave.consolidation.gradients import compute_annealing, find_class_axis
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.modules import evaluating, freeze, perturb_weights
from sharpwave.consolidation.night import Phase
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.recipe import Recipe


@dataclass(frozen=True, eq=False)
class REM:
    """How dreams are made.

    Attributes:
        share: Share of a night's steps, at the end of each cycle; default 0.25.
        cycles: Number of NREM–REM cycles per night; default 1.
        batch_size: Number of dreams per batch; as many as a wake step passes through the network where omitted.
        mixing: Concentration of the mixture: dreams are x = λa + (1 − λ)b with λ from Beta(`mixing`, `mixing`) (Zhang
            et al. 2018, mixup); integer inputs (tokens) are spliced at a random place instead. Default 0.4.
        boundary: Share of dreams whose partner is of the class that the network takes the item for, were it not its
            own: dreams on class boundaries. The others' partners are of any class and task. Default 0.5.
        labels: Share of the true label in the target; the rest is what the network says of the unmixed items. Default
            0.5.
        temperature: Temperature that softens the network's own answer; default 1.
        exploration: Noise in the weights while dreaming, in standard deviations of each layer; default 0.
        generator: Function of a number and a torch generator to a batch of made-up items (`x`), instead of mixing; the
            network as it was at the start of the night labels them. None, the default, mixes stored items.
        rate: Learning rate; the optimiser's own where omitted. It falls over the night if that of NREM does.
        clip: Longest step, in lengths of the weights; default 0.05. None for any.
        centre: Whether what all inputs of a unit share in its gradient is shrunk where it is longer than the rest;
            default true.

    Example:
        >>> import torch
        >>> from sharpwave.consolidation import ReplayBuffer, Sleep
        >>> sleep = Sleep(torch.nn.Linear(2, 2), ReplayBuffer(8), rem=REM(share=0.5))
        >>> loss = sleep.wake({"x": torch.eye(2), "y": torch.arange(2)})
        >>> sleep.night(4).hypnogram.labels
        ['NREM', 'NREM', 'R', 'R']
    """

    share: float = 0.25
    cycles: int = 1
    batch_size: int | None = None
    mixing: float = 0.4
    boundary: float = 0.5
    labels: float = 0.5
    temperature: float = 1.0
    exploration: float = 0.0
    generator: Callable[[int, torch.Generator], Batch] | None = None
    rate: float | None = None
    clip: float | None = 0.05
    centre: bool = True

    def __post_init__(self) -> None:
        is_share = all(0 <= value <= 1 for value in (self.share, self.boundary, self.labels))
        is_count = self.batch_size is None or (isinstance(self.batch_size, Integral) and self.batch_size > 0)
        if not is_share or not is_count or not (self.cycles >= 1 and self.mixing > 0 and self.temperature > 0):
            raise SharpwaveError(
                "share, boundary and labels from 0 to 1, mixing and temperature above 0, at least one cycle and item",
                got=f"{self}",
                fix="give rem=None for a night without dreams",
            )

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase:
        """Dreams in the nights of one network."""
        return REMPhase(learner, self, anneal=getattr(recipe.nrem, "anneal", False))


class REMPhase(Phase):
    """Dreams in the nights of one network.

    Args:
        learner: Network that sleeps.
        rem: Options of dreams.
        anneal: Whether the learning rate falls over the night.
    """

    def __init__(self, learner: Learner, rem: REM, *, anneal: bool) -> None:
        self.learner, self.rem, self.anneal = learner, rem, anneal
        self._before: Mapping[str, Tensor] = {}

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Hold the weights of the network before the night, which labels made-up dreams."""
        self._before = weights

    def step(self, plan: Sequence[int], position: int) -> float:
        """Learn from one batch of dreams."""
        learner, rem = self.learner, self.rem
        names = dict(learner.module.named_parameters()) if rem.exploration else {}
        noise = {name: rem.exploration for name, parameter in names.items() if parameter.ndim > 1}
        n_items = rem.batch_size or learner.wake_items
        factor = compute_annealing(position, len(plan)) if self.anneal else 1.0
        around = perturb_weights(names, noise, generator=learner.generator) if noise else nullcontext()
        with learner.learning_rate(rem.rate, factor=factor):
            return learner.descend(
                lambda: compute_rem_loss(learner, rem, n_items, teacher=self._teach),
                around=around,
                clip=rem.clip,
                centre=rem.centre,
            )

    def finish(self) -> None:
        """Dreams leave nothing to be done."""

    def load_state_dict(self, state: Mapping[str, Any], *, weights: Mapping[str, Tensor]) -> None:
        """Hold the weights of the network before the night that goes on."""
        self._before = weights

    def _teach(self, batch: Batch) -> Tensor:
        module = self.learner.module
        with torch.no_grad(), evaluating(module):
            return self.learner.objective.run(freeze(module, self._before), batch)


def compute_rem_loss(
    learner: Learner, rem: REM, n_items: int, *, teacher: Callable[[Batch], Tensor] | None = None
) -> Tensor:
    """Loss of one batch of dreams: cross-entropy with soft targets, or, where the answer is no class, the objective's.

    Args:
        learner: Network.
        rem: Options of dreams.
        n_items: Number of dreams.
        teacher: Function of a batch that gives the logits of made-up items; needed with a generator only.
    """
    if rem.generator is not None:
        dreams = move(rem.generator(n_items, learner.generator), learner.device)
        with torch.no_grad():
            taught = _widen((teacher or learner.forward)(dreams))
        output = _widen(learner.forward(dreams))
        if learner.objective.has_classes is False:
            return torch.nn.functional.mse_loss(output, taught)
        axis = find_class_axis(taught, None)
        target = torch.softmax(taught.movedim(axis, -1) / rem.temperature, dim=-1)
        return -(target * torch.log_softmax(output.movedim(axis, -1), dim=-1)).sum(dim=-1).mean()
    dreams, answer = recombine(learner, rem, n_items)
    output = _widen(learner.forward(dreams))
    if isinstance(answer, Tensor):
        axis = find_class_axis(output, _find_labels(dreams, learner))
        return -(answer * torch.log_softmax(output.movedim(axis, -1), dim=-1)).sum(dim=-1).mean()
    shares, partners = answer
    losses = learner.objective.compute_losses(output, dreams), learner.objective.compute_losses(output, partners)
    return (shares * losses[0] + (1 - shares) * losses[1]).mean()


@torch.no_grad()
def recombine(learner: Learner, rem: REM, n_items: int) -> tuple[Batch, Tensor | tuple[Tensor, Batch]]:
    """Dreams from pairs of stored items, and their soft targets (item, ..., class).

    Where the answer is no class, as of numbers or many labels: the share (item) of the first of each pair instead, and
    the dreams with the labels of the second, so that both labels count by their share (Zhang et al. 2018, mixup).

    Args:
        learner: Network with a buffer.
        rem: Options of dreams.
        n_items: Number of dreams.
    """
    items = learner.sample(n_items)
    logits, labels = _widen(learner.forward(items)), _find_labels(items, learner)
    partners = torch.randperm(len(logits), generator=learner.generator).to(learner.device)
    name = _find_mixed(items, learner.objective.find_label(items))
    if not _asks_for_class(logits, items, labels, learner.objective):
        given = items.get(learner.objective.find_label(items))
        if not items[name].is_floating_point() and isinstance(given, Tensor) and given.ndim > 1:
            raise SharpwaveError(
                "sequences with a label each, or a class of each token in 'y', for dreams that splice them",
                got=f"the entries {', '.join(items)}",
                fix="dream of texts by rem=language.Dreams(), or leave rem out",
            )
        mixed, shares = _mix(items[name], rem, partners, learner.generator)
        others = nest({path: value[partners] for path, value in flatten(items)})
        return items | {name: mixed}, (shares, others | {name: mixed})
    logits = logits.movedim(find_class_axis(logits, labels), -1)
    soft = torch.softmax(logits / rem.temperature, dim=-1)
    is_class = isinstance(labels, Tensor) and labels.shape == soft.shape[:-1] and not labels.is_floating_point()
    if is_class:
        hard = torch.nn.functional.one_hot(labels.long().clamp(min=0), soft.shape[-1]).to(soft.dtype)
        soft = torch.where((labels >= 0)[..., None], rem.labels * hard + (1 - rem.labels) * soft, soft)
    if is_class and labels.ndim == 1 and rem.boundary:
        partners = _find_rivals(logits, labels.long().clamp(min=0), partners, rem.boundary, learner.generator)
    x = items[name]
    if not x.is_floating_point() and soft.ndim == 3 and soft.shape[1] == x.shape[1]:
        own = _cut(x, learner.generator)
        mixed = torch.where(_pad(own, x), x, x[partners])
        return items | {name: mixed}, torch.where(own[..., None], soft, soft[partners])
    mixed, shares = _mix(x, rem, partners, learner.generator)
    shares = _along(shares, soft).to(soft.dtype)
    return items | {name: mixed}, shares * soft + (1 - shares) * soft[partners]


def _find_labels(items: Batch, learner: Learner) -> Any:
    """The labels, where they are classes of items or, by the name `y`, of tokens or pixels; else None."""
    labels = items.get(learner.objective.find_label(items))
    return labels if "y" in items or getattr(labels, "ndim", 0) == 1 else None


def _asks_for_class(logits: Tensor, items: Batch, labels: Any, objective: Objective) -> bool:
    """Whether outputs are logits of classes, as dreams that soften them take them to be."""
    if objective.has_classes is not None:
        return objective.has_classes
    if not isinstance(labels, Tensor):
        return objective.loss is compute_cross_entropy
    if labels.ndim == 1 and not labels.is_floating_point():
        return objective.picks_class(logits, items)
    return getattr(objective.loss, "func", objective.loss) is compute_cross_entropy or not labels.is_floating_point()


def _find_mixed(items: Batch, label: str) -> str:
    """Name of the entry that dreams mix: `x`, or the only one beside the labels.

    Raises:
        SharpwaveError: If there is none.
    """
    known = {label, "logits", "task", "group", "index"}
    others = [name for name in items if name not in known and not name.endswith(LENGTH)]
    name = "x" if "x" in items else others[0] if len(others) == 1 else ""
    if isinstance(items.get(name), Tensor):
        return name
    raise SharpwaveError(
        "an entry 'x', a tensor, that dreams can mix",
        got=f"the entries {', '.join(items)}",
        fix="name the input x, give REM(generator=...), or leave rem out",
    )


def _mix(x: Tensor, rem: REM, partners: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each item and its partner in one, and the share (item) that the item has in it; whole numbers are spliced."""
    if x.is_floating_point():
        shares = _draw_beta(rem.mixing, len(x), generator).to(x)
        return _along(shares, x) * x + (1 - _along(shares, x)) * x[partners], shares
    own = _cut(x, generator)
    return torch.where(_pad(own, x), x, x[partners]), own.double().mean(dim=1)


def _find_rivals(logits: Tensor, labels: Tensor, partners: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """For a share of the items, a partner of the class that comes next in the network's opinion, where there is one."""
    rivals = logits.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
    ties = torch.rand(len(labels), len(labels), generator=generator).to(labels.device)
    fits = labels[None] == rivals[:, None]
    chosen = (fits * (1 + ties)).argmax(dim=1)
    wanted = torch.rand(len(labels), generator=generator).to(labels.device) < share
    return torch.where(wanted & fits.any(dim=1), chosen, partners)


def _draw_beta(concentration: float, n_draws: int, generator: torch.Generator) -> Tensor:
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    return torch.from_numpy(rng.beta(concentration, concentration, n_draws))


def _cut(x: Tensor, generator: torch.Generator) -> Tensor:
    """Which places (item, place) of each sequence come before a cut at random; of single numbers, all or none."""
    length = x.shape[1] if x.ndim > 1 else 1
    cuts = torch.randint(length + 1, (len(x),), generator=generator).to(x.device)
    return torch.arange(length, device=x.device)[None] < cuts[:, None]


def _widen(logits: Tensor) -> Tensor:
    """Logits in 32 bits, or in the 64 that they have."""
    return logits if logits.dtype == torch.float64 else logits.float()


def _along(shares: Tensor, like: Tensor) -> Tensor:
    return shares.view(-1, *(1,) * (like.ndim - 1))


def _pad(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(*mask.shape, *(1,) * (like.ndim - 2)) if like.ndim > 1 else mask[:, 0]
