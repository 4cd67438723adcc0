"""Several days of a watch in one recording: where one night ends and the next begins, and when its wearer rested.

Days are cut at noon, or at their most active hour where people sleep at noon, or where that is near in a stretch
without data. Of each day the longest rest is taken, with half an hour on either side: stagers know nights, not days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import numpy as np

from sharpwave.recordings import Recording, Signal
from sharpwave.signals.epoch_values import SLOW, compute_epoch_values

LONGEST_NIGHT = 36.0
"""Hours: a longer recording of a watch holds several nights."""
LONGEST_WHOLE = 20.0
"""Hours: of a longer recording only the rest is a night."""
LEAST_AWAKE = 12.0
"""Hours of data from which a piece without a rest is a night all the same, one that was not slept."""
LEAST_DATA = 4.0
"""Hours of data below which a piece is no night, and is left to its neighbour."""
BIN = 300.0
WHOLE = "its ends"
DAY = 86_400.0
LEAST_REST, LONGEST_RISE, MARGIN = 3.0, 1.0, 0.5
"""Hours: shortest main rest; getting up for less does not end it; what is taken before and after it."""
LEAST_CONTRAST = {"activity": 0.7, "heart_rate": 5.0}
"""Least difference of days and nights, in log(1 + activity) and in beats per minute, by which rest is told."""
NEAR, SHORTEST_PAUSE, SMOOTH = 4.0, 1.0, 6.0
"""Hours: how far from its usual time a cut may move into a pause; how long the pause must be; window of activity."""


@dataclass(frozen=True)
class NightSpan:
    """One night of a recording of several days.

    Attributes:
        start: Its start, in seconds from the start of the recording.
        end: Its end, in seconds.
        label: Date of its evening, such as "2023-10-23"; "night-1" and so on where no date is known.
        sentence: How it was cut, for `repairs`.
    """

    start: float
    end: float
    label: str
    sentence: str


def find_nights(recording: Recording) -> list[NightSpan]:
    """The nights of a recording of several days, or the one of a day and a night; none where it is not a watch's.

    Args:
        recording: Heart rate, activity, temperature or oxygen of a person, without EEG or LFP.

    Returns:
        Nights in order; empty where the recording is a night as it is.

    >>> from datetime import datetime
    >>> from sharpwave.recordings import MODALITIES
    >>> pulse = Signal("pulse", np.full(4320, 60.0), 1 / 60, MODALITIES["heart_rate"])
    >>> [night.label for night in find_nights(Recording(signals={"pulse": pulse}, start=datetime(2024, 3, 1, 12)))]
    ['2024-03-01', '2024-03-02', '2024-03-03']
    """
    electrical = {"eeg", "lfp", "spikes", "bold", "calcium"} & {*recording.modalities}
    if recording.duration < 3600 * LONGEST_WHOLE or electrical or recording.species not in ("human", "unknown"):
        return []
    n_bins = int(np.ceil(recording.duration / BIN))
    values = {
        kind: compute_epoch_values(next(iter(recording.of(kind).values())), n_bins, epoch=BIN)
        for kind in SLOW
        if recording.of(kind)
    }
    if not values:
        return []
    known: np.ndarray = np.asarray(np.isfinite(np.stack([*values.values()])).any(axis=0))
    moving = values.get("activity", next(iter(values.values())))
    resting = _find_rest(values)
    pieces, how = [(0, n_bins)], WHOLE
    if recording.duration >= 3600 * LONGEST_NIGHT:
        cuts, how = _find_cuts(recording, moving, known)
        pieces = _join_small([*pairwise(cuts)], known)
    slept = [piece for piece in pieces if _is_night(*piece, known, resting)]
    if len(slept) < len(pieces):
        how += f"; {len(pieces) - len(slept)} stretches of less than {LEAST_AWAKE:g} h without a rest are in no night"
        pieces = slept
    return _describe(recording, pieces, known, resting, how) if len(pieces) > 1 or (pieces and resting.any()) else []


def _find_rest(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bins of rest: little movement while the watch is worn, or a low heart rate; none where days are like nights."""
    kind = next((kind for kind in LEAST_CONTRAST if kind in values), None)
    if kind is None:
        return np.zeros(len(next(iter(values.values()))), dtype=bool)
    level = np.log1p(np.maximum(values[kind], 0)) if kind == "activity" else values[kind]
    known = np.isfinite(level)
    width = np.ones(int(3600 / BIN))
    count = np.convolve(known, width, mode="same")
    smooth = np.convolve(np.where(known, level, 0), width, mode="same") / np.maximum(count, 1)
    low, high = np.quantile(smooth[known], [0.1, 0.9]) if known.any() else (0.0, 0.0)
    if high - low < LEAST_CONTRAST[kind]:
        return np.zeros(len(level), dtype=bool)
    resting = known & (smooth < (low + high) / 2)
    worn = np.isfinite(values["heart_rate"]) if "heart_rate" in values else known
    return resting & worn if worn.mean() > 0.5 else resting


