"""Sleep deprivation as a named span: what `days.parquet` says beside what was planted, and in a real mouse.

A simulated mouse is recorded for three days with lights on from 7 to 19. On the second it is kept awake for six hours
from lights on; then it sleeps more and its slow waves are larger, by a gain that decays. The same hours of the first
and the third day, on which nothing was planted, stand beside it. The days are put together from pieces of a simulated
night, so that what is true of each second is known; they are decoded by the command line.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale.measures import command_of, run_measured
from sharpwave.errors import SharpwaveError
from sharpwave.night.day_measures import measure_day
from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram, Recording, write_store
from sharpwave.signals.spectra import compute_depth

LIGHT, START = "07:00-19:00", datetime(2024, 3, 4, 7)
DAYS, SOURCE_HOURS, RATE = 3, 12.0, 128
DEPRIVED, RECOVERY = 6, 2
"""Hours of the span in which the mouse is kept awake, and of that in which its recovery is measured."""
AWAKE = {"dark": 0.5, "light": 0.1, "deprived": 1.0, "recovering": 0.1}
"""Share of each hour that is filled with wake; the rest is as the simulated night goes on."""
GAIN, DECAY = 0.4, 2.0
"""Slow waves after deprivation are 1.4 times as large, and the surplus falls to 1/e in 2 h."""
CUTOFF = 4.5
SPANS = ("kept awake", "recovery")
NIGHT = 1
"""The day of the deprivation, from 0."""


def measure_deprivation(folder: Path, data: Path | None = None) -> list[Row]:
    """Sleep and depth in the named spans, as decoded, as true, and the same hours of days on which nothing was planted.

    Args:
        folder: Folder for the store and the results.
        data: Folder of data sets, for the mouse of `mouse-bands`; left out where there is none.
    """
    stages, recording = compose_days(np.random.default_rng(0))
    store = write_store(recording, folder / "mouse.zarr")
    spans = list_spans()
    spans.to_csv(folder / "spans.tsv", sep="\t", index=False)
    how = ("--light-schedule", LIGHT, "--spans", folder / "spans.tsv", "--species", "mouse")
    cost = run_measured(command_of("decode", store, "-o", folder / "out", "--json", *how))
    if cost.code:
        raise SharpwaveError("days that are decoded", got=f"exit code {cost.code}", fix="run it by hand")
    decoded = pd.read_parquet(folder / "out" / "days.parquet")
    truth = DecodedNight(
        identifier="truth",
        source="truth",
        duration=float(len(stages)),
        hypnogram=Hypnogram(np.ascontiguousarray(stages[::4]), 4.0, 3),
        depth=compute_depth(recording["EEG"]),
        stager="truth",
        verdict="usable",
    )
    told = {"as decoded": decoded, "truth": measure_day(truth, spans=spans)}
    rows = []
    for method, table in told.items():
        values = table[table["phase"].isin(spans["label"])].set_index(["phase", "name"])["value"]
        for label in spans["label"]:
            for metric in ("sleep_share", "depth"):
                if np.isfinite(values[label, metric]):  # no depth where it never slept
                    value = float(values[label, metric])
                    rows.append(Row("simulated", "a mouse, 3 days", method, f"{label}: {metric}", value))
        for when in ("day 1", "day 3"):
            for metric, unit in (("sleep_share", "sleep_share"), ("depth", "depth")):
                change = values[f"{SPANS[1]}, day 2", metric] - values[f"{SPANS[1]}, {when}", metric]
                rows.append(Row("simulated", "a mouse, 3 days", method, f"recovery less {when}: {unit}", change))
    return rows + (_measure_mouse(data) if data is not None and (data / "mouse-bands").is_dir() else [])


def list_spans() -> pd.DataFrame:
    """The hours of deprivation and of recovery, of the day on which it was and of those on which it was not."""
    rows = []
    for day in range(DAYS):
        begin = 86_400.0 * day
        rows.append((begin, 3600.0 * DEPRIVED, f"{SPANS[0]}, day {day + 1}"))
        rows.append((begin + 3600.0 * DEPRIVED, 3600.0 * RECOVERY, f"{SPANS[1]}, day {day + 1}"))
    return pd.DataFrame(rows, columns=["onset", "duration", "label"])


def compose_days(rng: np.random.Generator) -> tuple[Int[np.ndarray, " second"], Recording]:
    """Stages per second, and EEG and EMG, of the days of a mouse.

    Args:
        rng: Random generator of the simulated night and of the pieces.
    """
    from scipy.signal import butter, sosfiltfilt

    from sharpwave.simulation import simulate_night

    night, truth = simulate_night("mouse", SOURCE_HOURS, rng=rng, modalities=("eeg", "emg"))
    seconds = choose_seconds(truth.hypnogram.stages, rng=rng)
    stages = truth.hypnogram.stages[seconds]
    signals = {}
    for name, signal in night.signals.items():
        step = round(signal.rate / RATE)
        samples = np.asarray(signal.samples, dtype=np.float32)
        samples = samples[: samples.size // step * step].reshape(-1, step).mean(axis=1).reshape(-1, RATE)[seconds]
        if name == "EEG":
            slow = sosfiltfilt(butter(4, CUTOFF, fs=RATE, output="sos"), samples.ravel()).reshape(samples.shape)
            samples = samples + (compute_gain(len(seconds)) * (stages == 1))[:, None] * slow.astype(np.float32)
        signals[name] = replace(signal, samples=samples.ravel().astype(np.float32), rate=float(RATE))
    return stages, Recording(signals, species="mouse", source="simulated", start=START)


def compute_gain(length: int) -> Float[np.ndarray, " second"]:
    """How much is added to slow waves, by the second from the start of the first day."""
    hours = np.arange(length) / 3600 - 24 * NIGHT - DEPRIVED
    return np.where((hours >= 0) & (hours < 12), GAIN * np.exp(-np.maximum(hours, 0) / DECAY), 0.0)


def choose_seconds(stages: Int[np.ndarray, " second"], *, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
    """Which second of the simulated night each second of the days is: it goes on, with pieces of wake put between.

    Args:
        stages: Stages of the simulated night.
        rng: Random generator.
    """
    edges = np.flatnonzero(np.diff(np.r_[0, (stages == 0).astype(int), 0]))
    wakes = [(low, high) for low, high in edges.reshape(-1, 2) if high - low >= 30]
    chosen: list[np.ndarray] = []
    place = 0
    for hour in range(24 * DAYS):
        of_day = hour % 24
        kind = "light" if of_day < 12 else "dark"
        if hour // 24 == NIGHT and of_day < DEPRIVED + RECOVERY:
            kind = "deprived" if of_day < DEPRIVED else "recovering"
        awake, parts = 0, []
        while awake < 3600 * AWAKE[kind]:
            low, high = wakes[int(rng.integers(len(wakes)))]
            parts.append(np.arange(low, high))
            awake += high - low
        left = max(3600 - awake, 0)
        going_on = np.arange(place, place + 2 * left + 1) % len(stages)
        if kind == "recovering":
            going_on = going_on[stages[going_on] > 0]
        place = int(going_on[min(left, len(going_on) - 1)])
        chosen.append(np.concatenate([*parts, going_on[:left]])[:3600])
    return np.concatenate(chosen)


def _measure_mouse(data: Path) -> list[Row]:
    """The mouse of `mouse-bands` after deprivation (experts' stages), beside the same hours of the day before."""
    from sharpwave.recordings.datasets import load_dataset

    values = {}
    for session, first in (("baseline", 6.0 + 9 / 60), ("recovery", 0.0)):
        recording = load_dataset(f"mouse-bands/{session}", data / "mouse-bands")
        hypnogram = recording.hypnogram
        assert hypnogram is not None
        delta = np.asarray(recording["bands"].samples)[:, 0]
        night = DecodedNight(
            identifier=session,
            source=session,
            duration=recording.duration,
            hypnogram=hypnogram,
            depth=pd.DataFrame({"onset": hypnogram.onsets, "depth": delta[: len(hypnogram)]}),
            stager="experts",
            verdict="usable",
        )
        spans = pd.DataFrame({"onset": [3600 * first], "duration": [3600.0 * RECOVERY], "label": ["recovery"]})
        table = measure_day(night, spans=spans)
        values[session] = table[table["phase"] == "recovery"].set_index("name")["value"]
    rows = []
    for metric in ("sleep_share", "depth"):
        for session, found in values.items():
            rows.append(Row("mouse-bands", "13:09 to 15:09", f"experts, {session}", metric, found[metric]))
        change = values["recovery"][metric] - values["baseline"][metric]
        rows.append(Row("mouse-bands", "13:09 to 15:09", "recovery less baseline", metric, change))
    return rows
