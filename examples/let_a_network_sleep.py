"""Teach a small network one pair of digits after another, with sleep and without, and see what it still knows.

Run: python examples/let_a_network_sleep.py
Scikit-learn's handwritten digits (1,797 images of 8 by 8 pixels); some seconds on one core.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn

from sharpwave.consolidation import ReplayBuffer, Sleep

TASKS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def main() -> None:
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    test, train = shuffled[:400], shuffled[400:]
    for sleeps in (False, True):
        model = learn(x[train], y[train], sleeps=sleeps)
        right = model(x[test]).argmax(dim=1) == y[test]
        by_task = [right[torch.isin(y[test], torch.tensor(task))].float().mean().item() for task in TASKS]
        print(
            f"{'with sleep' if sleeps else 'without   '}  accuracy {right.float().mean():.2f}; by task, first to last:",
            end=" ",
        )
        print(*(f"{share:.2f}" for share in by_task))


def learn(x: torch.Tensor, y: torch.Tensor, *, sleeps: bool) -> nn.Module:
    """Five tasks in turn, one pass over each; a buffer of 100 images, and a night after each task."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    sleep = Sleep(model, ReplayBuffer(100, generator=torch.Generator().manual_seed(0)), optimiser)
    for number, classes in enumerate(TASKS):
        items = torch.isin(y, torch.tensor(classes)).nonzero().squeeze(1)
        for batch in items.split(8):
            optimiser.zero_grad()
            if sleeps:
                loss = sleep.wake({"x": x[batch], "y": y[batch]}, task=number)
            else:
                loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimiser.step()
        if sleeps:
            print(f"night {number + 1}: {sleep.night()}")
    return model.eval()


if __name__ == "__main__":
    main()
