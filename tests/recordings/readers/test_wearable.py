"""Wearable tables: planted times, units and faults come out as planted or are declared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.files import write_small_wearable

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import read_recording
from sharpwave.recordings.readers.wearable import read_wearable
from sharpwave.recordings.readers.wearable_columns import identify_column, is_time_column

UNIX = 1_709_330_400.0


def write(path: Path, columns: dict, **options: object) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False, **options)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_the_small_table(tmp_path: Path, name: str) -> None:
    recording = read_wearable(write_small_wearable(tmp_path / name))
    assert recording.modalities == ("activity", "heart_rate", "temperature")
    assert 33 < np.median(recording["skin_temp_f"].read()) < 35
    times = recording["heart_rate_bpm"].times
    assert (np.diff(times) > 0).all()
    assert len(times) == 240
    said = " ".join(recording.repairs)
    for fault in ("ran backwards in 1 places", "1 rows repeat a time", "1 gaps without samples"):
        assert fault in said
    (begin, end) = recording.metadata["gaps"][0]
    assert 300 < end - begin < 310


@pytest.mark.parametrize(("factor", "unit"), [(1, "s"), (1e3, "ms"), (1e6, "µs")])
def test_unix_times_of_each_size(tmp_path: Path, factor: float, unit: str) -> None:
    stamps = ((UNIX + 30 * np.arange(20)) * factor).astype(np.int64)
    recording = read_wearable(write(tmp_path / "a.csv", {"timestamp": stamps, "hr": 60 + np.arange(20)}))
    assert recording.start == datetime.fromtimestamp(UNIX, tz=UTC)
    assert recording["hr"].times is None
    assert recording["hr"].rate == pytest.approx(1 / 30)
    assert recording.repairs == (f"times are taken as Unix time in {unit}, in UTC",)
    np.testing.assert_allclose(recording["hr"].read(), 60 + np.arange(20))


@pytest.mark.parametrize(
    "texts",
    [
        [f"2024-03-01T22:00:{second:02d}+01:00" for second in range(0, 60, 10)],
        [f"2024-03-01 22:00:{second:02d}" for second in range(0, 60, 10)],
        [f"01/03/2024 22:00:{second:02d}" for second in range(0, 60, 10)],
    ],
)
def test_dates(tmp_path: Path, texts: list[str]) -> None:
    recording = read_wearable(write(tmp_path / "a.csv", {"time": texts, "steps": range(6)}))
    assert recording["steps"].rate == pytest.approx(0.1)
    assert (recording.start.day, recording.start.month, recording.start.hour) == (1, 3, 22)


def test_seconds_and_minutes_from_the_start(tmp_path: Path) -> None:
    for name, step in (("time", 1.0), ("time_min", 60.0), ("time (ms)", 1e-3)):
        recording = read_wearable(write(tmp_path / "a.csv", {name: np.arange(50), "enmo": np.arange(50.0)}))
        assert 1 / recording["enmo"].rate == pytest.approx(step)
        assert recording.start is None


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    regular = write(tmp_path / "a.csv", {"time": [0, 30, 60, 90], "hr": [60, np.nan, 0, 70]})
    recording = read_wearable(regular)
    np.testing.assert_array_equal(recording["hr"].read(), [60, np.nan, np.nan, 70])
    assert "no heart rate" in recording.repairs[0]
    irregular = write(tmp_path / "b.csv", {"time": [0, 31, 60, 99], "spo2": [97, np.nan, 96, 95]})
    np.testing.assert_array_equal(read_wearable(irregular)["spo2"].times, [0, 60, 99])


def test_decimal_commas_and_utf16(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Time;Temperature\n0;36,5\n60;36,7\n120;36,6\n", encoding="utf-16")
    recording = read_wearable(path)
    np.testing.assert_allclose(recording["Temperature"].read(), [36.5, 36.7, 36.6], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "values", "unit_values"),
    [
        ("skin_temp", [95.0, 96.0], [35.0, 35.5556]),
        ("temp_f", [95.0, 96.0], [35.0, 35.5556]),
        ("temperature (°C)", [35.0, 35.5], [35.0, 35.5]),
        ("body_temp", [309.15, 310.15], [36.0, 37.0]),
        ("heart_rate_hz", [1.0, 1.1], [60.0, 66.0]),
        ("SpO2", [0.96, 0.97], [96.0, 97.0]),
    ],
)
def test_units_from_names_and_values(name: str, values: list[float], unit_values: list[float]) -> None:
    column, _ = identify_column(name, np.array(values))
    np.testing.assert_allclose(np.array(values) * column.scale + column.offset, unit_values, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("skin_temp_c", [95.0, 96.0], "would fit °F"),
        ("temp_f", [35.0, 36.0], "would fit °C"),
        ("temperature", [500.0, 510.0], "10 to 45 °C or"),
        ("heart_rate", [1.0, 1.1], "would fit Hz"),
        ("spo2", [5.0, 6.0], "50 to 100 %"),
    ],
)
def test_units_that_contradict_the_values_are_refused(name: str, values: list[float], message: str) -> None:
    with pytest.raises(SharpwaveError, match=message):
        identify_column(name, np.array(values))


@pytest.mark.parametrize(
    "name", ["timestamp", "time", "Date", "date_time", "DateTime (UTC)", "unix_time_ms", "Time (s)", "t", "start time"]
)
def test_columns_of_times(name: str) -> None:
    assert is_time_column(name)
    assert not is_time_column("time_in_bed_score")
    assert not is_time_column("temperature")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,4\n", "column of times"),
        ("time,note\n0,x\n1,y\n", "column of numbers beside the times"),
        ("time,hr\nx,60\ny,61\n", "that cannot be read"),
        ("time\n", "a header and rows"),
        ("time,hr\n3e8x,60\n", "cannot be read"),
        ("time,hr\n5e11,60\n5e20,61\n5e20,61\n", "in seconds, or Unix time"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SharpwaveError, match=message):
        read_wearable(tmp_path / "a.csv")


def test_a_few_unreadable_times_are_left_out_and_said(tmp_path: Path) -> None:
    times = [str(30 * row) for row in range(30)]
    times[7] = "lost"
    recording = read_wearable(write(tmp_path / "a.csv", {"time": times, "steps": range(30)}))
    assert len(recording["steps"]) == 29
    assert "1 rows have no readable time" in recording.repairs[0]


EVENING = datetime(2023, 10, 28, 22)


def write_night(path: Path, head: str, line: str, *, step: float = 60, moments: list[datetime] | None = None) -> Path:
    """A table of eight hours; `line` is formatted with m (the clock), h (heart rate), a (activity)."""
    rng = np.random.default_rng(1)
    moments = moments or [EVENING + timedelta(seconds=step * index) for index in range(int(28_800 / step))]
    rows = [line.format(m=m, h=60 + rng.normal(0, 2), a=rng.gamma(1, 20)) for m in moments]
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("Line,Date,Time,Activity,Heart rate", "1,{m:%d/%m/%Y},{m:%H:%M:%S},{a:.0f},{h:.0f}"),
        ("Date,Time,HR,Steps", "{m:%Y%m%d},{m:%H:%M},{h:.0f},{a:.0f}"),
        ("Datum;Uhrzeit;Puls;HR", "{m:%d.%m.%Y};{m:%H:%M:%S};1,5;{h:.1f}"),
        ("Time,Date,HR", '{m:%I:%M:%S %p},"{m:%b %d, %Y}",{h:.0f}'),
        ("Date,Timestamp,HR", "{m:%Y-%m-%d},{m:%Y-%m-%d %H:%M:%S},{h:.0f}"),
        ("sep=,\nTime,HR", "{m:%Y-%m-%d %H:%M:%S},{h:.0f}"),
        ("Watch 7\nSerial,12\n\nTime,HR", "{m:%Y-%m-%d %H:%M:%S},{h:.0f}"),
    ],
)
def test_date_and_time_in_one_column_or_two(tmp_path: Path, head: str, line: str) -> None:
    recording = read_wearable(write_night(tmp_path / "a.csv", head, line))
    assert (recording.start, recording.duration) == (EVENING, 28_800)
    assert "heart_rate" in recording.modalities
    assert not {"Time", "Date", "Datum", "Uhrzeit", "Timestamp"} & {*recording.signals}


def test_clock_times_alone_cross_midnight(tmp_path: Path) -> None:
    recording = read_wearable(write_night(tmp_path / "a.csv", "time;HR", "{m:%H:%M:%S};{h:.0f}"))
    assert (recording.duration, recording.start.hour) == (28_800, 22)
    assert "no dates" in " ".join(recording.repairs)


def test_the_hour_that_comes_twice_is_kept(tmp_path: Path) -> None:
    moments = [EVENING + timedelta(minutes=index - 60 * (index >= 300)) for index in range(480)]
    line = "{m:%Y-%m-%d %H:%M:%S},{h:.1f}"
    recording = read_wearable(write_night(tmp_path / "a.csv", "time,HR", line, moments=moments))
    assert (len(recording["HR"]), recording.duration) == (480, 28_800)
    assert "goes back an hour" in recording.repairs[0]
    in_order = read_wearable(write_night(tmp_path / "b.csv", "time,HR", line, moments=sorted(moments)))
    assert (len(in_order["HR"]), in_order.duration) == (480, 28_800)


def test_a_date_without_a_time_of_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="time of day"):
        read_wearable(write_night(tmp_path / "a.csv", "date,HR", "{m:%Y-%m-%d},{h:.0f}"))


def test_times_rounded_to_the_minute_keep_every_row(tmp_path: Path) -> None:
    recording = read_wearable(write_night(tmp_path / "a.csv", "time,HR", "{m:%Y-%m-%d %H:%M},{h:.3f}", step=30))
    assert (len(recording["HR"]), recording["HR"].rate) == (960, pytest.approx(1 / 30))
    assert "share each time" in recording.repairs[0]


def make_headband(path: Path, head: str, *, rate: float = 64, jitter: float = 0.0, gap: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(2)
    values = np.convolve(rng.normal(0, 60, int(700 * rate)), np.ones(8) / 4, mode="same")
    seconds = np.arange(values.size) / rate + rng.normal(0, jitter, values.size)
    seconds[values.size // 2 :] += gap
    rows = [f"{EVENING + timedelta(seconds=s)},{v:.2f},{v:.2f}" for s, v in zip(np.sort(seconds), values, strict=True)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return values


def test_a_headband_is_named_and_scaled_by_the_user(tmp_path: Path) -> None:
    values = make_headband(tmp_path / "a.csv", "time,wire 1,wire 2")
    recording = read_wearable(tmp_path / "a.csv", overrides={"wire 1": "TP9:eeg", "wire 2": ":emg"}, unit="uV")
    eeg = recording["TP9"]
    assert (eeg.modality.name, eeg.rate, eeg.times) == ("eeg", pytest.approx(64), None)
    np.testing.assert_allclose(1e6 * eeg.read(), values, atol=0.02)
    assert recording["wire 2"].modality.name == "emg"
    assert recording.metadata["labels"]["TP9"] == "wire 1"
    with pytest.raises(SharpwaveError, match="wire 1, wire 2"):
        read_wearable(tmp_path / "a.csv", overrides={"Ch9": "TP9:eeg"})
    with pytest.raises(SharpwaveError, match="--unit"):
        read_wearable(tmp_path / "a.csv", overrides={"wire 1": "TP9:eeg"}, unit="bpm")
    assert [*read_wearable(tmp_path / "a.csv", channels=["wire 2"]).signals] == ["wire 2"]


@pytest.mark.parametrize("head", ["TimeStamp,RAW_TP9,EEG.AF7", "t,TP9 (uV),AF7 [uV]", "t,TP9,AF7"])
def test_electrodes_by_their_own_names(tmp_path: Path, head: str) -> None:
    values = make_headband(tmp_path / "a.csv", head)
    recording = read_wearable(tmp_path / "a.csv")
    assert [*recording.of("eeg")] == ["TP9", "AF7"]
    np.testing.assert_allclose(1e6 * recording["TP9"].read(), values, atol=0.02)
    assert any("no unit" in sentence for sentence in recording.repairs) == ("(" not in head)


def test_jitter_and_gaps_of_a_headband(tmp_path: Path) -> None:
    make_headband(tmp_path / "a.csv", "t,TP9,AF7", jitter=0.003, gap=20.0)
    recording = read_wearable(tmp_path / "a.csv", unit="uV")
    eeg = recording["TP9"]
    assert (eeg.times, eeg.rate) == (None, pytest.approx(64, rel=1e-3))
    assert recording.duration == pytest.approx(720, abs=0.2)
    assert np.isnan(eeg.read(355, 365)).all()
    assert "1 gaps of over 1 s" in " ".join(recording.repairs)


def test_a_table_without_times_wants_a_rate(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("C3,C4\n" + "\n".join(f"{v},{v}" for v in range(100)))
    with pytest.raises(SharpwaveError, match="--rate"):
        read_wearable(tmp_path / "a.csv")
    assert read_wearable(tmp_path / "a.csv", rate=50.0, unit="uV")["C3"].rate == pytest.approx(50)


@pytest.mark.parametrize(
    ("head", "line"), [("timestampGMT;heartRate", "{m:%Y-%m-%d %H:%M};{h:.0f}"), ("unix,HR", "{unix:.0f},{h:.0f}")]
)
def test_times_are_known_by_what_they_hold(tmp_path: Path, head: str, line: str) -> None:
    rows = [(EVENING + timedelta(minutes=index)).replace(tzinfo=UTC) for index in range(480)]
    text = [line.format(m=m, unix=m.timestamp(), h=60 + i % 9) for i, m in enumerate(rows)]
    (tmp_path / "a.csv").write_text("\n".join([head, *text]))
    recording = read_wearable(tmp_path / "a.csv")
    assert (recording.start.replace(tzinfo=None), recording.duration, len(recording.signals)) == (EVENING, 28_800, 1)


def test_the_newest_row_first(tmp_path: Path) -> None:
    moments = [EVENING + timedelta(minutes=index - 60 * (index >= 300)) for index in range(480)]
    line = "{m:%Y-%m-%d %H:%M:%S},{h:.1f}"
    recording = read_wearable(write_night(tmp_path / "a.csv", "time,HR", line, moments=moments[::-1]))
    assert (recording.start, len(recording["HR"]), recording.duration) == (EVENING, 480, 28_800)
    assert "turned round" in recording.repairs[0]


def test_overlapping_exports_a_column_of_offsets_and_units_of_time(tmp_path: Path) -> None:
    path = tmp_path / "watch.csv"
    rows = [f"2023-05-13 {22 + k // 60}:{k % 60:02d}:00,{50 + k % 7}" for k in range(100)]
    path.write_text("\n".join(["time,heart_rate", *rows[:70], *rows[40:]]))
    recording = read_recording(path)
    assert recording["heart_rate"].duration == 6000
    assert any("30 rows are copies of earlier ones" in repair for repair in recording.repairs)
    path.write_text("\n".join(["time,utc_offset,heart_rate", *(row.replace(",", ",+02:00,") for row in rows)]))
    recording = read_recording(path)
    assert list(recording.signals) == ["heart_rate"]
    assert recording.start.isoformat() == "2023-05-13T22:00:00+02:00"
    samsung = [f"{row.replace(',', ',UTC+0200,')},x{k}" for k, row in enumerate(rows)]
    path.write_text("\n".join(["start_time,time_offset,heart_rate,datauuid", *samsung]))
    assert read_recording(path).start.isoformat() == "2023-05-14T00:00:00+02:00"
    head = ",".join(
        f"com.samsung.health.heart_rate.{name}" for name in ("start_time", "time_offset", "heart_rate", "x")
    )
    path.write_text("\n".join([head, *samsung]))
    assert read_recording(path).start.isoformat() == "2023-05-14T00:00:00+02:00"
    for head, factor in (("time_us", 1e6), ("timestamp (ns)", 1e9), ("time [ms]", 1e3), ("time", 1e3)):
        path.write_text("\n".join([f"{head},heart_rate", *(f"{60 * k * factor:.0f},{50 + k % 7}" for k in range(480))]))
        recording = read_recording(path)
        assert recording["heart_rate"].duration == pytest.approx(28_800)
        assert any("milliseconds" in repair for repair in recording.repairs) == (head == "time")
    path.write_text("\n".join(["time,heart_rate", *(f"10:{k:02d}:00 xyz,{50 + k % 7}" for k in range(60))]))
    with pytest.raises(SharpwaveError, match="'xyz' is not known"):
        read_recording(path)
