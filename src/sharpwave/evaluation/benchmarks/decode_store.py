"""Decode one store in its own process, for `decode_memory`: prints a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np


def main(path: Path) -> dict[str, float]:
    """Quality, stages, spindles, slow waves, spectrogram and depth of a store.

    Args:
        path: The store.

    Returns:
        `seconds` and `peak_mb`, the largest resident size.
    """
    from sharpwave.recordings import open_store
    from sharpwave.signals import (
        compute_depth,
        compute_quality,
        compute_spectrogram,
        detect_slow_waves,
        detect_spindles,
        stage_night,
    )

    begin = time.perf_counter()
    recording = open_store(path)
    eeg = next(iter(recording.of("eeg").values()))
    eog, emg = (next(iter(recording.of(kind))) for kind in ("eog", "emg"))
    compute_quality(recording, list(recording.signals)[:4])
    hypnogram = stage_night(recording, eeg=eeg.name, eog=eog, emg=emg)
    detect_spindles(eeg, hypnogram=hypnogram)
    detect_slow_waves(eeg, hypnogram=hypnogram)
    spectrogram = compute_spectrogram(eeg, window=30.0)
    depth = compute_depth(eeg, epoch_length=30.0)
    if not (np.isfinite(spectrogram.power).all() and np.isfinite(depth["depth"]).all()):
        raise RuntimeError("the spectrogram or the depth of a recording without gaps has gaps")
    return {
        "seconds": time.perf_counter() - begin,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