def _is_night(low: int, high: int, known: np.ndarray, resting: np.ndarray) -> bool:
    rests = not resting.any() or _find_longest(resting, low, high) != (low, high)
    return bool(rests or known[low:high].sum() * BIN >= 3600 * LEAST_AWAKE or resting[low:high].all())


def _find_longest(resting: np.ndarray, low: int, high: int) -> tuple[int, int]:
    """The longest rest in bins [low, high), with a margin; the whole piece where there is none of three hours."""
    edges = np.flatnonzero(np.diff(np.r_[False, resting[low:high], False].astype(int))).reshape(-1, 2)
    runs: list[list[int]] = []
    for begin, end in edges.tolist():
        if runs and (begin - runs[-1][1]) * BIN <= 3600 * LONGEST_RISE:
            runs[-1][1] = end
        else:
            runs.append([begin, end])
    begin, end = max(runs, key=lambda run: run[1] - run[0], default=[0, 0])
    if (end - begin) * BIN < 3600 * LEAST_REST:
        return low, high
    margin = int(3600 * MARGIN / BIN)
    return max(low + begin - margin, low), min(low + end + margin, high)


def warn_of_days(recording: Recording) -> list[str]:
    """A sentence where a recording of several days of a watch is about to be taken as one night.

    Args:
        recording: The recording as it will be decoded.
    """
    nights = find_nights(recording) if recording.duration >= 3600 * LONGEST_NIGHT else []
    if len(nights) < 2:
        return []
    hours = recording.duration / 3600
    return [
        f"{hours:.0f} h were taken as one night; `sharpwave decode`, or find_nights and take_night, part the nights"
    ]


def take_night(recording: Recording, night: NightSpan) -> Recording:
    """One night as a recording of its own: times from its start, and a repair that says how it was cut.

    Args:
        recording: Recording of several days.
        night: One of `find_nights`.
    """
    part = recording.restrict(night.start, night.end)
    events = part.events.assign(onset=part.events["onset"] - night.start)
    hypnogram = part.hypnogram
    return replace(
        part,
        signals={name: _shift(signal, night.start) for name, signal in part.signals.items() if len(signal)},
        events=events,
        hypnogram=None if hypnogram is None else replace(hypnogram, start=hypnogram.start - night.start),
        start=None if part.start is None else part.start + timedelta(seconds=night.start),
        repairs=(*part.repairs, night.sentence),
    )


def _shift(signal: Signal, seconds: float) -> Signal:
    times = None if signal.times is None else signal.times - seconds
    return replace(signal, start=signal.start - seconds, times=times)


