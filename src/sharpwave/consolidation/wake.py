"""Wake: the loss of the task, and of some items replayed beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation.batches import LENGTH, Batch, Objective, move
from sharpwave.consolidation.gradients import find_class_axis
from sharpwave.consolidation.modules import is_shared, takes_statistics
from sharpwave.consolidation.texts import compute_top_k_divergence, count_places
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.buffer import ReplayBuffer

METHODS = ("none", "er", "der++", "er-ace")


@dataclass(frozen=True)
class Wake:
    """How the network learns while awake.

    Attributes:
        method: One of `METHODS`; default `der++`. `none` is the task alone; `er` replays items with their labels
            (Chaudhry et al. 2019, tiny episodic memories); `der++` also holds their logits where they were (Buzzega et
            al. 2020, dark experience replay, eq. 6); `er-ace` is `er` in which new classes do not push the old ones
            down (Caccia et al. 2022, asymmetric cross-entropy).
        n_replay: Number of items replayed per step and draw; as many as the batch has where omitted.
        distillation: Weight of the logits (`alpha`); default 0.5.
        replay: Weight of the replayed labels (`beta`); where omitted 1, as asleep, and 0.5 beside BatchNorm.
        draws: Number of draws of `der++`: 1, the default, takes the same items for logits and labels; 2 takes
            others, as published, for half as many passes again.
        fuse: Whether new and replayed items go through the network in one pass; None, the default, does so where no
            BatchNorm is in training mode, whose statistics would mix them.
        clip: Longest step, learning rate times gradient, in lengths of the weights, at any scale of
            inputs and loss, for methods that replay; default 0.05. None for any.
        centre: Whether what all inputs of a unit share in its gradient is shrunk where it is longer than the rest
            (`gradients.centre_gradients`), for methods that replay, so that bright inputs do no harm; default true.
        rescue: How many times its level the loss of a step may reach before the network of at most 20 steps ago is
            tried in its place, for methods that replay and one process (`probe.Stability`); default 10. None leaves
            that out, with its copy of what is trained.

    Example:
        >>> Wake("der++").count_items(32), Wake("none").count_items(32)
        (64, 32)
    """

    method: str = "der++"
    n_replay: int | None = None
    distillation: float = 0.5
    replay: float | None = None
    draws: int = 1
    fuse: bool | None = None
    clip: float | None = 0.05
    centre: bool = True
    rescue: float | None = 10.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SharpwaveError(f"a method among {', '.join(METHODS)}", got=repr(self.method), fix="choose one")
        least = min(self.distillation, self.replay or 0, self.clip or 0, self.rescue or 0)
        is_count = self.n_replay is None or (isinstance(self.n_replay, Integral) and self.n_replay > 0)
        if self.draws not in (1, 2) or not is_count or not least >= 0:
            raise SharpwaveError(
                "one or two draws of at least one item, and whole ones, weights, clip and rescue that are not negative",
                got=f"{self}",
                fix="use Wake('none') to replay nothing",
            )

    @property
    def n_draws(self) -> int:
        """Draws from the buffer per step."""
        return {"none": 0, "er": 1, "er-ace": 1, "der++": 1 if self.replay == 0 else self.draws}[self.method]

    def find_weight(self, model: nn.Module) -> float:
        """Weight of the replayed labels for a network; 1 for methods that replay nothing else."""
        given = self.replay if self.method == "der++" else 1.0
        return given if given is not None else 0.5 if takes_statistics(model) else 1.0

    def count_items(self, n_new: int) -> int:
        """Items that a step with so many new ones passes through the network."""
        return n_new + self.n_draws * (self.n_replay or n_new)


@dataclass(frozen=True, eq=False)
class WakeStep:
    """What one step of wake gives.

    Attributes:
        loss: Loss of new and replayed items.
        logits: Logits of the new items, detached.
        losses: Loss of each new item, detached.
        n_replayed: Number of replayed items.
        n_places: Tokens of these, with what pads them; 0 where they are no texts.
    """

    loss: Tensor
    logits: Tensor
    losses: Tensor
    n_replayed: int
    n_places: int = 0


def as_batch(batch: Any, *, entries: tuple[str, str] = ("x", "y")) -> Batch:
    """A dictionary from what data loaders give: one already, or a pair (inputs, labels).

    Args:
        batch: The batch.
        entries: Names of inputs and labels in it; default x and y.

    Raises:
        SharpwaveError: If it is neither.
    """
    if isinstance(batch, Mapping) or hasattr(batch, "_asdict"):
        return dict(batch if isinstance(batch, Mapping) else batch._asdict())
    if isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(p, Tensor | Mapping) for p in batch):
        return dict(zip(entries, batch, strict=True))
    many = f" of {len(batch)} parts" if isinstance(batch, list | tuple) else ""
    raise SharpwaveError(
        "a batch as a dictionary of tensors, or a pair (inputs, labels)",
        got=f"{type(batch).__name__}{many}",
        fix='write sleep.wake({"x": inputs, "y": labels}), with any other entries beside them',
    )


def join(first: Mapping[str, Any], second: Mapping[str, Any]) -> Batch | None:
    """The items of one batch and then those of another, of the entries of the first; None where they do not fit.

    Args:
        first: Entries (item, ...).
        second: Entries (item, ...), and perhaps more of them.
    """
    joined: Batch = {}
    for name, value in first.items():
        other = second.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            inner = join(value, other)
            if inner is None:
                return None
            joined[name] = inner
        elif isinstance(value, Tensor) and isinstance(other, Tensor) and value.ndim and value.dtype == other.dtype:
            if value.shape[1:] != other.shape[1:]:
                return None
            joined[name] = torch.cat([value, other])
        else:
            return None
    return joined


def compute_wake_loss(
    model: nn.Module,
    batch: Batch,
    buffer: ReplayBuffer,
    *,
    wake: Wake | None = None,
    objective: Objective | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, "item ..."]]:
    """The loss of a wake step, and the logits of the new batch (detached), which the buffer may keep.

    Args:
        model: Network in training mode.
        batch: New items, on the model's device.
        buffer: Buffer to replay from; nothing is replayed while it is empty. It is not changed.
        wake: How the network learns while awake; `Wake()` where omitted.
        objective: How a batch goes through the model; `Objective()` where omitted.
        generator: Random generator of the draws; the buffer's own where omitted.

    Raises:
        SharpwaveError: If the method needs logits and the buffer has none.

    Example:
        >>> from sharpwave.consolidation import ReplayBuffer
        >>> buffer, model = ReplayBuffer(8), nn.Linear(2, 2)
        >>> batch = {"x": torch.eye(2), "y": torch.arange(2)}
        >>> buffer.add(batch)
        >>> loss, logits = compute_wake_loss(model, batch, buffer, wake=Wake("er"))
        >>> loss.requires_grad, logits.shape
        (True, torch.Size([2, 2]))
    """
    step = take_wake_step(model, batch, buffer, wake=wake, objective=objective, generator=generator)
    return step.loss, step.logits


def take_wake_step(
    model: nn.Module,
    batch: Batch,
    buffer: ReplayBuffer | None,
    *,
    wake: Wake | None = None,
    objective: Objective | None = None,
    generator: torch.Generator | None = None,
    n_typical: int = 0,
    n_replay: int | None = None,
) -> WakeStep:
    """The passes of a wake step.

    Args:
        model: Network in training mode.
        batch: New items, on the model's device.
        buffer: Buffer to replay from, or None.
        wake: How the network learns while awake; `Wake()` where omitted.
        objective: How a batch goes through the model; `Objective()` where omitted.
        generator: Random generator of the draws; the buffer's own where omitted.
        n_typical: Number of new items in a typical batch: so many are replayed beside a smaller one, such as the last
            of a loader, and its items weigh no more than others do. 0, the default, leaves that out.
        n_replay: Number of items to replay in place of what `wake` says; 0 for a step without replay.

    Raises:
        SharpwaveError: If the method needs logits and the buffer has none.
    """
    wake, objective = wake or Wake(), objective or Objective()
    replays = buffer is not None and wake.method != "none" and n_replay != 0 and len(buffer) > buffer.n_held_out
    old: list[Batch] = []
    if replays and buffer is not None:
        _check_logits(wake, buffer)
        device = next(model.parameters()).device
        n_replay = n_replay or wake.n_replay or max(count_rows(batch), n_typical)
        old = [move(buffer.sample(n_replay, generator=generator), device) for _ in range(wake.n_draws)]
    logits, replayed = _pass_through(model, batch, old, objective, fuse=wake.fuse)
    new = logits
    if replays and wake.method == "er-ace":
        new = mask_unseen(logits, find_labels(batch, objective))
    losses = objective.compute_losses(new, batch)
    if not len(losses):
        raise SharpwaveError("a batch with at least one item", got="an empty one", fix="leave it out")
    loss = losses.mean()
    if old:
        loss = loss * min(1.0, losses.shape[0] / max(n_typical, 1))
        loss = loss + _sum_replay(replayed, old, wake, objective, wake.find_weight(model))
    return WakeStep(loss, logits.detach(), losses.detach(), sum(map(len, replayed)), sum(map(count_places, old)))


def store_new(
    batch: Batch,
    step: WakeStep,
    buffer: ReplayBuffer,
    objective: Objective,
    *,
    with_logits: bool,
    task: int | str | None,
) -> None:
    """Offer new items to a buffer, but for those whose loss is not finite.

    Args:
        batch: The items, as the user gave them.
        step: What their step of wake gave.
        buffer: The buffer.
        objective: How a batch goes through the model.
        with_logits: Whether their logits are stored with them.
        task: Number of the task, stored where given.
    """
    buffer.follow(objective, batch)
    kept = {"logits": step.logits.float()} if with_logits else {}
    keep = None if math.isfinite(step.losses.sum()) else torch.isfinite(step.losses)
    buffer.add({**batch, **kept}, task=task, keep=keep)


def count_rows(batch: Mapping[str, Any]) -> int:
    """Items in a batch, by its first entry."""
    first = next(iter(batch.values()))
    return count_rows(first) if isinstance(first, Mapping) else len(first)


def find_labels(batch: Batch, objective: Objective) -> Tensor:
    """The labels of a batch, which ER-ACE needs.

    Raises:
        SharpwaveError: If there are no integer labels.
    """
    labels = batch.get(objective.find_label(batch))
    if not isinstance(labels, Tensor) or labels.is_floating_point():
        raise SharpwaveError(
            f"an entry {objective.label!r} with the classes, for er-ace",
            got=", ".join(batch),
            fix="name it, as in objective=Objective(..., label='target'), or use Wake('er')",
        )
    return labels


def mask_unseen(logits: Float[Tensor, "item ..."], labels: Tensor) -> Float[Tensor, "item ..."]:
    """Logits with classes that are not among the labels at their lowest value; a label that is no class opens none."""
    axis = find_class_axis(logits, labels)
    labels = labels.flatten().long()
    present = torch.zeros(logits.shape[axis], dtype=torch.bool, device=logits.device)
    present[labels[(labels >= 0) & (labels < len(present))]] = True
    return logits.movedim(axis, -1).masked_fill(~present, torch.finfo(logits.dtype).min).movedim(-1, axis)


def _check_logits(wake: Wake, buffer: ReplayBuffer) -> None:
    if wake.method == "der++" and "logits" not in buffer.entries and getattr(buffer, "top_k", 0) is not None:
        raise SharpwaveError(
            "a buffer that holds logits, for der++",
            got=f"entries {', '.join(buffer.entries)}",
            fix="add the logits that compute_wake_loss returns, as Sleep.wake does, or use method='er'",
        )


def _pass_through(
    model: nn.Module, batch: Batch, old: list[Batch], objective: Objective, *, fuse: bool | None
) -> tuple[Tensor, list[Tensor]]:
    """Outputs of the new items and of each draw, in one pass where that is wanted and the batches fit."""
    if not old:
        return objective.run(model, batch), []
    if fuse is None:
        fuse = not takes_statistics(model)
    if is_shared() and any(name == "input_ids" or name.endswith(LENGTH) for name in old[0]):
        fuse = False  # whether texts are as long as each other may differ between processes
    joined: Batch | None = batch
    for items in old if fuse else ():
        joined = None if joined is None else join(joined, items)
    if not fuse or joined is None:
        return objective.run(model, batch), [objective.run(model, items) for items in old]
    sizes = [count_rows(batch), *(len(items["index"]) for items in old)]
    output = objective.run(model, joined)
    if len(output) != sum(sizes):
        raise SharpwaveError(
            f"outputs of {sum(sizes)} items that pass together",
            got=f"outputs of shape {tuple(output.shape)}",
            fix="give wake=Wake(fuse=False), where items may not pass together",
        )
    first, *replayed = output.split(sizes)
    return first, list(replayed)


def _sum_replay(replayed: list[Tensor], old: list[Batch], wake: Wake, objective: Objective, weight: float) -> Tensor:
    loss = replayed[0].new_zeros(())
    if wake.method == "der++" and "logits" in old[0]:
        loss = loss + wake.distillation * compute_distillation(
            replayed[0], old[0]["logits"], lengths=old[0].get("logits_length")
        )
    if weight:
        loss = loss + weight * objective.compute_losses(replayed[-1], old[-1]).mean()
    return loss


def compute_distillation(
    logits: Float[Tensor, "item ..."],
    taught: Float[Tensor, "item ..."] | Mapping[str, Tensor],
    *,
    temperature: float | None = None,
    lengths: Tensor | None = None,
) -> Float[Tensor, ""]:
    """How far logits are from those they were taught.

    Args:
        logits: Logits of the network, shape (item, ..., class).
        taught: Logits it should have, in the same shape; or of fewer classes, where the network has grown since: the
            first ones are compared. The most likely tokens alone, as a `TokenMemory` has them, are compared by their
            divergence (`language.top_k`).
        temperature: Temperature that softens both; None takes the mean squared difference (Buzzega et al. 2020, dark
            experience replay, eq. 4), a number the Kullback–Leibler divergence of the softened probabilities times its
            square (Hinton et al. 2015).
        lengths: How many classes (or tokens, where there is an axis of them) of each item were taught, shape (item);
            all where omitted.
    """
    if isinstance(taught, Mapping):
        return compute_top_k_divergence(logits, taught, temperature=temperature)
    taught = taught.to(logits.dtype)
    if logits.shape != taught.shape:
        logits, taught = _take_shared(logits, taught)
    counted = None if lengths is None else _count(taught, lengths)
    if temperature is None:
        each = nn.functional.mse_loss(logits, taught, reduction="none")
        return each.mean() if counted is None else each[counted].sum() / counted.sum().clamp(min=1)
    if counted is not None and logits.ndim == 2:
        logits, taught = (part.masked_fill(~counted, torch.finfo(part.dtype).min / 4) for part in (logits, taught))
    if logits.ndim > 3:
        logits, taught = logits.movedim(1, -1), taught.movedim(1, -1)
    ours, theirs = (torch.log_softmax(part.flatten(0, -2) / temperature, dim=-1) for part in (logits, taught))
    if counted is not None and taught.ndim > 2:
        rows = counted.flatten(0, -2)[:, 0]
        ours, theirs = ours[rows], theirs[rows]
    return nn.functional.kl_div(ours, theirs, log_target=True, reduction="batchmean") * temperature**2


def _take_shared(logits: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
    """The part that both have: the first classes, and of sequences the first tokens."""
    if logits.ndim != taught.ndim or len(logits) != len(taught):
        raise SharpwaveError(
            f"stored logits of the shape of the outputs, {tuple(logits.shape)}",
            got=f"{tuple(taught.shape)}",
            fix="use a new ReplayBuffer, or Wake('er') and NREM(distillation=0), which hold no logits",
        )
    part = tuple(slice(min(mine, theirs)) for mine, theirs in zip(logits.shape, taught.shape, strict=True))
    return logits[part], taught[part]


def _count(taught: Tensor, lengths: Tensor) -> Tensor:
    """Which logits were taught, in their shape."""
    inside = torch.arange(taught.shape[1], device=taught.device)[None] < lengths.to(taught.device)[:, None]
    return inside.view(*inside.shape, *(1,) * (taught.ndim - 2)).expand(taught.shape)
