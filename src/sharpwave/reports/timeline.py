"""The one time axis that all figures of a page share, and long nights made short enough to draw on it.

No figure needs more columns than a wide screen has pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.reports.axes import choose_step, list_ticks

MOST_COLUMNS = 2880
"""Epochs of a hypnogram above which a figure shows blocks of them."""

_STEPS = tuple(3600.0 * hours for hours in (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168))
_COUNTS = tuple(float(first * 10**power) for power in range(9) for first in (1, 2, 5))


@dataclass(frozen=True)
class Timeline:
    """From seconds of a recording to places on the page.

    Attributes:
        start: First second shown.
        end: Last second shown.
        clock: Clock time of second 0, or None; then times count from the start.
        unit: "s", or "step" for a network's run.
    """

    start: float
    end: float
    clock: datetime | None = None
    unit: str = "s"

    @classmethod
    def of(cls, night: DecodedNight) -> Timeline:
        """The span of the recording and its hypnogram."""
        start = min(0.0, night.hypnogram.start)
        end = max(night.duration, night.hypnogram.end, start + 1.0)
        return cls(start, end, night.start)

    @property
    def span(self) -> float:
        return self.end - self.start

    def percent(self, time: float) -> float:
        """Where a time lies along the axis, 0 to 100, cut off at its ends."""
        return float(np.clip(100 * (time - self.start) / self.span, 0, 100))

    def extent(self, onset: float, duration: float) -> tuple[float, float]:
        """Where a stretch of time begins along the axis and how long it is there, both in per cent."""
        return self.percent(onset), self.percent(onset + duration) - self.percent(onset)

    def write(self, time: float, *, seconds: bool = False) -> str:
        """A time as text: the clock where known, otherwise hours from the start; steps are counted.

        >>> Timeline(0, 3600).write(5400), Timeline(0, 3600, datetime(2020, 1, 1, 23, 0)).write(5400)
        ('1:30 h', '00:30')
        """
        if self.unit == "step":
            return f"{round(time)}"
        if self.clock is None:
            whole = round(time)
            tail = f":{whole % 60:02d}" if seconds else ""
            return f"{whole // 3600}:{whole % 3600 // 60:02d}{tail} h"
        moment = self.clock + timedelta(seconds=float(time))
        day = f"d{(moment.date() - self.clock.date()).days + 1} " if self.span > 36 * 3600 else ""
        return day + moment.strftime("%H:%M:%S" if seconds else "%H:%M")

    def ticks(self, *, most: int = 9) -> Float[np.ndarray, " tick"]:
        """Round times along the axis, at most `most` of them (more only for very long recordings)."""
        sizes = _STEPS if self.unit == "s" else _COUNTS
        step = choose_step(self.span, sizes, most=most)
        midnight = 0.0
        if self.clock is not None:
            moment = self.clock.replace(tzinfo=None)
            midnight = -(moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        return midnight + list_ticks(self.start - midnight, self.end - midnight, step)


def downsample_hypnogram(hypnogram: Hypnogram, *, most: int = MOST_COLUMNS) -> Hypnogram:
    """The same night in at most `most` epochs: the most frequent stage and the mean probabilities of each block.

    Args:
        hypnogram: Any night.
        most: Highest number of epochs to return.

    Returns:
        The hypnogram itself where it is short enough; otherwise one with whole multiples of its epoch length.
    """
    factor = -(-len(hypnogram) // most)
    if factor <= 1:
        return hypnogram
    blocks = -(-len(hypnogram) // factor)
    padding = blocks * factor - len(hypnogram)
    codes = np.pad(hypnogram.stages, (0, padding), constant_values=UNSCORED).reshape(blocks, factor)
    votes = np.stack([(codes == code).sum(axis=1) for code in range(hypnogram.n_stages)], axis=1)
    stages = np.where(votes.max(axis=1) > 0, votes.argmax(axis=1), UNSCORED)
    probabilities = None
    if hypnogram.probabilities is not None:
        padded = np.pad(hypnogram.probabilities, ((0, padding), (0, 0)), constant_values=np.nan)
        probabilities = _nanmean(padded.reshape(blocks, factor, -1))
    return replace(hypnogram, stages=stages, epoch_length=hypnogram.epoch_length * factor, probabilities=probabilities)


def downsample_line(
    times: Float[np.ndarray, " time"], values: Float[np.ndarray, " time"], *, most: int = MOST_COLUMNS // 2
) -> tuple[Float[np.ndarray, " block"], Float[np.ndarray, " block"]]:
    """Means of consecutive samples, at most `most` of them; the times are means as well."""
    means = _average(np.stack([np.asarray(times, dtype=float), np.asarray(values, dtype=float)]), most)
    return means[0], means[1]


def downsample_image(
    times: Float[np.ndarray, " time"], image: Float[np.ndarray, "row time"], *, most: int = 1200
) -> tuple[Float[np.ndarray, " block"], Float[np.ndarray, "row block"]]:
    """Means of consecutive columns, at most `most` of them, in single precision."""
    if times.size <= most:
        return times, image
    return _average(np.asarray(times, dtype=float)[None], most)[0], _average(np.asarray(image, dtype=np.float32), most)


def compute_rates(onsets: pd.Series, *, start: float, end: float) -> tuple[Float[np.ndarray, " bin"], float]:
    """Events per minute in even bins of at least a minute.

    Args:
        onsets: Onset of each event in seconds; those outside the span are left out.
        start: Start of the first bin in seconds.
        end: End of the span in seconds.

    Returns:
        Rate per minute in each bin, and the length of a bin in seconds.
    """
    width = max(60.0, (end - start) / 720)
    bins = max(int(np.ceil((end - start) / width)), 1)
    index = np.floor((onsets.to_numpy(dtype=float) - start) / width)
    index = index[(index >= 0) & (index < bins)].astype(int)
    return np.bincount(index, minlength=bins) * 60 / width, width


def _average(rows: Float[np.ndarray, "row time"], most: int) -> Float[np.ndarray, "row block"]:
    """Means of as many consecutive columns as leave at most `most`."""
    factor = -(-rows.shape[1] // most)
    if factor <= 1:
        return rows
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % factor)), constant_values=np.nan)
    return _nanmean(padded.reshape(len(rows), -1, factor).transpose(0, 2, 1))


def _nanmean(blocks: np.ndarray) -> np.ndarray:
    """Mean over the last axis but one, NaN only where all are NaN, without numpy's warning."""
    finite = np.isfinite(blocks)
    total = np.where(finite, blocks, 0).sum(axis=-2)
    count = finite.sum(axis=-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
