"""The one time axis that all figures of a page share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from jaxtyping import Float

from sharpwave.night.decoded import DecodedNight

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
        step = next((step for step in sizes if self.span / step <= most), sizes[-1])
        midnight = 0.0
        if self.clock is not None:
            moment = self.clock.replace(tzinfo=None)
            midnight = -(moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        first = np.ceil((self.start - midnight) / step - 1e-9)
        last = np.floor((self.end - midnight) / step + 1e-9)
        return midnight + step * np.arange(first, last + 1)
