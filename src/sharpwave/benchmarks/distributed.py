"""`sharpwave benchmark distributed`: what one memory over 8 to 1,024 processes moves and holds; simulated and on paper.

What fetching rows adds to a step is measured, on 2 and 4 processes of this machine that speak gloo: nights with one
memory, its draws fetched ahead or not, beside nights with a buffer of its own in each process, in turns.

Draws are those of `SharedReplayBuffer`, made here for all processes by one: which rows lie elsewhere is counted, not
guessed. Nothing is sent: time is bytes over a link of 100 GB/s, without latency or contention. Memory is counted from
the sizes of what each process holds with FSDP2 (weights, gradients and Adam in 32 bits, all sharded).
"""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import distributed, multiprocessing, nn

from sharpwave.benchmarks.rows import Row
from sharpwave.consolidation import NREM, ReplayBuffer, Sleep
from sharpwave.consolidation.admission import ClassIndex
from sharpwave.integrations.distributed import SharedReplayBuffer
from sharpwave.integrations.shared_states import deal

RANKS = (8, 64, 256, 1024)
CAPACITY, BATCH, N_STEPS, N_TASKS = 64, 4, 100, 20
TOKENS, BYTES_PER_TOKEN = 2048, 8
ROW_BYTES = TOKENS * BYTES_PER_TOKEN
LINK = 100e9
INDEX_BYTES = 300
"""Bytes of the lists of one item in Python, which every process holds of all."""
WORLDS, N_BLOCKS, BLOCK, WIDTH, N_ITEMS = (2, 4), 10, 5, 1024, 64
KINDS = ("own buffers", "one memory, fetched when wanted", "one memory, fetched ahead")
SIZES = {"7B": 7e9, "70B": 70e9, "140B": 140e9}
TRAINING, SNAPSHOT, PROTECTION = 16, 12, 8
"""Bytes of a parameter: weight, gradient and moments of Adam; weight and moments to go back to; Fisher and anchor."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Simulate balanced draws over many processes, and count what they hold.

    Args:
        data: Not used.
        seeds: Number of draws.
        train: Not used.

    Returns:
        Configuration and rows.
    """
    rows = [row for world in WORLDS for row in measure(world)]
    for ranks in RANKS:
        rows += simulate(ranks, seeds)
        for name, n_parameters in SIZES.items():
            for method, size in (("training", TRAINING), ("a night's copy", SNAPSHOT), ("protection", PROTECTION)):
                gigabytes = size * n_parameters / ranks / 1e9
                rows.append(Row("on paper", f"{ranks} ranks, {name}", method, "gigabytes_per_rank", gigabytes, n=1))
    config = {
        "capacity_per_rank": CAPACITY,
        "batch_per_rank": BATCH,
        "steps_per_night": N_STEPS,
        "tasks": N_TASKS,
        "row_bytes": ROW_BYTES,
        "link_bytes_per_second": LINK,
        "bytes_per_parameter": {"training": TRAINING, "snapshot": SNAPSHOT, "protection": PROTECTION},
        "measured": f"{N_BLOCKS} blocks of {BLOCK} steps in turns, one thread a process, perceptron of {WIDTH}",
        "notes": [
            "simulated: nothing was sent, and no graphics card was used",
            "measured: the slowest process; interval over blocks; more processes than cores take each other's time",
        ],
    }
    return config, rows


def simulate(ranks: int, n_draws: int) -> list[Row]:
    """Bytes and seconds of a night, from draws of all processes together.

    Args:
        ranks: Number of processes.
        n_draws: Number of draws.
    """
    index = ClassIndex()
    rng = np.random.default_rng(ranks)
    tasks = rng.integers(N_TASKS, size=ranks * CAPACITY)
    for slot, task in enumerate(tasks.tolist()):
        index.place(slot, (task,))
    sent, received = np.zeros((n_draws, ranks)), np.zeros((n_draws, ranks))
    for number in range(n_draws):
        hands = deal(index.draw(BATCH * ranks, Random(number)), [BATCH] * ranks)
        for rank, hand in enumerate(hands):
            owners = np.array(hand) % ranks
            elsewhere = owners[owners != rank]
            received[number, rank] = elsewhere.size
            np.add.at(sent[number], elsewhere, 1)
    widest = np.maximum(sent, received).max(axis=1) * ROW_BYTES
    setting, data = f"{ranks} ranks", "simulated"
    each = {
        "megabytes_per_rank_and_night": received.mean() * ROW_BYTES * N_STEPS / 1e6,
        "gigabytes_per_night": received.sum(axis=1).mean() * ROW_BYTES * N_STEPS / 1e9,
        "milliseconds_per_step": widest.mean() / LINK * 1e3,
        "milliseconds_per_night": widest.mean() / LINK * 1e3 * N_STEPS,
        "megabytes_of_rows_per_rank": CAPACITY * ROW_BYTES / 1e6,
        "megabytes_of_lists_per_rank": ranks * CAPACITY * INDEX_BYTES / 1e6,
    }
    rows = [Row(data, setting, "one memory", name, float(value), n=n_draws) for name, value in each.items()]
    gathered = ranks * BATCH * ROW_BYTES  # every new item to every process
    rows.append(Row(data, setting, "one memory", "kilobytes_received_per_wake_step", ranks * BATCH * 8 / 1e3, n=1))
    rows.append(Row(data, setting, "all items to all", "kilobytes_received_per_wake_step", gathered / 1e3, n=1))
    return rows


