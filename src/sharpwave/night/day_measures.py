"""How each day of a long recording was slept: by light and dark, by the hour, and as an actogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.night.days import DAY, HOUR, DayClock, find_runs, hour_of, is_light
from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram

GAP = {5: 900.0, 3: 60.0}
"""Seconds without REM that part two episodes of it: in people, whose cycles last 90 minutes, and in rodents."""


def measure_day(
    night: DecodedNight,
    *,
    onset: float = 0.0,
    clock: DayClock | None = None,
    schedule: tuple[float, float] | None = None,
    spans: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """How a day was slept: the whole of it, its light and its dark phase, and named spans.

    Args:
        night: The decoded day.
        onset: Its start, in seconds from the start of the long recording.
        clock: Clock of the long recording; needed with a schedule.
        schedule: Hours of lights on and off; no phases where omitted.
        spans: Named spans of the long recording: onset, duration (s), label.

    Returns:
        One row a phase and statistic: phase, name, value, unit. A value that is undefined is NaN.

    >>> stages = Hypnogram.from_labels(["W", "N2", "N2", "R"])
    >>> how = {"stager": "hand", "verdict": "usable"}
    >>> day = DecodedNight(identifier="a", source="a", duration=120.0, hypnogram=stages, **how)
    >>> table = measure_day(day).set_index("name")["value"]
    >>> table[["sleep", "bouts_N2", "cycles"]].tolist()
    [1.5, 1.0, 1.0]
    """
    hypnogram = night.hypnogram
    middles = onset + hypnogram.onsets + hypnogram.epoch_length / 2
    phases: dict[str, np.ndarray] = {"day": np.ones(len(hypnogram), dtype=bool)}
    if schedule is not None and clock is not None:
        light = is_light(clock.compute_hours(middles), schedule)
        phases |= {"light": light, "dark": ~light}
    for row in [] if spans is None else spans.to_dict("records"):
        inside = (middles >= row["onset"]) & (middles < row["onset"] + row["duration"])
        if inside.any():
            name = str(row["label"])
            phases[name] = phases.get(name, np.zeros(len(inside), dtype=bool)) | inside
    tables = [_measure(night, mask).assign(phase=name) for name, mask in phases.items() if mask.any()]
    return pd.concat(tables, ignore_index=True)[["phase", "name", "value", "unit"]]


def _measure(night: DecodedNight, mask: Bool[np.ndarray, " epoch"]) -> pd.DataFrame:
    hypnogram = night.hypnogram
    minutes = hypnogram.epoch_length / 60
    stages = np.where(mask, hypnogram.stages, -2)
    scored, asleep = stages >= 0, stages > 0
    rows: list[tuple[str, float, str]] = [
        ("recorded", float(mask.sum()) * minutes, "min"),
        ("missing", float(1 - scored.sum() / max(mask.sum(), 1)), ""),
        ("sleep", float(asleep.sum()) * minutes, "min"),
        ("sleep_share", _ratio(asleep.sum(), scored.sum()), ""),
    ]
    for code, name in enumerate(hypnogram.names):
        runs = find_runs(stages == code)
        rows.append((name, float((stages == code).sum()) * minutes, "min"))
        rows.append((f"bouts_{name}", float(len(runs)), ""))
        rows.append((f"bout_length_{name}", _ratio((stages == code).sum() * minutes, len(runs)), "min"))
    if hypnogram.n_stages in GAP:
        rows.append(("cycles", float(count_cycles(hypnogram, mask)), ""))
    rows.append(("depth", _average_depth(night, mask), night.depth_unit))
    rows += _count_events(night, mask, float(asleep.sum()) * minutes / 60)
    return pd.DataFrame(rows, columns=["name", "value", "unit"])


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def count_cycles(hypnogram: Hypnogram, mask: Bool[np.ndarray, " epoch"]) -> int:
    """Episodes of REM that follow other sleep: each ends a cycle. Episodes nearer than `GAP` are one.

    >>> count_cycles(Hypnogram.from_labels(["N2", "R", "N2", "R"]), np.ones(4, dtype=bool))
    1
    """
    rem = hypnogram.n_stages - 1
    least, cycles, last, slept = GAP[hypnogram.n_stages] / hypnogram.epoch_length, 0, -np.inf, False
    for low, high in find_runs(np.asarray(mask & (hypnogram.stages == rem))):
        between = hypnogram.stages[max(0, int(max(last, 0))) : low]
        slept = bool(((between > 0) & (between != rem)).any())
        cycles += bool(slept and low - last >= least)
        last = high
    return cycles


def _average_depth(night: DecodedNight, mask: Bool[np.ndarray, " epoch"]) -> float:
    """Mean depth in sleep other than REM."""
    depth, hypnogram = night.depth, night.hypnogram
    if not len(depth):
        return float("nan")
    place = np.floor((depth["onset"].to_numpy(float) - hypnogram.start) / hypnogram.epoch_length + 1e-9).astype(int)
    inside = (place >= 0) & (place < len(hypnogram))
    deep = mask & (hypnogram.stages > 0)
    if hypnogram.n_stages > 2:
        deep &= hypnogram.stages < hypnogram.n_stages - 1
    values = depth["depth"].to_numpy(float)[inside][deep[place[inside]]]
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _count_events(night: DecodedNight, mask: Bool[np.ndarray, " epoch"], hours: float) -> list[tuple[str, float, str]]:
    events, hypnogram = night.events, night.hypnogram
    if not len(events):
        return []
    place = np.floor((events["onset"].to_numpy(float) - hypnogram.start) / hypnogram.epoch_length).astype(int)
    inside = (place >= 0) & (place < len(hypnogram))
    inside[inside] = mask[place[inside]] & (hypnogram.stages[place[inside]] > 0)
    counts = events["label"][inside].value_counts().sort_index()
    return [(f"events_{label}", _ratio(float(count), hours), "per hour of sleep") for label, count in counts.items()]


def _place(
    seconds: Float[np.ndarray, " time"], clock: DayClock, lights_on: float
) -> tuple[Int[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Which day from lights on to lights on, from 0, and how many seconds of it have passed, to the millisecond.

    Without the rounding 06:59:59.9999999 and 07:00 would be a day apart.
    """
    since = np.round((clock.compute_hours(seconds) - lights_on) * HOUR, 3) % DAY
    first = (hour_of(clock.start) - lights_on) % 24 * HOUR
    return np.round((first + seconds - since) / DAY).astype(int), since


