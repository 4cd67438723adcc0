"""`sharpwave benchmark scale`: memory and CPU by length and by nights, executors, failures, stores and start-up.

Each question is a method that `--methods` runs alone; with `--output` its answer is kept beside the file, so that a
length that takes hours (30d, 60d: on request) joins the others without running them again.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sharpwave.benchmarks.provenance import find_commit
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale.deprivation import measure_deprivation
from sharpwave.benchmarks.scale.executors import compare_executors, inject_failures
from sharpwave.benchmarks.scale.lengths import (
    LENGTHS,
    compare_lengths,
    measure_array,
    measure_length,
    measure_nights,
    measure_year,
)
from sharpwave.benchmarks.scale.measures import RATE, SIMULATED_HOURS
from sharpwave.benchmarks.scale.stores import measure_start, measure_stores
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import write_file
from sharpwave.recordings.datasets import data_root

ON_REQUEST = ("30d", "60d")
METHODS: dict[str, Callable[[Path, int], list[Row]]] = {
    **{name: lambda folder, seeds, name=name: measure_length(name, folder) for name in LENGTHS},  # type: ignore[misc]
    "year": lambda folder, seeds: measure_year(folder),
    "nights": lambda folder, seeds: measure_nights(folder),
    "array": lambda folder, seeds: measure_array(folder),
    "deprivation": lambda folder, seeds: measure_deprivation(folder, data_root()),
    "stores": measure_stores,
    "start": measure_start,
    "executors": lambda folder, seeds: compare_executors(folder),
    "failures": lambda folder, seeds: inject_failures(folder),
}
"""Questions by name: called with a folder of their own and the number of seeds."""


def run(
    data: Path | None,
    *,
    seeds: int,
    train: bool = False,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Answer the questions, or those that are asked for; others count where their answers are kept.

    Args:
        data: Not used: the nights are simulated.
        seeds: Repetitions of what takes seconds: stores and start-up.
        train: Not used.
        methods: Keys of `METHODS`; all but the longest two where omitted.
        parts: Folder that keeps each answer; nothing is kept where omitted.

    Raises:
        SharpwaveError: If a method is none.
    """
    unknown = [name for name in methods or () if name not in METHODS]
    if unknown:
        raise SharpwaveError(f"methods among {', '.join(METHODS)}", got=", ".join(unknown), fix="choose among these")
    now = [name for name in METHODS if name in (methods or [*{*METHODS} - {*ON_REQUEST}])]
    answers: dict[str, dict[str, Any]] = {}
    for name in METHODS:
        kept = None if parts is None else parts / f"{name}.json"
        if name in now and (methods or kept is None or not kept.is_file()):
            answers[name] = _answer(name, seeds)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_file(kept, json.dumps(answers[name], indent=1) + "\n")
        elif kept is not None and kept.is_file():
            answers[name] = json.loads(kept.read_text(encoding="utf-8"))
    rows = {name: [Row(**row) for row in answer["rows"]] for name, answer in answers.items()}
    config = {
        "channels": 1,
        "rate_hz": RATE,
        "samples": f"a simulated human EEG of {SIMULATED_HOURS:g} h again and again",
        "store": "Zarr, int16",
        "measured_at": {name: {key: answer[key] for key in ("commit", "load")} for name, answer in answers.items()},
        "not_run": [name for name in METHODS if name not in answers],
        "notes": ["Measured on a machine with other work: CPU seconds, not time, and good to some tens of percent."],
    }
    return config, [row for found in rows.values() for row in found] + compare_lengths(rows)


def _answer(name: str, seeds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        rows = METHODS[name](Path(folder), seeds)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    as_read = [{key: value for key, value in row.to_dict().items() if value is not None} for row in rows]
    return {"commit": find_commit(), "load": load, "rows": as_read}
