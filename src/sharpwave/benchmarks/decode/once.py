"""One decoding in its own process, for `decode.speed` and `decode.memory`: prints a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sharpwave.recordings import Recording

START = time.perf_counter()

RATE = 256.0
CHANNELS = ("eeg", "eog", "emg")
STEP = 30.0
N_STEPS, WARM_UP = 420, 20
"""Online steps of which the first are not counted: caches are then full."""


def decode_with_sharpwave(path: Path) -> dict[str, list[float]]:
    """Stages, spindle and slow-wave onsets by sharpwave."""
    from sharpwave.signals import detect_slow_waves, detect_spindles, stage_night

    recording = _open(path, CHANNELS)
    hypnogram = stage_night(recording, eeg="eeg", eog="eog", emg="emg")
    spindles = detect_spindles(recording["eeg"], hypnogram=hypnogram)
    slow_waves = detect_slow_waves(recording["eeg"], hypnogram=hypnogram)
    return {
        "stages": hypnogram.stages.tolist(),
        "spindles": spindles["onset"].tolist(),
        "slow_waves": slow_waves["onset"].tolist(),
    }


def stage_with_brainmu(path: Path, channels: tuple[str, ...] = CHANNELS) -> dict[str, list[float]]:
    """Stages and forecasts of these channels by the shipped Brainµ, from the signals alone."""
    import torch

    from sharpwave.brainmu.runtime.staging import run_brainmu
    from sharpwave.brainmu.shipped import load_weights

    torch.set_num_threads(1)  # the other core makes the next windows
    night = run_brainmu(_open(path, channels), load_weights().model)
    forecasts = [night.forecast(horizon) for horizon in night.horizons]
    return {"stages": night.hypnogram.stages.tolist(), "changes": forecasts[0]["p_change"].tolist()}


def stage_with_yasa(path: Path, channels: tuple[str, ...] = CHANNELS) -> dict[str, list[float]]:
    """Stages of these channels by YASA, as its documentation does it."""
    import mne
    import yasa

    rows = [CHANNELS.index(name) for name in channels]
    data = np.load(path, mmap_mode="r", allow_pickle=False)[rows].astype(float) * 1e-6
    raw = mne.io.RawArray(data, mne.create_info(list(channels), RATE, list(channels)), verbose="error")
    others = {f"{name}_name": name for name in channels[1:]}
    return {"stages": yasa.SleepStaging(raw, channels[0], **others).predict().as_int().tolist()}


def step_with_brainmu(path: Path) -> dict[str, list[float]]:
    """Milliseconds of each online step of the shipped Brainµ, a chunk of 30 s of all channels at a time."""
    import torch

    from sharpwave.brainmu.runtime.online import init_online, step_online
    from sharpwave.brainmu.shipped import load_weights

    torch.set_num_threads(1)
    model, whole = load_weights().model, _open(path, CHANNELS)
    state, taken = init_online(model), []
    for index in range(N_STEPS):
        begin, end = STEP * index, STEP * (index + 1)
        arrived = {
            name: replace(signal, samples=signal.read(begin, end), start=begin, scale=1.0)
            for name, signal in whole.signals.items()
        }
        chunk = replace(whole, signals=arrived)
        start = time.perf_counter()
        _, state = step_online(model, state, chunk)
        taken.append(1000 * (time.perf_counter() - start))
    return {"step_ms": taken[WARM_UP:]}


def _open(path: Path, channels: tuple[str, ...]) -> Recording:
    from sharpwave.recordings import MODALITIES, Recording, Signal

    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return Recording(
        {name: Signal(name, array[CHANNELS.index(name)], RATE, MODALITIES[name], scale=1e-6) for name in channels}
    )


def decode_with_yasa(path: Path) -> dict[str, list[float]]:
    """The same by YASA, as its documentation does it."""
    import mne
    import yasa

    data = np.load(path, allow_pickle=False).astype(float) * 1e-6
    raw = mne.io.RawArray(data, mne.create_info(list(CHANNELS), RATE, list(CHANNELS)), verbose="error")
    hypnogram = yasa.SleepStaging(raw, "eeg", eog_name="eog", emg_name="emg").predict()
    eeg = raw.copy().pick([0])
    spindles = yasa.spindles_detect(eeg, hypno=hypnogram, include=["N1", "N2", "N3"])
    slow_waves = yasa.sw_detect(eeg, hypno=hypnogram, include=["N2", "N3"])
    return {
        "stages": hypnogram.as_int().tolist(),
        "spindles": [] if spindles is None else spindles.summary()["Start"].tolist(),
        "slow_waves": [] if slow_waves is None else slow_waves.summary()["Start"].tolist(),
    }


METHODS: dict[str, Callable[[Path], dict[str, list[float]]]] = {
    "sharpwave": decode_with_sharpwave,
    "yasa": decode_with_yasa,
    "brainmu-stages": stage_with_brainmu,
    "brainmu-stages-eeg": partial(stage_with_brainmu, channels=("eeg",)),
    "brainmu-online": step_with_brainmu,
    "yasa-stages": stage_with_yasa,
    "yasa-stages-eeg": partial(stage_with_yasa, channels=("eeg",)),
}


def read_peak_mb() -> float:
    """Highest resident memory of this process in MB; `ru_maxrss` would start from the parent's at the fork."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(method: str, path: Path) -> dict[str, Any]:
    """Decode twice: the first time with everything that a fresh process needs."""
    outputs = METHODS[method](path)
    cold, cold_cpu = time.perf_counter() - START, time.process_time()
    peak = read_peak_mb()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    METHODS[method](path)
    return {
        "cold_s": cold,
        "cold_cpu_s": cold_cpu,
        "warm_s": time.perf_counter() - begin,
        "warm_cpu_s": time.process_time() - begin_cpu,
        "peak_mb": peak,
        **outputs,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
