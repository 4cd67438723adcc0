"""Times of day as people write them; what could be two times is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.day_times import place_time

START = datetime(2023, 2, 1, 23, 0)


@pytest.mark.parametrize(
    "written",
    [
        "23:05", "23.05", "23h05", "23H05", "23:05:00", "23.05.00", "11:05 PM", "11.05pm", "11:05 p.m.", "23:05 Uhr",
        "2023-02-01T23:05", "2023-02-01 23:05:00", "2023-02-01T23:05:00Z", "01.02.2023 23:05", "300", "300s", "300.0",
    ],
)  # fmt: skip
def test_one_moment_in_many_spellings(written: str) -> None:
    assert place_time(written, START, duration=8 * 3600) == 300


def test_the_morning_and_the_next_day() -> None:
    assert [place_time(text, START) for text in ("7.02", "07:02 am", "2023-02-02 07:02")] == [28_920.0] * 3
    assert place_time("24:00", START) == 3600
    assert place_time("12:30 AM", START) == 5400
    assert place_time(23.05, START) == 23.05  # a number is seconds


def test_an_offset_counts_where_the_recording_has_one() -> None:
    assert place_time("2023-02-02T00:05:00+01:00", START.replace(tzinfo=UTC)) == 300


def test_digits_alone_are_read_where_only_one_meaning_fits() -> None:
    assert place_time("2310", START, duration=1200) == 600
    assert place_time("1200", START, duration=8 * 3600) == 1200
    for text, clock in (("2310", "23:10"), ("23", "23:00")):
        with pytest.raises(SharpwaveError, match=rf"may be {clock} or {text} seconds"):
            place_time(text, START.replace(hour=22), duration=8 * 3600)


@pytest.mark.parametrize("text", ["bedtime", "25:00", "23:65", "13 PM", "12.75", "2023-02-30 23:00", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SharpwaveError, match="a clock time like 23:10"):
        place_time(text, START)
