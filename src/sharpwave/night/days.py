"""Days to years: a long recording cut into days, on a clock with light, summer time and named spans.

Times of day are those of the recorder's clock. A recording with a time zone follows its summer time: the hour that is
skipped or repeated is so in the days, too. Zeitgeber time counts hours from lights on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.day_options import DayOptions, read_schedule
from sharpwave.night.several_nights import LONGEST_NIGHT, NightSpan
from sharpwave.recordings import Recording
from sharpwave.untrusted import explained

DAY, HOUR = 86_400.0, 3600.0
SHORTEST = 2.0
"""Hours: a shorter piece at an end is joined to its neighbour."""
ELECTRICAL = frozenset(("eeg", "lfp"))


@dataclass(frozen=True)
class DayClock:
    """The time of day throughout a long recording.

    Attributes:
        start: Clock time of the start of the recording; None where unknown, and hours then count from the start.
        zone: Name of a time zone whose summer time is followed; None for a clock that is never set.

    >>> clock = DayClock(datetime(2024, 3, 30, 23), "Europe/Berlin")  # two hours before the clocks go forward
    >>> clock.compute_hours(np.array([0.0, 3 * 3600.0])).tolist()
    [23.0, 3.0]
    """

    start: datetime | None
    zone: str | None = None

    def read(self, seconds: float) -> datetime | None:
        """The clock at a time in seconds from the start."""
        if self.start is None:
            return None
        if self.zone is None:
            return self.start + timedelta(seconds=seconds)
        try:
            zone = ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise SharpwaveError(
                "the name of a time zone", got=repr(self.zone), fix="give one such as Europe/Berlin"
            ) from error
        start = self.start.replace(tzinfo=zone) if self.start.tzinfo is None else self.start
        return (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(zone)

    def compute_hours(self, seconds: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """Hours of the day, 0 to 24, at times in seconds from the start; summer time changes on the quarter hour."""
        seconds = np.asarray(seconds, dtype=float)
        if self.start is None:
            return seconds / HOUR % 24
        if self.zone is None:
            return (hour_of(self.start) + seconds / HOUR) % 24
        quarters, place = np.unique(np.floor(seconds / 900.0), return_inverse=True)
        at = np.array([hour_of(self.read(900.0 * float(quarter))) for quarter in quarters])
        return (at[place] + (seconds - 900.0 * quarters[place]) / HOUR) % 24


def hour_of(clock: datetime | None) -> float:
    """The hour of the day with its fraction; 0 where no clock is known."""
    if clock is None:
        return 0.0
    return clock.hour + clock.minute / 60 + (clock.second + clock.microsecond / 1e6) / HOUR


def is_light(hours: Float[np.ndarray, " time"], schedule: tuple[float, float]) -> Bool[np.ndarray, " time"]:
    """Whether lights are on at hours of the day.

    >>> is_light(np.array([8.0, 20.0]), (7.0, 19.0)).tolist(), is_light(np.array([8.0, 20.0]), (19.0, 7.0)).tolist()
    ([True, False], [False, True])
    """
    on, off = schedule
    return (hours - on) % 24 < (off - on) % 24


def find_days(recording: Recording, options: DayOptions | None = None) -> list[NightSpan]:
    """The days of a long recording, or its dark phases; none where it is decoded as a whole.

    People's days are cut at noon, those of animals at lights on, or, without a schedule, 24 h after their start. Each
    is named by the date on which it begins; of two that begin on one date, the earlier with its clock time, too.

    Args:
        recording: A recording; its samples are not read.
        options: How it is cut.

    Raises:
        SharpwaveError: If there is a schedule of light and the recording has no clock time.

    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> lfp = Signal("HIP", np.zeros(71 * 3600), 1.0, MODALITIES["lfp"])
    >>> rat = Recording({"HIP": lfp}, species="rat", start=datetime(2024, 3, 1, 9))
    >>> [day.label for day in find_days(rat, DayOptions(light_schedule="07:00-19:00"))]
    ['2024-03-01', '2024-03-02', '2024-03-03']
    """
    options = options or DayOptions()
    duration, schedule = recording.duration, read_schedule(options.light_schedule)
    long = bool(ELECTRICAL & {*recording.modalities}) and duration >= HOUR * LONGEST_NIGHT
    if options.by == "whole" or (options.by is None and not long):
        return []
    if schedule is not None and recording.start is None:
        raise SharpwaveError(
            "a recording that says at what time of day it began, for --light-schedule",
            got="one without a clock time",
            fix="leave --light-schedule out: hours then count from the start of the recording",
        )
    clock = DayClock(recording.start, options.time_zone)
    if options.by == "night" and schedule is not None:
        dark = find_runs(~is_light(clock.compute_hours(np.arange(0.0, duration, 60.0)), schedule))
        spans = [(60.0 * low, min(60.0 * high, duration)) for low, high in dark]
        named = [_name(clock, low, high, "its dark phase") for low, high in spans if high - low >= HOUR * SHORTEST]
        return _tell_apart(named, clock)
    cut, how = _choose_cut(recording, schedule)
    hours = (clock.compute_hours(np.arange(0.0, duration, 60.0)) - cut) % 24
    ends = [0.0]
    for edge in (60.0 * (np.flatnonzero(np.diff(hours) < -12) + 1)).tolist():
        if ends[-1] + HOUR * SHORTEST <= edge <= duration - HOUR * SHORTEST:  # clocks that go back pass it twice
            ends.append(edge)
    return _tell_apart([_name(clock, low, high, how) for low, high in pairwise([*ends, duration])], clock)


def _choose_cut(recording: Recording, schedule: tuple[float, float] | None) -> tuple[float, str]:
    if recording.species == "human" and recording.start is not None:
        return 12.0, "days of people are cut at noon"
    if schedule is not None and recording.start is not None:
        return schedule[0], "days are cut at lights on"
    own = hour_of(recording.start)
    return own, "no schedule of light is known: days are cut 24 h after the start"


def find_runs(mask: Bool[np.ndarray, " bin"]) -> list[tuple[int, int]]:
    """First and last (excluded) place of each run of true values.

    >>> find_runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(int)))
    return [(int(low), int(high)) for low, high in edges.reshape(-1, 2)]


