"""Where the rows of a scoring lie in time, where what stands in them does not tell it alone.

Clock times without their zone, their half of the day or their seconds; minutes and seconds that look like hours; times
in another unit, or at which epochs end; numbers of epochs in any order. The recording's clock and length decide, and
each choice is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise

import numpy as np
from jaxtyping import Float

from sharpwave.recordings.clock import ClockColumn
from sharpwave.recordings.clock_steps import compute_offset

QUARTER = 900.0
"""Seconds; zones lie a whole number of quarters of an hour apart."""
HALF_DAY = 43_200.0
EPOCHS = (30.0, 20.0, 10.0, 5.0, 4.0, 2.0, 60.0, 15.0)
"""Seconds that epochs usually last."""
BESIDE = 120.0
"""Seconds by the clock within which an event belongs to the stage in a row beside its own."""
ANEW = 4000.0
"""Seconds back by which a list of events begins anew, with those of another kind; a clock is set back by 3,600."""
_NO_SECONDS = re.compile(r"((?:.*[ T])?\d{1,2}[:.]\d{2})(\s*[AaPp]\.?[Mm]?\.?)?")
_MINUTES = re.compile(r"\d{1,4}:[0-5]\d")


def find_clock(read: ClockColumn, start: datetime | None, duration: float | None) -> tuple[datetime | None, list[str]]:
    """The first time of a scoring on its recording's clock, and a sentence where its zone or half of the day is found.

    Args:
        read: The scoring's times.
        start: Clock time of the recording's first sample, where known.
        duration: Length of the recording in seconds, where known.

    >>> read = ClockColumn(np.array([0.0, 30.0, 60.0]), datetime(1900, 1, 1, 11, 10))
    >>> find_clock(read, datetime(2023, 2, 1, 23, 10), 90.0)[0]
    datetime.datetime(1900, 1, 1, 23, 10)
    """
    if read.start is None:
        return None, []
    face = read.start.replace(tzinfo=None)
    known = read.seconds[np.isfinite(read.seconds)]
    if start is None or not known.size:
        return face, []
    usual = float(np.median(np.diff(known))) if known.size > 1 else 30.0
    if not read.dated:
        return _find_half(face, known, usual, start, duration)
    if read.start.tzinfo is None and start.tzinfo is None:
        return face, []
    if read.start.tzinfo is not None and start.tzinfo is not None:
        return read.start.astimezone(start.tzinfo).replace(tzinfo=None), []
    offset = compute_offset(face, start, dated=read.dated)
    quarters = abs(offset - QUARTER * round(offset / QUARTER)) <= 0.5 * usual and QUARTER <= abs(offset) <= 14 * 3600
    fits = duration is not None and known.size > 1 and abs(np.ptp(known) + usual - duration) <= 2 * usual
    if not (quarters and fits):
        return face, []
    said = f"its times are of another zone, {offset / 3600:+g} h from the recording's clock; taken to begin together"
    return start.replace(tzinfo=None), [said]


def _find_half(
    face: datetime, known: np.ndarray, usual: float, start: datetime, duration: float | None
) -> tuple[datetime, list[str]]:
    """The first clock time, twelve hours on where the times are outside the recording and only so within it."""
    if duration is None or not 1 <= face.hour <= 12:
        return face, []
    begin = compute_offset(face, start, dated=False)
    near = max(2 * usual, 0.01 * duration)

    def is_within(first: float) -> bool:
        return bool(first >= -near and first + known.max() + usual <= duration + near)

    later = (begin + 2 * HALF_DAY) % (2 * HALF_DAY) - HALF_DAY
    overlaps = begin < duration and begin + known.max() + usual > 0
    if overlaps or not is_within(later):
        return face, []
    return face + timedelta(hours=12), ["clock times without AM or PM are those of the other half of the day"]


def add_seconds(written: Sequence[str]) -> tuple[list[str], list[str]]:
    """Clock times with their seconds, where they have none and several epochs share a minute; and a sentence on it.

    Args:
        written: The times of all scored rows.

    >>> add_seconds(["22:59", "23:00", "23:00", "23:01", "23:01"])[0]
    ['22:59:30', '23:00:00', '23:00:30', '23:01:00', '23:01:30']
    """
    found = [_NO_SECONDS.fullmatch(text) for text in written]
    counts = np.array([len([*same]) for _, same in groupby(written)])
    usual = int(np.median(counts)) if len(counts) else 0
    if usual < 2 or len(counts) < 3 or counts.max() > usual or (counts[1:-1] != usual).any() or not all(found):
        return list(written), []
    within = np.concatenate([np.arange(count) for count in counts])
    within[: counts[0]] += usual - counts[0]
    texts = [f"{m[1]}:{k * 60 / usual:02.0f}{m[2] or ''}" for m, k in zip(found, within, strict=True) if m]
    return texts, [f"clock times have no seconds: {usual} epochs a minute are {60 / usual:g} s each"]


def write_hours(written: Sequence[str], duration: float | None) -> list[str] | None:
    """Times of minutes and seconds ("12:30") with their hours, where as hours and minutes they pass the recording.

    Args:
        written: The times of all scored rows.
        duration: Length of the recording in seconds; None where unknown.

    Returns:
        The times with hours; None where they are no such times.

    >>> write_hours(["00:00", "00:30", "01:00", "61:30"], 3700.0)
    ['0:00:00', '0:00:30', '0:01:00', '1:01:30']
    """
    if duration is None or len(written) < 3 or not all(map(_MINUTES.fullmatch, written)):
        return None
    minutes = np.array([int(text.partition(":")[0]) for text in written])
    seconds = 60.0 * minutes + [int(text.partition(":")[2]) for text in written]
    step = float(np.median(np.diff(seconds)))
    if (np.diff(seconds) <= 0).any() or seconds[-1] > duration + 2 * step or 60 * np.ptp(seconds) <= 1.5 * duration:
        return None
    return [f"{m // 60}:{m % 60:02d}:{text.partition(':')[2]}" for m, text in zip(minutes, written, strict=True)]


def add_hours(row: Sequence[str], columns: Sequence[int]) -> list[str]:
    """The row with its times of minutes and seconds as hours, minutes and seconds.

    >>> add_hours(["61:30", "W"], [0])
    ['1:01:30', 'W']
    """
    cells = list(row)
    for column in columns:
        if column < len(cells) and _MINUTES.fullmatch(cells[column].strip()):
            minutes, _, seconds = cells[column].strip().partition(":")
            cells[column] = f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{seconds}"
    return cells


def fill_dates(rows: Sequence[list[str]], column: int) -> list[list[str]]:
    """Rows with the date of the row before where theirs is empty.

    >>> fill_dates([["1/2/2023", "23:00"], ["", "23:30"]], 0)
    [['1/2/2023', '23:00'], ['1/2/2023', '23:30']]
    """
    filled, last = [], ""
    for row in rows:
        last = row[column] if column < len(row) and row[column].strip() else last
        filled.append([last if k == column else cell for k, cell in enumerate(row)])
    return filled


def find_factor(
    times: Float[np.ndarray, " row"], lasting: Float[np.ndarray, " row"], duration: float | None
) -> tuple[float, list[str]]:
    """Seconds per unit of plain times that are of another unit: only so the scoring is as long as the recording.

    Args:
        times: Time of each row.
        lasting: How long each row lasts; NaN where unknown.
        duration: Length of the recording in seconds; None where unknown.

    Returns:
        The factor (1 where seconds fit, or nothing does), and a sentence on it.

    >>> find_factor(np.arange(240.0), np.full(240, np.nan), 7200.0)
    (30.0, ['times are read as numbers of epochs of 30 s, with which the scoring is as long as the recording'])
    >>> find_factor(30.0 * np.arange(240), np.full(240, np.nan), 7200.0)
    (1.0, [])
    """
    steps = np.diff(times)
    if duration is None or len(times) < 10 or (steps <= 0).any():
        return 1.0, []
    step = float(np.median(steps))
    last = float(lasting[-1]) if np.isfinite(lasting[-1]) and lasting[-1] > 0 else step
    covered = float(times[-1] + last - min(times[0], step))
    if 0.5 * duration <= covered <= 1.5 * duration or (np.isfinite(lasting).any() and last > 3 * steps.max()):
        return 1.0, []
    whole = bool((times % 1 == 0).all())
    candidates = {"minutes": 60.0, "hours": 3600.0, "milliseconds": 1e-3}
    if whole and steps.min() == 1:
        candidates |= {f"numbers of epochs of {length:g} s": length for length in EPOCHS}
    if whole and step > 50 and (steps == step).all():
        candidates |= {f"samples of {step / length:g} Hz": length / step for length in EPOCHS if step / length >= 1}
    for name, factor in candidates.items():
        if abs(covered * factor - duration) <= max(1.0, factor * step) and factor * step >= 1:
            said = f"times are read as {name}, with which the scoring is as long as the recording"
            return factor, [said]
    return 1.0, []


def read_duration(text: str) -> float:
    """A duration: seconds, with or without a unit, or h:mm:ss."""
    try:
        return float(text)
    except ValueError:
        pass
    if match := re.fullmatch(r"(\d+(?:[.,]\d*)?)\s*(?:s|sec|seconds?)?", text.strip(), re.IGNORECASE):
        return float(match.group(1).replace(",", "."))
    if match := re.fullmatch(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2}(?:[.,]\d+)?)", text.strip()):
        hours, minutes, seconds = match.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    return float("nan")


def take_for_begins(
    times: Float[np.ndarray, " row"], offset: float | None, duration: float | None, *, whole: bool
) -> tuple[Float[np.ndarray, " row"], list[str]]:
    """Seconds at which epochs begin, of times at which they end or of their middles, by where the recording ends.

    As a begin, the last time would be that of an epoch beyond the recording, and the first epoch would be missing.

    Args:
        times: Seconds of each row, one an epoch.
        offset: Seconds from the recording's first sample to second 0 of these; None where unknown.
        duration: Length of the recording in seconds; None where unknown.
        whole: Whether no row was left out.

    >>> take_for_begins(np.array([30.0, 60.0, 90.0]), 0.0, 90.0, whole=True)[0].tolist()
    [0.0, 30.0, 60.0]
    >>> take_for_begins(np.array([15.0, 45.0, 75.0]), 0.0, 90.0, whole=True)[0].tolist()
    [0.0, 30.0, 60.0]
    """
    if offset is None or duration is None or len(times) < 3:
        return times, []
    step = float(times[1] - times[0])
    even = step > 0 and bool((np.abs(np.diff(times) - step) < 0.01 * step).all())
    for part, name in ((1.0, "ends"), (0.5, "middles")):
        left = duration - (times[-1] + offset + step * (1 - part))
        near = 0.01 * step
        if even and abs(times[0] + offset - part * step) <= near and -near <= left < (part * step if whole else near):
            said = f"times run from {part * step:g} s on and fit the recording as the {name} of epochs only"
            return times - part * step, [said]
    return times, []


@dataclass(frozen=True, eq=False)
class Numbered:
    """Where the rows of a list of numbered epochs go.

    Attributes:
        order: Rows by their number, shape (row,).
        place: Epoch of each of these, from 0, shape (row,).
        said: What was put in order or found missing, one sentence each.
    """

    order: np.ndarray
    place: np.ndarray
    said: list[str]


def place_epochs(numbers: Sequence[str], fits: Sequence[int] = ()) -> Numbered | None:
    """Where numbered epochs lie; None where they are no numbers of epochs, or lie as they stand.

    Args:
        numbers: Number of each row as it is written.
        fits: Numbers of epochs that fit the recording.

    >>> placed = place_epochs(["3", "2", "1"])
    >>> placed.order.tolist(), placed.place.tolist()
    ([2, 1, 0], [0, 1, 2])
    """
    if not numbers or not all(re.fullmatch(r"\d{1,7}(\.0*)?", number) for number in numbers):
        return None
    places = np.array([int(float(number)) for number in numbers])
    if len(np.unique(places)) < len(places):
        return None
    order = np.argsort(places, kind="stable")
    said = ["the epochs of the list are not in order of their numbers, and were put in order"]
    said = said if (np.diff(order) < 0).any() else []
    places = places[order]
    gaps = bool((np.diff(places) != 1).any())
    late = places[0] > 1 and len(places) not in fits and int(places[-1]) in fits
    places = places - (places[0] if places[0] <= 1 or not (gaps or late) else 1)
    if places[-1] >= 4 * len(places):
        return None
    missing = int(places[-1]) + 1 - len(places)
    if missing:
        said.append(f"{missing} epochs are missing in the list and are unscored")
    return Numbered(order, places, said) if said else None


def find_shifts(
    onset: np.ndarray,
    labels: Sequence[str],
    places: np.ndarray,
    by_clock: np.ndarray,
    scored: np.ndarray,
    shifts: np.ndarray,
) -> np.ndarray:
    """By how much the clock was set at each event: as at the stage beside it, of those in the rows round it.

    In the hour that comes twice the time alone does not tell. Events in a list of their own tell by their order: one
    earlier than the one before is of the second hour.

    Args:
        onset: Seconds of the events by the clock.
        labels: What they are; a list may hold one kind after the other.
        places: Their rows.
        by_clock: Seconds of the stages by the clock.
        scored: Rows of the stages.
        shifts: By how much the clock was set at each stage.
    """
    found = np.zeros(len(onset))
    turned, latest = False, -np.inf
    changes = [first != second for first, second in pairwise(labels)]
    by_kind = sum(changes) == len(set(labels)) - 1
    for k, (seconds, row) in enumerate(zip(onset, places, strict=True)):
        if k and ((by_kind and changes[k - 1]) or seconds < onset[k - 1] - ANEW):
            turned, latest = False, -np.inf
        after = int(np.searchsorted(scored, row, side="right"))
        round_it = np.arange(max(after - 1, 0), min(after + 1, len(scored)))
        beside = np.abs(by_clock[round_it] - seconds)
        if beside.size and beside.min() <= BESIDE:
            found[k] = shifts[round_it[beside.argmin()]]
            continue
        far = np.abs(by_clock - seconds)
        near = np.unique(shifts[far <= far.min() + BESIDE])
        turned |= bool(seconds < latest)
        latest = max(latest, seconds)
        found[k] = (near.max() if turned else near.min()) if near.size > 1 else shifts[far.argmin()]
    return found


def within_a_day(seconds: np.ndarray) -> np.ndarray:
    """Clock times without dates, from six hours before the first stage to eighteen after it."""
    return np.asarray(np.mod(seconds + 6 * 3600, 86_400) - 6 * 3600)
