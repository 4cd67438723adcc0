"""One decoding in its own process, for `decode_speed` and `decode_memory`: prints a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

START = time.perf_counter()

RATE = 256.0
CHANNELS = ("eeg", "eog", "emg")


def decode_with_sharpwave(path: Path) -> dict[str, list[float]]:
    """Stages, spindle and slow-wave onsets by sharpwave."""
    from sharpwave.recordings import MODALITIES, Recording, Signal
    from sharpwave.signals import detect_slow_waves, detect_spindles, stage_night

    array = np.load(path, mmap_mode="r", allow_pickle=False)
    signals = {name: Signal(name, array[row], RATE, MODALITIES[name], scale=1e-6) for row, name in enumerate(CHANNELS)}
    hypnogram = stage_night(Recording(signals), eeg="eeg", eog="eog", emg="emg")
    spindles = detect_spindles(signals["eeg"], hypnogram=hypnogram)
    slow_waves = detect_slow_waves(signals["eeg"], hypnogram=hypnogram)
    return {
        "stages": hypnogram.stages.tolist(),
        "spindles": spindles["onset"].tolist(),
        "slow_waves": slow_waves["onset"].tolist(),
    }


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
}


def main(method: str, path: Path) -> dict[str, Any]:
    """Decode twice: the first time with everything that a fresh process needs."""
    outputs = METHODS[method](path)
    cold, cold_cpu = time.perf_counter() - START, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
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
