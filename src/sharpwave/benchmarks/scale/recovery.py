"""`sharpwave benchmark rodent-recovery`: mice of a second world for days each, decoded, beside what is true of them.

Light and dark, a span in which the mouse is kept awake, its recovery, and the rebound: what the hours after it have
more than the same hours of the day before, on which nothing was planted. Stages and depth are decoded by the command
line; "true stages" measures depth as `decode` does in the stages that are true; "planted" is how much larger the slow
waves were made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale.measures import command_of, run_measured
from sharpwave.benchmarks.second_world.mice import DAY, EPOCH, NREM, START, MouseDays, compute_slow_gain, draw_days
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.metrics import compute_kappa
from sharpwave.night.day_measures import measure_day
from sharpwave.night.days import DayClock
from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram, write_store
from sharpwave.recordings.store import append_store
from sharpwave.signals.spectra import compute_depth

LIGHT = "07:00-19:00"
RECOVERY = (("recovery, 0 to 2 h", 0.0, 2.0), ("recovery, 2 to 6 h", 2.0, 6.0))
MEASURES = ("sleep_share", "depth")
SETTING = "three days, kept awake for 6 h"


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Some days of each mouse.

    Args:
        data: Not used: the mice are simulated.
        seeds: Number of mice.
        train: Not used.
    """
    plan, mice = MouseDays(), list[dict[tuple[str, str], float]]()
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            mice.append(measure_mouse(Path(folder), plan, rng=np.random.default_rng(seed)))
    config = {"days": plan.days, "kept_awake_day": plan.kept_awake, "hours": plan.hours, "light": LIGHT, "mice": seeds}
    return config | {"interval": "lowest and highest mouse"}, pool(mice)


def pool(mice: Sequence[Mapping[tuple[str, str], float]]) -> list[Row]:
    """Means over mice, with the lowest and the highest."""
    rows = []
    for method, metric in mice[0]:
        values = [mouse[method, metric] for mouse in mice]
        if np.isfinite(values).all():
            spread = (min(values), max(values)) if len(values) > 1 else (np.nan, np.nan)
            rows.append(Row("second world", SETTING, method, metric, float(np.mean(values)), *spread, n=len(values)))
    return rows


def measure_mouse(folder: Path, plan: MouseDays, *, rng: np.random.Generator) -> dict[tuple[str, str], float]:
    """What was found and what is true of one mouse, by method and metric.

    Args:
        folder: Folder for the store and the results.
        plan: What the mouse goes through.
        rng: Random generator.
    """
    spans = list_spans(plan)
    spans.to_csv(folder / "spans.tsv", sep="\t", index=False)
    store, clock = folder / "mouse.zarr", DayClock(START)
    truths, stages, gains = [], [], []
    for day, (course, debt, recording) in enumerate(draw_days(plan, rng=rng)):
        append_store(store, recording) if day else write_store(recording, store)
        night = DecodedNight(
            identifier="truth",
            source="truth",
            duration=float(DAY),
            hypnogram=Hypnogram(course, float(EPOCH), 3),
            depth=compute_depth(recording["EEG"]),
            stager="truth",
            verdict="usable",
        )
        table = measure_day(night, onset=float(day * DAY), clock=clock, schedule=(7.0, 19.0), spans=spans)
        truths.append(table.assign(day=day))
        stages.append(course)
        gains.append(2 * np.log10(compute_slow_gain(debt)))
    how = ("--light-schedule", LIGHT, "--spans", folder / "spans.tsv", "--species", "mouse")
    cost = run_measured(command_of("decode", store, "-o", folder / "out", "--json", *how))
    if cost.code:
        raise SharpwaveError("days that are decoded", got=f"exit code {cost.code}", fix="run it by hand")
    decoded = pd.read_parquet(folder / "out" / "days.parquet")
    decoded["day"] = decoded["day"].rank(method="dense").astype(int) - 1
    found = collect("as decoded", decoded, plan) | collect("true stages", pd.concat(truths), plan)
    found |= collect("planted", plant(np.concatenate(stages), np.concatenate(gains), spans, plan), plan)
    scored = [pd.read_csv(path, sep="\t") for path in sorted((folder / "out").rglob("*hypnogram.tsv"))]
    found["as decoded", "kappa"] = compare_stages(stages, scored)
    found["as decoded", "cpu_s_per_day"] = cost.cpu / plan.days
    return found


