"""The same nights through each executor: the same files, what it costs, and what a killed worker costs.

Nights are decoded by the command line in processes of their own. Where a worker is killed, it is by SIGKILL from
outside, in the middle of its work. The night that always kills its worker runs `sw.decode` behind a function that
kills the process when it meets that night, through the same executors.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sharpwave.api import decode
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale.lengths import read_outcomes
from sharpwave.benchmarks.scale.measures import (
    Cost,
    command_of,
    find_workers,
    run_measured,
    simulate_eeg,
    wait_until,
    write_night,
)
from sharpwave.errors import SharpwaveError
from sharpwave.executors import open_executor

MINUTES = 20.0
N_NIGHTS, N_WORKERS = 4, 2
N_FAILING = 50
FAILING_MINUTES = 2.0
KILL_AFTER = 5
"""Nights that are done when a worker is killed."""
TASKS = 200
OUTSIDE = "outside scheduler"
WAYS = {"serial": (), "--jobs": ("--jobs", str(N_WORKERS)), "LocalCluster": ("--scheduler", "local")}
TIMES = re.compile(rb"^ *\d+\.\d s  ", re.MULTILINE)
"""Seconds in a log: the only thing in which two runs may differ."""


@contextmanager
def start_outside(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A dask scheduler and its workers as processes of their own; gives its address and the workers' nannies.

    Args:
        folder: Folder for the file by which they find each other.
    """
    file = folder / "scheduler.json"
    dask = [sys.executable, "-W", "ignore", "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    place = ["--scheduler-file", str(file)]
    started = [subprocess.Popen([*dask, "scheduler", "--port", "0", "--no-dashboard", *place], **quiet)]
    try:
        if not wait_until(file.is_file, seconds=120):
            raise SharpwaveError("a dask scheduler that starts", got="none in two minutes", fix="run it by hand")
        for _ in range(N_WORKERS):
            started.append(
                subprocess.Popen(
                    [*dask, "worker", *place, "--nthreads", "1", "--no-dashboard", "--memory-limit", "0"], **quiet
                )
            )
        from distributed import Client

        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(N_WORKERS, timeout=120)
            address = str(client.scheduler.address)
        yield address, [process.pid for process in started[1:]]
    finally:
        for process in started[::-1]:
            process.send_signal(signal.SIGINT)
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def compare_executors(folder: Path) -> list[Row]:
    """Decode the same nights in each way: files that differ from serial's, CPU a night, and two processes on one night.

    Args:
        folder: Folder for nights and results.
    """
    eeg = simulate_eeg()
    nights = [write_night(folder / f"n{i}.zarr", eeg, hours=MINUTES / 60, first=1.0 + i) for i in range(N_NIGHTS)]
    setting = f"{N_NIGHTS} nights of {MINUTES:g} min, {N_WORKERS} workers"
    rows: list[Row] = []

    def add(way: str, cost: Cost) -> None:
        outcomes = read_outcomes(cost)
        differing, files = count_differing(folder / "serial", folder / way)
        values = {
            "nights_failed": sum(outcome["status"] == "failed" for outcome in outcomes),
            "files": files,
            "files_differing": differing,
        }
        if way != OUTSIDE:  # whose workers are not the command's own
            values["cpu_s_per_night"] = cost.cpu / N_NIGHTS
        rows.extend(
            Row("simulated", setting, way, metric, float(value), n=N_NIGHTS) for metric, value in values.items()
        )

    for way, options in WAYS.items():
        more = ("--jobs", str(N_WORKERS)) if way == "LocalCluster" else ()
        add(way, run_measured(command_of("decode", *nights, "-o", folder / way, "--json", *options, *more)))
    with start_outside(folder) as (address, _):
        command = command_of("decode", *nights, "-o", folder / OUTSIDE, "--json", "--scheduler", address)
        add(OUTSIDE, run_measured(command))
        rows += measure_overhead(address)
    return rows + decode_twice(nights[0], folder)


def decode_twice(night: Path, folder: Path) -> list[Row]:
    """Two processes that are given one night at the same time: exit codes, and files that differ from serial's."""
    command = command_of("decode", night, "-o", folder / "twice")
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    codes = [process.wait() for process in both]
    differing, files = count_differing(folder / "serial" / night.stem, folder / "twice")
    values = {"exit_codes_not_0": sum(map(bool, codes)), "files": files, "files_differing": differing}
    setting = f"two processes on one night of {MINUTES:g} min"
    return [Row("simulated", setting, "decode", metric, float(value), n=2) for metric, value in values.items()]


def count_differing(one: Path, other: Path) -> tuple[int, int]:
    """Files that are not the same byte for byte but for the seconds in logs, or that one side lacks; and files in all.

    Args:
        one: Folder of results.
        other: Folder of the same results, made in another way.
    """
    names = {path.relative_to(root) for root in (one, other) for path in root.rglob("*") if path.is_file()}
    differing = [name for name in names if _read(one / name) != _read(other / name)]
    return len(differing), len(names)


def _read(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    content = path.read_bytes()
    return TIMES.sub(b"", content) if path.suffix == ".txt" else content


def measure_overhead(address: str) -> list[Row]:
    """Milliseconds of this process's CPU for each of many tasks that do nothing, by executor.

    Args:
        address: Of a running scheduler.
    """
    import time

    rows = []
    ways: dict[str, tuple[int, str | None]] = {
        "serial": (1, None),
        "--jobs": (N_WORKERS, None),
        "LocalCluster": (N_WORKERS, "local"),
        OUTSIDE: (N_WORKERS, address),
    }
    for way, (jobs, scheduler) in ways.items():
        with open_executor(jobs, scheduler) as executor:
            list(executor.run(abs, range(N_WORKERS)))  # its workers have started
            begin = time.process_time()
            done = sum(not finished.error for finished in executor.run(abs, range(TASKS)))
            taken = time.process_time() - begin
        setting = f"{TASKS} tasks that do nothing"
        rows.append(Row("simulated", setting, way, "cpu_ms_per_task", 1000 * taken / TASKS, n=done))
    return rows


def inject_failures(folder: Path) -> list[Row]:
    """50 nights of which a worker is killed, and 50 of which one always kills its worker, by executor.

    Args:
        folder: Folder for nights and results.
    """
    eeg = simulate_eeg()
    nights = [
        write_night(folder / f"n{i:02d}.zarr", eeg, hours=FAILING_MINUTES / 60, first=1.0 + i / 10)
        for i in range(N_FAILING)
    ]
    rows: list[Row] = []
    for way in ("--jobs", "LocalCluster", OUTSIDE):
        jobs = str(N_WORKERS)
        options = {"--jobs": ("--jobs", jobs), "LocalCluster": ("--scheduler", "local", "--jobs", jobs)}.get(way)
        with start_outside(folder) if options is None else _nothing() as (address, nannies):
            chosen = options or ("--scheduler", address)
            killed = Killer(folder / way, nannies)
            output = folder / way
            cost = run_measured(command_of("decode", *nights, "-o", output, "--json", *chosen), watch=killed)
            outcomes = read_outcomes(cost)
            setting = f"{N_FAILING} nights of {FAILING_MINUTES:g} min, a worker killed"
            rows += _count(setting, way, [outcome["status"] for outcome in outcomes], killed=float(killed.done))
            deadly = run_deadly(
                nights[: N_FAILING // 5],
                folder / f"deadly {way}",
                None if options and way == "--jobs" else address or "local",
            )
        setting = f"{N_FAILING // 5} nights, one of which always kills its worker"
        rows += _count(setting, way, deadly, killed=2.0)
    return rows


def _count(setting: str, way: str, statuses: Sequence[str], *, killed: float) -> list[Row]:
    values = {"nights_failed": float(statuses.count("failed")), "workers_killed": killed}
    return [Row("simulated", setting, way, metric, value, n=len(statuses)) for metric, value in values.items()]


@contextmanager
def _nothing() -> Iterator[tuple[str, list[int]]]:
    yield "", []


@dataclass
class Killer:
    """Kills one worker, once some nights are done.

    Attributes:
        output: Folder in which results of nights appear.
        roots: Processes whose workers are meant; those of the command itself where there are none.
        done: Whether it was done.
    """

    output: Path
    roots: list[int]
    done: bool = False

    def __call__(self, pid: int) -> None:
        if self.done or len(list(self.output.glob("*/summary.json"))) < KILL_AFTER:
            return
        workers = [worker for root in self.roots or [pid] for worker in find_workers(root)]
        if workers:
            os.kill(workers[0], signal.SIGKILL)
            self.done = True


def run_deadly(nights: Sequence[Path], output: Path, scheduler: str | None) -> list[str]:
    """Decode nights of which the second kills the process that decodes it, each time; "done" or "failed" for each.

    Args:
        nights: Stores.
        output: Folder for the results.
        scheduler: As for `open_executor`.
    """
    work = partial(decode_or_die, output=output, deadly=nights[1].stem)
    with open_executor(N_WORKERS, scheduler) as executor:
        return ["failed" if finished.error else "done" for finished in executor.run(work, [*map(str, nights)])]


def decode_or_die(night: str, *, output: Path, deadly: str) -> None:
    """Decode a night and write its results; one night kills its process instead."""
    if Path(night).stem == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    decode(night).save(output / Path(night).stem)
