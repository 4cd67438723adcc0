"""NREM: a block of balanced replay, with labels, distillation and, if asked for, reconstruction under noise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, move
from sharpwave.consolidation.gradients import compute_annealing
from sharpwave.consolidation.learner import N_SAMPLED, Learner
from sharpwave.consolidation.modules import (
    count_idle,
    evaluating,
    find_batch_norms,
    find_head,
    find_plastic,
    perturb_weights,
    update_batch_norm_statistics,
    watch_hidden,
)
from sharpwave.consolidation.night import Phase
from sharpwave.consolidation.significance import Homeostasis, compute_brittleness, compute_fisher
from sharpwave.consolidation.sleep_report import NREM_STAGE
from sharpwave.consolidation.wake import compute_distillation
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.recipe import Recipe

REFRESHED = ("new", "replayed", "none")


@dataclass(frozen=True)
class NREM:
    """How stored items are replayed.

    Attributes:
        batch_size: Number of items per batch; as many as a wake step passes through the network (new and replayed)
            where omitted, so that a step of sleep costs what a step of wake does.
        balanced: Whether a batch has as many items of each class; default true.
        labels: Weight of the labels' loss; default 1.
        distillation: Weight of the stored logits, where the buffer has them; default 0.5.
        temperature: Temperature of distillation; None, the default, holds the logits themselves.
        clip: Longest step, in lengths of the weights; default 0.05. None for any.
        centre: Whether what all inputs of a unit share in its gradient is shrunk where it is longer than the rest
            (`gradients.centre_gradients`); default true.
        noise: Standard deviation of Gaussian noise in the hidden state before the head, in standard deviations of
            that state; default 0.
        reconstruction: Weight of the squared error of the input, decoded linearly from that hidden state; default 0.
        oscillation: Number of steps of one slow oscillation; default 0, which is none. In its down state noise is full
            and the step is nothing; in its up state there is no noise and the step is full.
        rate: Learning rate; the optimiser's own where omitted.
        anneal: Whether the rate falls to nothing over the night (half a cosine), that of REM too; default true.
        warm: Share of the night over which the rate rises before it falls; default 0.
        refresh: Which logits are stored anew after the night, one of `REFRESHED`: "new", the default, those of items
            that arrived since the night before (taken while they were still being learned), and in older items those
            of classes that came since; the rest are from when the items were known best. "replayed", all of what this
            night replayed. "none".
        check: Whether memory is checked against what came last while awake (`present`), for a world that has changed
            for good: stored items are replayed as they would look after a change of gain and offset of the inputs, and
            by the labels that classes have now. Default false, for worlds that come back. It holds the last 256 items.

    Example:
        >>> NREM(oscillation=8).find_up(4), NREM(oscillation=8).find_up(8)
        (1.0, 0.0)
    """

    batch_size: int | None = None
    balanced: bool = True
    labels: float = 1.0
    distillation: float = 0.5
    temperature: float | None = None
    clip: float | None = 0.05
    centre: bool = True
    noise: float = 0.0
    reconstruction: float = 0.0
    oscillation: int = 0
    rate: float | None = None
    anneal: bool = True
    warm: float = 0.0
    refresh: str = "new"
    check: bool = False

    def __post_init__(self) -> None:
        weights = (self.labels, self.distillation, self.noise, self.reconstruction, self.oscillation, self.rate or 0)
        is_count = self.batch_size is None or (isinstance(self.batch_size, Integral) and self.batch_size > 0)
        if not is_count or self.temperature == 0 or not min(weights) >= 0:
            expected = "a batch of at least one item, a temperature above 0, and weights, noise and rate not negative"
            raise SharpwaveError(expected, got=f"{self}", fix="set what is not wanted to 0, a temperature to None")
        if self.refresh not in REFRESHED:
            names = ", ".join(REFRESHED)
            raise SharpwaveError(f"logits to refresh among {names}", got=repr(self.refresh), fix="choose one of them")

    def find_up(self, step: int) -> float:
        """How much of the up state a step is in: 1 without an oscillation."""
        return (1 - math.cos(2 * math.pi * step / self.oscillation)) / 2 if self.oscillation else 1.0

    def find_noise(self, step: int) -> float:
        """Noise of a step."""
        return self.noise * (1 - self.find_up(step) if self.oscillation else 1.0)

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase:
        """Replay in the nights of one network."""
        return NREMPhase(
            learner, self, homeostasis=recipe.homeostasis, steer=recipe.steer, steer_noise=recipe.steer_noise
        )


class NREMPhase(Phase):
    """Replay in the nights of one network.

    Args:
        learner: Network that sleeps.
        nrem: Options of replay.
        homeostasis: What follows the last NREM step of each cycle; None for nothing.
        steer: "brittle", noise by parameter name, or None.
        steer_noise: Noise of the most brittle layer, in standard deviations of its weights.
    """

    def __init__(
        self,
        learner: Learner,
        nrem: NREM,
        *,
        homeostasis: Homeostasis | None = None,
        steer: str | Mapping[str, float] | None = None,
        steer_noise: float = 0.1,
    ) -> None:
        self.learner, self.nrem, self.homeostasis = learner, nrem, homeostasis
        self.steer, self.steer_noise = steer, steer_noise
        self.uses_logits = nrem.distillation > 0
        self.head = ""
        self.noise: dict[str, float] = {}
        self.decoder: Decoder | None = None
        if nrem.check and learner.present is None:
            from sharpwave.consolidation.present import Present

            learner.present = Present()
        self._counts: Counter[str] = Counter()
        self._replayed: set[int] = set()
        self._classes: set[int] = set()

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Find the head and the brittle layers, where they are needed."""
        learner, nrem = self.learner, self.nrem
        buffer = learner.get_buffer()
        self._replayed, self._counts = set(), Counter()
        norms = find_batch_norms(learner.model)
        if learner.memories is None and learner.n_refreshed is None and norms:
            # Statistics first, whatever became of them; of items that no draw of the night depends on.
            slots = buffer.stratify(N_SAMPLED, generator=torch.Generator().manual_seed(len(buffer)))
            items = learner.recall(move(buffer.read(slots), learner.device))
            with torch.no_grad(), evaluating(learner.model):
                update_batch_norm_statistics(learner.model, lambda: learner.forward(items), n_batches=1, norms=norms)
        if nrem.noise or nrem.reconstruction or self.homeostasis or self.steer == "brittle":
            batch = learner.sample()
            with evaluating(learner.model):
                self.head = find_head(learner.module, lambda: learner.forward(batch))
        if nrem.reconstruction and self.decoder is None:
            self.decoder = Decoder.fit_shapes(learner, head=self.head)
        strengths = self.steer
        if strengths == "brittle":
            fisher = compute_fisher(learner.module, learner.sample(), objective=learner.objective)
            strengths = compute_brittleness(fisher, find_plastic(learner.module, self.head))
        if isinstance(strengths, Mapping):
            self.noise = {name: self.steer_noise * value for name, value in strengths.items()}

    def step(self, plan: Sequence[int], position: int) -> float:
        """Replay one batch; after the last step of a bout follows homeostasis."""
        factor = self.nrem.find_up(position)
        if self.nrem.anneal:
            factor *= compute_annealing(position, len(plan), warm=self.nrem.warm)
        with self.learner.learning_rate(self.nrem.rate, factor=factor):
            loss = self._replay(position)
        ends_bout = position + 1 == len(plan) or plan[position + 1] != NREM_STAGE
        if self.homeostasis is not None and ends_bout and math.isfinite(loss):
            self._counts.update(self.homeostasis.apply(self.learner, head=self.head))
        return loss

    def finish(self) -> None:
        """Update BatchNorm statistics: those of balanced batches, not of whatever came last."""
        learner = self.learner
        if learner.memories is not None:  # the lower part is as it was
            return
        n_batches = min(8, -(-len(learner.get_buffer()) // N_SAMPLED))
        update_batch_norm_statistics(learner.model, lambda: learner.forward(learner.sample()), n_batches=n_batches)

    @torch.no_grad()
    def keep(self) -> None:
        """Refresh the stored logits that `refresh` names, as the network that was kept gives them."""
        buffer, memories, most = self.learner.get_buffer(), self.learner.memories, self.learner.n_refreshed
        known = None if memories is None else memories.slots
        if most is not None:
            known = torch.randperm(len(buffer), generator=self.learner.generator)[:most]
        new = buffer.take_new(known)
        if self.nrem.refresh == "none" or "logits" not in buffer.entries:
            return
        if self.nrem.refresh == "replayed":
            self._refresh_logits(torch.tensor(sorted(s for s in self._replayed if s < len(buffer)), dtype=torch.int64))
            return
        items = self.learner.recall(buffer.read(new))
        classes = set(_find_classes(items, self.learner.objective.find_label(items))) - self._classes
        if classes and self._classes:
            is_old = torch.ones(len(buffer), dtype=torch.bool)
            if known is not None:  # a pass of the others would cost too much
                is_old[:] = False
                is_old[known] = True
            is_old[new] = False
            self._refresh_logits(torch.nonzero(is_old)[:, 0], classes=sorted(classes))
        self._refresh_logits(new)
        self._classes |= classes

    def count_changes(self) -> Mapping[str, int]:
        """Weights that homeostasis changed in this night."""
        return self._counts

    def state_dict(self) -> dict[str, Any]:
        """What a night that is interrupted needs to go on."""
        return {
            "head": self.head,
            "noise": dict(self.noise),
            "decoder": None if self.decoder is None else self.decoder.state_dict(),
            "counts": dict(self._counts),
            "replayed": sorted(self._replayed),
            "classes": sorted(self._classes),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, weights: Mapping[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        self.head, self.noise, self._counts = state["head"], dict(state["noise"]), Counter(state["counts"])
        self._replayed, self._classes = set(state["replayed"]), set(state["classes"])
        decoder = state["decoder"]
        self.decoder = None if decoder is None else Decoder.from_state(decoder, self.learner.device)

    def _replay(self, position: int) -> float:
        learner, nrem = self.learner, self.nrem

        def compute_loss() -> Tensor:
            batch = learner.sample(nrem.batch_size or learner.wake_items, balanced=nrem.balanced)
            self._replayed.update(slot for slot in batch["index"].tolist() if slot >= 0)
            return compute_nrem_loss(learner, batch, nrem, head=self.head, step=position, decoder=self.decoder)

        weights = dict(learner.module.named_parameters()) if self.noise else {}
        around = perturb_weights(weights, self.noise, generator=learner.generator) if self.noise else nullcontext()
        loss = learner.descend(compute_loss, around=around, clip=nrem.clip, centre=nrem.centre)
        if self.decoder is not None:
            self.decoder.step()
        return loss

    def _refresh_logits(self, chosen: Tensor, *, classes: list[int] | None = None) -> None:
        buffer = self.learner.get_buffer()
        size = getattr(buffer, "n_chunk", 256)
        with evaluating(self.learner.model):
            for slots in chosen.split(size) if len(chosen) else ():
                items = self.learner.recall(buffer.read(slots))
                logits = self.learner.forward(move(items, self.learner.device)).float()
                if classes is not None:
                    logits = _keep_known(logits, items, classes)
                buffer.update(slots, {"logits": logits})
            n_passes = -(-len(chosen) // size)
            for _ in range(count_idle(self.learner.module, n_passes, self.learner.device)):
                self.learner.forward(self.learner.sample(1))


def _keep_known(logits: Tensor, items: Batch, classes: list[int]) -> Tensor:
    """Logits of which all but some classes, and those that were not known when they were stored, stay as stored."""
    stored = items["logits"].to(logits)
    kept = logits.clone()
    kept[:, : stored.shape[1]] = stored
    if "logits_length" in items:
        unknown = torch.arange(logits.shape[1])[None] >= items["logits_length"][:, None]
        kept = torch.where(unknown.to(logits.device), logits, kept)
    kept[:, classes] = logits[:, classes]
    return kept


class Decoder:
    """Linear map from the hidden state back to the input, learned as it goes; in 64 bits where that state has them.

    Args:
        hidden: Hidden states, shape (item, ...).
        inputs: Inputs, shape (item, ...).
        rate: Learning rate of its own Adam; default 0.001.
    """

    def __init__(self, hidden: Tensor, inputs: Tensor, *, rate: float = 1e-3) -> None:
        n_hidden, n_inputs = hidden[0].numel(), inputs[0].numel()
        self.dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        self.layer = nn.utils.skip_init(nn.Linear, n_hidden, n_inputs, device=hidden.device, dtype=self.dtype)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.optimiser = torch.optim.Adam(self.layer.parameters(), lr=rate)

    @classmethod
    def fit_shapes(cls, learner: Learner, *, head: str) -> Decoder:
        """One for the shapes of a network's inputs and hidden states.

        Args:
            learner: Network with a buffer.
            head: Name of the network's last layer.
        """
        batch = learner.sample()
        with torch.no_grad(), evaluating(learner.model), watch_hidden(learner.module, head) as hidden:
            learner.forward(batch)
        assert hidden.value is not None
        return cls(hidden.value, find_input(batch))

    def compute_loss(self, hidden: Tensor, inputs: Tensor) -> Tensor:
        """Mean squared error of the decoded input."""
        flat = [each.flatten(1).to(self.dtype) for each in (hidden, inputs)]
        return nn.functional.mse_loss(self.layer(flat[0]), flat[1])

    def step(self) -> None:
        """Learn from the gradient that the network's backward pass has left."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Weights, shapes and moments."""
        return {"layer": self.layer.state_dict(), "optimiser": deepcopy(self.optimiser.state_dict())}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], device: torch.device) -> Decoder:
        """What `state_dict` described."""
        weight = state["layer"]["weight"]
        decoder = cls(weight[:1].to(device), weight[:, :1].T)
        decoder.layer.load_state_dict(state["layer"])
        decoder.optimiser.load_state_dict(deepcopy(state["optimiser"]))
        return decoder


def compute_nrem_loss(
    learner: Learner, batch: Batch, nrem: NREM, *, head: str, step: int, decoder: Decoder | None = None
) -> Tensor:
    """Loss of one replayed batch.

    Args:
        learner: Network.
        batch: Items of the buffer.
        nrem: Options of replay.
        head: Name of the network's last layer.
        step: Step of the night, for the oscillation.
        decoder: Decoder of the input, for reconstruction; None for none.
    """
    noise = nrem.find_noise(step)
    if not noise and decoder is None:
        return _compute_recall(learner.forward(batch), batch, learner, nrem)
    with watch_hidden(learner.module, head, noise=noise, generator=learner.generator) as hidden:
        logits = learner.forward(batch)
    loss = _compute_recall(logits, batch, learner, nrem)
    if decoder is not None and hidden.value is not None:
        loss = loss + nrem.reconstruction * decoder.compute_loss(hidden.value, find_input(batch))
    return loss


def find_input(batch: Batch) -> Tensor:
    """The floating entry `x`, which reconstruction and dreams need.

    Raises:
        SharpwaveError: If there is none.
    """
    value = batch.get("x")
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise SharpwaveError(
            "a floating entry 'x' in the buffer, to reconstruct or to mix",
            got="none" if value is None else f"{getattr(value, 'dtype', type(value).__name__)}",
            fix="leave reconstruction at 0 and dreams out, or give REM a generator of inputs",
        )
    return value


def _compute_recall(logits: Tensor, batch: Batch, learner: Learner, nrem: NREM) -> Tensor:
    logits = logits if logits.dtype == torch.float64 else logits.float()
    loss = nrem.labels * learner.objective.compute_losses(logits, batch).mean()
    if nrem.distillation and "logits" in batch:
        loss = loss + nrem.distillation * compute_distillation(
            logits, batch["logits"], temperature=nrem.temperature, lengths=batch.get("logits_length")
        )
    return loss


def _find_classes(items: Batch, label: str) -> list[int]:
    """Classes of items whose logits have one column each; none where labels or logits are of another kind."""
    labels, logits = items.get(label), items.get("logits")
    if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.is_floating_point():
        return []
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        return []
    return [value for value in labels.unique().tolist() if 0 <= value < logits.shape[1]]
