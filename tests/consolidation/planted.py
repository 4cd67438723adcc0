"""Two tasks that a small network cannot both keep by itself: clusters of points, two classes a task."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sharpwave.consolidation import ReplayBuffer, Sleep

N_TASKS = 3


def make_points(n_each: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Points (item, 8) around 6 fixed centres, and which (item)."""
    centres = 2 * torch.randn(2 * N_TASKS, 8, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(2 * N_TASKS).repeat_interleave(n_each)
    noise = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(seed))
    return centres[labels] + 0.7 * noise, labels


def make_network(*, seed: int = 0, n_out: int = 2 * N_TASKS, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    middle = [nn.BatchNorm1d(24)] if norm else []
    return nn.Sequential(nn.Linear(8, 24), *middle, nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, n_out))


def make_sleeper(*, seed: int = 0, capacity: int = 48, norm: bool = False, **options) -> Sleep:
    network = make_network(seed=seed, norm=norm)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5)
    generator = torch.Generator().manual_seed(seed)
    return Sleep(network, ReplayBuffer(capacity, generator=generator), optimiser, generator=generator, **options)


def learn(sleep: Sleep, *, n_steps: int = 40, first_task: int = 0, n_tasks: int = N_TASKS, sleeps: bool = True) -> list:
    """One task after the other; the reports of the nights after each."""
    points, labels = make_points(100, seed=1)
    reports = []
    for task in range(first_task, n_tasks):
        mine = torch.nonzero(labels // 2 == task)[:, 0]
        rng = torch.Generator().manual_seed(task)
        for _ in range(n_steps):
            chosen = mine[torch.randint(len(mine), (16,), generator=rng)]
            sleep.learner.optimiser.zero_grad()
            sleep.wake({"x": points[chosen], "y": labels[chosen]}, task=task).backward()
            sleep.learner.optimiser.step()
        if sleeps:
            reports.append(sleep.night())
    return reports


def measure_accuracy(network: nn.Module) -> float:
    points, labels = make_points(50, seed=2)
    network.eval()
    accuracy = (network(points).argmax(dim=1) == labels).float().mean().item()
    network.train()
    return accuracy


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())
