"""`sharpwave benchmark agents`: an agent that learns three CartPoles in turn, with replay, cloning and nights.

The second cart goes the other way (the force is inverted), the third is heavy (twice the gravity, a pole twice as long,
and inverted too). Which cart it is is part of the observation, as one of three: with a hidden cue the first two
would contradict each other. PPO after CleanRL (Huang et al. 2022), 16 environments of Gymnasium side by side; every
learner takes the same number of environment steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.seeds import run_seeds
from sharpwave.errors import MissingExtraError
from sharpwave.executors import Executor
from sharpwave.integrations.agents import (
    compute_replay_loss,
    make_agent_memory,
    make_agent_sleep,
    remember,
    split_output,
)

TASKS: dict[str, dict[str, float]] = {
    "normal": {},
    "inverted": {"force_mag": -10.0},
    "heavy, inverted": {"force_mag": -10.0, "gravity": 19.6, "length": 1.0},
}
"""Dynamics of each task, where they differ from CartPole-v1."""
N_ACTIONS, N_ENVS, N_STEPS, N_ROLLOUTS = 2, 16, 64, 24
GAMMA, LAMBDA, RATE, CLIP, EPOCHS, MINIBATCH = 0.98, 0.9, 2e-3, 0.2, 6, 256
CAPACITY, NIGHT_STEPS, REMEMBERED = 600, 200, 1024
ENOUGH = 195.0
"""Return at which a task counts as learned."""


@dataclass(frozen=True)
class Method:
    """A learner.

    Attributes:
        replays: Whether old transitions are learned from with PPO's own loss.
        clones: Whether policy and value of old items are cloned beside each step.
        sleeps: Whether there is a night after each task.
    """

    replays: bool = False
    clones: bool = False
    sleeps: bool = False


METHODS: dict[str, Method] = {
    "fine-tuning": Method(),
    "replay": Method(replays=True),
    "clear": Method(replays=True, clones=True),
    "nights": Method(sleeps=True),
    "clear and nights": Method(replays=True, clones=True, sleeps=True),
}
"""Learners by name; "clear" is CLEAR with PPO's surrogate in place of V-trace."""


@dataclass
class Outcome:
    """One run.

    Attributes:
        at_the_end: Mean return of each task after the last.
        just_learned: Mean return of each task right after it, before its night.
        steps: Environment steps that each task took until the return was enough; all of them where it never was.
        n_samples: Items of which a gradient was taken.
    """

    at_the_end: list[float] = field(default_factory=list)
    just_learned: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    n_samples: int = 0


def run(
    data: Path | None, *, seeds: int, train: bool = False, on: Executor | None = None
) -> tuple[dict[str, Any], list[Row]]:
    """Every learner with every seed.

    Args:
        data: Not used.
        seeds: Seeds of networks and environments.
        train: No meaning here.
        on: What runs the seeds; one after another where omitted.
    """
    threads, rows, rng = torch.get_num_threads(), [], np.random.default_rng(0)
    torch.set_num_threads(1)
    try:
        for name, method in METHODS.items():
            found = run_seeds(partial(learn, method), seeds, on)
            values = {
                "return_on_old_tasks": [float(np.mean(each.at_the_end[:-1])) for each in found],
                "return": [float(np.mean(each.at_the_end)) for each in found],
                "return_just_learned": [float(np.mean(each.just_learned)) for each in found],
                "steps_to_195": [float(np.mean(each.steps)) for each in found],
                "gradient_samples": [float(each.n_samples) for each in found],
            }
            rows += [estimate_row("cartpole", "three carts, cue seen", name, m, v, rng=rng) for m, v in values.items()]
    finally:
        torch.set_num_threads(threads)
    config = {
        "seeds": seeds,
        "tasks": TASKS,
        "environment_steps_per_task": N_ROLLOUTS * N_STEPS * N_ENVS,
        "memory_items": CAPACITY,
        "night_steps": NIGHT_STEPS,
        "ppo": {"rate": RATE, "clip": CLIP, "epochs": EPOCHS, "minibatch": MINIBATCH, "gamma": GAMMA, "lambda": LAMBDA},
        "notes": [
            "Which cart it is is seen. Equal environment steps; gradient samples differ and are a column.",
            "Return of 16 episodes of at most 500 steps, greedy. clear: PPO's surrogate in place of V-trace.",
        ],
    }
    return config, rows


