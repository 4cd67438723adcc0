"""Two processes on a processor (gloo): uneven shares of a stream, and sharded weights under protection."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
from tests.consolidation.planted import make_network, make_points
from torch import distributed

from sharpwave.consolidation import Protection, ReplayBuffer, Sleep
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.distributed import SharedReplayBuffer

CAPACITY, REPEATS, STEPS = 20, 40, 20


def start(work, folder: Path, *arguments: object) -> list:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(begin, (work, port, str(folder), *arguments), nprocs=2, start_method="fork")
    return [load_state(folder / str(rank)) for rank in range(2)]


def begin(rank: int, work, port: int, folder: str, *arguments: object) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    save_state(work(rank, *arguments), Path(folder) / str(rank))
    os._exit(0)  # forked from a process with threads, torch may wait for ever for the end of a group


def fill(rank: int) -> dict:
    """The first process sees three items a step, the second one; each says whose it is and when it came."""
    whose = {"shared": [], "own": []}
    when = []
    for repeat in range(REPEATS):
        generator = torch.Generator().manual_seed(2 * repeat + rank)
        buffers = {"shared": SharedReplayBuffer(CAPACITY, generator=generator)}
        buffers["own"] = ReplayBuffer(CAPACITY, generator=generator)
        for step in range(STEPS):
            n_items = 1 if rank else 3
            items = {"rank": torch.full((n_items,), rank), "step": torch.full((n_items,), step)}
            for buffer in buffers.values():
                buffer.add(items)
        for name, buffer in buffers.items():
            kept = buffer.read(torch.arange(len(buffer)))
            whose[name] += kept["rank"].tolist()
            when += kept["step"].tolist() if name == "shared" else []
    return {"whose": whose, "when": when, "n_seen": buffers["shared"].n_seen}


def test_reservoirs_of_uneven_shares_are_uniform_over_the_whole_stream(tmp_path: Path) -> None:
    found = start(fill, tmp_path)
    assert [each["n_seen"] for each in found] == [80, 80]  # both know of all
    shared, own = (torch.tensor([rank for each in found for rank in each["whose"][name]]) for name in ("shared", "own"))
    assert float(shared.float().mean()) == pytest.approx(0.25, abs=0.04)  # 1,600 items: 3.7 standard deviations
    assert float(own.float().mean()) == pytest.approx(0.5, abs=0.01)
    when = torch.tensor([step for each in found for step in each["when"]]).float()
    assert float(when.mean()) == pytest.approx((STEPS - 1) / 2, abs=0.55)


def learn_unevenly(rank: int) -> dict:
    network = make_network()
    model = torch.nn.parallel.DistributedDataParallel(network)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    buffer = SharedReplayBuffer(24, storage={"x": "uint8"}, generator=torch.Generator().manual_seed(rank))
    sleep = Sleep(model, buffer, optimiser)
    points, labels = make_points(100, seed=1)
    for task in range(3):
        mine = torch.nonzero(labels // 2 == task)[:, 0]
        rng = torch.Generator().manual_seed(2 * task + rank)
        for _ in range(30):
            chosen = mine[torch.randint(len(mine), (4 if rank else 28,), generator=rng)]
            optimiser.zero_grad()
            sleep.wake({"x": points[chosen], "y": labels[chosen]}, task=task).backward()
            optimiser.step()
        sleep.night()
    network.eval()
    fresh, answers = make_points(50, seed=2)
    right = float((network(fresh).argmax(dim=1) == answers).float().mean())
    state = buffer.state_dict()
    again = SharedReplayBuffer(24, storage={"x": "uint8"})
    again.load_state_dict(state)
    wrong = ""
    try:
        again.add({"x": torch.zeros(1, 8 + rank), "y": torch.zeros(1, dtype=torch.int64)})
    except SharpwaveError as error:
        wrong = str(error)
    return {"right": right, "weights": network.state_dict(), "n_seen": buffer.n_seen, "wrong": wrong}


def test_uneven_processes_sleep_with_one_stream_of_memories(tmp_path: Path) -> None:
    first, second = start(learn_unevenly, tmp_path)
    assert first["right"] > 0.8
    assert first["n_seen"] == second["n_seen"] == 3 * 30 * 32
    for name, value in first["weights"].items():
        torch.testing.assert_close(value, second["weights"][name], rtol=1e-5, atol=1e-6)
    assert all("pad batches to one width in all processes" in each["wrong"] for each in (first, second))


def protect(rank: int, *, shards: bool = True) -> dict:
    """Two nights with protection; all processes see the same, so that one process alone is the oracle.

    Sharded, the Fisher information is that of items which differ from process to process: gradients arrive as a mean
    over processes, whose square is multiplied by their number. Here the items are the same, so it comes out twice.
    """
    network = make_network()
    if shards:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2,))
        fully_shard(network[0], mesh=mesh)
        fully_shard(network, mesh=mesh)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(0)
    protection = Protection(step_size=0.3, anchor=1.0 if shards else 2.0)
    sleep = Sleep(network, ReplayBuffer(24, generator=generator), optimiser, protection=protection, generator=generator)
    points, labels = make_points(40, seed=1)
    for task in range(2):
        mine = torch.nonzero(labels // 2 == task)[:, 0]
        for rows in mine.split(16):
            optimiser.zero_grad()
            sleep.wake({"x": points[rows], "y": labels[rows]}).backward()
            optimiser.step()
        sleep.night(3)
    whole = {name: value.full_tensor() if shards else value for name, value in network.state_dict().items()}
    return {"weights": whole}


def test_sharded_weights_are_protected_as_whole_ones_are(tmp_path: Path) -> None:
    first, second = start(protect, tmp_path)
    alone = protect(0, shards=False)
    start_of_all = make_network().state_dict()
    for name, value in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], value, rtol=1e-4, atol=1e-6)
        assert torch.equal(first["weights"][name], second["weights"][name])
        assert not torch.equal(value, start_of_all[name])
