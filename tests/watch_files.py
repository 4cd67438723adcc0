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


def write_gt3x(
    path: Path, g: np.ndarray, *, rate: int = 30, words: bool = False, missing: tuple[int, ...] = ()
) -> Path:
    """ActiGraph's archive (published layout): `info.txt`, and a record of 12-bit or 16-bit samples a second."""
    import struct
    import zipfile

    scale, begin = 256, 1_698_098_400  # 2023-10-23 22:00:00 on the device's clock
    log = b""
    for second in range(len(g) // rate):
        counts = np.round(g[second * rate : (second + 1) * rate] * scale).astype(int)
        if words:
            kind, payload = 0x1A, counts.astype("<i2").tobytes()
        else:
            bits = "".join(f"{int(value) & 0xFFF:012b}" for value in counts[:, [1, 0, 2]].ravel())
            bits += "0" * (-len(bits) % 8)
            kind, payload = 0x00, int(bits, 2).to_bytes(len(bits) // 8, "big")
        record = struct.pack("<BBIH", 0x1E, kind, begin + second, len(payload)) + payload
        checksum = 0
        for byte in record:
            checksum ^= byte
        log += b"" if second in missing else record + bytes([~checksum & 0xFF])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "info.txt", f"Serial Number: MOS2A\r\nSample Rate: {rate}\r\nAcceleration Scale: {scale}.0\r\n"
        )
        archive.writestr("log.bin", log)
    return path


def write_geneactiv(path: Path, g: np.ndarray, *, rate: float = 50.0) -> Path:
    """GENEActiv's text (published layout): a head with gains, pages of 300 samples in hexadecimal."""
    gain, offset = {"x": 25600, "y": 25700, "z": 25500}, {"x": 100, "y": -200, "z": 300}
    head = "Device Identity\r\nDevice Unique Serial Code:012967\r\nDevice Type:GENEActiv\r\n\r\nCalibration Data\r\n"
    head += "".join(f"{axis} gain:{gain[axis]}\r\n{axis} offset:{offset[axis]}\r\n" for axis in "xyz")
    pages = len(g) // 300
    text = head + f"\r\nMemory Status\r\nNumber of Pages:{pages}\r\n\r\n"
    for page in range(pages):
        time = datetime(2023, 10, 23, 22) + timedelta(seconds=page * 300 / rate)
        text += f"Recorded Data\r\nDevice Unique Serial Code:012967\r\nSequence Number:{page}\r\n"
        text += f"Page Time:{time:%Y-%m-%d %H:%M:%S}:{time.microsecond // 1000:03d}\r\nTemperature:{30 + page}\r\n"
        text += f"Battery voltage:4.1\r\nDevice Status:Recording\r\nMeasurement Frequency:{rate}\r\n"
        for row in g[300 * page : 300 * (page + 1)]:
            stored = [round((value * gain[a] + offset[a]) / 100) & 0xFFF for value, a in zip(row, "xyz", strict=True)]
            text += f"{stored[0]:03X}{stored[1]:03X}{stored[2]:03X}000"
        text += "\r\n"
    path.write_bytes(text.encode())
    return path


def write_muse(path: Path, volts: np.ndarray, *, rate: float = 256) -> Path:
    """Mind Monitor's table: four raw channels in µV round 800, and rows of markers between."""
    rows = ["TimeStamp,Delta_TP9,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,AUX_RIGHT,Battery,Elements"]
    for index, row in enumerate(volts * 1e6 + 800):
        time = datetime(2023, 10, 23, 22) + timedelta(seconds=index / rate + 0.002 * (index % 3))
        rows.append(
            f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d},0.1,{','.join(f'{v:.3f}' for v in row)},0,90,"
        )
        if index % 500 == 7:
            rows.append(f"{time:%Y-%m-%d %H:%M:%S}.000,,,,,,,,/muse/elements/blink")
    path.write_text("\n".join(rows) + "\n")
    return path


def write_openbci(path: Path, volts: np.ndarray, *, lost: int = 0) -> Path:
    """The text of OpenBCI's GUI 5: a head, then counter, channels in µV and times."""
    n = volts.shape[1]
    text = f"%OpenBCI Raw EXG Data\n%Number of channels = {n}\n%Sample Rate = 250 Hz\n"
    text += "%Board = OpenBCI_GUI$BoardCytonSerial\n"
    names = ", ".join(f"EXG Channel {index}" for index in range(n))
    text += f"Sample Index, {names}, Accel Channel 0, Timestamp, Timestamp (Formatted)\n"
    for index, row in enumerate(volts * 1e6):
        time = datetime(2023, 10, 23, 22) + timedelta(seconds=index / 250)
        counter = (index + (lost if index > len(volts) // 2 else 0)) % 256
        values = ", ".join(f"{value:.6f}" for value in row)
        clock = f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d}"
        text += f"{counter}, {values}, 0.0, 1698098400.0, {clock}\n"
    path.write_text(text)
    return path


def write_dreem(path: Path, volts: np.ndarray, *, stages: tuple[int, ...] = (-1, 0, 2, 4)) -> Path:
    """The HDF5 of the Dreem Open Datasets: a group a kind of signal with its rate, one array a channel in µV."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("signals/eeg")
        group.attrs["fs"], group.attrs["unit"] = 250, "µV".encode()
        group["F3_O1"] = volts * 1e6
        file["hypnogram"] = np.array(stages)
    return path
