"""Clocks: planted times come out as planted, over midnight and both changes of summer time, however written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.clock import read_clock_column
from sharpwave.recordings.clock_words import find_strange_word

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


STEADY = 60.0 * np.arange(480)


@pytest.mark.parametrize(
    ("summer", "winter"),
    [("UTC+0200", "UTC+0100"), ("+02:00", "+01:00"), ("CEST", "CET"), (2, 1), (120, 60), (7200, 3600), (7.2e6, 3.6e6)],
)
def test_offsets_in_a_column_of_their_own(summer: str | float, winter: str | float) -> None:
    moments = [f"{m:%Y-%m-%d %H:%M:%S}.000" for m in tell_autumn()]
    offsets = [summer if i < 300 else winter for i in range(480)]
    local = read_clock_column(moments, offsets=offsets)
    np.testing.assert_allclose(local.seconds, STEADY)
    assert local.start == datetime(2023, 10, 28, 20, tzinfo=UTC)
    assert local.start.hour == 22
    order = sorted(range(480), key=lambda row: moments[row])  # a table sorted by its clock
    mixed = read_clock_column([moments[row] for row in order], offsets=[offsets[row] for row in order])
    np.testing.assert_allclose(mixed.seconds, STEADY[order])
    universal = [f"{m:%Y-%m-%d %H:%M:%S}.000" for m in tell(AUTUMN - timedelta(hours=2))]  # as Samsung writes them
    found = read_clock_column(universal, offsets=offsets)
    np.testing.assert_allclose(found.seconds, STEADY)
    assert (found.start, found.start.hour) == (local.start, 22)
    travel = [f"{m:%Y-%m-%d %H:%M}" for m in tell(PLAIN, change=datetime(2023, 5, 14, 1), hours=3)]
    flown = read_clock_column(travel, offsets=[2 if i < 180 else 5 for i in range(480)])
    np.testing.assert_allclose(flown.seconds, STEADY)


def test_unix_time_beside_an_offset_says_the_local_hour() -> None:
    unix = PLAIN.replace(tzinfo=UTC).timestamp()
    clock = read_clock_column([1e3 * (unix + 60 * k) for k in range(480)], offsets=["UTC-0530"] * 480)
    assert (clock.start, clock.start.hour, clock.start.minute) == (PLAIN.replace(tzinfo=UTC), 16, 30)


@pytest.mark.parametrize("year", [1, 1600, 2300, 2566, 9999])
@pytest.mark.parametrize("form", ["{:%d/%m/%Y %H:%M:%S}", "{:%Y-%m-%d %H:%M:%S}"])
def test_dates_that_cannot_be_held_are_refused_in_words(year: int, form: str) -> None:
    times = [form.format(m.replace(year=year)).replace(f" {year} ", f" {year:04d} ") for m in tell(PLAIN)]
    times = [time.replace(f"-{year}-", f"-{year:04d}-") for time in times]
    if year == 1:
        times = [f"0001-{m:%m-%d %H:%M:%S}" for m in tell(PLAIN)]
    with pytest.raises(SharpwaveError, match="dates from 1678 to 2261") as error:
        read_clock_column(times)
    assert ("Buddhist" in str(error.value)) == (year == 2566)
    few = [f"{m:%Y-%m-%d %H:%M:%S}" for m in tell(PLAIN)]
    few[7] = "3023-05-13 22:07:00"
    assert np.isnan(read_clock_column(few).seconds[7])


@pytest.mark.parametrize(
    ("am", "pm"),
    [("오전", "오후"), ("上午", "下午"), ("午前", "午後"), ("π.μ.", "μ.μ."), ("de.", "du."), ("fm", "em"),
     ("a. m.", "p. m."), ("ÖÖ", "ÖS"), ("ص", "م"), ("da manhã", "da tarde"), ("vorm.", "nachm."), ("पूर्वाह्न", "अपराह्न")],
)  # fmt: skip
def test_halves_of_the_day_in_other_languages(am: str, pm: str) -> None:
    for form in ("{d:%Y-%m-%d} {d:%I:%M:%S} {h}", "{d:%d/%m/%Y} {h} {d:%I:%M}", "{d:%I:%M:%S} {h}"):
        texts = [form.format(d=m, h=am if m.hour < 12 else pm) for m in tell(PLAIN)]
        clock = read_clock_column(texts)
        np.testing.assert_allclose(clock.seconds, STEADY, err_msg=form)
        assert clock.start is not None
        assert clock.start.hour == 22


def test_a_word_that_is_not_known_is_named() -> None:
    assert find_strange_word("10:00:00 xyz.") == "xyz."
    assert find_strange_word("14/05/2023 12:00 da madrugada") == "da madrugada"
    assert [find_strange_word(text) for text in ("10:00 PM", "10:00 a.m.", "10:00Z", "lost", "22:00:00")] == [None] * 5
    assert np.isnan(read_clock_column([f"{m:%I:%M} xyz" for m in tell(PLAIN)]).seconds).all()


@pytest.mark.parametrize("form", ["{d.day}. {m} {d:%Y %H:%M}", "{d.day} {m} {d:%Y %H:%M:%S}"])
@pytest.mark.parametrize(
    ("june", "december"), [("Juni", "Dez."), ("juin", "déc."), ("junio", "diciembre"), ("giu", "dic")]
)
def test_months_in_other_languages(form: str, june: str, december: str) -> None:
    for month, word in ((6, june), (12, december)):
        clock = read_clock_column([form.format(d=m, m=word) for m in tell(datetime(2023, month, 13, 12))])
        np.testing.assert_allclose(clock.seconds, STEADY)
        assert clock.start == datetime(2023, month, 13, 12)


def test_twelve_hours_without_am_or_pm_beside_dates() -> None:
    clock = read_clock_column([f"{moment:%d/%m/%Y %I:%M:%S}" for moment in tell(PLAIN)])
    np.testing.assert_allclose(clock.seconds, STEADY)
    assert (clock.start, len(clock.repairs)) == (PLAIN, 1)


def test_numbers_of_other_systems() -> None:
    unix = PLAIN.replace(tzinfo=UTC).timestamp() + STEADY
    for numbers, word in (
        (unix - 978_307_200, "Apple"),
        ((unix + 11_644_473_600) * 1e7, "Windows"),
        ((unix + 62_135_596_800) * 1e7, ".NET"),
        (unix / 86_400 + 719_529, "MATLAB"),
        (unix / 86_400 + 2_440_587.5, "Julian"),
    ):
        clock = read_clock_column(numbers)
        np.testing.assert_allclose(clock.seconds, STEADY, atol=0.01, err_msg=word)
        assert abs((clock.start.replace(tzinfo=None) - PLAIN).total_seconds()) < 0.02
        assert word in clock.repairs[0]
    assert read_clock_column([f"{int(second):,}" for second in unix]).start == PLAIN.replace(tzinfo=UTC)
    for unit in (1e-6, 1e-9):  # from the start, however large the numbers
        plain = read_clock_column(STEADY / unit, unit=unit)
        np.testing.assert_allclose(plain.seconds, STEADY)
        assert plain.start is None
    short = read_clock_column(STEADY[:11] * 1e9, unit=1e-9)  # as large as Unix time in ms
    assert (short.seconds[-1], short.start) == (600, None)


def test_hours_that_run_on_over_24() -> None:
    texts = [f"{22 + minute // 60}:{minute % 60:02d}:00" for minute in range(480)]
    np.testing.assert_allclose(read_clock_column(texts).seconds, STEADY)
    dated = read_clock_column(texts, dates=["13/05/2023"] * 480)
    np.testing.assert_allclose(dated.seconds, STEADY)
    assert dated.start == PLAIN


@pytest.mark.parametrize("minutes", [5, 30, 120])
def test_a_clock_that_is_set_back_loses_no_row(minutes: int) -> None:
    moments = [m - timedelta(minutes=minutes * (i >= 240)) for i, m in enumerate(tell(PLAIN))]
    clock = read_clock_column([f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments])
    np.testing.assert_allclose(clock.seconds, STEADY)
    assert f"set back by {minutes} min" in clock.repairs[0]


def test_the_date_of_the_factory_before_the_clock_was_set() -> None:
    moments = [datetime(2000, 1, 1) + timedelta(minutes=i) if i < 10 else m for i, m in enumerate(tell(PLAIN))]
    clock = read_clock_column([f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments])
    np.testing.assert_allclose(np.diff(clock.seconds), 60)
    assert "before the clock was set" in clock.repairs[0]
    later = [m + timedelta(days=700 * (i >= 240)) for i, m in enumerate(tell(PLAIN))]  # two nights of one person
    assert np.diff(read_clock_column([f"{m:%Y-%m-%d %H:%M}" for m in later]).seconds).max() > 7e6


def test_digits_of_other_scripts_and_marks_of_direction() -> None:
    arabic = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    for texts in (
        [f"{m:%Y-%m-%d %H:%M:%S}".translate(arabic) for m in tell(PLAIN)],
        [f"\u200e{m:%d/%m/%Y}\u200f \u200e{m:%H:%M}" for m in tell(PLAIN)],
    ):
        clock = read_clock_column(texts)
        np.testing.assert_allclose(clock.seconds, STEADY)
        assert clock.start == PLAIN
