"""`sharpwave benchmark decode-memory`: does memory grow with the recording? 32 channels at 256 Hz, 24 h and 7 days.

Each store is decoded by `sharpwave decode STORE -o FOLDER` in a fresh process: channels chosen, quality, stages,
forecast, events, statistics and page. What is reported is the largest resident size of that process. The four channels
that get decoded are a simulated hour again and again; the others repeat a few seconds, so that they are quick to write.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.night_files import make_signal
from sharpwave.recordings import MODALITIES, Recording, Signal, write_store

HOURS = (24.0, 168.0)
N_CHANNELS = 32
RATE = 256
STEP_UV = 0.1
DECODED = {"C4-M1": "eeg", "LOC-M2": "eog", "ROC-M1": "eog", "EMG chin": "emg"}
FILLING_SECONDS = 4

Row = dict[str, Any]


@dataclass(frozen=True)
class Repeated:
    """Samples that come again and again, as an array that is never held whole.

    Attributes:
        samples: Shape (time,), int16.
        length: Samples in all.
    """

    samples: np.ndarray
    length: int

    @property
    def shape(self) -> tuple[int]:
        return (self.length,)

    @property
    def dtype(self) -> np.dtype:
        return self.samples.dtype

    def __getitem__(self, key: slice) -> np.ndarray:
        low, high, _ = key.indices(self.length)
        first = low % self.samples.size
        return np.resize(np.roll(self.samples, -first), high - low)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Write and decode a store of each length.

    Args:
        data: Not used: the recordings are simulated.
        seeds: Not used: memory does not depend on the noise.
        train: Not used.

    Returns:
        Configuration and rows.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for hours in HOURS:
            path = write_long_store(Path(folder) / f"{hours:g}h.zarr", hours=hours, n_channels=N_CHANNELS)
            for metric, value in measure(path, Path(folder) / f"{hours:g}h").items():
                rows.append(
                    {"data": "simulated", "setting": f"{N_CHANNELS} channels, {RATE} Hz"}
                    | {"method": f"sharpwave decode, {hours:g} h", "metric": metric, "value": value}
                    | {"low": math.nan, "high": math.nan, "n": 1}
                )
    config = {
        "command": "sharpwave decode STORE -o FOLDER, in a fresh process",
        "hours": list(HOURS),
        "channels": N_CHANNELS,
        "decoded": list(DECODED),
        "samples": f"decoded channels repeat a simulated hour, the others {FILLING_SECONDS} s",
        "rate_hz": RATE,
        "store": "Zarr, int16",
    }
    return config, rows


def write_long_store(path: Path, *, hours: float, n_channels: int) -> Path:
    """A store of EEG, EOG and EMG channels, written piece by piece.

    Args:
        path: Where.
        hours: Length.
        n_channels: At least four; beyond those it is more EEG.

    Returns:
        The path.
    """
    rng = np.random.default_rng(0)
    clock = np.arange(3600 * RATE) / RATE
    hour = {
        kind: np.round(make_signal(kind, clock, rate=RATE, rng=rng) / STEP_UV).astype(np.int16)
        for kind in ("eeg", "eog", "emg")
    }
    length = round(hours * 3600 * RATE)
    samples = {name: np.roll(hour[kind], 997 * index) for index, (name, kind) in enumerate(DECODED.items())}
    samples |= {f"EEG {index}": hour["eeg"][: FILLING_SECONDS * RATE] for index in range(n_channels - len(DECODED))}
    signals = {
        name: Signal(name, Repeated(values, length), RATE, MODALITIES[DECODED.get(name, "eeg")], scale=STEP_UV * 1e-6)
        for name, values in samples.items()
    }
    return write_store(Recording(signals, species="human", source="simulated"), path)


def measure(store: Path, folder: Path) -> dict[str, float]:
    """Decode a store with the command line in a fresh process.

    Args:
        store: What to decode.
        folder: Where the results go.

    Returns:
        `seconds`, `cpu_s`, and `peak_mb`, the largest resident size.
    """
    command = [sys.executable, "-m", "sharpwave", "decode", str(store), "-o", str(folder)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {
        "seconds": time.perf_counter() - begin,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024),
    }
