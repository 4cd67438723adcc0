"""Sleep for agents: what they did and thought is kept, and nights between tasks let the network do and think so again.

    memory = make_agent_memory(2000)
    sleep = make_agent_sleep(model, memory, optimiser, n_actions=2)
    ...                                            # an actor-critic of any kind learns a task
    remember(memory, model, observations, task=0)  # some of what it saw in the end, with what it would do and expects
    print(sleep.night(200))                        # policy and value are cloned, as many of each task as of any other

After CLEAR (Rolnick et al. 2019, arXiv:1811.11682), whose cloning of policy and value keeps old tasks: its other half,
learning anew from old rewards (V-trace), is left to the agent's own loss. The network's output for an observation is a
logit for each action and then the value, shape (item, n_actions + 1).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation import NREM, Objective, Probe, Recipe, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.batches import Batch
from sharpwave.errors import SharpwaveError

TAUGHT = "taught"
"""Entry of the memory that holds what the network gave: a logit for each action, and the value."""


def split_output(output: Float[Tensor, "item output"], *, n_actions: int) -> tuple[Tensor, Tensor]:
    """Logits of the actions, shape (item, action), and values, shape (item).

    Args:
        output: What the network gives.
        n_actions: Number of actions.

    Raises:
        SharpwaveError: If there are more or fewer numbers for an observation.
    """
    if output.ndim != 2 or output.shape[1] != n_actions + 1:
        raise SharpwaveError(
            f"outputs of {n_actions} logits and a value for each observation, shape (item, {n_actions + 1})",
            got=f"shape {tuple(output.shape)}",
            fix="join policy and value, as in torch.cat([logits, value], dim=1)",
        )
    return output[:, :n_actions], output[:, n_actions]


def compute_cloning_losses(
    output: Float[Tensor, "item output"], batch: Batch, *, n_actions: int, value_weight: float = 0.5
) -> Float[Tensor, " item"]:
    """How far policy and value of each item are from what they were when it was stored.

    For a policy π, a value V and those that were stored, KL(π_stored ‖ π) + w (V − V_stored)² / s², where s² is the
    variance of the stored values of the batch: values of any scale weigh alike.

    Args:
        output: What the network gives for the observations.
        batch: Items of the memory.
        n_actions: Number of actions.
        value_weight: Weight `w` of the values; default 0.5.

    Example:
        >>> taught = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 3.0]])
        >>> compute_cloning_losses(taught, {"taught": taught}, n_actions=2)
        tensor([0., 0.])
    """
    logits, values = split_output(output, n_actions=n_actions)
    old_logits, old_values = split_output(batch[TAUGHT].to(output), n_actions=n_actions)
    old = torch.log_softmax(old_logits, dim=1)
    divergence = (old.exp() * (old - torch.log_softmax(logits, dim=1))).sum(dim=1)
    spread = old_values.var(correction=0).clamp(min=1e-6)
    return divergence + value_weight * (values - old_values).square() / spread


def score_cloning(output: Tensor, batch: Batch, *, n_actions: int) -> Float[Tensor, " item"]:
    """Minus the divergence of each item's policy from the stored one: what a probe looks at."""
    return -compute_cloning_losses(output, batch, n_actions=n_actions, value_weight=0.0)


def make_agent_memory(capacity: int, *, generator: torch.Generator | None = None) -> ReplayBuffer:
    """A buffer for observations, as many of each task as of any other.

    Args:
        capacity: Number of items.
        generator: Random generator of what is kept; one of the buffer's own where omitted.
    """
    return ReplayBuffer(capacity, policy="balanced", label="task", generator=generator)


def make_agent_sleep(
    model: nn.Module,
    memory: ReplayBuffer,
    optimiser: torch.optim.Optimizer,
    *,
    n_actions: int,
    value_weight: float = 0.5,
    rate: float | None = None,
    batch_size: int = 128,
    probe: Probe | None = None,
    generator: torch.Generator | None = None,
) -> Sleep:
    """The `Sleep` of an agent, whose nights clone policy and value; the agent learns as it did, by its own loss.

    Args:
        model: Network of observations to outputs (`split_output`).
        memory: From `make_agent_memory`.
        optimiser: Optimiser of the agent; its state goes on through the night.
        n_actions: Number of actions.
        value_weight: Weight of the values; default 0.5.
        rate: Learning rate of the nights; the optimiser's own where omitted. It falls to nothing over a night.
        batch_size: Number of items of a step; default 128.
        probe: What decides whether a night is kept, such as a function from the network to its return; where omitted
            the divergence from the stored policies.
        generator: Random generator of the nights; seeded with 0 where omitted.

    Example:
        >>> torch.manual_seed(0)
        <torch._C.Generator object at ...>
        >>> model, memory = nn.Linear(4, 3), make_agent_memory(64)
        >>> sleep = make_agent_sleep(model, memory, torch.optim.SGD(model.parameters(), lr=0.1), n_actions=2)
        >>> remember(memory, model, torch.randn(64, 4), task=0)
        >>> with torch.no_grad():
        ...     _ = model.weight.mul_(3)
        >>> report = sleep.night(20)
        >>> report.committed, report.score_after > report.score_before
        (True, True)
    """
    objective = Objective(
        loss=partial(compute_cloning_losses, n_actions=n_actions, value_weight=value_weight),
        label="task",
        has_classes=False,
        scoring=partial(_score, n_actions=n_actions),
    )
    nrem = NREM(batch_size=batch_size, distillation=0.0, rate=rate, refresh="none")
    recipe = Recipe(wake=Wake("none"), nrem=nrem, probe=probe or Probe())
    return Sleep(model, memory, optimiser, recipe=recipe, objective=objective, generator=generator)


def _score(output: Tensor, batch: Batch, *, n_actions: int) -> Tensor:
    return score_cloning(output, batch, n_actions=n_actions)


@torch.no_grad()
def remember(
    memory: ReplayBuffer,
    model: nn.Module,
    observations: Float[Tensor, "item ..."],
    *,
    task: int,
    **others: Any,
) -> None:
    """Offer observations to a memory, with what the network gives for them now.

    Args:
        memory: From `make_agent_memory`.
        model: The network; best when it has learned the task, since this is what nights bring back.
        observations: Observations, shape (item, ...).
        task: Number of the task.
        others: Other entries to keep, such as actions and returns, shape (item, ...).
    """
    memory.add({"x": observations, TAUGHT: model(observations), **others}, task=task)


def compute_replay_loss(
    model: nn.Module, memory: ReplayBuffer, n_items: int, *, n_actions: int, value_weight: float = 0.5
) -> Float[Tensor, ""]:
    """Mean cloning loss of items of a memory, to be added to an agent's own loss while it is awake.

    Args:
        model: The network.
        memory: From `make_agent_memory`; the loss is 0 while it is empty.
        n_items: Number of items.
        n_actions: Number of actions.
        value_weight: Weight of the values; default 0.5.
    """
    if not len(memory):
        return torch.zeros(())
    batch = memory.sample(n_items, balanced=True)
    losses = compute_cloning_losses(model(batch["x"]), batch, n_actions=n_actions, value_weight=value_weight)
    return losses.mean()
