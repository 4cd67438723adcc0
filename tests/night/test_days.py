from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.day_measures import compute_actogram, compute_profile, count_cycles, measure_day
from sharpwave.night.days import DayClock, DayOptions, check_zone, find_days, hour_of, is_light, read_spans
from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal

HOURS = 3600.0


def make_long(hours: float, *, species: str = "mouse", start: datetime | None = datetime(2024, 3, 1, 9)) -> Recording:
    eeg = Signal("EEG", np.zeros(round(hours * HOURS)), 1.0, MODALITIES["eeg"])
    return Recording({"EEG": eeg}, species=species, start=start)


def edges(recording: Recording, **options: str) -> list[float]:
    days = find_days(recording, DayOptions(**options))
    assert [day.end for day in days[:-1]] == [day.start for day in days[1:]], "nothing is left out, nothing is twice"
    return [day.start / HOURS for day in days] + [days[-1].end / HOURS]


def test_days_are_cut_where_they_should_be():
    assert edges(make_long(72, species="human", start=datetime(2024, 3, 1, 22))) == [0, 14, 38, 62, 72]
    assert edges(make_long(73), light_schedule="07:00-19:00") == [0, 22, 46, 70, 73]
    assert edges(make_long(71), light_schedule="07:00-19:00") == [0, 22, 46, 71], "a short end is joined"
    assert edges(make_long(72)) == [0, 24, 48, 72]
    assert edges(make_long(49, start=None)) == [0, 24, 49]
    assert find_days(make_long(30)) == []
    assert len(find_days(make_long(30), DayOptions(by="day"))) == 2
    assert find_days(make_long(72), DayOptions(by="whole")) == []


def test_summer_time_moves_the_cut_by_an_hour():
    spring = make_long(60, species="human", start=datetime(2024, 3, 30, 12))
    assert edges(spring) == [0, 24, 48, 60]
    assert edges(spring, time_zone="Europe/Berlin") == [0, 23, 47, 60]
    autumn = make_long(60, species="human", start=datetime(2024, 10, 26, 12))
    assert edges(autumn, time_zone="Europe/Berlin") == [0, 25, 49, 60]


def test_nights_by_lights_are_the_dark_phases():
    nights = find_days(make_long(48), DayOptions(by="night", light_schedule="07:00-19:00"))
    assert [(night.start / HOURS, night.end / HOURS) for night in nights] == [(10, 22), (34, 46)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "week"}, "--by day, night or whole"),
        ({"by": "night"}, "the hours of light"),
        ({"light_schedule": "7-25"}, "clock times of lights"),
        ({"light_schedule": "morning"}, "clock times of lights"),
    ],
)
def test_options_that_cannot_be_are_said(options, message):
    with pytest.raises(SharpwaveError, match=message):
        DayOptions(**options)


def make_day(stages: np.ndarray, **values) -> DecodedNight:
    hypnogram = Hypnogram(stages.astype(np.int8), epoch_length=10.0, n_stages=3)
    how = {"stager": "hand", "verdict": "usable", "species": "mouse"}
    return DecodedNight(identifier="d", source="d", duration=hypnogram.end, hypnogram=hypnogram, **how, **values)


def test_light_dark_and_deprivation_add_up_to_what_was_planted():
    """Asleep in the light alone, but for four hours of deprivation; an hour was not scored."""
    clock, schedule = DayClock(datetime(2024, 3, 1, 7)), (7.0, 19.0)
    stages = np.where(np.arange(8640) < 4320, 1, 0)
    stages[:1440] = 0
    stages[-360:] = -1
    events = pd.DataFrame({"onset": [5.0, 4 * HOURS + 5, 5 * HOURS], "duration": 1.0, "label": "spindle"})
    depth = pd.DataFrame({"onset": 10.0 * np.arange(8640), "depth": np.where(np.arange(8640) < 2880, 1.0, 3.0)})
    spans = pd.DataFrame({"onset": [1000 * HOURS], "duration": [4 * HOURS], "label": ["sleep deprivation"]})
    table = measure_day(
        make_day(stages, events=events, depth=depth),
        onset=1000 * HOURS - 1000 * HOURS % (24 * HOURS) + 24 * HOURS,
        clock=clock,
        schedule=schedule,
        spans=spans.assign(onset=1008 * HOURS),
    ).set_index(["phase", "name"])["value"]
    assert table["light", "sleep"] == 8 * 60
    assert table["dark", "sleep"] == 0
    assert table["sleep deprivation", "sleep_share"] == 0
    assert table["sleep deprivation", "recorded"] == 240
    assert table["day", "missing"] == pytest.approx(1 / 24)
    assert table["dark", "missing"] == pytest.approx(1 / 12)
    assert table["day", "bouts_NREM"] == 1
    assert table["day", "bout_length_NREM"] == 480
    assert table["day", "depth"] == 2.0, "half of the sleep is at 1, half at 3"
    assert table["day", "events_spindle"] == pytest.approx(2 / 8), "the one awake does not count"
    assert table["light", "sleep"] + table["dark", "sleep"] == table["day", "sleep"]


