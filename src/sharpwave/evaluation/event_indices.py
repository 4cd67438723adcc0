"""Scored events per hour of sleep: arousal index, AHI, ODI, PLMI, each with its numerator and denominator in words.

The AASM manual's formula: events × 60 / total sleep time in minutes. What nobody scored is blank, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.annotations import (
    APNEAS,
    AROUSALS,
    DESATURATIONS,
    HYPOPNEAS,
    LEG_MOVEMENTS,
    PERIODIC_LEG_MOVEMENTS,
)
from sharpwave.recordings.hypnogram import Hypnogram

INDICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "arousal_index": ("arousals", AROUSALS),
    "apnea_hypopnea_index": ("apnoeas and hypopnoeas", (*APNEAS, *HYPOPNEAS)),
    "oxygen_desaturation_index": ("desaturations", DESATURATIONS),
    "periodic_leg_movement_index": ("periodic leg movements in sleep", (*LEG_MOVEMENTS, *PERIODIC_LEG_MOVEMENTS)),
}
"""Name in the table → what is counted, and the labels that count (see `find_scored_events`)."""

SAME_LEGS = 5.0
"""Movements of two legs whose onsets lie closer than this (s) are one (AASM)."""

PERIOD = (5.0, 90.0)
"""Seconds from one onset to the next in a series of leg movements (AASM)."""

SHORTEST_SERIES = 4
LONGEST_MOVEMENT = 10.0


def count_events(events: pd.DataFrame, *, apart: float = 0.0) -> Float[np.ndarray, " event"]:
    """Onsets of the events, those that overlap by more than half of the shorter one counted once.

    Args:
        events: Columns onset, duration (s).
        apart: Seconds by which two onsets must differ at least to be two events.

    >>> count_events(pd.DataFrame({"onset": [0.0, 2.0, 60.0], "duration": [5.0, 5.0, 5.0]})).tolist()
    [0.0, 60.0]
    """
    kept: list[float] = []
    last = 0.0
    for onset, duration in events.sort_values("onset")[["onset", "duration"]].to_numpy(dtype=float):
        if kept:
            shared = min(kept[-1] + last, onset + duration) - onset
            if onset - kept[-1] < max(apart, 0.5) or shared > 0.5 * min(last, duration) > 0:
                continue
        kept.append(float(onset))
        last = float(duration)
    return np.array(kept)


def find_periodic_movements(
    events: pd.DataFrame, *, period: tuple[float, float] = PERIOD
) -> Float[np.ndarray, " movement"]:
    """Onsets of the leg movements that belong to a series of four or more (AASM).

    Args:
        events: Leg movements: columns onset, duration (s); one of unknown duration (0) may belong to a series.
        period: Shortest and longest time from one onset to the next within a series, in seconds.

    >>> legs = pd.DataFrame({"onset": [10.0, 40.0, 70.0, 100.0, 900.0], "duration": 1.0})
    >>> find_periodic_movements(legs).tolist()
    [10.0, 40.0, 70.0, 100.0]
    """
    onsets = count_events(events[events["duration"] <= LONGEST_MOVEMENT], apart=SAME_LEGS)
    if not len(onsets):
        return onsets
    gaps = np.diff(onsets)
    series = np.split(onsets, np.flatnonzero((gaps < period[0]) | (gaps > period[1])) + 1)
    return np.concatenate([np.zeros(0), *(run for run in series if len(run) >= SHORTEST_SERIES)])


def compute_event_indices(hypnogram: Hypnogram, events: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Rows of the table of sleep statistics for the events that were scored: name, value, unit, definition.

    Args:
        hypnogram: Stages between lights off and lights on, or all there are.
        events: Scored events (see `find_scored_events`); only those within the hypnogram count.

    >>> night = Hypnogram.from_labels(["N2"] * 120)
    >>> scored = pd.DataFrame({"onset": [60.0, 600.0], "duration": [5.0, 5.0], "label": ["arousal", "arousal"]})
    >>> rows = compute_event_indices(night, scored)
    >>> rows[0]["value"], rows[0]["definition"]
    (2.0, 'arousals per hour of sleep: 2 in 1.00 h')
    >>> rows[1]["value"], rows[1]["definition"]
    (nan, 'apnoeas and hypopnoeas per hour of sleep; not scored')
    """
    hours = float((hypnogram.stages > 0).sum() * hypnogram.epoch_length / 3600)
    rows = []
    for name, (words, labels) in INDICES.items():
        row = {"name": name, "value": np.nan, "unit": "1/h", "definition": f"{words} per hour of sleep; not scored"}
        scored = None if events is None else events[events["label"].isin(labels)]
        if scored is not None and len(scored):
            inside = scored[(scored["onset"] >= hypnogram.start) & (scored["onset"] < hypnogram.end)]
            onsets, notes = _count(name, inside, hypnogram, seen=set(scored["label"]))
            notes += [f"{len(scored) - len(inside)} outside this span are left out"] * (len(inside) < len(scored))
            row["value"] = len(onsets) / hours if hours else np.nan
            row["definition"] = "; ".join([f"{words} per hour of sleep: {len(onsets)} in {hours:.2f} h", *notes])
        rows.append(row)
    return rows


def _count(
    name: str, events: pd.DataFrame, hypnogram: Hypnogram, *, seen: set[str]
) -> tuple[Float[np.ndarray, " event"], list[str]]:
    """Onsets of what counts for one index, and what must be said of them."""
    if name == "periodic_leg_movement_index":
        return _count_legs(events, hypnogram)
    onsets = count_events(events)
    awake = int(_is_awake(onsets, events, hypnogram).sum())
    notes = [f"{awake} of them in epochs that are wake here"] if awake else []
    if name == "apnea_hypopnea_index":
        missing = [
            word for word, kinds in (("apnoeas", APNEAS), ("hypopnoeas", HYPOPNEAS)) if not seen.intersection(kinds)
        ]
        notes += [f"no {word} were scored" for word in missing]
    return onsets, notes


def _count_legs(events: pd.DataFrame, hypnogram: Hypnogram) -> tuple[Float[np.ndarray, " movement"], list[str]]:
    named = events["label"].isin(PERIODIC_LEG_MOVEMENTS)
    if named.any():
        onsets, how = count_events(events[named], apart=SAME_LEGS), "as named by the scorer"
    else:
        onsets, how = find_periodic_movements(events), "scored leg movements in series of 4 or more, 5 to 90 s apart"
    awake = _is_awake(onsets, events, hypnogram)
    return onsets[~awake], [how, *([f"{int(awake.sum())} in wake are left out"] if awake.any() else [])]


def _is_awake(onsets: Sequence[float] | np.ndarray, events: pd.DataFrame, hypnogram: Hypnogram) -> np.ndarray:
    """Whether each event lies in wake from its onset to its end."""
    onsets = np.asarray(onsets, dtype=float)
    lengths = dict(zip(events["onset"].astype(float), events["duration"].astype(float), strict=True))
    ends = np.array([onset + lengths.get(onset, 0.0) for onset in onsets])
    return np.asarray((hypnogram.at(onsets) == 0) & (hypnogram.at(ends) <= 0)) if len(onsets) else np.zeros(0, bool)
