"""Memory and CPU by length of one recording, and by number of nights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from sharpwave.benchmarks.decode.nights import STEP_UV
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale.measures import (
    CHANNEL,
    RATE,
    Cost,
    command_of,
    run_measured,
    simulate_eeg,
    write_night,
)
from sharpwave.errors import MissingExtraError, SharpwaveError

LENGTHS = {"24h": 24.0, "72h": 72.0, "7d": 168.0, "30d": 720.0, "60d": 1440.0}
"""Hours by the name of the length."""
NIGHTS = (1, 4, 12)
NIGHT_MINUTES = 10.0
PARTICIPANTS, AT_ONCE = 20, 4
PARTICIPANT_MINUTES = 2.0
YEAR = 365.25
DAYS_OF_A_YEAR = 365
YEAR_METHOD = "2 days of a year"
SOME_DAYS = """
import shutil, sys
from dataclasses import replace
from importlib import import_module
from sharpwave.commands.cli import main
command = import_module("sharpwave.commands.decode")
decode_nights = command.decode_nights
def decode_some(tasks, options, **how):
    chosen = [0, len(tasks) - 1]
    done = dict(zip(chosen, decode_nights([tasks[day] for day in chosen], options, **how)))
    for task in [task for day, task in enumerate(tasks) if day not in chosen]:
        shutil.copytree(tasks[chosen[1]].folder, task.folder)
    return [done.get(day) or replace(done[chosen[1]], identifier=task.name) for day, task in enumerate(tasks)]
command.decode_nights = decode_some
main()
"""
"""`sharpwave decode`, but of the days of a recording the first and the last alone are decoded: the others get the files
of the last one, so that tables and page are made of all of them."""
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
    values = {"cpu_s": cost.cpu, "cpu_s_per_hour": cost.cpu / hours, **_tell(cost, store)}
    return [Row("simulated", SETTING, name, metric, float(value)) for metric, value in values.items()]


def measure_year(folder: Path) -> list[Row]:
    """The first and the last day of a recording of a year, decoded by the command line; tables and page of all days.

    Args:
        folder: Folder for the store, which holds zeros but for its first and last two days, and the results.
    """
    store = write_night(folder / "year.zarr", simulate_eeg(), hours=24.0 * DAYS_OF_A_YEAR, edge=48.0)
    arguments = command_of("decode", store, "-o", folder / "year", "--json")[-5:]
    cost = run_measured([sys.executable, "-W", "ignore", "-c", SOME_DAYS, *arguments])
    values = {"cpu_s": cost.cpu, **_tell(cost, store)}
    return [Row("simulated", SETTING, YEAR_METHOD, metric, float(value)) for metric, value in values.items()]


def _tell(cost: Cost, store: Path) -> dict[str, float]:
    outcomes = read_outcomes(cost)
    return {
        "peak_mb": cost.peak,
        "first_process_mb": cost.first,
        "together_mb": cost.together,
        "days": len(outcomes),
        "failed": sum(outcome["status"] == "failed" for outcome in outcomes),
        "store_mb": sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) / 1e6,
    }


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
    """Decode 1, 4 and 12 nights one after another in one command: does memory add up?

    Args:
        folder: Folder for the stores and the results.
    """
    eeg, rows = simulate_eeg(), []
    stores = [
        write_night(folder / f"night-{index}.zarr", eeg, hours=NIGHT_MINUTES / 60, first=0.4 * index)
        for index in range(max(NIGHTS))
    ]
    for count in NIGHTS:
        cost = run_measured(command_of("decode", *stores[:count], "-o", folder / f"of-{count}", "--json"))
        failed = sum(outcome["status"] == "failed" for outcome in read_outcomes(cost))
        values = {"cpu_s_per_night": cost.cpu / count, "peak_mb": cost.peak, "failed": float(failed)}
        setting, method = f"nights of {NIGHT_MINUTES:g} min in one command", f"{count} night{'s' * (count > 1)}"
        rows += [Row("simulated", setting, method, metric, value, n=count) for metric, value in values.items()]
    return rows


def measure_array(folder: Path) -> list[Row]:
    """An array of BIDS jobs, one a participant and some at the same time, then the group level.

    Args:
        folder: Folder for the data set and the results.
    """
    import pandas as pd

    bids, output, eeg = folder / "bids", folder / "out", simulate_eeg()
    labels = [f"{number + 1:02d}" for number in range(PARTICIPANTS)]
    for number, label in enumerate(labels):
        write_participant(bids, label, eeg, first=0.3 * number)
    waiting = [*labels]
    running: list[Any] = []
    said: list[str] = []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            command = command_of("bids", bids, output, "participant", "--json", "--participant-label", waiting.pop(0))
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        said.append(running.pop(0).communicate()[0])
    index_before = (output / "index.html").exists()
    group = run_measured(command_of("bids", bids, output, "group"))
    nights = pd.read_csv(output / "nights.tsv", sep="\t")
    values = {
        "jobs_failed": sum('"status": "failed"' in text or "{" not in text for text in said),
        "index_before_group": index_before,
        "group_exit_code": group.code,
        "nights_in_index": int(nights["verdict"].isin(["missing", "results damaged"]).eq(False).sum()),
        "group_cpu_s": group.cpu,
    }
    setting = f"{PARTICIPANTS} jobs of a participant, {PARTICIPANT_MINUTES:g} min each"
    return [Row("simulated", setting, "bids", metric, float(value), n=PARTICIPANTS) for metric, value in values.items()]


def write_participant(bids: Path, label: str, eeg: np.ndarray, *, first: float) -> None:
    """One night of a BIDS data set, as EDF.

    Args:
        bids: Root of the data set.
        label: The participant's, without `sub-`.
        eeg: Samples of the simulated night.
        first: Hour of it with which this one begins.
    """
    parts = f"sub-{label}", "ses-1"
    path = bids.joinpath(*parts, "eeg", "_".join([*parts, "task-sleep_eeg.edf"]))
    path.parent.mkdir(parents=True)
    begin = round(first * 3600 * RATE) % len(eeg)
    night = np.take(eeg, np.arange(begin, begin + round(PARTICIPANT_MINUTES * 60 * RATE)), mode="wrap")
    _write_edf(night, path)
    (bids / "dataset_description.json").write_text('{"Name": "simulated", "BIDSVersion": "1.9.0"}')


def _write_edf(samples: Int16[np.ndarray, " sample"], path: Path) -> None:
    """A channel as EDF with records of one second."""
    try:
        from edfio import Edf, EdfSignal, Recording
    except ImportError as error:
        raise MissingExtraError("edfio", extra="dev") from error
    low, high = -32768, 32767
    signal = EdfSignal.from_digital(
        samples,
        RATE,
        label=f"EEG {CHANNEL}",
        physical_dimension="uV",
        physical_range=(round(STEP_UV * low, 1), round(STEP_UV * high, 1)),
        digital_range=(low, high),
    )
    night = Recording(startdate=date(2026, 1, 1))
    Edf([signal], recording=night, starttime=time(22), data_record_duration=1).write(path)


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
        straight = max(float(level + slope * YEAR), max(values[metric] for values in long.values()))
        compared.append(Row("simulated", SETTING, method, f"{metric}_of_a_year", straight, n=len(long)))
    return compared
