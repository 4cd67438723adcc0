"""Memory and CPU by length of one recording, and by number of nights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale.measures import RATE, Cost, command_of, run_measured, simulate_eeg, write_night
from sharpwave.errors import SharpwaveError

LENGTHS = {"24h": 24.0, "72h": 72.0, "7d": 168.0, "30d": 720.0, "60d": 1440.0}
"""Hours by the name of the length."""
NIGHTS = (1, 4, 16)
NIGHT_HOURS = 1.0
YEAR = 365.25
SETTING = f"one EEG channel, {RATE} Hz"


def measure_length(name: str, folder: Path) -> list[Row]:
    """Decode a recording of one length with the command line in a fresh process.

    Args:
        name: Key of `LENGTHS`.
        folder: Folder for the store and the results.
    """
    hours = LENGTHS[name]
    store = write_night(folder / f"{name}.zarr", simulate_eeg(), hours=hours)
    cost = run_measured(command_of("decode", store, "-o", folder / name, "--json"))
    outcomes = read_outcomes(cost)
    values = {
        "cpu_s": cost.cpu,
        "cpu_s_per_hour": cost.cpu / hours,
        "peak_mb": cost.peak,
        "first_process_mb": cost.first,
        "days": len(outcomes),
        "failed": sum(outcome["status"] == "failed" for outcome in outcomes),
        "store_mb": sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) / 1e6,
    }
    return [Row("simulated", SETTING, name, metric, float(value)) for metric, value in values.items()]


def read_outcomes(cost: Cost) -> list[dict]:
    """What `--json` said of each night.

    Raises:
        SharpwaveError: If it said nothing.
    """
    outcomes = [json.loads(line) for line in cost.stdout.splitlines() if line.startswith("{")]
    if not outcomes:
        raise SharpwaveError("a line of JSON for each night", got=f"none, exit code {cost.code}", fix="run it by hand")
    return outcomes


def measure_nights(folder: Path) -> list[Row]:
    """Decode 1, 4 and 16 nights one after another in one command: does memory add up?

    Args:
        folder: Folder for the stores and the results.
    """
    eeg, rows = simulate_eeg(), []
    stores = [
        write_night(folder / f"night-{index}.zarr", eeg, hours=NIGHT_HOURS, first=0.4 * index)
        for index in range(max(NIGHTS))
    ]
    for count in NIGHTS:
        cost = run_measured(command_of("decode", *stores[:count], "-o", folder / f"of-{count}", "--json"))
        read_outcomes(cost)
        for metric, value in {"cpu_s_per_night": cost.cpu / count, "peak_mb": cost.peak}.items():
            setting = f"nights of {NIGHT_HOURS:g} h in one command, {SETTING}"
            rows.append(Row("simulated", setting, f"{count} nights" if count > 1 else "1 night", metric, value))
    return rows


def compare_lengths(rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Each length against 24 h, and what the measured slope says of a year.

    Args:
        rows: Rows of `measure_length` by the name of the length.
    """
    found = {name: {row.metric: row.value for row in rows[name]} for name in LENGTHS if name in rows}
    if "24h" not in found:
        return []
    ratios = {"peak_ratio": "peak_mb", "cpu_per_hour_ratio": "cpu_s_per_hour"}
    compared = [
        Row("simulated", SETTING, name, ratio, values[metric] / found["24h"][metric])
        for name, values in found.items()
        if name != "24h"
        for ratio, metric in ratios.items()
    ]
    long = {LENGTHS[name] / 24: values for name, values in found.items() if name != "24h"}
    if len(long) < 2:
        return compared
    method = "slope over " + ", ".join(name for name in found if name != "24h")
    for metric in ("peak_mb", "first_process_mb"):
        slope, level = np.polyfit([*long], [values[metric] for values in long.values()], 1)
        compared.append(Row("simulated", SETTING, method, f"{metric}_per_day", float(slope), n=len(long)))
        year = max(float(level + slope * YEAR), max(values[metric] for values in long.values()))
        compared.append(Row("simulated", SETTING, method, f"{metric}_of_a_year", year, n=len(long)))
    return compared
