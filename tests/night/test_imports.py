"""What decoding loads: no benchmark, no recipe and no training loop; and no torch before something needs it."""

from __future__ import annotations

import subprocess
import sys

NEVER = ("sharpwave.benchmarks", "sharpwave.recipes", "sharpwave.brainmu.training", "sharpwave.commands")

DECODE = """
import sys
import numpy as np
import sharpwave.night.decode
imported = list(sys.modules)
from sharpwave.night.decode import decode_recording
from sharpwave.simulation import simulate_night
recording, truth = simulate_night("human", 0.4, rng=np.random.default_rng(0), modalities=("eeg", "eog", "emg"))
night = decode_recording(recording, truth=truth)
assert night.explanation.forecasts is not None and len(night.forecast) == 48
print(*imported, "|", *sys.modules)
"""


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_neither_import_nor_a_decode_loads_benchmarks_recipes_or_training() -> None:
    imported, _, decoded = run_python(DECODE).rpartition("|")
    assert "torch" not in imported.split()
    assert "torch" in decoded.split(), "Brainµ forecasts a human night"
    assert not [name for name in decoded.split() if name.startswith(NEVER)]


def test_the_name_of_the_main_job_loads_no_torch() -> None:
    loaded = run_python("import sys; from sharpwave import decode_recording; print(decode_recording, *sys.modules)")
    assert "torch" not in loaded.split()
    assert "sharpwave.night.decode" in loaded.split()
