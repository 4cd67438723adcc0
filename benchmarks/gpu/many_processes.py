"""What one memory over several processes costs a step of a night, three minutes; no data.

A transformer sleeps on `--processes` processes: with one memory over them, its draws fetched ahead or not, and with a
buffer of its own in each. Rows: milliseconds of a step of a night (median, and the middle half), what the memory adds
to a step as a share, and megabytes that a process sent. With as many cards as processes they speak NCCL; on one card,
or with `--device cpu`, gloo, and the figures say so.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from card import Results, check_device, make_parser
from sleep_cost import Transformer
from torch import distributed, multiprocessing

from sharpwave.benchmarks.rows import Row
from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.integrations.distributed import SharedReplayBuffer

KINDS = ("own buffers", "one memory", "one memory, fetched ahead")


def main() -> None:
    parser = make_parser(__doc__ or "", output="many-processes-card.json")
    parser.add_argument("--steps", type=int, default=40, help="steps of a night (default: 40)")
    parser.add_argument("--processes", type=int, default=max(2, torch.cuda.device_count()), help="default: a card each")
    parser.add_argument("--width", type=int, default=512, help="width of the network (default: 512)")
    options = parser.parse_args()
    device = check_device(options.device)
    own_card = device.type == "cuda" and torch.cuda.device_count() >= options.processes
    backend = "nccl" if own_card else "gloo"
    config = {"steps": options.steps, "processes": options.processes, "backend": backend, "device": device.type}
    results = Results("many-processes-card", options.output, config, limit=options.limit)
    setting, plain = f"{options.processes} processes, {backend}", 0.0
    for kind in KINDS:
        if results.has("transformer", kind) or not results.may_begin():
            continue
        with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            probe.close()
            given = (port, folder, options.processes, kind, device.type, backend, options.steps, options.width)
            multiprocessing.start_processes(sleep_once, given, nprocs=options.processes, start_method="spawn")
            told = json.loads((Path(folder) / "0.json").read_text(encoding="utf-8"))
        low, middle, high = np.percentile(told["milliseconds"], (25, 50, 75)).tolist()
        plain = middle if kind == KINDS[0] else plain
        rows = [Row("transformer", setting, kind, "milliseconds_per_step", middle, low, high, options.steps)]
        rows.append(Row("transformer", setting, kind, "megabytes_sent", told["moved"] / 1e6, n=1))
        if plain and kind != KINDS[0]:
            rows.append(Row("transformer", setting, kind, "added_share_of_step", middle / plain - 1, n=options.steps))
        results.add(*rows)


def sleep_once(
    rank: int, port: int, folder: str, world: int, kind: str, device: str, backend: str, steps: int, width: int
) -> None:
    """One process: a day of a few steps, then a night that is timed step by step."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    where = torch.device(device, rank if backend == "nccl" else 0) if device == "cuda" else torch.device("cpu")
    distributed.init_process_group(backend, init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(Transformer(width).to(where))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    buffer = ReplayBuffer(500) if kind == KINDS[0] else SharedReplayBuffer(500, prefetch=kind == KINDS[2])
    sleep = Sleep(model, buffer, optimiser, wake="er")
    rng = torch.Generator().manual_seed(rank)
    for _ in range(10):
        batch = {"x": torch.randint(1000, (64, 64), generator=rng), "y": torch.randint(10, (64,), generator=rng)}
        optimiser.zero_grad()
        sleep.wake(batch).backward()
        optimiser.step()
    sleep.fall_asleep(steps + 3)
    milliseconds = []
    for step in range(steps + 3):
        begun = time.perf_counter()
        sleep.step()
        if device == "cuda":
            torch.cuda.synchronize()
        if step >= 3:
            milliseconds.append(1e3 * (time.perf_counter() - begun))
    told = {"milliseconds": milliseconds, "moved": getattr(buffer, "n_moved", 0)}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(told), encoding="utf-8")
    if isinstance(buffer, SharedReplayBuffer):
        buffer.settle()
    distributed.barrier()  # whoever leaves first would leave the others waiting
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
