"""When each data record of an EDF+ or BDF+ file was recorded: its stated times against the steady clock of the header.

The header's flag (EDF+C, EDF+D) is not asked: writers set it wrongly, and a jump that is read as continuous puts
everything after it at a wrong time.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

TOLERANCE = 0.02
"""Seconds by which a record may begin beside the clock of the run that it is in, before a new run begins."""
JITTER = 1.0
"""Seconds within which stated times may go to and fro round a steady clock (they are often rounded)."""
DRIFT = 0.005
"""Largest difference between the clocks of header and records that is drift, as a share."""
LONGEST_GAP = 31 * 86_400.0
"""Seconds; a longer jump is a broken time, not a pause."""
LONGEST = 366 * 86_400.0
"""Seconds; no gap is left after this time."""


@dataclass(frozen=True)
class Run:
    """Consecutive data records without a gap.

    Attributes:
        first: Number of the first data record, from 0.
        last: Number of the record after the last.
        onset: Start of the first record in seconds from the start of the recording.
    """

    first: int
    last: int
    onset: float


@dataclass(frozen=True)
class RecordTimes:
    """Where the data records lie in time.

    Attributes:
        duration: Length of a data record in seconds, as the stated times have it.
        runs: Data records by run, in order of time, the first at 0 s; one run where the recording is continuous.
        moved: Seconds from the stated time of each record to its place; NaN where it repeats another.
        begin: Stated time of the first run in seconds from the header's start time.
        repairs: What there is to declare, one sentence each.
    """

    duration: float
    runs: tuple[Run, ...]
    moved: Float[np.ndarray, " record"]
    repairs: tuple[str, ...] = ()
    begin: float = 0.0

    @property
    def continuous(self) -> bool:
        """Whether all records of the file follow each other, in the order of the file."""
        return len(self.runs) == 1 and self.runs[0].last - self.runs[0].first == len(self.moved)

    @property
    def gaps(self) -> tuple[tuple[float, float], ...]:
        """Start and end, in seconds, of each stretch in which nothing was recorded."""
        ends = [run.onset + (run.last - run.first) * self.duration for run in self.runs]
        between = ((end, run.onset) for end, run in zip(ends, self.runs[1:], strict=False))
        return tuple((end, onset) for end, onset in between if onset - end > TOLERANCE)


def place_records(
    stated: Float[np.ndarray, " record"],
    duration: float,
    *,
    discontinuous: bool = False,
    same: Callable[[int, int], bool] = lambda first, second: False,
) -> RecordTimes:
    """Place the data records of a file in time.

    Args:
        stated: Start of each record in seconds, as its annotations state it; NaN where they do not.
        duration: Length of a data record in seconds, as the header states it.
        discontinuous: Whether the header declares gaps; only the words of the repairs depend on it.
        same: Whether two records, by number, hold the same bytes, so that one is a repetition.

    Returns:
        The runs in order of time, which never overlap, and what has to be declared.

    >>> place_records(np.array([0.0, 1.0, 601.0, 602.0]), 1.0).runs
    (Run(first=0, last=2, onset=0.0), Run(first=2, last=4, onset=601.0))
    """
    n_records = len(stated)
    whole, still = (Run(0, n_records, 0.0),), np.zeros(n_records)
    if not np.isfinite(stated).any():
        said = "the file is declared discontinuous without the time of each data record; "
        said += "read as continuous, so that what follows a gap is too early"
        return RecordTimes(duration, whole, still, (said,) if discontinuous else ())
    repairs: list[str] = []
    onsets, begin = _complete(stated, duration, repairs)
    if n_records > 1 and np.ptp(onsets) == 0:
        repairs.append("the stated times of the data records do not advance; read as continuous")
        return RecordTimes(duration, whole, still - begin, tuple(repairs), begin)
    duration = _true_duration(onsets, duration, repairs)
    if np.abs(onsets - duration * np.arange(n_records)).max() <= TOLERANCE:
        return RecordTimes(duration, whole, still - begin, tuple(repairs), begin)
    line = _Timeline(duration, onsets)
    for first, last, onset in _cut(onsets, duration, repairs):
        _place_run(line, first, last, onset, same)
    repairs += _describe(line, discontinuous)
    earliest = min(run.onset for run in line.runs)
    runs = [replace(run, onset=run.onset - earliest) for run in sorted(line.runs, key=lambda run: run.onset)]
    return RecordTimes(duration, tuple(runs), line.moved - earliest - begin, tuple(repairs), begin + earliest)


def _complete(stated: np.ndarray, duration: float, repairs: list[str]) -> tuple[np.ndarray, float]:
    """Seconds from the first record, and its stated time; lone times that contradict their neighbours are replaced."""
    numbers = np.arange(len(stated))
    known = np.isfinite(stated)
    if len(stated) > 2:
        beside = np.where(known, stated, 0.0) - duration * numbers
        odd = np.zeros(len(stated), dtype=bool)
        agree = (np.abs(beside[2:] - beside[:-2]) <= TOLERANCE) & known[2:] & known[:-2]
        odd[1:-1] = agree & (np.abs(beside[1:-1] - beside[:-2]) > max(JITTER, duration))
        steady = known[:3].all() and abs(beside[2] - beside[1]) <= TOLERANCE
        odd[0] = steady and (stated[0] > stated[1] or stated[1] - stated[0] > LONGEST_GAP)
        known &= ~odd
    if not known.all():
        repairs.append(
            f"{np.count_nonzero(~known)} data records state no time, or one that contradicts those round it; "
            f"taken to follow the one before"
        )
    latest = np.maximum.accumulate(np.where(known, numbers, -1))
    latest[latest < 0] = np.flatnonzero(known)[0]
    onsets = stated[latest] + duration * (numbers - latest)
    return onsets - onsets[0], float(onsets[0])


def _true_duration(onsets: np.ndarray, duration: float, repairs: list[str]) -> float:
    """The length of a record by the stated times, where the header's cannot be or its clock drifts."""
    steps = np.diff(onsets)
    if len(steps) < 3:
        return duration
    usual = float(np.median(steps))
    if (
        usual > 0
        and np.mean(steps < (1 - DRIFT) * duration) > 0.9
        and np.mean(np.abs(steps - usual) <= TOLERANCE) > 0.9
    ):
        repairs.append(
            f"the header says that a data record lasts {duration:g} s, but their times are {usual:g} s apart; "
            f"{usual:g} s used"
        )
        return usual
    small = steps[np.abs(steps - duration) <= max(TOLERANCE, DRIFT * duration)] - duration
    if len(small) < 0.9 * len(steps):
        return duration
    slope, total = float(small.mean()), float(small.sum())
    bent = np.abs(np.cumsum(small) - slope * np.arange(1, len(small) + 1)).max()
    if abs(slope) > DRIFT * duration or abs(total) <= JITTER / 2 or bent > 0.2 * abs(total):
        return duration
    repairs.append(
        f"the times of the data records drift by {total:+.3g} s against the header's sampling rate; the times were used"
    )
    return duration + slope