def measure(world: int, *, n_blocks: int = N_BLOCKS, width: int = WIDTH) -> list[Row]:
    """What one memory adds to a step of a night on processes of this machine.

    Args:
        world: Number of processes.
        n_blocks: Number of blocks of steps; default 10.
        width: Width of the perceptron that sleeps; default 1,024.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        given = (world, port, folder, n_blocks, width)
        multiprocessing.start_processes(_sleep_in_turns, given, nprocs=world, start_method="spawn")
        told = [np.load(Path(folder) / f"{rank}.npy") for rank in range(world)]
    wall, processor, waited = np.max(np.stack(told), axis=0)  # of each kind, in each block
    setting, rng, rows = f"{world} processes", np.random.default_rng(0), list[Row]()
    for place, kind in enumerate(KINDS):
        seconds = float(np.median(wall[place]))
        rows.append(Row("measured", setting, kind, "milliseconds_per_step", 1e3 * seconds, n=n_blocks))
        if place:
            shares = {
                "added_share_of_step": wall[place] / wall[0] - 1,
                "added_share_of_processor_time": processor[place] / processor[0] - 1,
                "share_of_step_waiting_for_rows": waited[place] / wall[place],
            }
            for metric, values in shares.items():
                drawn = np.median(values[rng.integers(n_blocks, size=(2000, n_blocks))], axis=1)
                low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
                rows.append(Row("measured", setting, kind, metric, float(np.median(values)), low, high, n_blocks))
    return rows


def _sleep_in_turns(rank: int, world: int, port: int, folder: str, n_blocks: int, width: int) -> None:
    """One process: seconds, processor seconds and seconds of waiting of a step, of each kind in each block."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    rng = torch.Generator().manual_seed(rank)
    sleeps, waits = [], []
    for kind in KINDS:
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )
        shared = {} if kind == KINDS[0] else {"prefetch": kind == KINDS[2]}
        buffer = SharedReplayBuffer(500, **shared) if shared else ReplayBuffer(500)
        waits.append(_watch_waiting(buffer))
        model = nn.parallel.DistributedDataParallel(network)
        sleep = Sleep(model, buffer, torch.optim.SGD(model.parameters(), lr=0.01), nrem=NREM(batch_size=N_ITEMS))
        for _ in range(4):
            new = {"x": torch.rand(N_ITEMS, 784, generator=rng), "y": torch.randint(10, (N_ITEMS,), generator=rng)}
            sleep.learner.optimiser.zero_grad()
            sleep.wake(new).backward()
            sleep.learner.optimiser.step()
        sleep.fall_asleep((n_blocks + 1) * BLOCK)
        sleeps.append(sleep)
    found = np.zeros((3, len(KINDS), n_blocks + 1))
    for block in range(n_blocks + 1):
        for place, sleep in enumerate(sleeps):
            distributed.barrier()
            before = np.array([time.perf_counter(), time.process_time(), waits[place][0]])
            for _ in range(BLOCK):
                sleep.step()
            after = np.array([time.perf_counter(), time.process_time(), waits[place][0]])
            found[:, place, block] = (after - before) / BLOCK
    for sleep in sleeps:
        sleep.abandon()
        if isinstance(sleep.learner.buffer, SharedReplayBuffer):
            sleep.learner.buffer.settle()
    np.save(Path(folder) / f"{rank}.npy", found[:, :, 1:])
    distributed.barrier()
    distributed.destroy_process_group()


def _watch_waiting(buffer: ReplayBuffer) -> list[float]:
    """Seconds that a memory has waited for rows so far."""
    waited = [0.0]
    if isinstance(buffer, SharedReplayBuffer):
        wait = buffer._wait

        def timed(future: Any) -> Any:
            begun = time.perf_counter()
            try:
                return wait(future)
            finally:
                waited[0] += time.perf_counter() - begun

        buffer._wait = timed  # type: ignore[method-assign]
    return waited
