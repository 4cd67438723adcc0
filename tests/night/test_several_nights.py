"""Several days of a watch: each night is found where it was planted, whatever hours its wearer keeps."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from sharpwave.night.several_nights import find_nights, take_night, warn_of_days
from sharpwave.recordings import MODALITIES, Recording, Signal

BEGIN = datetime(2023, 10, 23, 12)


def make_days(
    days: float,
    *,
    bed: float = 23,
    rise: float = 7,
    begin: datetime | None = BEGIN,
    off: tuple[float, float] | None = None,
) -> Recording:
    """A watch, a sample a minute: its wearer rests from `bed` to `rise`; from hour off[0] to off[1] it is not worn."""
    rng = np.random.default_rng(4)
    seconds = 60.0 * np.arange(int(days * 1440))
    hour = ((begin or BEGIN).hour + seconds / 3600) % 24
    resting = (hour >= bed) | (hour < rise) if bed > rise else (hour >= bed) & (hour < rise)
    moved = np.where(resting, rng.gamma(0.3, 3, seconds.size), 30 + rng.gamma(2, 30, seconds.size))
    heart = 65 - 8 * resting + rng.normal(0, 1, seconds.size)
    if off is not None:
        away = (seconds >= 3600 * off[0]) & (seconds < 3600 * off[1])
        heart[away] = moved[away] = np.nan
    signals = {
        name: Signal(name, values, 1 / 60, MODALITIES[name])
        for name, values in (("heart_rate", heart), ("activity", moved))
    }
    return Recording(signals=signals, start=begin)


def test_a_week_has_seven_nights() -> None:
    nights = find_nights(make_days(7))
    assert [night.label for night in nights] == [f"2023-10-{day}" for day in range(23, 30)]
    for index, night in enumerate(nights):
        bed = 3600 * (11 + 24 * index)
        assert bed - 3600 <= night.start <= bed
        assert 8 * 3600 <= night.end - night.start <= 10.1 * 3600
        assert f"night {index + 1} of 7" in night.sentence
        assert "cut at noon" in night.sentence


def test_each_night_is_a_recording_of_its_own() -> None:
    week = make_days(7)
    night = find_nights(week)[2]
    part = take_night(week, night)
    assert part.start == BEGIN + timedelta(seconds=night.start)
    assert part.duration == pytest.approx(night.end - night.start, abs=60)
    assert part["heart_rate"].start == 0
    low = int(night.start / 60)
    np.testing.assert_allclose(part["activity"].read(), week["activity"].read()[low : low + len(part["activity"])])
    assert night.sentence in part.repairs


def test_who_sleeps_at_noon_is_not_cut_at_noon() -> None:
    nights = find_nights(make_days(4, bed=9, rise=17, begin=BEGIN.replace(hour=0)))
    assert len(nights) == 4
    for index, night in enumerate(nights):
        assert night.start <= 3600 * (9 + 24 * index) < 3600 * (17 + 24 * index) <= night.end
        assert "most active" in night.sentence
        assert "1 stretches" in night.sentence


def test_without_a_clock_nights_are_numbered() -> None:
    nights = find_nights(make_days(3, begin=None))
    assert [night.label for night in nights] == ["night-1", "night-2", "night-3"]


def test_a_watch_that_is_off_for_a_night_leaves_it_out() -> None:
    nights = find_nights(make_days(4, off=(20, 50)))
    assert [night.label for night in nights] == ["2023-10-23", "2023-10-25", "2023-10-26"]


def test_a_watch_on_the_table_is_no_rest() -> None:
    recording = make_days(3)
    heart, moved = recording["heart_rate"].samples.copy(), recording["activity"].samples.copy()
    heart[60:600], moved[60:600] = np.nan, 0  # ten hours of the first day
    signals = {
        name: Signal(name, values, 1 / 60, MODALITIES[name])
        for name, values in (("heart_rate", heart), ("activity", moved))
    }
    first = find_nights(Recording(signals=signals, start=BEGIN))[0]
    assert first.start >= 3600 * 10


def test_one_night_stays_as_it_is_and_a_day_and_a_night_is_its_rest() -> None:
    assert find_nights(make_days(0.5, begin=BEGIN.replace(hour=21))) == []
    (night,) = find_nights(make_days(1))
    assert 3600 * 10 <= night.start <= 3600 * 11
    assert "longest rest" in night.sentence


def test_others_than_watches_are_left_alone() -> None:
    week = make_days(3)
    eeg = Signal("C3", np.zeros(1000), 1.0, MODALITIES["eeg"])
    assert find_nights(Recording(signals={**week.signals, "C3": eeg}, start=BEGIN)) == []
    assert find_nights(Recording(signals=week.signals, species="rat")) == []


def test_several_days_taken_as_one_night_are_said() -> None:
    assert "72 h were taken as one night" in warn_of_days(make_days(3))[0]
    assert warn_of_days(make_days(0.4)) == []