def _name(clock: DayClock, low: float, high: float, how: str) -> NightSpan:
    first, last = clock.read(low), clock.read(high)
    if first is None or last is None or first.year <= 1900:
        label, span = f"day-{int(low // DAY) + 1:03d}", f"{low / HOUR:.1f} to {high / HOUR:.1f} h"
    else:
        label, span = f"{first:%Y-%m-%d}", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    return NightSpan(low, high, label, f"{span} of a longer recording; {how}")


def _tell_apart(days: list[NightSpan], clock: DayClock) -> list[NightSpan]:
    """Days of which no two have the same name: each has a folder of its own."""
    later = [{day.label for day in days[place + 1 :]} for place in range(len(days))]
    return [
        replace(day, label=f"{day.label}-{begin:%H%M}")
        if day.label in same and (begin := clock.read(day.start)) is not None
        else day
        for day, same in zip(days, later, strict=True)
    ]


def read_spans(path: Path | None) -> pd.DataFrame:
    """Named spans of a long recording: onset, duration (s from its start), label.

    Raises:
        SharpwaveError: If the table lacks a column, a time is no number of seconds, or a label is that of a phase.
    """
    if path is None:
        return pd.DataFrame({"onset": [], "duration": [], "label": []})
    with explained("a table of spans", name=str(path), fix="write onset, duration, label; one row a span"):
        table = pd.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")
    missing = {"onset", "duration", "label"} - {*table.columns}
    if missing:
        raise SharpwaveError("columns onset, duration, label", got=f"no {', '.join(sorted(missing))}", fix="add them")
    for name in ("onset", "duration"):
        seconds = pd.to_numeric(table[name], errors="coerce")
        if len(wrong := table[name][~np.isfinite(seconds) | ((seconds < 0) & (name == "duration"))]):
            raise SharpwaveError(
                f"seconds in the column {name} of {show_path(path.name)}",
                got=repr(wrong.iloc[0]),
                fix="count seconds from the start of the recording",
            )
        table[name] = seconds
    table["label"] = table["label"].astype(str).str.strip()
    if taken := sorted({"day", "light", "dark"} & {*table["label"]}):
        raise SharpwaveError("spans with names of their own", got=taken[0], fix="call it otherwise: it is a phase")
    return table


def mark_day(recording: Recording, day: NightSpan, clock: DayClock) -> Recording:
    """One day as a recording of its own whose start is the clock's, summer time included."""
    start = clock.read(day.start)
    return replace(recording, start=recording.start if start is None else start.replace(tzinfo=None))


def check_zone(how: DayOptions) -> None:
    """Refuse a time zone that does not exist, and spans that cannot be used, before anything is decoded.

    Raises:
        SharpwaveError: If there is no such zone, or the table of spans is not there, or none.

    >>> check_zone(DayOptions(time_zone="Mars/Olympus"))
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected the name of a time zone; got 'Mars/Olympus'. Fix: give one such as ...
    """
    if how.time_zone is not None:
        DayClock(datetime(2024, 1, 1), how.time_zone).read(0.0)
    if how.spans is not None and not how.spans.is_file():
        raise SharpwaveError("a table of spans", got=f"{show_path(how.spans)}, no file", fix="check the path")
    read_spans(how.spans)
