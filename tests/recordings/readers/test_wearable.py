"""Wearable tables: planted times, units and faults come out as planted or are declared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.files import write_small_wearable

from sharpwave.errors import SharpwaveError
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