class Actor(nn.Module):
    """Two layers of 64 units, from four numbers of a cart and which of three it is."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4 + len(TASKS), 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.head = nn.Linear(64, N_ACTIONS + 1)
        with torch.no_grad():
            self.head.weight[:N_ACTIONS] *= 0.01

    def forward(self, x: Tensor) -> Tensor:
        """A logit for each action, and the value in hundreds of steps."""
        return self.head(self.layers(x))


def make_carts(task: int, *, n_envs: int = N_ENVS) -> Any:
    """Environments side by side with the dynamics of a task."""
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        raise MissingExtraError("gymnasium", extra="agents") from error
    carts = gymnasium.make_vec("CartPole-v1", num_envs=n_envs, vectorization_mode="vector_entry_point")
    for name, value in list(TASKS.values())[task].items():
        setattr(carts.unwrapped, name, value)
    inner: Any = carts.unwrapped
    inner.polemass_length = inner.masspole * inner.length
    return carts


def observe(state: np.ndarray, task: int) -> Tensor:
    """Observations with the cue beside them."""
    cue = torch.zeros(len(state), len(TASKS))
    cue[:, task] = 1.0
    return torch.cat([torch.from_numpy(state), cue], dim=1)


@torch.no_grad()
def measure_return(model: nn.Module, task: int, *, seed: int = 10_000) -> float:
    """Mean return of 16 episodes, the likelier action each time."""
    carts = make_carts(task)
    state, _ = carts.reset(seed=seed)
    going, total = np.ones(N_ENVS, dtype=bool), np.zeros(N_ENVS)
    while going.any():
        actions = split_output(model(observe(state, task)), n_actions=N_ACTIONS)[0].argmax(dim=1).numpy()
        state, reward, over, cut, _ = carts.step(actions)
        total += reward * going
        going &= ~(over | cut)
    return float(total.mean())


def learn(method: Method, *, seed: int, n_rollouts: int = N_ROLLOUTS) -> Outcome:
    """Three tasks in turn.

    Args:
        method: The learner.
        seed: Seed of its network and of the environments.
        n_rollouts: Number of rollouts of a task.
    """
    torch.manual_seed(seed)
    model, outcome = Actor(), Outcome()
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, eps=1e-5)
    memory = make_agent_memory(CAPACITY, generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    sleep = make_agent_sleep(model, memory, optimiser, n_actions=N_ACTIONS, generator=generator)
    for task in range(len(TASKS)):
        carts, reached = make_carts(task), None
        state, _ = carts.reset(seed=1000 * seed + task)
        recent, running = [0.0], np.zeros(N_ENVS)
        for number in range(n_rollouts):
            rollout, state = play(model, carts, state, task, recent, running)
            improve(model, optimiser, rollout, memory if method.replays or method.clones else None, method, outcome)
            if reached is None and np.mean(recent[-16:]) >= ENOUGH:
                reached = (number + 1) * N_STEPS * N_ENVS
        outcome.steps.append(float(reached or n_rollouts * N_STEPS * N_ENVS))
        outcome.just_learned.append(measure_return(model, task))
        keep(memory, model, task, rollout)
        if method.sleeps:
            sleep.night(NIGHT_STEPS)
            outcome.n_samples += NIGHT_STEPS * 128
    outcome.at_the_end = [measure_return(model, task) for task in range(len(TASKS))]
    return outcome


def keep(memory: Any, model: nn.Module, task: int, last: dict[str, Tensor]) -> None:
    """Remember what the last rollout saw, with what the network would do and expects now."""
    rows = torch.randperm(len(last["x"]))[:REMEMBERED]
    others = {name: last[name][rows] for name in ("action", "chance", "gain", "goal")}
    remember(memory, model, last["x"][rows], task=task, **others)


@torch.no_grad()
def play(
    model: nn.Module, carts: Any, state: np.ndarray, task: int, recent: list[float], running: np.ndarray
) -> tuple[dict[str, Tensor], np.ndarray]:
    """A rollout of all environments, with advantages (Schulman et al. 2016, generalised advantage estimation).

    Args:
        model: The network.
        carts: Environments.
        state: Where they are.
        task: Which task it is.
        recent: Returns of the episodes that ended; they are added to.
        running: Return of each episode that goes on; it is changed.

    Returns:
        Entries (item, ...) of the steps that were no resets, and where the environments are.
    """
    steps: list[dict[str, Tensor]] = []
    for _ in range(N_STEPS):
        x, before = observe(state, task), carts.unwrapped.prev_done.copy()
        logits, value = split_output(model(x), n_actions=N_ACTIONS)
        action = torch.distributions.Categorical(logits=logits, validate_args=False).sample()
        chance = torch.log_softmax(logits, dim=1).gather(1, action[:, None])[:, 0]
        state, reward, over, cut, _ = carts.step(action.numpy())
        running += reward
        recent += running[over | cut].tolist()
        running[over | cut] = 0.0
        flags = {"over": torch.from_numpy(over), "cut": torch.from_numpy(cut), "is_real": torch.from_numpy(~before)}
        steps.append({"x": x, "action": action, "chance": chance, "value": value} | flags)
        steps[-1]["reward"] = torch.from_numpy(reward) / 100
    columns = {name: torch.stack([step[name] for step in steps]) for name in steps[0]}
    after = split_output(model(observe(state, task)), n_actions=N_ACTIONS)[1]
    gains, gain = torch.zeros_like(columns["value"]), torch.zeros(N_ENVS)
    for step in reversed(range(N_STEPS)):
        goes_on = (~columns["over"][step]).float()
        error = columns["reward"][step] + GAMMA * after * goes_on - columns["value"][step]
        ends = columns["over"][step] | columns["cut"][step]
        gain = error + GAMMA * LAMBDA * (~ends).float() * gain
        gains[step], after = gain, columns["value"][step]
    columns |= {"gain": gains, "goal": gains + columns["value"]}
    real = columns["is_real"].flatten()
    names = ("x", "action", "chance", "gain", "goal")
    return {name: columns[name].flatten(0, 1)[real] for name in names}, state


def improve(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    rollout: dict[str, Tensor],
    memory: Any,
    method: Method,
    outcome: Outcome,
) -> None:
    """PPO's epochs over a rollout, with old items beside each minibatch where the method has some."""
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(rollout["x"])).split(MINIBATCH):
            part = {name: value[rows] for name, value in rollout.items()}
            loss = compute_surrogate(model, part, normalise=True)
            outcome.n_samples += len(rows)
            if memory is not None and len(memory):
                if method.replays:
                    old = memory.sample(MINIBATCH, balanced=True)
                    loss = loss + compute_surrogate(model, old, normalise=False)
                    outcome.n_samples += MINIBATCH
                if method.clones:
                    loss = loss + compute_replay_loss(model, memory, MINIBATCH, n_actions=N_ACTIONS)
                    outcome.n_samples += MINIBATCH
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimiser.step()


def compute_surrogate(model: nn.Module, part: Any, *, normalise: bool) -> Tensor:
    """PPO's clipped surrogate and the error of the value, of new items or old ones.

    Args:
        model: The network.
        part: Items with x, action, chance, gain and goal.
        normalise: Whether gains are scaled to a mean of 0 and a deviation of 1, as for a rollout.
    """
    logits, value = split_output(model(part["x"]), n_actions=N_ACTIONS)
    chosen = torch.log_softmax(logits, dim=1)
    gain = part["gain"]
    gain = (gain - gain.mean()) / (gain.std() + 1e-8) if normalise else gain / (gain.std() + 1e-8)
    ratio = (chosen.gather(1, part["action"][:, None])[:, 0] - part["chance"]).exp()
    policy = -torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
    return policy + 0.5 * (value - part["goal"]).square().mean()
