"""The runs of a session: when the animal was on which track, as the user or the file says it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.place_fields import SINGLE
from sharpwave.reactivation.position import Position, mark_running, restrict_position

LEAST_RUNNING = 10.0
"""Seconds of running that make a run of an epoch that the file names."""

LEAST_EXTENT = 0.3
"""Extent of the movement in such an epoch, as a share of the largest: a sleep box is smaller than a track."""

_SPAN = re.compile(r"(?:(?P<name>[^=]+)=)?\s*(?P<start>-?\d+(?:\.\d*)?)\s*[-–:, ]\s*(?P<end>-?\d+(?:\.\d*)?)\s*s?\s*")


@dataclass(frozen=True)
class Run:
    """A stretch of the session in which the animal was on one track.

    Attributes:
        name: Name of the environment; runs of one name share their maps.
        start: Start, in s.
        end: End, in s.
    """

    name: str
    start: float
    end: float


RunChoice = tuple[float, float] | Sequence["str | Run | tuple[float, float]"]
"""Start and end of one run in s, or several runs: each a `Run`, a pair of times, or a text (see `read_run`)."""


def read_run(text: str) -> Run | str:
    """A run as typed: "START-END" in seconds, "NAME=START-END", or the name of an epoch of the file.

    >>> read_run("track=3600-6000")
    Run(name='track', start=3600.0, end=6000.0)
    >>> read_run("track1")
    'track1'
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        return text.strip()
    return Run((found["name"] or "").strip(), float(found["start"]), float(found["end"]))


def choose_runs(events: pd.DataFrame, position: Position, run: RunChoice | None) -> list[Run]:
    """The runs that were asked for, or those that the file names where there are several; none where neither.

    Raises:
        SharpwaveError: If a run has a name that no epoch has, ends before it starts, or holds no position.
    """
    if run is None:
        return _find_named_runs(events, position)
    asked: list[Run] = []
    for each in _list_choices(run):
        asked += _name_runs(events, each) if isinstance(each, str) else [each]
    unnamed = sum(not each.name for each in asked)
    names = iter([SINGLE] if unnamed == 1 else [f"run {number + 1}" for number in range(unnamed)])
    asked = sorted(asked, key=lambda each: each.start)
    runs = [each if each.name else replace(each, name=next(names)) for each in asked]
    for each in runs:
        if not each.end > each.start:
            raise SharpwaveError(
                "a run that ends after it starts",
                got=f"{each.start:g} to {each.end:g} s",
                fix="--run START-END, in seconds",
            )
        if not len(restrict_position(position, each.start, each.end).times):
            raise SharpwaveError(
                "a position within the experience",
                got=f"none from {each.start:g} to {each.end:g} s",
                fix=f"--run START-END (or --run START END), within {position.times[0]:g} to {position.times[-1]:g} s",
            )
    return runs


def _list_choices(run: RunChoice) -> Iterable[Run | str]:
    if len(run) == 2 and all(isinstance(each, int | float | np.number) for each in run):
        run = [(float(run[0]), float(run[1]))]  # type: ignore[arg-type]
    for each in run:
        if isinstance(each, str):
            yield read_run(each)
        elif isinstance(each, Run):
            yield each
        else:
            yield Run("", float(each[0]), float(each[1]))  # type: ignore[index]


def _name_runs(events: pd.DataFrame, name: str) -> list[Run]:
    """The epochs of a name."""
    epochs = list_epochs(events)
    own = epochs[epochs["label"].str.casefold() == name.casefold()]
    if not len(own):
        known = ", ".join(dict.fromkeys(epochs["label"])) or "none"
        raise SharpwaveError(
            "a run as START-END in seconds, or the name of an epoch of the file",
            got=f"{name!r}; the file names {known}",
            fix="give --run START-END, or one of these names",
        )
    return _list_runs(own)


def _list_runs(epochs: pd.DataFrame) -> list[Run]:
    onset, duration = epochs["onset"].to_numpy(float), epochs["duration"].to_numpy(float)
    spans = zip(epochs["label"], onset.tolist(), (onset + duration).tolist(), strict=True)
    return [Run(str(label), start, end) for label, start, end in spans]


def list_epochs(events: pd.DataFrame) -> pd.DataFrame:
    """The epochs that a file names: its table of epochs, or, without one, all intervals that have a name."""
    if not len(events) or "label" not in events:
        return pd.DataFrame({"onset": [], "duration": [], "label": pd.Series([], dtype=str)})
    named = events[events["label"].notna() & (events["duration"] > 0)]
    if "table" in named:
        ours = named["table"].astype(str).str.contains("epoch", case=False)
        named = named[ours] if ours.any() else named
    return named[["onset", "duration", "label"]].assign(label=named["label"].astype(str))


def _find_named_runs(events: pd.DataFrame, position: Position) -> list[Run]:
    """The epochs in which the animal runs, where the file's table of epochs names several; else none."""
    if "table" not in events or {"content", "run_direction"} <= set(events.columns):
        return []
    epochs = list_epochs(events[events["table"].astype(str).str.contains("epoch", case=False)])
    running = mark_running(position)
    rows = []
    for run in _list_runs(epochs):
        low, high = np.searchsorted(position.times, [run.start, run.end])
        moved = position.values[low:high][running[low:high]]
        seconds = float(position.steps[low:high][running[low:high]].sum())
        extent = np.ptp(np.quantile(moved, [0.01, 0.99], axis=0), axis=0).max() if len(moved) else 0.0
        rows.append((run, seconds, float(extent)))
    largest = max((extent for _, _, extent in rows), default=0.0)
    runs = [each for each, seconds, extent in rows if seconds >= LEAST_RUNNING and extent >= LEAST_EXTENT * largest]
    apart = all(after.start >= before.end for before, after in itertools.pairwise(runs))
    return sorted(runs, key=lambda each: each.start) if len(runs) > 1 and apart else []
