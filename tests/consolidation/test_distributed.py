"""Two processes on a processor: each with its share of the stream and of the buffer, asleep and awake in step."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import torch
from tests.consolidation.planted import make_network, make_points, measure_accuracy

from sharpwave.consolidation import NREM, REM, FixedRatio, Homeostasis, ReplayBuffer, Sleep, TwoProcess
from sharpwave.consolidation.state_files import load_state, save_state


def live(rank: int, port: int, folder: str) -> None:
    """One process: three tasks, a night after each, on its half of each batch."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    network = make_network(norm=True)
    model = torch.nn.parallel.DistributedDataParallel(network)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(rank)
    sleep = Sleep(
        model,
        ReplayBuffer(24, generator=generator),
        optimiser,
        nrem=NREM(noise=0.05),
        rem=REM(share=0.3, exploration=0.01),
        homeostasis=Homeostasis(prune=0.02, regrow=0.5),
        steer="brittle",
        schedule=FixedRatio(0.2),
        generator=generator,
    )
    points, labels = make_points(100, seed=1)
    reports = []
    for task in range(3):
        mine = torch.nonzero(labels // 2 == task)[:, 0]
        rng = torch.Generator().manual_seed(task)
        for _ in range(40):
            chosen = mine[torch.randint(len(mine), (32,), generator=rng)][rank::2]
            optimiser.zero_grad()
            sleep.wake({"x": points[chosen], "y": labels[chosen]}, task=task).backward()
            optimiser.step()
        reports.append(sleep.night(until=lambda: rank == 1 and len(sleep.hypnogram) >= 140))
    sleep.schedule = TwoProcess(upper=0.001 + 0.0005 * rank, lower=0.0005, measure_every=1, limit=1.0)
    drowsy = []
    for _ in range(3):
        sleep.wake({"x": points[rank::60], "y": labels[rank::60]}, task=3).backward()
        drowsy.append(sleep.rest() is not None)
    state = {
        "weights": network.state_dict(),
        "stages": sleep.hypnogram.stages.tolist(),
        "committed": [report.committed for report in reports],
        "stored": sorted(sleep.learner.buffer.read(torch.arange(24))["x"][:, 0].tolist()),
        "drowsy": drowsy,
        "accuracy": measure_accuracy(network),
    }
    save_state(state, Path(folder) / str(rank))
    os._exit(0)  # forked from a process with threads, torch may wait for ever for the end of a group


def test_two_processes_sleep_in_step(tmp_path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(live, (port, str(tmp_path)), nprocs=2, start_method="fork")
    first, second = (load_state(tmp_path / str(rank)) for rank in range(2))
    for name, value in first["weights"].items():
        if not name.startswith("1."):
            torch.testing.assert_close(value, second["weights"][name], rtol=1e-5, atol=1e-6)
    for name in ("stages", "committed", "drowsy"):
        assert first[name] == second[name], name
    assert first["stored"] != second["stored"]
    assert first["accuracy"] > 0.7
    assert second["stages"].count(1) + second["stages"].count(2) < 24 + 24
