from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram
from sharpwave.reports.timeline import Timeline


def test_ticks_are_round_clock_times() -> None:
    line = Timeline(0, 8 * 3600, datetime(2020, 1, 1, 22, 17, 30))
    assert [line.write(tick) for tick in line.ticks()][:3] == ["23:00", "00:00", "01:00"]
    assert len(line.ticks()) <= 9


def test_long_recordings_name_the_day() -> None:
    line = Timeline(0, 7 * 86400, datetime(2020, 1, 1, 22, 0))
    words = [line.write(tick) for tick in line.ticks()]
    assert words[0] == "d2 00:00"
    assert len(words) <= 9


def test_places_are_shares_cut_at_the_ends() -> None:
    line = Timeline(100, 300)
    assert [line.percent(time) for time in (0, 100, 200, 300, 999)] == [0, 0, 50, 100, 100]


def test_axis_holds_recording_and_hypnogram(minimal: DecodedNight) -> None:
    night = replace(minimal, hypnogram=Hypnogram(np.zeros(10, dtype=np.int8), start=4000.0))
    line = Timeline.of(night)
    assert (line.start, line.end) == (0, 4300)
