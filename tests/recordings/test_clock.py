"""Clocks: planted times come out as planted, over midnight and both changes of summer time, however written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sharpwave.recordings.clock import read_clock_column

AUTUMN = datetime(2023, 10, 28, 22)
SPRING = datetime(2023, 3, 25, 22)
PLAIN = datetime(2023, 5, 13, 22)


def tell(begin: datetime, *, change: datetime | None = None, hours: int = 0, step: float = 60) -> list[datetime]:
    """What a wall clock shows at every step of eight hours; at `change` it is set on by `hours`."""
    moments = [begin + timedelta(seconds=step * index) for index in range(int(28_800 / step))]
    return [m + timedelta(hours=hours) if change is not None and m >= change else m for m in moments]


def tell_autumn(**options: float) -> list[datetime]:
    return tell(AUTUMN, change=datetime(2023, 10, 29, 3), hours=-1, **options)


def tell_spring(**options: float) -> list[datetime]:
    return tell(SPRING, change=datetime(2023, 3, 26, 2), hours=1, **options)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y/%m/%d %H:%M",
        "%d/%m/%Y %H:%M:%S",
        "%d.%m.%Y %H.%M.%S",
        "%m/%d/%Y %I:%M:%S %p",
        "%d-%b-%Y %H:%M:%S",
        "%Y%m%d%H%M%S",
        "%H:%M:%S",
        "%H:%M",
        "%I:%M:%S %p",
    ],
)
def test_every_form_of_a_night_is_read(form: str) -> None:
    clock = read_clock_column([f"{moment:{form}}" for moment in tell(PLAIN)])
    np.testing.assert_allclose(clock.seconds, 60.0 * np.arange(480))
    assert clock.start == (PLAIN if "%Y" in form else datetime(1900, 1, 1, 22))
    assert clock.dated == ("%Y" in form)
    assert clock.repairs == ()


@pytest.mark.parametrize(
    ("date", "time"),
    [("%d/%m/%Y", "%H:%M:%S"), ("%Y%m%d", "%H:%M"), ("%m/%d/%y", "%I:%M:%S %p"), ("%Y-%m-%d 00:00:00", "%H:%M:%S")],
)
def test_date_and_time_in_two_columns(date: str, time: str) -> None:
    moments = tell(PLAIN)
    clock = read_clock_column([f"{m:{time}}" for m in moments], dates=[f"{m:{date}}" for m in moments])
    np.testing.assert_allclose(clock.seconds, 60.0 * np.arange(480))
    assert (clock.start, clock.dated) == (PLAIN, True)


def test_the_date_of_the_evening_on_every_row() -> None:
    clock = read_clock_column([f"{m:%H:%M:%S}" for m in tell(PLAIN)], dates=["13.05.2023"] * 480)
    np.testing.assert_allclose(clock.seconds, 60.0 * np.arange(480))
    assert "date of the first" in clock.repairs[0]


def test_day_and_month_are_told_apart_by_what_changes() -> None:
    clock = read_clock_column([f"{m:%m/%d/%Y %H:%M}" for m in tell(datetime(2023, 5, 11, 22))])
    assert (clock.start, clock.seconds[-1]) == (datetime(2023, 5, 11, 22), 28_740)


@pytest.mark.parametrize("step", [30, 60, 300])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%H:%M:%S"])
def test_the_clock_goes_back(form: str, step: float) -> None:
    clock = read_clock_column([f"{moment:{form}}" for moment in tell_autumn(step=step)])
    np.testing.assert_allclose(clock.seconds, step * np.arange(28_800 // step))
    assert len(clock.repairs) == 1
    assert "goes back an hour" in clock.repairs[0]


def test_the_clock_goes_back_in_a_table_sorted_by_it() -> None:
    clock = read_clock_column(sorted(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in tell_autumn()))
    np.testing.assert_allclose(np.sort(clock.seconds), 60.0 * np.arange(480))
    assert "twice" in clock.repairs[0]


def test_rows_in_the_wrong_place_are_not_the_clock() -> None:
    moments = tell(PLAIN)
    early = [*range(180), 240, *range(180, 240), *range(241, 480)]
    late = [*range(180), *range(181, 241), 180, *range(241, 480)]
    swapped = [*range(120), *range(180, 240), *range(120, 180), *range(240, 480)]
    for rows in (early, late, swapped):
        clock = read_clock_column([f"{moments[row]:%Y-%m-%d %H:%M:%S}" for row in rows])
        np.testing.assert_allclose(clock.seconds, 60.0 * np.array(rows))
        assert clock.repairs == ()


def test_the_clock_goes_forward_on_a_sunday_of_spring() -> None:
    clock = read_clock_column([f"{moment:%Y-%m-%d %H:%M:%S}" for moment in tell_spring()])
    np.testing.assert_allclose(clock.seconds, 60.0 * np.arange(480))
    assert "goes forward an hour" in clock.repairs[0]


def test_an_hour_that_is_missing_on_another_day_is_a_gap() -> None:
    moments = tell(PLAIN, change=datetime(2023, 5, 14, 2), hours=1)
    clock = read_clock_column([f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments])
    assert (clock.seconds[-1], clock.repairs) == (28_740 + 3600, ())


def test_the_length_of_the_recording_decides_about_a_step_forward() -> None:
    times = [f"{moment:%H:%M:%S}" for moment in tell_spring()]
    fits = read_clock_column(times, start=SPRING, length=28_800)
    assert (fits.seconds[-1], len(fits.repairs)) == (28_740, 1)
    gap = read_clock_column(times, start=SPRING, length=28_800 + 3600)
    assert (gap.seconds[-1], gap.repairs) == (28_740 + 3600, ())


@pytest.mark.parametrize(("summer", "winter"), [("+02:00", "+01:00"), ("+0200", "+0100"), (" CEST", " CET")])
def test_offsets_decide(summer: str, winter: str) -> None:
    back = [f"{m:%Y-%m-%dT%H:%M:%S}{summer if i < 300 else winter}" for i, m in enumerate(tell_autumn())]
    forward = [f"{m:%Y-%m-%d %H:%M:%S}{winter if i < 240 else summer}" for i, m in enumerate(tell_spring())]
    for texts, begin, hours in ((back, AUTUMN, 2), (forward, SPRING, 1)):
        clock = read_clock_column(texts)
        np.testing.assert_allclose(clock.seconds, 60.0 * np.arange(480))
        assert clock.start.replace(tzinfo=None) == begin
        assert clock.start.utcoffset() == timedelta(hours=hours)
        assert "times follow UTC" in clock.repairs[0]


def test_universal_time() -> None:
    clock = read_clock_column([f"{moment:%Y-%m-%dT%H:%M:%S}Z" for moment in tell(SPRING)])
    assert (clock.start, clock.seconds[-1], clock.repairs) == (SPRING.replace(tzinfo=UTC), 28_740, ())


def test_numbers() -> None:
    unix = datetime(2023, 5, 13, 22, tzinfo=UTC).timestamp()
    for factor in (1, 1e3, 1e6, 1e9):
        clock = read_clock_column([int((unix + 60 * index) * factor) for index in range(480)])
        np.testing.assert_allclose(clock.seconds, 60.0 * np.arange(480), atol=1e-3)
        assert clock.start == datetime(2023, 5, 13, 22, tzinfo=UTC)
    days = read_clock_column([45_059 + (22 * 60 + index) / 1440 for index in range(480)])
    np.testing.assert_allclose(days.seconds, 60.0 * np.arange(480))
    assert days.start == PLAIN
    plain = read_clock_column(["30", "60", "x"], unit=60.0)
    assert (plain.seconds[:2].tolist(), plain.start) == ([1800.0, 3600.0], None)
    assert np.isnan(plain.seconds[2])


def test_what_is_no_time_is_not_read() -> None:
    clock = read_clock_column(["23:00:00", "lost", "23:01:00"])
    assert np.isnan(clock.seconds[1])
    assert clock.seconds[2] == 60
    assert np.isnan(read_clock_column(["W", "N2", "R"]).seconds).all()
    assert not len(read_clock_column([]).seconds)


def test_twelve_hours_without_am_or_pm() -> None:
    clock = read_clock_column([f"{moment:%I:%M:%S}" for moment in tell(PLAIN)])
    np.testing.assert_allclose(clock.seconds, 60.0 * np.arange(480))
    assert (clock.start.hour, len(clock.repairs)) == (22, 1)
