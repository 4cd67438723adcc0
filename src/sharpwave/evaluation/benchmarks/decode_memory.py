"""`sharpwave benchmark decode-memory`: does memory grow with the recording? 32 channels at 256 Hz, 24 h and 7 days.

The stores are written piece by piece from a simulated hour that repeats. Each is opened lazily and decoded whole by
`decode_store` in a fresh process, whose largest resident size is what is reported.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.evaluation.benchmarks.night_files import make_signal
from sharpwave.recordings import MODALITIES, Recording, Signal, write_store

HOURS = (24.0, 168.0)
N_CHANNELS = 32
RATE = 256
STEP_UV = 0.1
KINDS = {"C4-M1": "eeg", "LOC-M2": "eog", "ROC-M1": "eog", "EMG chin": "emg"}

Row = dict[str, Any]


@dataclass(frozen=True)
class RepeatedHour:
    """An hour of samples that comes again and again, as an array that is never held whole.

    Attributes:
        hour: Shape (time,), int16.
        length: Samples in all.
    """

    hour: np.ndarray
    length: int

    @property
    def shape(self) -> tuple[int]:
        return (self.length,)

    @property
    def dtype(self) -> np.dtype:
        return self.hour.dtype

    def __getitem__(self, key: slice) -> np.ndarray:
        low, high, step = key.indices(self.length)
        return self.hour[np.arange(low, high, step) % self.hour.size]


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
            for metric, value in measure(path).items():
                rows.append(
                    {"data": "simulated", "setting": f"{hours:g} h, {N_CHANNELS} channels, {RATE} Hz"}
                    | {"method": "sharpwave.signals", "metric": metric, "value": value}
                    | {"low": float("nan"), "high": float("nan"), "n": 1}
                )
    config = {"hours": list(HOURS), "channels": N_CHANNELS, "rate_hz": RATE, "store": "Zarr, int16"}
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
    kinds = KINDS | {f"EEG {index}": "eeg" for index in range(n_channels - len(KINDS))}
    length = round(hours * 3600 * RATE)
    signals = {
        name: Signal(
            name, RepeatedHour(np.roll(hour[kind], 997 * index), length), RATE, MODALITIES[kind], scale=STEP_UV * 1e-6
        )
        for index, (name, kind) in enumerate(kinds.items())
    }
    write_store(Recording(signals, species="human", source="simulated"), path)
    return path


def measure(path: Path) -> dict[str, float]:
    """Seconds and largest resident size of decoding a store in a fresh process."""
    command = [sys.executable, "-W", "ignore", "-m", "sharpwave.evaluation.benchmarks.decode_store", str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])
