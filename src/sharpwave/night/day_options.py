"""How a recording of several days is cut: the options of `sharpwave decode`, which load no numerical library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sharpwave.errors import SharpwaveError
from sharpwave.night.options import option

DAYS_PANEL = "Days"


@dataclass(frozen=True)
class DayOptions:
    """How a recording of several days is cut. Each field is an option of `sharpwave decode`.

    Attributes:
        by: "day" cuts days, "night" the dark phases, "whole" nothing; by default days where it is longer than 36 h.
        light_schedule: Clock times of lights on and off, such as "07:00-19:00"; None where there is none.
        time_zone: Name of the time zone whose summer time the clock follows, such as "Europe/Berlin".
        spans: Table of named spans, such as sleep deprivation and recovery: onset, duration (s), label.
    """

    by: str | None = option(
        None, "Cut a long recording: day, night (dark phases), or whole [default: day above 36 h].", panel=DAYS_PANEL
    )
    light_schedule: str | None = option(
        None, "Clock times of lights on and off, every day: 07:00-19:00.", metavar="ON-OFF", panel=DAYS_PANEL
    )
    time_zone: str | None = option(
        None, "Time zone whose summer time the clock follows, such as Europe/Berlin.", panel=DAYS_PANEL
    )
    spans: Path | None = option(
        None, "Table (.tsv) of named spans (onset, duration, label), such as sleep deprivation.", panel=DAYS_PANEL
    )

    def __post_init__(self) -> None:
        if self.by not in (None, "day", "night", "whole"):
            raise SharpwaveError("--by day, night or whole", got=repr(self.by), fix="give one of these")
        read_schedule(self.light_schedule)
        if self.by == "night" and self.light_schedule is None:
            raise SharpwaveError(
                "the hours of light with --by night", got="none", fix="give --light-schedule ON-OFF, or --by day"
            )


def read_schedule(text: str | None) -> tuple[float, float] | None:
    """Hours of the day at which lights go on and off; None where there is no schedule.

    Args:
        text: Such as "07:00-19:00".

    Raises:
        SharpwaveError: If it is no pair of clock times.

    >>> read_schedule("07:00-19:30")
    (7.0, 19.5)
    """
    if text is None:
        return None
    hours: list[float] = []
    for part in text.split("-"):
        hour, _, minute = part.strip().partition(":")
        if not (hour.isdigit() and (minute.isdigit() or not minute)) or int(hour) > 23 or int(minute or 0) > 59:
            hours = []
            break
        hours.append(int(hour) + int(minute or 0) / 60)
    if len(hours) != 2 or hours[0] == hours[1]:
        raise SharpwaveError("clock times of lights on and off such as 07:00-19:00", got=repr(text), fix="write it so")
    return hours[0], hours[1]
