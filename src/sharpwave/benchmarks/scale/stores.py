"""The speed of stores and of start-up: megabytes of samples per CPU second, beside plain Zarr and HDF5.

Plain means as a user writes it who gives no option but compression: `zarr.create_array` and h5py with gzip, one chunk
as the library chooses it. Reads are of 30 s, one after another as a night is decoded, or anywhere as training draws.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.decode.nights import STEP_UV
from sharpwave.benchmarks.rows import Row, range_row
from sharpwave.benchmarks.scale.lengths import SETTING
from sharpwave.benchmarks.scale.measures import CHANNEL, RATE, command_of, run_measured, simulate_eeg, write_night
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Recording, Signal, open_store, write_store

HOURS = 24.0
READ = 30 * RATE
N_READS = 400
TINY_MINUTES = 10.0


def write_ours(samples: np.ndarray, path: Path) -> Any:
    """A store of sharpwave; gives its array."""
    signal = Signal(CHANNEL, samples, RATE, MODALITIES["eeg"], scale=STEP_UV * 1e-6)
    return open_store(write_store(Recording({CHANNEL: signal}), path))[CHANNEL].samples


def write_zarr(samples: np.ndarray, path: Path) -> Any:
    """A plain Zarr array."""
    import zarr

    return zarr.create_array(str(path), data=samples)


def write_hdf5(samples: np.ndarray, path: Path) -> Any:
    """A plain HDF5 data set with gzip."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("eeg", data=samples, compression="gzip")
    return h5py.File(path, "r")["eeg"]


STORES: dict[str, Callable[[np.ndarray, Path], Any]] = {
    "sharpwave": write_ours,
    "zarr, its defaults": write_zarr,
    "h5py, gzip": write_hdf5,
}


def measure_stores(folder: Path, seeds: int) -> list[Row]:
    """Write a day, and read 30 s of it in order and anywhere.

    Args:
        folder: Folder for the stores.
        seeds: Repetitions of each.
    """
    samples = np.resize(simulate_eeg(), round(HOURS * 3600 * RATE))
    megabytes, read = samples.nbytes / 1e6, N_READS * READ * samples.itemsize / 1e6
    rows: list[Row] = []
    for name, write in STORES.items():
        speeds: dict[str, list[float]] = {
            "write_mb_per_cpu_s": [],
            "in_order_mb_per_cpu_s": [],
            "anywhere_mb_per_cpu_s": [],
        }
        path = folder / "store"
        for seed in range(seeds):
            _clear(path)
            begin = time.process_time()
            array = write(samples, path)
            speeds["write_mb_per_cpu_s"].append(megabytes / (time.process_time() - begin))
            anywhere = np.random.default_rng(seed).integers(0, len(samples) - READ, N_READS)
            for metric, places in (("in_order", range(0, N_READS * READ, READ)), ("anywhere", anywhere)):
                begin = time.process_time()
                for low in places:
                    array[low : low + READ]
                speeds[f"{metric}_mb_per_cpu_s"].append(read / (time.process_time() - begin))
        size = sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file())
        setting = f"{HOURS:g} h of int16, {RATE} Hz, reads of 30 s"
        rows += [range_row("simulated", setting, name, metric, values) for metric, values in speeds.items()]
        rows.append(Row("simulated", setting, name, "size_mb", size / 1e6))
    return rows


def _clear(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def measure_start(folder: Path, seeds: int) -> list[Row]:
    """CPU of `decode` with one tiny night, with what it must load beside it; a first run, not counted, compiles.

    Args:
        folder: Folder for the night and the results.
        seeds: Repetitions of each.
    """
    import sys

    night = write_night(folder / "tiny.zarr", simulate_eeg(), hours=TINY_MINUTES / 60, first=1.0)
    tiny = f"{TINY_MINUTES:g} min of {SETTING}"
    ways = {f"decode, {tiny}": (), f"decode --dry-run, {tiny}": ("--dry-run",)}
    spent: dict[str, list[float]] = {}
    for seed in range(-1, seeds):
        for number, (what, options) in enumerate(ways.items()):
            cost = run_measured(command_of("decode", night, *options, "-o", folder / f"{number}-{seed}", "--json"))
            if cost.code:
                raise SharpwaveError(
                    f"exit code 0 of {what}", got=f"{cost.code}: {cost.stdout[-200:]}", fix="run it by hand"
                )
            if seed >= 0:
                spent.setdefault(what, []).append(cost.cpu)
        if seed < 0:
            continue
        for library in ("torch", "scipy.signal", "lightgbm", "pandas", "zarr"):
            taken = run_measured([sys.executable, "-c", f"import {library}"]).cpu
            spent.setdefault(f"import {library} alone", []).append(taken)
    return [range_row("simulated", "start-up, one tiny night", way, "cpu_s", values) for way, values in spent.items()]
