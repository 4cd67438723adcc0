"""Decode a recording from Python and look at what comes back.

Run: python examples/decode_a_night.py [night.edf | ucddb/022]
Without an argument it simulates an hour of a night.
"""

from __future__ import annotations

import sys

import numpy as np

from sharpwave import decode_recording, simulate_night
from sharpwave.night.options import open_source


def main() -> None:
    if len(sys.argv) > 1:
        recording = open_source(sys.argv[1])
    else:
        recording, _ = simulate_night("human", 1.0, rng=np.random.default_rng(1), modalities=("eeg", "eog", "emg"))
    night = decode_recording(recording)
    print(night.verdict, night.reasons)
    print(night.hypnogram.bouts().head())
    print(night.statistics[["name", "value", "unit", "low", "high"]].to_string(index=False))
    print(night.forecast.head())
    print(night.event_summary.to_string(index=False))


if __name__ == "__main__":
    main()
