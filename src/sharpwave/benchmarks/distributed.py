"""`sharpwave benchmark distributed`: what one memory over 8 to 1,024 processes moves and holds; simulated and on paper.

Draws are those of `SharedReplayBuffer`, made here for all processes by one: which rows lie elsewhere is counted, not
guessed. Nothing is sent: time is bytes over a link of 100 GB/s, without latency or contention. Memory is counted from
the sizes of what each process holds with FSDP2 (weights, gradients and Adam in 32 bits, all sharded).
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from sharpwave.benchmarks.rows import Row
from sharpwave.consolidation.admission import ClassIndex
from sharpwave.integrations.shared_states import deal

RANKS = (8, 64, 256, 1024)
CAPACITY, BATCH, N_STEPS, N_TASKS = 64, 4, 100, 20
TOKENS, BYTES_PER_TOKEN = 2048, 8
ROW_BYTES = TOKENS * BYTES_PER_TOKEN
LINK = 100e9
INDEX_BYTES = 300
"""Bytes of the lists of one item in Python, which every process holds of all."""
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
    rows: list[Row] = []
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
        "notes": ["simulated: nothing was sent, and no graphics card was used"],
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
