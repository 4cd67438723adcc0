"""Commands measured from outside: CPU, memory of the whole family of processes, and simulated nights to give them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.decode.nights import STEP_UV, Repeated
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Recording, Signal, write_store

RATE = 256
SIMULATED_HOURS = 8.0
CHANNEL = "C4-M1"
LOOK = 0.25
"""Seconds between two looks at the memory of running processes."""


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        code: Exit code.
        cpu: Processor seconds of the command and of all processes that it started and waited for.
        peak: Largest resident memory of any of its processes, in MB.
        first: Largest resident memory of the command's own process, which lasts as long as the command, in MB.
        stdout: What it wrote to standard output.
        together: Largest sum over all processes that ran at one look, in MB; pages that they share count for each.
    """

    code: int
    cpu: float
    peak: float
    first: float
    stdout: str
    together: float = 0.0


def run_measured(command: Sequence[str], *, watch: Callable[[int], None] | None = None) -> Cost:
    """Run a command in a fresh process, which may keep compiled modules as an installed package has them.

    Args:
        command: Program and arguments.
        watch: Called again and again with the process's number while it runs; None calls nothing.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    first, together, over = [0.0], [0.0], threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            first[0] = max(first[0], read_memory(process.pid, "VmHWM"))
            family = sum(read_memory(pid, "VmRSS") for pid in [process.pid, *list_family(process.pid)])
            together[0] = max(together[0], family)
            if watch is not None:
                watch(process.pid)

    observer = threading.Thread(target=look, daemon=True)
    observer.start()
    assert process.stdout is not None
    stdout = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    over.set()
    observer.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    return Cost(process.returncode, usage.ru_utime + usage.ru_stime, peak, first[0], stdout, together[0])


def read_memory(pid: int, what: str) -> float:
    """Resident memory of a running process, in MB: now ("VmRSS") or at most so far ("VmHWM"); 0 where no one says."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))
    except (OSError, StopIteration):
        return 0.0


def find_workers(pid: int) -> list[int]:
    """Processes below this one that work on tasks, those that have worked longest first."""
    found = [child for child in list_family(pid) if b"spawn_main" in _read(child, "cmdline")]
    return sorted(found, key=lambda child: -_read_ticks(child))


def list_family(pid: int) -> list[int]:
    """Running processes that a process started, and those that they did."""
    found, front = [], [pid]
    while front:
        front = [child for parent in front for child in _list_children(parent)]
        found += front
    return found


def _list_children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    try:
        return [int(text) for task in tasks.iterdir() for text in (task / "children").read_text().split()]
    except OSError:
        return []


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _read_ticks(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12]) if len(fields) > 12 else 0


def command_of(*arguments: str | Path) -> list[str]:
    """A command line of sharpwave in this Python."""
    return [sys.executable, "-W", "ignore", "-m", "sharpwave", *map(str, arguments)]


def simulate_eeg(hours: float = SIMULATED_HOURS) -> np.ndarray:
    """One channel of a simulated human night as int16 in tenths of a µV, shape (time,)."""
    from sharpwave.simulation import simulate_night

    recording, _ = simulate_night("human", hours, rng=np.random.default_rng(0))
    signal = recording[CHANNEL]
    if signal.rate != RATE:
        raise SharpwaveError(f"a simulated EEG at {RATE} Hz", got=f"{signal.rate:g} Hz", fix="resample it")
    microvolts = np.asarray(signal.samples, dtype=float) * signal.scale * 1e6
    return np.clip(np.round(microvolts / STEP_UV), -32768, 32767).astype(np.int16)


@dataclass(frozen=True)
class Ends(Repeated):
    """Repeated samples at both ends, and zeros between them, which take no time to pack.

    Attributes:
        edge: Samples at either end that are not zeros.
    """

    edge: int

    def _take(self, low: int, high: int) -> np.ndarray:
        taken = np.zeros(high - low, self.dtype)
        for begin, end in ((low, min(high, self.edge)), (max(low, self.length - self.edge), high)):
            if begin < end:
                taken[begin - low : end - low] = super()._take(begin, end)
        return taken


def write_night(path: Path, eeg: np.ndarray, *, hours: float, first: float = 0.0, edge: float | None = None) -> Path:
    """A store of one EEG channel: the simulated night again and again, from a given hour of it on.

    Args:
        path: Folder of the store to write.
        eeg: Samples of the simulated night.
        hours: Length of the store, in h.
        first: Hour of the simulated night with which it begins.
        edge: Hours at either end between which there are zeros alone; None for samples throughout.
    """
    eeg, length = np.roll(eeg, -round(first * 3600 * RATE)), round(hours * 3600 * RATE)
    samples = Repeated(eeg, length) if edge is None else Ends(eeg, length, round(edge * 3600 * RATE))
    signal = Signal(CHANNEL, samples, RATE, MODALITIES["eeg"], scale=STEP_UV * 1e-6)
    return write_store(Recording({CHANNEL: signal}, species="human", source="simulated"), path)


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Look ten times a second whether something has come true; False where it has not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return condition()
