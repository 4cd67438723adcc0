"""`sharpwave benchmark decode-memory`: does memory grow with the recording? 32 channels at 256 Hz, 24 h and 7 days.

Each store is decoded by `sharpwave decode STORE -o FOLDER` in a fresh process: channels chosen, quality, stages,
forecast, events, statistics and page. What is reported is the largest resident size of that process. The four channels
that get decoded are a simulated hour again and again; the others repeat a few seconds, so that they are quick to write.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sharpwave.benchmarks.decode.nights import DECODED, FILLING_SECONDS, STORE_RATE, write_long_store
from sharpwave.benchmarks.rows import Row

HOURS = (24.0, 168.0)
N_CHANNELS = 32


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
                setting = f"{N_CHANNELS} channels, {STORE_RATE} Hz"
                rows.append(Row("simulated", setting, f"sharpwave decode, {hours:g} h", metric, value))
    config = {
        "command": "sharpwave decode STORE -o FOLDER, in a fresh process",
        "hours": list(HOURS),
        "channels": N_CHANNELS,
        "decoded": list(DECODED),
        "samples": f"decoded channels repeat a simulated hour, the others {FILLING_SECONDS} s",
        "rate_hz": STORE_RATE,
        "store": "Zarr, int16",
    }
    return config, rows


def measure(store: Path, folder: Path) -> dict[str, float]:
    """Decode a store with the command line in a fresh process.

    Args:
        store: Store to decode.
        folder: Folder for the results.

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