def test_profile_and_actogram_show_the_rhythm_that_was_planted():
    """Asleep from 20 to 8 o'clock, days that start at any hour."""
    clock = DayClock(datetime(2024, 3, 1, 15))
    onsets = 10.0 * np.arange(5 * 8640)
    hours = clock.compute_hours(onsets)
    asleep = ((hours - 20) % 24 < 12).astype(np.int8)
    days = [(24 * HOURS * k, Hypnogram(asleep[8640 * k : 8640 * (k + 1)], 10.0, 3)) for k in range(5)]
    profile = compute_profile(days, clock, lights_on=8.0)
    share = profile[profile["stage"] == "NREM"].set_index("zt")["share"]
    assert share[:12].eq(0).all()
    assert share[12:].eq(1).all()
    actogram = compute_actogram(days, clock, lights_on=8.0, minutes=60)
    assert actogram.shape == (6, 24)
    assert np.isnan(actogram[0, :7]).all()
    assert (actogram[1:5, 12:] == 1).all()
    assert (actogram[1:5, :12] == 0).all()
    assert np.isnan(actogram[5, 7:]).all()


def test_light_over_midnight():
    assert is_light(np.array([23.0, 3.0, 12.0]), (18.0, 6.0)).tolist() == [True, True, False]


def test_spans_need_their_columns(tmp_path):
    (tmp_path / "spans.tsv").write_text("onset\tlabel\n1\ta\n")
    with pytest.raises(SharpwaveError, match="no duration"):
        read_spans(tmp_path / "spans.tsv")


def test_spans_that_would_be_measured_wrongly_are_refused(tmp_path):
    path = tmp_path / "spans.tsv"
    for onset, label, message in (("07:00", "a", "seconds in the column onset"), ("7", "dark", "names of their own")):
        path.write_text(f"onset\tduration\tlabel\n{onset}\t60\t{label}\n")
        with pytest.raises(SharpwaveError, match=message):
            check_zone(DayOptions(spans=path))


@pytest.mark.parametrize(
    ("start", "options", "labels"),
    [
        (datetime(2024, 3, 1, 8), {}, ["2024-03-01-0800", "2024-03-01", "2024-03-02"]),
        (datetime(2024, 12, 31, 22), {}, ["2024-12-31", "2025-01-01", "2025-01-02"]),
        (datetime(1900, 1, 1, 8), {}, ["day-001-0800", "day-001", "day-002"]),
        (
            datetime(2024, 3, 1, 4),
            {"by": "night", "light_schedule": "7-19"},
            ["2024-03-01-0400", "2024-03-01", "2024-03-02"],
        ),
    ],
)
def test_no_two_days_have_one_name(start, options, labels):
    """A recording that began in the morning lost a day: both of its first date went into one folder."""
    days = find_days(make_long(50, species="human", start=start), DayOptions(**options))
    assert [day.label for day in days] == labels


def test_an_hour_that_comes_twice_cuts_once():
    mouse = make_long(72, start=datetime(2024, 10, 26, 2, 30))
    assert edges(mouse, time_zone="Europe/Berlin") == [0, 24, 49, 72]


def test_a_schedule_of_light_needs_a_clock():
    assert find_days(make_long(20, start=None), DayOptions(light_schedule="7-19")) == []
    with pytest.raises(SharpwaveError, match="without a clock time"):
        find_days(make_long(49, start=None), DayOptions(light_schedule="7-19"))