def _cut(onsets: np.ndarray, duration: float, repairs: list[str]) -> list[tuple[int, int, float]]:
    """Runs of records as (first, last, onset): each on a steady clock, round which stated times may go to and fro."""
    beside = onsets - duration * np.arange(len(onsets))
    jumps = [0, *(np.flatnonzero(np.abs(np.diff(beside)) > JITTER) + 1).tolist(), len(onsets)]
    runs: list[tuple[int, int, float]] = []
    jitter = 0.0
    for low, high in pairwise(jumps):
        within = beside[low:high]
        if np.ptp(within) > TOLERANCE and _is_jitter(within):
            jitter = max(jitter, float(np.ptp(within)))
            runs.append((low, high, float(np.median(within)) + duration * low if low else 0.0))
            continue
        first = low
        for number in range(low, high):
            if abs(beside[number] - beside[first]) > TOLERANCE:
                runs.append((first, number, float(onsets[first])))
                first = number
        runs.append((first, high, float(onsets[first])))
    if jitter:
        repairs.append(
            f"the stated times of the data records go to and fro by up to {jitter:.3g} s round a steady clock, "
            f"which was used"
        )
    return runs


def _is_jitter(beside: np.ndarray) -> bool:
    """Whether times go to and fro round a steady clock, as rounded ones do; gaps only ever go forth."""
    steps = np.diff(beside)
    forth, back = steps[steps > 0].sum(), -steps[steps < 0].sum()
    return bool(np.ptp(beside) <= JITTER and min(forth, back) >= 0.5 * max(forth, back))


