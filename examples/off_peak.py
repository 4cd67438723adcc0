"""Let a network sleep in a process of its own while the machine is free; the state goes through a folder.

Run: python examples/off_peak.py FOLDER [--wait SECONDS] [--steps N] [--from 22:00 --to 06:00]

The first run teaches a small network two pairs of digits and leaves it in FOLDER, tired; each run waits until the
machine is free, sleeps, and writes back what was kept. `off-peak.timer` and `off-peak.service` beside it start it every
night with systemd, `off-peak.sbatch` as a job of Slurm that gives its cores back when others want them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.integrations.off_peak import FreeMachine, Machine, Reading, sleep_when_free


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wait", type=float, default=3600.0, help="longest time to wait, in seconds")
    parser.add_argument("--steps", type=int, default=200, help="steps of the night")
    parser.add_argument("--load", type=float, default=0.3, help="share of the cores that others may keep busy")
    parser.add_argument("--from", dest="first", default="00:00", help="earliest local time")
    parser.add_argument("--to", dest="last", default="23:59", help="latest local time")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model, optimiser, sleep = make_network()
    if (chosen.folder / "state.json").exists():
        state = load_state(chosen.folder)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        sleep.load_state_dict(state["sleep"])
    else:
        learn(model, optimiser, sleep)
    free = FreeMachine(load=chosen.load, window=(chosen.first, chosen.last), read=Watcher())
    print(sleep_when_free(sleep, free, wait=chosen.wait, steps=chosen.steps), flush=True)
    parts = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "sleep": sleep.state_dict()}
    save_state(parts, chosen.folder)
    print(f"saved in {chosen.folder}", flush=True)


class Watcher(Machine):
    """Readings of this machine, and a word when it is first looked at: from then on SIGTERM ends the night."""

    is_told = False

    def __call__(self) -> Reading:
        if not self.is_told:
            print("looking whether the machine is free", flush=True)
            self.is_told = True
        return self.read()


def make_network() -> tuple[nn.Module, torch.optim.Optimizer, Sleep]:
    """The network, its optimiser and its sleep, as every run has to make them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    buffer = ReplayBuffer(100, generator=torch.Generator().manual_seed(0))
    return model, optimiser, Sleep(model, buffer, optimiser)


def learn(model: nn.Module, optimiser: torch.optim.Optimizer, sleep: Sleep) -> None:
    """A day: two pairs of digits, one after the other."""
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    for number, classes in enumerate(((0, 1), (2, 3))):
        for batch in torch.isin(y, torch.tensor(classes)).nonzero().squeeze(1).split(8):
            optimiser.zero_grad()
            sleep.wake({"x": x[batch], "y": y[batch]}, task=number).backward()
            optimiser.step()


if __name__ == "__main__":
    main()
