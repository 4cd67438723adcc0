"""How long `sharpwave replay` takes for a whole session, from the command to the page, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.rows import Row
from sharpwave.recordings.store import write_store
from sharpwave.simulation import simulate_night

HOURS, N_UNITS = 8.0, 100
TASK_START = 3600.0


def measure_session(
    *, hours: float = HOURS, n_units: int = N_UNITS, seed: int = 0, lfp: bool = True, n_surrogates: int = 500
) -> list[Row]:
    """Simulate a session, run `sharpwave replay` on its store, and time it.

    Args:
        hours: Length of the session, in h.
        n_units: Number of units.
        seed: Seed of the session.
        lfp: Whether there is an LFP: then candidates are ripples; else they are bursts of the units.
        n_surrogates: Number of surrogates of each event.

    Returns:
        Rows of `seconds` (wall clock), `cpu_seconds`, `memory_gb` (peak), `n_events`, `significant_before` and
        `significant_after`.
    """
    signals = ("lfp", "spikes", "position") if lfp else ("spikes", "position")
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording, _ = simulate_night("rat", hours, rng=rng, modalities=signals, n_units=n_units, task_start=TASK_START)
        store = write_store(recording, folder / "session.zarr")
        output = folder / "replay"
        command = [sys.executable, "-m", "sharpwave", "replay", str(store), "-o", str(output)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.perf_counter()
        subprocess.run([*command, "--n-surrogates", str(n_surrogates)], check=True, capture_output=True)
        seconds = time.perf_counter() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    significant = {row["epoch"]: row["n_significant"] for row in summary["tests"]}
    measured = {
        "seconds": seconds,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory_gb": after.ru_maxrss / 1e6,
        "n_events": float(summary["n_events"]),
        "significant_before": float(significant.get("before", 0)),
        "significant_after": float(significant.get("after", 0)),
    }
    setting = f"{hours:g} h, {n_units} units, {'ripples' if lfp else 'bursts'}, {n_surrogates} surrogates"
    return [Row("simulated rat", setting, "sharpwave replay", metric, value) for metric, value in measured.items()]