def list_spans(plan: MouseDays) -> pd.DataFrame:
    """The hours kept awake and of recovery, and the same of the day before and of the day after."""
    rows = []
    for word, day in (("before", -1), ("that day", 0), ("after", 1)):
        begin = (plan.kept_awake + day) * float(DAY)
        rows.append((begin, 3600 * plan.hours, f"kept awake, {word}"))
        for label, low, high in RECOVERY:
            rows.append((begin + 3600 * (plan.hours + low), 3600 * (high - low), f"{label}, {word}"))
    return pd.DataFrame(rows, columns=["onset", "duration", "label"])


def plant(stages: np.ndarray, gain: np.ndarray, spans: pd.DataFrame, plan: MouseDays) -> pd.DataFrame:
    """Depth as it was planted, by span: the size of slow waves in NREM, log10 of its square."""
    rows = []
    for span in spans.to_dict("records"):
        part = slice(int(span["onset"]) // EPOCH, int(span["onset"] + span["duration"]) // EPOCH)
        asleep = stages[part] == NREM
        depth = float(gain[part][asleep].mean()) if asleep.any() else np.nan
        rows.append({"phase": span["label"], "name": "depth", "value": depth, "day": int(span["onset"]) // DAY})
    return pd.DataFrame(rows)


def collect(method: str, table: pd.DataFrame, plan: MouseDays) -> dict[tuple[str, str], float]:
    """Light and dark over the days before the mouse is kept awake, the spans, and the rebound.

    Args:
        method: Name of what the table holds.
        table: Rows of phase, name, value and day (from 0), as `measure_day` gives them.
        plan: What the mouse went through.
    """
    found: dict[tuple[str, str], float] = {}
    values = table[table["name"].isin(MEASURES)]
    usual = values[values["day"] < plan.kept_awake]
    for phase in ("light", "dark"):
        for name, value in usual[usual["phase"] == phase].groupby("name")["value"].mean().items():
            found[method, f"{phase}: {name}"] = float(value)
    of_span = {(row["phase"], row["name"]): float(row["value"]) for row in values.to_dict("records")}
    for label in list_spans(plan)["label"]:
        for name in MEASURES:
            if (label, name) in of_span:
                found[method, f"{label}: {name}"] = of_span[label, name]
    for label, *_ in RECOVERY:
        for name in MEASURES:
            if (f"{label}, before", name) in of_span:
                change = of_span[f"{label}, that day", name] - of_span[f"{label}, before", name]
                found[method, f"{label}, rebound: {name}"] = change
    return found


def compare_stages(stages: Sequence[np.ndarray], scored: Sequence[pd.DataFrame]) -> float:
    """Kappa of decoded epochs with the stages that are true, over all days.

    >>> table = pd.DataFrame({"onset": [0.0, 4.0, 8.0], "stage": ["W", "NREM", "R"]})
    >>> compare_stages([np.array([0, 1, 2])], [table])
    1.0
    """
    confusion = np.zeros((3, 3))
    for truth, table in zip(stages, scored, strict=True):
        found = table["stage"].map({"W": 0, "NREM": 1, "R": 2})
        place = (table["onset"].to_numpy(float) / EPOCH).astype(int)
        known = found.notna().to_numpy() & (place < len(truth))
        np.add.at(confusion, (truth[place[known]], found[known].astype(int)), 1)
    return compute_kappa(confusion)
