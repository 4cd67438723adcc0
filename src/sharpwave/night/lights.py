"""Lights off and on: what the user says, else the recording's metadata or annotations; checked before any work."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.recordings import Recording

BESIDE = 600.0
"""Seconds by which lights may go off before the first sample, or on after the last one; more is another night's."""

WORDS = {"lights_off": "lights off", "lights_on": "lights on"}

Time = str | float | None


def place_lights(recording: Recording, lights_off: Time, lights_on: Time) -> tuple[float | None, float | None]:
    """Lights off and on, in seconds from the start of the recording; None where nobody says.

    Args:
        recording: The recording; what its metadata say counts where the user says nothing.
        lights_off: What the user says: a clock time, or seconds from the start; None where nothing.
        lights_on: Likewise.

    Raises:
        SharpwaveError: If a time cannot be read or placed, lies outside the recording, or the order is wrong.

    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> night = Recording(hypnogram=Hypnogram.from_labels(["N2"] * 120), metadata={"lights_on": 3540.0})
    >>> place_lights(night, "60", None)
    (60.0, 3540.0)
    """
    from sharpwave.recordings.day_times import place_time

    length = recording.duration
    placed: dict[str, float | None] = {}
    for name, given in {"lights_off": lights_off, "lights_on": lights_on}.items():
        if given is None:
            placed[name] = _read_metadata(recording, name)
            continue
        seconds = place_time(given, recording.start, duration=length or None)
        if seconds is not None and length and not -BESIDE <= seconds <= length + BESIDE:
            raise SharpwaveError(
                f"{WORDS[name]} within the recording, {_describe_span(recording)}",
                got=f"{given}, {_describe_distance(seconds, length)}",
                fix=f"check --{name.replace('_', '-')} and the recording's start time; add a date, or give seconds",
            )
        placed[name] = seconds
    off, on = placed["lights_off"], placed["lights_on"]
    if off is not None and on is not None and on <= off:
        raise SharpwaveError(
            "lights on after lights off", got=f"off at {off:g} s, on at {on:g} s", fix="check both times"
        )
    return off, on


def _describe_span(recording: Recording) -> str:
    length = recording.duration
    if recording.start is None:
        return f"0 to {length:g} s"
    end = recording.start + timedelta(seconds=length)
    return f"{recording.start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}"


def _describe_distance(seconds: float, length: float) -> str:
    return f"{-seconds:g} s before its start" if seconds < 0 else f"{seconds - length:g} s after its end"


def _read_metadata(recording: Recording, name: str) -> float | None:
    """A time that the recording's metadata hold, in seconds from the start; None where it is none or lies outside."""
    from sharpwave.recordings.day_times import place_time

    value = recording.metadata.get(name)
    if value is None:
        return None
    try:
        seconds = place_time(value, recording.start, duration=recording.duration or None)
    except (SharpwaveError, TypeError, ValueError):
        return None
    length = recording.duration
    if seconds is None or not np.isfinite(seconds) or (length and not -BESIDE <= seconds <= length + BESIDE):
        return None
    return float(seconds)


def mark_lights(recording: Recording, lights_off: Time = None, lights_on: Time = None) -> Recording:
    """The recording with lights off and on of its annotations in its metadata, declared, and all of them checked.

    Args:
        recording: The recording.
        lights_off: What the user says: a clock time, or seconds from the start; beats the recording.
        lights_on: Likewise.

    Raises:
        SharpwaveError: As `place_lights`.

    >>> import pandas as pd
    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> marks = pd.DataFrame({"onset": [60.0, 3540.0], "duration": 0.0, "label": ["Lights off", "Lights on"]})
    >>> marked = mark_lights(Recording(hypnogram=Hypnogram.from_labels(["N2"] * 120), events=marks))
    >>> marked.metadata["lights_off"], marked.repairs[0]
    (60.0, "lights off at 60 s, lights on at 3540 s, as the annotations 'Lights off', 'Lights on' say")
    """
    from sharpwave.recordings.annotations import find_lights_marks

    given = {"lights_off": lights_off, "lights_on": lights_on}
    metadata, repairs = dict(recording.metadata), list(recording.repairs)
    for name in WORDS:
        if metadata.get(name) is not None and _read_metadata(recording, name) is None:
            repairs.append(
                f"{WORDS[name]} of the file, {metadata.pop(name)}, is no time within the recording; left out"
            )
    off, on = place_lights(replace(recording, metadata=metadata), lights_off, lights_on)
    found = find_lights_marks(recording.events) if len(recording.events) else {}
    if on is not None and found.get("lights_off", (on - 1, ""))[0] >= on:
        del found["lights_off"]
    if off is not None and found.get("lights_on", (off + 1, ""))[0] <= off:
        del found["lights_on"]
    taken = {
        name: mark
        for name, mark in found.items()
        if given[name] is None and metadata.get(name) is None and -BESIDE <= mark[0] <= recording.duration + BESIDE
    }
    if taken:
        times = ", ".join(f"{WORDS[name]} at {_write_time(recording, mark[0])}" for name, mark in taken.items())
        labels = list(dict.fromkeys(repr(mark[1]) for mark in taken.values()))
        noun, verb = ("annotations", "say") if len(labels) > 1 else ("annotation", "says")
        repairs.append(f"{times}, as the {noun} {', '.join(labels)} {verb}")
        metadata |= {name: mark[0] for name, mark in taken.items()}
    off, on = place_lights(replace(recording, metadata=metadata), lights_off, lights_on)
    for name, seconds in (("lights_off", off), ("lights_on", on)):
        if given[name] is not None and seconds is not None and not 0 <= seconds <= (recording.duration or seconds):
            repairs.append(f"{WORDS[name]} is {_describe_distance(seconds, recording.duration)}")
    universal = [time for time in given.values() if isinstance(time, str) and _is_taken_as_utc(time, recording)]
    if universal:
        repairs.append(
            f"the clock of the recording is in UTC, and {' and '.join(universal)} "
            f"{'was' if len(universal) == 1 else 'were'} taken so; give local times with their offset from UTC"
        )
    known = {"lights_off": off, "lights_on": on}
    metadata |= {name: seconds for name, seconds in known.items() if seconds is not None}
    return replace(recording, metadata=metadata, repairs=tuple(repairs))


def _is_taken_as_utc(time: str, recording: Recording) -> bool:
    """Whether a clock time without an offset was placed on a clock that is in UTC, as Unix time is."""
    from sharpwave.recordings.day_times import has_offset, read_day_time

    start = recording.start
    return start is not None and start.tzname() == "UTC" and read_day_time(time) is not None and not has_offset(time)


def _write_time(recording: Recording, seconds: float) -> str:
    if recording.start is None:
        return f"{seconds:g} s"
    return f"{recording.start + timedelta(seconds=seconds):%H:%M:%S} ({seconds:g} s)"