def test_hours_are_exact_and_a_day_counts_once():
    """From 06:38 on, 07:00 was a rounding error before lights on, and no bin of the actogram."""
    clock = DayClock(datetime(2024, 3, 1, 6, 38))
    pieces = [(24 * HOURS * k, Hypnogram(np.ones(8640, dtype=np.int8), 10.0, 3)) for k in range(2)]
    assert compute_actogram(pieces, clock, lights_on=7.0).shape == (3, 144)
    profile = compute_profile(pieces, clock, lights_on=7.0)
    counted = profile[profile["stage"] == "W"].set_index("zt")["n"]
    assert counted.drop(23).eq(2).all(), "each hour on two days, though one lies in two pieces"
    assert counted[23] == 3, "two hours in part, and one whole"


def test_days_without_a_clock_are_numbered():
    first, second = find_days(make_long(49, start=None))
    assert (first.label, second.label) == ("day-001", "day-002")
    assert "24.0 to 49.0 h of a longer recording" in second.sentence


def test_the_hour_of_the_day_counts_minutes_and_seconds():
    assert hour_of(datetime(2024, 3, 1, 6, 45, 36, 500_000)) == pytest.approx(6.76 + 0.5 / 3600)


def test_a_zone_and_a_table_that_are_not_there_are_said_before_any_work(tmp_path):
    check_zone(DayOptions(time_zone="Europe/Berlin"))
    (tmp_path / "spans.tsv").write_text("onset\tduration\tlabel\n")
    check_zone(DayOptions(spans=tmp_path / "spans.tsv"))
    with pytest.raises(SharpwaveError, match="time zone"):
        check_zone(DayOptions(time_zone="Mars/Olympus"))
    with pytest.raises(SharpwaveError, match="a table of spans"):
        check_zone(DayOptions(spans=tmp_path / "none.tsv"))


def test_cycles_end_with_rem_after_other_sleep():
    """Rodents: a minute without REM parts two episodes; epochs of 10 s, stages W, NREM, REM."""
    stages = np.repeat([2, 1, 2, 1, 2, 0, 2], [6, 12, 6, 5, 6, 6, 6])  # REM first; 50 s of NREM; a minute awake
    assert count_cycles(Hypnogram(stages.astype(np.int8), 10.0, 3), np.ones(stages.size, dtype=bool)) == 1
    parted = np.repeat([1, 2, 1, 2], [6, 6, 6, 6])
    assert count_cycles(Hypnogram(parted.astype(np.int8), 10.0, 3), np.ones(24, dtype=bool)) == 2


def test_the_profile_has_an_interval_over_days_and_tells_hours_without_one():
    """Two hours from 9 o'clock on two days: asleep in a quarter and in three quarters of the first."""
    clock = DayClock(datetime(2024, 3, 1, 9))
    days = [
        (onset, Hypnogram((np.arange(720) < 360 * share).astype(np.int8), 10.0, 3))
        for onset, share in ((0.0, 0.4), (24 * HOURS, 0.6))
    ]
    profile = compute_profile(days, clock).set_index(["stage", "zt"]).loc["NREM"]
    first = profile.loc[9]
    assert first["share"] == pytest.approx(0.5)
    assert first["low"] == pytest.approx(0.5 - 1.96 * 0.1)
    assert first["high"] == pytest.approx(0.5 + 1.96 * 0.1)
    assert (first["n"], profile.loc[11, "n"]) == (2, 0)
    assert np.isnan(profile.loc[11, "share"])


def test_an_actogram_of_nothing_has_no_rows():
    nothing = Hypnogram(np.full(6, -1, dtype=np.int8), 10.0, 3)
    assert compute_actogram([(0.0, nothing)], DayClock(datetime(2024, 3, 1))).shape == (0, 144)


def test_events_and_depth_outside_of_the_stages_do_not_count():
    """The last epoch counts, what lies behind it does not."""
    events = pd.DataFrame({"onset": [3590.0, 3600.0], "duration": 1.0, "label": "spindle"})
    depth = pd.DataFrame({"onset": [3590.0, 3600.0], "depth": [2.0, 9.0]})
    table = measure_day(make_day(np.ones(360), events=events, depth=depth)).set_index("name")["value"]
    assert (table["events_spindle"], table["depth"]) == (1.0, 2.0)