def compute_profile(
    hypnograms: Sequence[tuple[float, Hypnogram]], clock: DayClock, *, lights_on: float = 0.0
) -> pd.DataFrame:
    """Share of each stage by the hour of the day: the circadian profile.

    Args:
        hypnograms: Start of each day in seconds from the start of the long recording, and its stages.
        clock: Clock of the long recording.
        lights_on: Hour of the day at which lights go on, from which zeitgeber time counts; midnight by default.

    Returns:
        zt (hour, 0 to 23), stage, share (mean over days), low, high (95 % interval over days), n (days with that hour).

    >>> from datetime import datetime
    >>> day = Hypnogram(np.zeros(2880, dtype=np.int8))
    >>> profile = compute_profile([(0.0, day)], DayClock(datetime(2024, 1, 1)))
    >>> profile[profile["stage"] == "W"]["share"].unique().tolist(), len(profile)
    ([1.0], 120)
    """
    counts: dict[tuple[int, int], np.ndarray] = {}
    names: tuple[str, ...] = ()
    for onset, hypnogram in hypnograms:
        names = hypnogram.names
        stages = hypnogram.stages[hypnogram.scored]
        days, seconds = _place(onset + hypnogram.onsets[hypnogram.scored], clock, lights_on)
        hours = (seconds // HOUR).astype(int)
        for there in sorted({*zip(days.tolist(), hours.tolist(), strict=True)}):  # an hour may lie in two pieces
            found = np.bincount(stages[(days == there[0]) & (hours == there[1])], minlength=len(names))
            counts[there] = counts.get(there, 0) + found
    shares: dict[tuple[int, str], list[float]] = {}
    for (_, hour), found in counts.items():
        for name, share in zip(names, found / found.sum(), strict=True):
            shares.setdefault((hour, name), []).append(float(share))
    rows = []
    for hour in range(24):
        for name in names:
            values = np.array(shares.get((hour, name), []))
            mean = float(values.mean()) if values.size else float("nan")
            half = 1.96 * float(values.std(ddof=1)) / np.sqrt(values.size) if values.size > 1 else float("nan")
            rows.append((hour, name, mean, max(mean - half, 0.0), min(mean + half, 1.0), values.size))
    return pd.DataFrame(rows, columns=["zt", "stage", "share", "low", "high", "n"])


def compute_actogram(
    hypnograms: Sequence[tuple[float, Hypnogram]], clock: DayClock, *, lights_on: float = 0.0, minutes: int = 10
) -> Float[np.ndarray, "day bin"]:
    """Share of sleep in each bin of each day, days from lights on to lights on; NaN where nothing was scored.

    Args:
        hypnograms: Start of each day in seconds from the start of the long recording, and its stages.
        clock: Clock of the long recording.
        lights_on: Hour of the day at which a row begins; midnight by default.
        minutes: Length of a bin, in minutes.

    >>> from datetime import datetime
    >>> day = Hypnogram(np.ones(2880, dtype=np.int8))
    >>> compute_actogram([(0.0, day)], DayClock(datetime(2024, 1, 1)), minutes=720).tolist()
    [[1.0, 1.0]]
    """
    n_bins = 24 * 60 // minutes
    rows = 2 + max((int((onset + h.end) // DAY) for onset, h in hypnograms), default=0)
    slept, known = np.zeros((rows + 1, n_bins)), np.zeros((rows + 1, n_bins))
    for onset, hypnogram in hypnograms:
        row, seconds = _place(onset + hypnogram.onsets[hypnogram.scored], clock, lights_on)
        row, place = row.clip(0, rows), (seconds // (60 * minutes)).astype(int)
        np.add.at(known, (row, place), 1.0)
        np.add.at(slept, (row, place), (hypnogram.stages[hypnogram.scored] > 0).astype(float))
    kept = np.flatnonzero(known.any(axis=1))
    with np.errstate(invalid="ignore"):
        return (slept / known)[: kept[-1] + 1] if kept.size else np.zeros((0, n_bins))
