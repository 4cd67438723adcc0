"""Exports of watches and rings: values and times by hand, years in little memory, and files of other hands refused."""

from __future__ import annotations

import json
import tracemalloc
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.watch_files import BEGIN, write_actiwatch, write_apple_health, write_fitbit, write_oura, write_record

from sharpwave.errors import SharpwaveError
from sharpwave.night.several_nights import find_nights
from sharpwave.recordings import read_recording
from sharpwave.recordings.readers import watch_exports


def test_apple_health_gives_values_at_their_times(tmp_path: Path) -> None:
    recording = read_recording(write_apple_health(tmp_path / "export.xml"))
    heart = recording["heart_rate"]
    assert recording.start == BEGIN.replace(tzinfo=None)
    assert heart.times.tolist() == [300.0 * i for i in range(12)]
    assert heart.read().tolist() == [float(50 + m % 20) for m in range(0, 60, 5)]
    assert recording["oxygen"].read().tolist() == [96.0]
    assert recording["activity"].read().tolist() == [30.0], "120 steps in 4 minutes"
    assert recording["activity"].times.tolist() == [600.0]
    assert "1 stages that the watch says itself were left out" in recording.repairs


def test_a_change_of_the_clock_moves_no_value(tmp_path: Path) -> None:
    """Offsets decide: 02:30 +0200 and 02:30 +0100 of the night in which summer time ends are an hour apart."""
    kind = "HKQuantityTypeIdentifierHeartRate"
    row = '<Record type="{}" unit="count/min" startDate="2023-10-29 02:30:00 {}" endDate="" value="60"/>'
    path = tmp_path / "export.xml"
    path.write_text("<HealthData>" + row.format(kind, "+0100") + row.format(kind, "+0200") + "</HealthData>")
    assert read_recording(path)["heart_rate"].times.tolist() == [0.0, 3600.0]


def test_entities_and_other_xml_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE HealthData [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n'
    outside = '<!DOCTYPE HealthData [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n'
    for head in (bomb, outside):
        with pytest.raises(SharpwaveError, match="entities of its own"):
            read_recording(write_apple_health(tmp_path / "export.xml", head=head))
    (tmp_path / "export.xml").write_text("<Other/>")
    with pytest.raises(SharpwaveError, match="XML of 'Other'"):
        read_recording(tmp_path / "export.xml")
    (tmp_path / "export.xml").write_text("<HealthData/>")
    with pytest.raises(SharpwaveError, match=r"heart rate, oxygen or steps .*got none"):
        read_recording(tmp_path / "export.xml")
    (tmp_path / "export.xml").write_text("<HealthData><Record")
    with pytest.raises(SharpwaveError, match="cannot be read"):
        read_recording(tmp_path / "export.xml")


def test_a_broken_record_is_declared_and_the_rest_is_read(tmp_path: Path) -> None:
    more = (
        write_record("HKQuantityTypeIdentifierHeartRate", 90, "many")
        + '<Record type="HKQuantityTypeIdentifierHeartRate"/>'
    )
    recording = read_recording(write_apple_health(tmp_path / "export.xml", more=more))
    assert len(recording["heart_rate"]) == 12
    assert "2 records without a time or a number were left out" in recording.repairs


def test_memory_is_that_of_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Megabytes of XML are read in pieces; neither a tree nor the text of them is ever whole."""
    path = write_apple_health(tmp_path / "export.xml", minutes=5 * 12_000)
    monkeypatch.setattr(watch_exports, "PIECE", 1 << 14)
    tracemalloc.start()
    recording = read_recording(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(recording["heart_rate"]) == 12_000
    assert path.stat().st_size > 1_800_000
    assert peak < 1_400_000, "the text alone would be more, a tree ten times as much"
    monkeypatch.setattr(watch_exports, "MOST_VALUES", 100)
    with pytest.raises(SharpwaveError, match="at most 100 values"):
        read_recording(path)


def test_fitbit_rows_are_put_in_order(tmp_path: Path) -> None:
    recording = read_recording(write_fitbit(tmp_path / "heart_rate-2024-03-01.json"))
    assert recording.start == datetime(2024, 3, 1, 23, 58)
    assert recording["heart_rate"].read().tolist() == [*range(70, 80), *range(60, 70)]
    assert np.diff(recording["heart_rate"].times).tolist()[9] == 15.0
    (tmp_path / "steps-2024-03-01.json").write_text(json.dumps([{"dateTime": "03/01/24 23:59:00", "value": "12"}]))
    assert read_recording(tmp_path / "steps-2024-03-01.json")["activity"].read().tolist() == [12.0]
    (tmp_path / "steps-2024-03-01.json").write_text('{"a": 1}')
    with pytest.raises(SharpwaveError, match="a list of records"):
        read_recording(tmp_path / "steps-2024-03-01.json")


def test_oura_gives_heart_rate_and_movement(tmp_path: Path) -> None:
    recording = read_recording(write_oura(tmp_path / "oura_sleep.json"))
    assert recording.start == BEGIN.replace(tzinfo=None)
    assert recording["heart_rate"].times.tolist() == [0.0, 600.0]
    assert recording["activity"].read().tolist() == [0.0, 0.0, 3.0, 2.0]
    (tmp_path / "oura_hr.json").write_text(json.dumps([{"bpm": 61, "source": "sleep", "timestamp": BEGIN.isoformat()}]))
    assert read_recording(tmp_path / "oura_hr.json")["heart_rate"].read().tolist() == [61.0]


def test_actiwatch_counts_their_epochs_and_days(tmp_path: Path) -> None:
    recording = read_recording(write_actiwatch(tmp_path / "arm.awd", days=3))
    activity = recording["activity"]
    assert (recording.start, activity.rate) == (datetime(2023, 10, 23, 12), 1 / 60)
    assert len(activity) == 3 * 1440
    assert activity.read(180, 240).tolist() == [203.0], "a marker is no part of the count"
    assert (recording.metadata["age"], recording.metadata["sex"]) == (34, "F")
    assert [night.label for night in find_nights(recording)] == ["2023-10-23", "2023-10-24", "2023-10-25"]
    assert read_recording(write_actiwatch(tmp_path / "arm.awd", code="2"))["activity"].rate == 1 / 30
    with pytest.raises(SharpwaveError, match="a code of the epoch among"):
        read_recording(write_actiwatch(tmp_path / "arm.awd", code="7"))
    text = (tmp_path / "arm.awd").read_text()
    (tmp_path / "arm.awd").write_text(text.replace("\n7\n", "\n4\n").replace("23-Oct-2023", "yesterday"))
    with pytest.raises(SharpwaveError, match="a date such as"):
        read_recording(tmp_path / "arm.awd")
