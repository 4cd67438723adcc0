"""Wake: the loss of the task, and of some items replayed beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, Objective, compute_distillation, move
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
            al. 2020, dark experience replay, eq. 6, two draws); `er-ace` is `er` in which new classes do not push the
            old ones down (Caccia et al. 2022, asymmetric cross-entropy).
        n_replay: Number of items replayed per step and draw; as many as the batch has where omitted.
        distillation: Weight of the logits (`alpha`); default 0.5.
        replay: Weight of the replayed labels (`beta`); default 0.5.

    Example:
        >>> Wake("der++").count_items(32), Wake("none").count_items(32)
        (96, 32)
    """

    method: str = "der++"
    n_replay: int | None = None
    distillation: float = 0.5
    replay: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SharpwaveError(f"a method among {', '.join(METHODS)}", got=repr(self.method), fix="choose one")

    def count_items(self, n_new: int) -> int:
        """Items that a step with so many new ones passes through the network."""
        n_draws = {"none": 0, "er": 1, "er-ace": 1, "der++": 2 if self.replay else 1}[self.method]
        return n_new + n_draws * (self.n_replay or n_new)


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
    wake, objective = wake or Wake(), objective or Objective()
    logits = objective.forward(model, batch)
    replays = wake.method != "none" and len(buffer) > buffer.n_held_out
    new = mask_unseen(logits, batch["y"]) if replays and wake.method == "er-ace" else logits
    loss = objective.loss(new, batch).mean()
    if replays:
        loss = loss + _compute_replay_loss(
            model, buffer, wake, objective, n_replay=wake.n_replay or len(logits), like=logits, generator=generator
        )
    return loss, logits.detach()


def mask_unseen(logits: Float[Tensor, "item class"], labels: Tensor) -> Float[Tensor, "item class"]:
    """Logits with the classes that are not among the labels at their lowest value."""
    present = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    present[labels.flatten()] = True
    return logits.masked_fill(~present, torch.finfo(logits.dtype).min)


def _compute_replay_loss(
    model: nn.Module,
    buffer: ReplayBuffer,
    wake: Wake,
    objective: Objective,
    *,
    n_replay: int,
    like: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    def sample() -> tuple[Tensor, Batch]:
        items = move(buffer.sample(n_replay, generator=generator), like.device)
        return objective.forward(model, items), items

    loss = like.new_zeros(())
    if wake.method == "der++":
        if "logits" not in buffer.entries:
            raise SharpwaveError(
                "a buffer that holds logits, for der++",
                got=f"entries {', '.join(buffer.entries)}",
                fix="add the logits that compute_wake_loss returns, as Sleep.wake does, or use method='er'",
            )
        replayed, items = sample()
        loss = loss + wake.distillation * compute_distillation(replayed, items["logits"])
    weight = wake.replay if wake.method == "der++" else 1.0
    if weight:
        replayed, items = sample()
        loss = loss + weight * objective.loss(replayed, items).mean()
    return loss