class _Timeline:
    """Runs placed so far, and what was met on the way."""

    def __init__(self, duration: float, onsets: np.ndarray) -> None:
        self.duration = duration
        self.onsets = onsets
        self.runs: list[Run] = []
        self.order: list[tuple[float, float, int]] = []
        self.moved = np.full(len(onsets), np.nan)
        self.end = 0.0
        self.shift = 0.0
        self.overlaps: list[float] = []
        self.set_back: list[float] = []
        self.broken: list[float] = []
        self.n_repeated = 0
        self.n_moved_up = 0

    def end_of(self, run: Run) -> float:
        return run.onset + (run.last - run.first) * self.duration

    def add(self, first: int, last: int, onset: float) -> None:
        run = Run(first, last, onset)
        self.runs.append(run)
        insort(self.order, (onset, self.end_of(run), first))
        self.moved[first:last] = onset - self.onsets[first]
        self.end = max(self.end, self.end_of(run))

    def has_room(self, begin: float, end: float) -> bool:
        place = bisect(self.order, (begin + TOLERANCE,))
        before, after = self.order[max(place - 1, 0) : place], self.order[place : place + 1]
        return all(begin >= run[1] - TOLERANCE for run in before) and all(end <= run[0] + TOLERANCE for run in after)

    def twin(self, onset: float) -> int | None:
        """Number of the record that was placed at this time."""
        place = bisect(self.order, (onset + TOLERANCE,)) - 1
        if place < 0:
            return None
        begin, end, first = self.order[place]
        number = round((onset - begin) / self.duration)
        there = onset < end and abs(begin + number * self.duration - onset) <= TOLERANCE
        return first + number if there else None


def _place_run(line: _Timeline, first: int, last: int, onset: float, same: Callable[[int, int], bool]) -> None:
    """Place a run at its time, or where that cannot be, as near to it as can be."""
    begin = onset + line.shift
    gap = begin - line.end
    if gap > LONGEST_GAP or (gap > TOLERANCE and begin > LONGEST):
        line.broken.append(gap)
        line.shift -= gap
        line.add(first, last, line.end)
        return
    if gap >= -TOLERANCE:
        line.add(first, last, max(begin, line.end))
        return
    if begin > -LONGEST_GAP and line.has_room(begin, begin + (last - first) * line.duration):
        line.n_moved_up += last - first
        line.add(first, last, begin)
        return
    count = 0
    while first + count < last and begin + (count + 0.5) * line.duration < line.end:
        twin = line.twin(begin + count * line.duration)
        if twin is None or not same(twin, first + count):
            count = 0
            break
        count += 1
    if count:
        line.n_repeated += count
        if first + count < last:
            line.add(first + count, last, line.end)
        return
    if -gap < line.duration:
        line.overlaps.append(-gap)
    else:
        line.set_back.append(-gap)
        line.shift -= gap
    line.add(first, last, line.end)


def _describe(line: _Timeline, discontinuous: bool) -> list[str]:
    said = []
    runs = sorted(line.runs, key=lambda run: run.onset)
    gaps = [after.onset - line.end_of(before) for before, after in pairwise(runs)]
    gaps = [gap for gap in gaps if gap > TOLERANCE]
    if gaps:
        one = len(gaps) == 1
        said.append(
            f"the recording has {len(gaps)} gap{'' if one else 's'} of {sum(gaps):.6g} s{'' if one else ' in all'} "
            f"by the times of its data records{'' if discontinuous else ', although its header declares it continuous'}"
            f"; the samples keep their times, and what was not recorded is missing (NaN) and unscored"
        )
    behind = "what follows was put right behind what came before, its annotations too"
    if line.n_moved_up:
        said.append(f"{line.n_moved_up} data records are out of order in the file; put in the order of their times")
    if line.n_repeated:
        said.append(f"{line.n_repeated} data records are repeated in the file; the repetitions were left out")
    if line.overlaps:
        said.append(
            f"a data record begins before the one before has ended, {_count(line.overlaps)} by up to "
            f"{max(line.overlaps):.3g} s; {behind}"
        )
    if line.set_back:
        said.append(
            f"the times of the data records go back, {_count(line.set_back)} by up to {max(line.set_back):.6g} s, "
            f"as when a clock is set back; {behind}"
        )
    if line.broken:
        said.append(
            f"the times of the data records jump, {_count(line.broken)} by up to {max(line.broken):.6g} s, which is no "
            f"pause; {behind}, and its clock time is not known"
        )
    return said


def _count(met: list[float]) -> str:
    return "once" if len(met) == 1 else f"{len(met)} times"
