from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.day_measures import compute_actogram, compute_profile, measure_day
from sharpwave.night.days import DayClock, DayOptions, find_days, is_light, read_spans
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
