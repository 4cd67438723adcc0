"""Small valid exports of watches and rings, for their readers and for fuzzers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

ZONE = timezone(timedelta(hours=2))
BEGIN = datetime(2023, 10, 23, 22, 0, tzinfo=ZONE)
GRAMMAR = "<!DOCTYPE HealthData [\n<!ELEMENT HealthData (Record)*>\n<!ATTLIST Record type CDATA #REQUIRED>\n]>\n"


def _write_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z")


def write_record(kind: str, minute: float, value: str, *, unit: str = "", minutes: float = 0.0) -> str:
    """A record of Apple Health, `minute` minutes after `BEGIN`."""
    times = [_write_time(BEGIN + timedelta(minutes=one)) for one in (minute, minute + minutes)]
    return f'<Record type="{kind}" unit="{unit}" startDate="{times[0]}" endDate="{times[1]}" value="{value}"/>\n'


def write_apple_health(path: Path, *, minutes: int = 60, head: str = GRAMMAR, more: str = "") -> Path:
    """A heart rate every five minutes, oxygen, steps and the watch's own stages."""
    quantity = "HKQuantityTypeIdentifier"
    rows = [write_record(f"{quantity}HeartRate", m, str(50 + m % 20), unit="count/min") for m in range(0, minutes, 5)]
    rows += [write_record(f"{quantity}OxygenSaturation", 7, "0.96", unit="%")]
    rows += [write_record(f"{quantity}StepCount", 10, "120", unit="count", minutes=4)]
    rows += [write_record("HKCategoryTypeIdentifierSleepAnalysis", 0, "HKCategoryValueSleepAnalysisAsleepCore")]
    rows += [write_record(f"{quantity}BodyMass", 0, "70")]
    body = "".join(reversed(rows))
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<HealthData locale="de_AT">\n{body}{more}</HealthData>\n'
    )
    return path


def write_fitbit(path: Path) -> Path:
    """Twenty heart rates, five seconds apart."""
    rows = [
        {
            "dateTime": f"03/01/24 23:{59 if i < 10 else 58}:{5 * (i % 10):02d}",
            "value": {"bpm": 60 + i, "confidence": 3},
        }
        for i in range(20)
    ]
    path.write_text(json.dumps(rows))
    return path


def write_oura(path: Path) -> Path:
    """A night's document of sleep: heart rate every five minutes, one of them missing, and movement."""
    night = {
        "bedtime_start": BEGIN.isoformat(),
        "heart_rate": {"interval": 300.0, "items": [60.0, None, 55.0], "timestamp": BEGIN.isoformat()},
        "movement_30_sec": "1143",
        "sleep_phase_5_min": "442",
    }
    path.write_text(json.dumps({"data": [night], "next_token": None}))
    return path


def write_actiwatch(path: Path, *, days: float = 0.1, code: str = "4") -> Path:
    """Counts of a minute, quiet at night, with a marker and a column of light."""
    n = round(days * 1440)
    hours = (12 + np.arange(n) / 60) % 24
    counts = np.where((hours > 23) | (hours < 7), 2, 200 + np.arange(n) % 50)
    head = ["S1", "23-Oct-2023", "12:00", code, "34", "V123456", "F"]
    rows = [f"{count} , 1" for count in counts]
    rows[3] = f"{counts[3]} M , 1"
    path.write_text("\r\n".join([*head, *rows]) + "\r\n")
    return path
