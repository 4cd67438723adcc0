"""`sharpwave benchmark off-peak`: how soon a night gives way once the machine is wanted.

A small network sleeps as `sleep_when_free` lets it, on this machine as busy as it is, and is told to end (SIGTERM) at a
moment drawn at random. Measured is the time until the last step is over, and until the network is awake, scored and
kept or not; and how many steps were begun after the signal.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sharpwave.benchmarks.rows import Row
from sharpwave.consolidation import NREM, ReplayBuffer, Sleep
from sharpwave.integrations.off_peak import sleep_when_free

N_NIGHTS, WIDTH, N_ITEMS, LATEST = 30, 256, 500, 1.5


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Let nights be told to end.

    Args:
        data: Not used.
        seeds: Times that the nights are repeated, with other moments.
        train: Not used.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = os.getloadavg()[0]
    try:
        found = [measure(np.random.default_rng(seed), n_nights=N_NIGHTS) for seed in range(seeds)]
    finally:
        torch.set_num_threads(threads)
    ended, given, steps = np.concatenate(found, axis=1)
    rows = []
    for metric, values in (("seconds_until_last_step_ends", ended), ("seconds_until_awake", given)):
        for name, share in (("median", 50), ("95th percentile", 95), ("longest", 100)):
            rows.append(Row("SIGTERM", "perceptron", name, metric, float(np.percentile(values, share)), n=len(values)))
    rows.append(Row("SIGTERM", "perceptron", "all", "share_within_a_second", float((given <= 1).mean()), n=len(given)))
    rows.append(Row("SIGTERM", "perceptron", "most", "steps_begun_after", float(steps.max()), n=len(steps)))
    for moment, load in (("before", began), ("after", os.getloadavg()[0])):
        rows.append(Row("machine", "load average over cores", moment, "load", load / (os.cpu_count() or 1), n=1))
    config = {
        "nights": N_NIGHTS * seeds,
        "network": f"perceptron 784, {WIDTH}, {WIDTH}, 10; {N_ITEMS} stored, 64 items a step, a probe of 256",
        "notes": [f"The signal comes within {LATEST} s of the first step; the machine was as busy as others kept it."],
    }
    return config, rows


def measure(rng: np.random.Generator, *, n_nights: int, latest: float = LATEST) -> np.ndarray:
    """Seconds from the signal to the end of the last step, and to being awake; steps begun after it; shape (3, night).

    Args:
        rng: Random generator of the moments.
        n_nights: Number of nights.
        latest: Latest moment of the signal, in seconds after the first step; default 1.5.
    """
    sleep = _make_sleep()
    step, begun, ended = sleep.step, list[float](), list[float]()

    def watched() -> bool:
        begun.append(time.monotonic())
        goes_on = step()
        ended.append(time.monotonic())
        return goes_on

    sleep.step = watched  # type: ignore[method-assign]
    found = np.zeros((3, n_nights))
    for night in range(n_nights):
        sent, delay = list[float](), float(rng.uniform(0, latest))
        begun.clear()
        ended.clear()

        def tell(delay: float = delay, sent: list[float] = sent) -> None:
            while not ended:
                time.sleep(0.001)
            time.sleep(delay)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=tell)
        thread.start()
        sleep_when_free(sleep, lambda: True, steps=10**6)
        awake = time.monotonic()
        thread.join()
        found[:, night] = ended[-1] - sent[0], awake - sent[0], sum(each > sent[0] for each in begun)
    return found


def _make_sleep() -> Sleep:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.001)
    sleep = Sleep(model, ReplayBuffer(N_ITEMS), optimiser, nrem=NREM(batch_size=64))
    means = torch.randn(10, 784)
    for y in torch.randint(10, (20, 32)):
        optimiser.zero_grad()
        sleep.wake({"x": means[y] + torch.randn(32, 784), "y": y}).backward()
        optimiser.step()
    return sleep