def _find_cuts(recording: Recording, values: np.ndarray, known: np.ndarray) -> tuple[list[int], str]:
    """Bins at which days are cut, the first and last of the recording included, and in words at what time of day."""
    start = recording.start
    zero = 0.0 if start is None else start.hour * 3600 + start.minute * 60 + start.second
    per_day = int(DAY / BIN)
    place = ((zero + BIN * np.arange(len(values))) // BIN % per_day).astype(int)
    there = np.isfinite(values)
    count = np.bincount(place[there], minlength=per_day)
    profile = np.bincount(place[there], values[there], per_day) / np.maximum(count, 1)
    profile = np.where(count > 0, profile, np.median(profile[count > 0]))
    width = int(3600 * SMOOTH / BIN)
    smooth = np.convolve(np.tile(profile, 3), np.ones(width) / width, mode="same")[per_day : 2 * per_day]
    noon = per_day // 2
    if start is not None and smooth[noon] >= np.median(smooth):
        time, how = noon, "noon"
    else:
        time = int(np.argmax(smooth))
        how = "the most active time of its days"
    cuts = []
    for cut in np.flatnonzero(place == time):
        low, high = max(int(cut - 3600 * NEAR / BIN), 0), min(int(cut + 3600 * NEAR / BIN), len(known))
        cuts.append(_find_pause(known[low:high], low) or int(cut))
    return [0, *(cut for cut in sorted({*cuts}) if 0 < cut < len(known)), len(known)], how


def _find_pause(known: np.ndarray, low: int) -> int | None:
    """The middle of the longest stretch without data; None where there is none of an hour."""
    edges = np.flatnonzero(np.diff(np.r_[True, known, True].astype(int)))
    runs = edges.reshape(-1, 2)
    longest = max(runs, key=lambda run: run[1] - run[0], default=None)
    if longest is None or (longest[1] - longest[0]) * BIN < 3600 * SHORTEST_PAUSE:
        return None
    return low + int(longest.sum() // 2)


def _join_small(pieces: list[tuple[int, int]], known: np.ndarray) -> list[tuple[int, int]]:
    """Pieces with data for a night; smaller ones are joined to the piece before, or else to the one after."""
    least = 3600 * LEAST_DATA / BIN
    joined: list[tuple[int, int]] = []
    waiting: int | None = None
    for low, high in pieces:
        if known[low:high].sum() >= least:
            joined.append((low if waiting is None else waiting, high))
            waiting = None
        elif known[low:high].any() and joined and joined[-1][1] == low:
            joined[-1] = (joined[-1][0], high)
        elif known[low:high].any() and not joined:
            waiting = low if waiting is None else waiting
    return joined


def _describe(
    recording: Recording, pieces: list[tuple[int, int]], known: np.ndarray, resting: np.ndarray, how: str
) -> list[NightSpan]:
    nights = []
    for number, (low, high) in enumerate(pieces, 1):
        first_bin, last_bin = _find_longest(resting, low, high)
        whole = (first_bin, last_bin) == (low, high)
        inside = np.flatnonzero(known[first_bin:last_bin]) + first_bin
        begin, end = BIN * float(inside[0]), min(BIN * float(inside[-1] + 1), recording.duration)
        start = recording.start
        if start is None or start.year <= 1900:
            label, span = f"night-{number}", f"{begin / 3600:.1f} to {end / 3600:.1f} h"
        else:
            first, last = start + timedelta(seconds=begin), start + timedelta(seconds=end)
            label, span = f"{first - timedelta(hours=6):%Y-%m-%d}", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
        taken = "no rest stands out, all of it is taken" if whole else "the longest rest, with half an hour around it"
        cut = f"; days are cut at {how}" if how != WHOLE else ""
        sentence = f"night {number} of {len(pieces)} of this recording, {span}: {taken}{cut}"
        nights.append(NightSpan(begin, end, label, sentence))
    labels = [night.label for night in nights]
    return [
        night if labels.count(night.label) == 1 else replace(night, label=f"{night.label}-{number}")
        for number, night in enumerate(nights, 1)
    ]
