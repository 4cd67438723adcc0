"""`sharpwave benchmark decode-speed`: stages, spindles and slow waves of one night, beside YASA on the same machine.

Brainµ's stages and forecasts stand beside YASA's stages alone, and its online steps by themselves.

Each run is a fresh process that opens the same file (a NumPy array on disk: EEG, EOG, EMG) and gives the same outputs;
YASA and sharpwave take turns. "cold" counts imports and compilation, "warm" is the same work once more in that process.
Peak memory is the process's own maximum resident size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.decode.nights import CHANNELS, write_night
from sharpwave.benchmarks.rows import Row, range_row
from sharpwave.brainmu.shipped import find_refusal

HOURS = 8.0
RATE = 256.0

BRAINMU = ("yasa-stages", "brainmu-stages", "yasa-stages-eeg", "brainmu-stages-eeg", "brainmu-online")
"""Runs of `decode.once` that need the shipped Brainµ, each beside YASA's."""

METRICS = ("cold_s", "warm_s", "cold_cpu_s", "warm_cpu_s", "peak_mb")
RATIOS = {
    "time_ratio": "warm_s",
    "cpu_ratio": "warm_cpu_s",
    "cold_time_ratio": "cold_s",
    "cold_cpu_ratio": "cold_cpu_s",
    "memory_ratio": "peak_mb",
}
"""What is divided in each ratio; on a busy machine processor seconds say more than seconds."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Time both on `seeds` simulated nights of 8 h at 256 Hz.

    Args:
        data: Not used: the night is simulated.
        seeds: Number of nights; each is run once by either, in turn.
        train: Not used.

    Returns:
        Configuration and rows.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    refusal = find_refusal()
    methods = ("yasa", "sharpwave", *(BRAINMU if refusal is None else ()))
    results: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    agreements = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            path = write_night(
                Path(folder) / f"night-{seed}.npy", hours=HOURS, rate=RATE, rng=np.random.default_rng(seed)
            )
            pair = {method: run_once(method, path) for method in results}
            path.unlink()
            agreements.append(compare(pair["yasa"], pair["sharpwave"]))
            for method, result in pair.items():
                results[method].append(result)
    setting = f"{HOURS:g} h, {RATE:g} Hz, EEG+EOG+EMG"
    rows = _compare_times(results["sharpwave"], results["yasa"], names=("sharpwave", "yasa"), setting=setting)
    if refusal is None:
        rows += _report_brainmu(results)
    rows += [
        range_row("simulated", setting, "sharpwave / yasa", name, [each[name] for each in agreements])
        for name in agreements[0]
    ]
    config = {
        "hours": HOURS,
        "rate_hz": RATE,
        "channels": list(CHANNELS),
        "nights": seeds,
        "outputs": ["stages", "spindles", "slow waves"],
        "yasa": version("yasa"),
        "ratios": RATIOS,
        "load_average_before": load,
        "notes": [] if refusal is None else [f"Brainµ left out: {refusal}"],
        "interval": "smallest and largest of the nights",
    }
    return config, rows


def run_once(method: str, path: Path) -> dict[str, Any]:
    """One method in a fresh process: seconds, memory and outputs."""
    command = [sys.executable, "-W", "ignore", "-m", "sharpwave.benchmarks.decode.once", method, str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def compare(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, float]:
    """How far the outputs agree."""
    agreement = {"stages_equal": float(np.mean(np.array(theirs["stages"]) == np.array(ours["stages"])))}
    for kind in ("spindles", "slow_waves"):
        a, b = np.array(theirs[kind]), np.array(ours[kind])
        agreement[f"{kind}_yasa"], agreement[f"{kind}_sharpwave"] = float(a.size), float(b.size)
        nearest = np.abs(a[:, None] - b).min(axis=1) if a.size and b.size else np.full(a.size, np.inf)
        agreement[f"{kind}_within_10_ms"] = float(np.mean(nearest < 0.01)) if a.size else float("nan")
    return agreement


def _report_brainmu(results: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """Stages and forecasts by Brainµ beside YASA's stages of the same channels, and how long an online step takes."""
    rows: list[Row] = []
    for suffix, channels in (("", "EEG+EOG+EMG"), ("-eeg", "EEG")):
        rows += _compare_times(
            results[f"brainmu-stages{suffix}"],
            results[f"yasa-stages{suffix}"],
            names=("brainmu-lite", "yasa"),
            setting=f"{HOURS:g} h, {RATE:g} Hz, {channels}; stages and forecasts against stages alone",
        )
    for name, share in (("step_p50_ms", 50), ("step_p99_ms", 99)):
        values = [float(np.percentile(run["step_ms"], share)) for run in results["brainmu-online"]]
        setting = f"online, steps of 30 s, {RATE:g} Hz, EEG+EOG+EMG"
        rows.append(range_row("simulated", setting, "brainmu-lite", name, values))
    return rows


def _compare_times(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], *, names: tuple[str, str], setting: str
) -> list[Row]:
    """Times and memory of two methods, and their ratios night by night."""
    rows = [
        range_row("simulated", setting, name, metric, [run[metric] for run in runs])
        for name, runs in zip(names, (ours, theirs), strict=True)
        for metric in METRICS
    ]
    for ratio, metric in RATIOS.items():
        values = [one[metric] / other[metric] for one, other in zip(ours, theirs, strict=True)]
        rows.append(range_row("simulated", setting, " / ".join(names), ratio, values))
    return rows
