"""When the samples of an NWB series were taken: a rate, or time stamps that are checked, mended and declared.

Stamps that are out of order are left out or sorted, repeated ones are spread, and field potentials with gaps come on a
regular grid that is missing there. A clock that was set back, or that is stored too coarsely, is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.edf_samples import GriddedSamples
from sharpwave.recordings.readers.nwb_inside import InsideArray, InsideGroup

BLOCK = 2**20
MOST_TIMES = 5 * 10**7
MOST_DROPPED = 0.01
"""Share of time stamps that may be left out because they are out of order."""
MOST_JITTER = 0.1
"""As `MOST_DROPPED`, where they are a few frames here and there, and no clock that was set back."""
MOST_MISSING = 0.5
"""Share of samples that may have no time."""
MOST_PARTS = 1000
"""Stretches, each in order, into which time stamps may fall that are put in order."""
COARSEST = 0.5
"""Seconds: stamps that repeat because they are stored more coarsely than this do not say when a sample was taken."""
MOST_BREAKS = 0.05
"""Share of samples after which sampling may pause; where it is more, sampling is irregular throughout."""
JITTER_STRETCH, MOST_STRAY = 100, 5.0
"""Stamps whose median place is on a regular clock where they jitter, and how many samples one may stray from it."""
LONGEST_GAP = 31 * 86_400.0
"""Seconds; a longer gap is a broken clock, not a pause."""


@dataclass(frozen=True, eq=False)
class Clock:
    """When the samples of a series were taken.

    Attributes:
        rate: Sampling rate in Hz; the median one where sampling is irregular.
        start: Time of the first sample in seconds.
        times: Time of each sample that is kept, where sampling is irregular, else None.
        kept: Index in the file of each sample that is kept, in order of time; None for all.
        repairs: What there is to declare, one sentence each.
    """

    rate: float
    start: float
    times: Float[np.ndarray, " time"] | None = None
    kept: Int64[np.ndarray, " time"] | None = None
    repairs: tuple[str, ...] = ()


def read_number(value: Any, default: float) -> float:
    """One finite number other than 0, or the default."""
    try:
        number = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        return default
    return number if math.isfinite(number) and number != 0 else default


def read_clock(group: InsideGroup, n_samples: int, where: str) -> Clock:
    """The clock of a series.

    Args:
        group: Group of the series.
        n_samples: Number of samples of the series.
        where: File and place, for messages.

    Raises:
        SharpwaveError: If there is no clock, or it was set back, is too coarse, or does not fit the samples.
    """
    if (starting := group.array("starting_time")) is not None:
        rate, start = read_number(starting.attribute("rate"), math.nan), starting.read_number()
        if not (rate > 0 and math.isfinite(start)):
            raise SharpwaveError(f"a positive rate in {where}", got=f"{rate} Hz from {start} s", fix="correct the file")
        return Clock(rate, start)
    stamps = _find_stamps(group, n_samples, where)
    first, last = float(stamps.data[0]), float(stamps.data[-1])
    rate = (n_samples - 1) / (last - first) if n_samples > 1 and last > first else 1.0
    if n_samples == 1 and math.isfinite(first):
        return Clock(rate, first)
    if last > first and _is_regular(stamps.data, first, rate):
        return Clock(rate, first)
    if n_samples > MOST_TIMES:
        raise SharpwaveError(
            f"regular timestamps in {where}, which has {n_samples} samples", got="irregular ones", fix="split the file"
        )
    times, kept, repairs = mend_times(stamps.read(), where)
    steps = np.diff(times)
    usual = float(np.median(steps))
    rate = (len(times) - 1) / float(times[-1] - times[0])
    near = 0.5 if kept is None else 0.01  # what was left out leaves a hole, and no later clock
    if np.abs(times - times[0] - np.arange(len(times)) / rate).max() < near / rate:
        return Clock(rate, float(times[0]), None, kept, tuple(repairs))
    gaps = steps[steps > 5 * usual]
    if len(gaps):
        repairs.append(f"{len(gaps)} gaps between its samples, {float(gaps.sum()):.6g} s in all")
    return Clock(1 / usual, float(times[0]), times, kept, tuple(repairs))


def _find_stamps(group: InsideGroup, n_samples: int, where: str) -> InsideArray:
    stamps = group.array("timestamps")
    if stamps is None:
        raise SharpwaveError(f"a rate or timestamps in {where}", got="neither", fix="write starting_time or timestamps")
    if len(stamps.shape) != 1 or stamps.size < 1 or n_samples < 1 or stamps.kind not in "iuf":
        raise SharpwaveError(
            f"one timestamp per sample in {where}",
            got=f"shape {stamps.shape}, type {stamps.data.dtype}",
            fix="correct the file",
        )
    stamps.check_size()
    if stamps.size != n_samples:
        raise SharpwaveError(
            f"one timestamp per sample in {where}",
            got=f"{stamps.size} for {n_samples} samples",
            fix="correct the file",
        )
    return stamps


def _is_regular(stamps: Any, first: float, rate: float) -> bool:
    for low in range(0, stamps.shape[0], BLOCK):
        block = np.asarray(stamps[low : low + BLOCK], dtype=np.float64)
        expected = first + np.arange(low, low + len(block)) / rate
        if not np.abs(block - expected).max() < 0.5 / rate:
            return False
    return True


def mend_times(
    stamps: np.ndarray, where: str
) -> tuple[Float[np.ndarray, " kept"], Int64[np.ndarray, " kept"] | None, list[str]]:
    """Times that go forward, from stamps that may not.

    Args:
        stamps: Time stamps as stored, in seconds.
        where: File and place, for messages.

    Returns:
        Rising times, the index of the stamp of each (None where all are kept in their order), and sentences.

    Raises:
        SharpwaveError: If the clock was set back, or the stamps are too coarse or mostly no numbers.

    >>> times, kept, said = mend_times(np.r_[np.arange(500.0), 3.0, np.arange(500.0, 999.0)], "x.nwb")
    >>> len(times), said
    (999, ['1 of 1000 time stamps is out of order; the sample was left out'])
    """
    times, repairs = stamps.astype(np.float64), []
    kept = np.flatnonzero(np.isfinite(times))
    missing = len(times) - len(kept)
    if missing > MOST_MISSING * len(times) or not len(kept):
        raise SharpwaveError(f"times in {where}", got=f"{missing} of {len(times)} are no numbers", fix="write them")
    if missing:
        repairs.append(f"{missing} of {len(times)} samples have no time and were left out")
    if (np.diff(times[kept]) < 0).any():
        kept, said = _put_in_order(times, kept, where)
        repairs.append(said)
    found, said = _spread_repeated(times[kept], where, single=stamps.dtype == np.float32)
    if said:
        repairs.append(said)
    rising = np.r_[True, np.diff(found) > 0]
    if not rising.all():
        repairs.append(f"{np.count_nonzero(~rising)} samples at the time of the one before were left out")
        found, kept = found[rising], kept[rising]
    if len(found) < 2:
        raise SharpwaveError(f"times that go forward in {where}", got="one time throughout", fix="correct the file")
    return found, None if len(kept) == len(stamps) and (np.diff(kept) == 1).all() else kept, repairs


def _put_in_order(times: np.ndarray, kept: np.ndarray, where: str) -> tuple[np.ndarray, str]:
    """Which samples to keep, in order of time, and what was done."""
    values = times[kept]
    single = _mark_strays(values)
    n_strays = int(single.sum())
    edges = np.flatnonzero(np.diff(np.r_[0, single.view(np.int8), 0]))
    scattered = int((edges[1::2] - edges[::2]).max(initial=0)) <= 3
    if n_strays <= max(3, (MOST_JITTER if scattered else MOST_DROPPED) * len(values)):
        one = n_strays == 1
        said = f"{n_strays} of {len(times)} time stamps {'is' if one else 'are'} out of order; "
        return kept[~single], said + f"the sample{'' if one else 's'} {'was' if one else 'were'} left out"
    back = np.flatnonzero(np.diff(values) < 0) + 1
    edges = np.r_[0, back, len(values)]
    parts = sorted(pairwise(edges.tolist()), key=lambda part: values[part[0]])
    ends = np.array([values[high - 1] for _, high in parts])
    starts = np.array([values[low] for low, _ in parts])
    if len(parts) <= MOST_PARTS and (starts[1:] >= ends[:-1]).all():
        order = np.concatenate([kept[low:high] for low, high in parts])
        return order, f"its samples lie in {len(parts)} stretches out of order; put in the order of their times"
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order])
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else math.inf
    if np.mean(steps < 0.5 * usual) <= MOST_DROPPED:  # stretches that overlap would halve the steps
        return kept[order], "its samples lie out of order; put in the order of their times"
    steps = np.diff(values)
    raise SharpwaveError(
        f"times that go forward in {where}",
        got=f"times that run backwards, {len(back)} times by up to {-float(steps.min()):.6g} s, first at sample "
        f"{int(kept[back[0]])} ({values[back[0] - 1]:.6g} s): the clock was set back, and nothing says by how much",
        fix="write the stretches as series of their own, on the clock of the spikes",
    )


def _mark_strays(values: Float[np.ndarray, " time"]) -> Bool[np.ndarray, " time"]:
    """The fewest samples, nearly, without which the others go forward: those behind or ahead of their neighbours."""
    stray = np.zeros(len(values), dtype=bool)
    for _ in range(5):
        index = np.flatnonzero(~stray)
        left = values[index]
        before = np.r_[-np.inf, np.maximum.accumulate(left)[:-1]]
        after = np.r_[np.minimum.accumulate(left[::-1])[::-1][1:], np.inf]
        behind, ahead = left < before, left > after
        if not behind.any():
            break
        zone = np.cumsum(before <= np.minimum(left, after))
        n_behind, n_ahead = np.bincount(zone, weights=behind), np.bincount(zone, weights=ahead)
        fewer = n_behind[zone] <= n_ahead[zone]
        stray[index[np.where(fewer, behind, ahead)]] = True
    return stray


def _spread_repeated(times: np.ndarray, where: str, *, single: bool) -> tuple[np.ndarray, str]:
    """Times without the steps of a coarse clock, where most repeat the one before; and what was done."""
    steps = np.diff(times)
    if len(steps) < 2 or np.mean(steps == 0) <= 0.5:
        return times, ""
    first = np.r_[0, np.flatnonzero(steps > 0) + 1]
    coarse = float(np.median(np.diff(times[first]))) if len(first) > 1 else math.inf
    if coarse > COARSEST:
        stored = f", because they are stored in single precision at {times[0]:.6g} s" if single else ""
        raise SharpwaveError(
            f"a time for each sample in {where}",
            got=f"times that differ only every {coarse:.3g} s{stored}: when the samples were taken is lost",
            fix="write the time stamps again, in double precision",
        )
    usual = (times[-1] - times[first[-2]]) / (first[-1] - first[-2])
    spread = np.interp(np.arange(len(times)), first, times[first])
    spread[first[-1] :] = times[first[-1]] + usual * np.arange(len(times) - first[-1])
    return spread, f"its time stamps differ only every {coarse:.3g} s; samples between were spread evenly"


@dataclass(frozen=True, eq=False)
class PickedRows:
    """Some rows of an array that stays on disk, in an order of their own.

    Attributes:
        array: Anything that slices along its first axis.
        index: Row of each sample.
    """

    array: Any
    index: Int64[np.ndarray, " time"]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.array.shape[1:])

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: slice) -> np.ndarray:
        chosen = self.index[key]
        if not len(chosen):
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        low = int(chosen.min())
        return np.asarray(self.array[low : int(chosen.max()) + 1])[chosen - low]


def plan_grid(clock: Clock, where: str, *, gridded: bool) -> tuple[Callable[[Any], Any], Clock]:
    """How samples are laid out in time: as they are, picked, or on a regular grid that is missing (NaN) in pauses.

    Args:
        clock: Clock of the series as read.
        where: File and place, for messages.
        gridded: Whether pauses become missing samples, as filters need it of field potentials.

    Returns:
        A function from the samples of the file (array-like, time first) to those of the signal, and their clock.

    Raises:
        SharpwaveError: If a pause is longer than a month.
    """
    plain = (_keep_all if clock.kept is None else partial(PickedRows, index=clock.kept)), clock
    if clock.times is None or not gridded:
        return plain
    times = clock.times
    kept = np.arange(len(times)) if clock.kept is None else clock.kept
    if (np.diff(np.sort(kept)) == 1).all() and (jitter := _find_jitter(times)) is not None:
        rate = (len(times) - 1) / float(times[-1] - times[0])
        said = [said for said in clock.repairs if "gaps between its samples" not in said]
        said.append(f"its time stamps jitter by up to {1e3 * jitter:.3g} ms about {rate:.6g} Hz; taken as regular")
        return plain[0], Clock(rate, float(times[0]), None, clock.kept, tuple(said))
    steps = np.diff(times)
    close = steps < 1.5 * float(np.median(steps))
    rate = 1 / float(steps[close].mean()) if close.any() else clock.rate
    rate = round(rate, 3) if abs(rate - round(rate, 3)) < 1e-6 * rate else rate
    breaks = np.flatnonzero((steps > 1.5 / rate) | (np.diff(kept) != 1)) + 1
    if len(breaks) > MOST_BREAKS * len(times):
        return plain
    if float(steps.max()) > LONGEST_GAP:
        raise SharpwaveError(
            f"times without a jump in {where}",
            got=f"a jump of {float(steps.max()):.6g} s",
            fix="correct the time stamps, or write the parts as files of their own",
        )
    edges = np.r_[0, breaks, len(times)]
    length = np.diff(edges)
    first = np.rint((times[edges[:-1]] - times[0]) * rate).astype(np.int64)
    for part in range(1, len(first)):
        first[part] = max(first[part], first[part - 1] + length[part - 1])
    free = np.diff(first) - length[:-1]
    said = [said for said in clock.repairs if "gaps between its samples" not in said]
    if free.any():
        one = np.count_nonzero(free) == 1
        said.append(
            f"its time stamps have {np.count_nonzero(free)} gap{'' if one else 's'} of {free.sum() / rate:.6g} s"
            f"{'' if one else ' in all'}; the samples keep their times, and what was not recorded is missing"
        )
    source = kept[edges[:-1]].astype(np.int64)
    lengths = length.astype(np.int64)

    def place(samples: Any) -> GriddedSamples:
        return GriddedSamples(samples, first, source, lengths, tuple(samples.shape[1:]))

    return place, Clock(rate, float(times[0]), repairs=tuple(said))


def _find_jitter(times: Float[np.ndarray, " time"]) -> float | None:
    """Largest distance in seconds from a regular clock of which stamps stray one by one; None where there are pauses.

    A pause moves all that follow, so that stretches of stamps lie off the clock, and not single ones.
    """
    step = float(times[-1] - times[0]) / (len(times) - 1)
    strays = (times - times[0]) / step - np.arange(len(times))
    whole = len(strays) // JITTER_STRETCH * JITTER_STRETCH
    if not whole or np.abs(strays).max() > MOST_STRAY:
        return None
    stretches = np.median(strays[:whole].reshape(-1, JITTER_STRETCH), axis=1)
    return float(np.abs(strays).max()) * step if np.abs(stretches).max() < 0.5 else None


def _keep_all(samples: Any) -> Any:
    return samples
