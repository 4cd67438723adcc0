"""Watches and headbands: the movement and the volts that went in come out, at the right time of day."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests import watch_files as files

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import read_recording

BEGIN = datetime(2023, 10, 23, 22)


def _make_g(rate: float, minutes: float, *, seed: int = 0) -> np.ndarray:
    """Still for one half, moving for the other, gravity along z."""
    rng = np.random.default_rng(seed)
    n = round(rate * 60 * minutes)
    g = np.tile([0.0, 0.0, 1.0], (n, 1))
    g[n // 2 :] += rng.normal(0, 0.3, (n - n // 2, 3))
    return g


def _compute_enmo(g: np.ndarray, rate: float) -> np.ndarray:
    values = np.maximum(np.sqrt((g**2).sum(axis=1)) - 1, 0) * 1000
    return values.reshape(-1, round(30 * rate)).mean(axis=1)


@pytest.mark.parametrize("words", [False, True])
def test_gt3x_gives_the_norm_of_each_half_minute(words: bool, tmp_path: Path) -> None:
    g = _make_g(30, 4)
    recording = read_recording(files.write_gt3x(tmp_path / "a.gt3x", g, words=words))
    assert recording.start == BEGIN
    np.testing.assert_allclose(recording["activity"].read(), _compute_enmo(g, 30), atol=3.0)  # 1/256 g a step
    assert recording["activity"].rate == pytest.approx(1 / 30)


def test_seconds_that_gt3x_does_not_hold_are_absent(tmp_path: Path) -> None:
    g = _make_g(30, 4)
    recording = read_recording(files.write_gt3x(tmp_path / "a.gt3x", g, missing=tuple(range(60, 95))))
    activity = recording["activity"].read()
    assert np.isnan(activity).tolist() == [False, False, True, False, False, False, False, False]
    assert "1 of 8 epochs were not recorded" in recording.repairs


def test_a_broken_record_is_left_out_and_said(tmp_path: Path) -> None:
    import zipfile

    path = files.write_gt3x(tmp_path / "a.gt3x", _make_g(30, 1))
    with zipfile.ZipFile(path) as archive:
        info, log = archive.read("info.txt"), bytearray(archive.read("log.bin"))
    log[20] ^= 0xFF
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("info.txt", info)
        archive.writestr("log.bin", bytes(log))
    assert "1 records with a wrong checksum were left out" in read_recording(path).repairs
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("activity.bin", b"1")
    with pytest.raises(SharpwaveError, match=r"activity\.bin: export"):
        read_recording(path)


def test_geneactiv_pages_are_calibrated(tmp_path: Path) -> None:
    g = _make_g(50, 2)
    recording = read_recording(files.write_geneactiv(tmp_path / "a.bin", g))
    assert recording.start == BEGIN
    np.testing.assert_allclose(recording["activity"].read(), _compute_enmo(g, 50), atol=4.0)
    assert recording["temperature"].read()[:3].tolist() == [30, 31, 32]
    assert recording["temperature"].rate == pytest.approx(1 / 6)


def test_geneactivs_table_is_its_pages(tmp_path: Path) -> None:
    g = _make_g(50, 2)
    head = ["Device Type,GENEActiv", "Measurement Frequency,50 Hz"] + [""] * 98
    rows = [f"2023-10-23 22:{i // 3000:02d}:{i // 50 % 60:02d}:{i % 50 * 20:03d},{x:.4f},{y:.4f},{z:.4f},0,0,30.0"
            for i, (x, y, z) in enumerate(g)]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join([*head, *rows]) + "\n")
    recording = read_recording(tmp_path / "a.csv")
    assert recording.start == BEGIN
    np.testing.assert_allclose(recording["activity"].read(), _compute_enmo(g, 50), atol=0.1)


def test_geneactivs_table_of_epochs_is_no_raw_table(tmp_path: Path) -> None:
    head = ["Device Type,GENEActiv", "Measurement Frequency,50 Hz"] + [""] * 98
    sums = [30.0, 0.0, 300.0]
    rows = [f"2023-10-23 22:0{i}:00:000,0,0,1,12,0,33.1,{one},.1,.1,.1,30" for i, one in enumerate(sums)]
    (tmp_path / "a.csv").write_text("\n".join([*head, *rows]) + "\n")
    recording = read_recording(tmp_path / "a.csv")
    assert (recording.start, recording.duration) == (BEGIN, 180.0)
    np.testing.assert_allclose(recording["activity"].read(), [10.0, 0.0, 100.0])
    (tmp_path / "a.csv").write_text("\n".join([*head, *(row[:30] for row in rows)]) + "\n")
    with pytest.raises(SharpwaveError, match="an export of an accelerometer"):
        read_recording(tmp_path / "a.csv")


@pytest.mark.parametrize(("pattern", "date"), [("M/d/yyyy", "10/3/2023"), ("dd/MM/yyyy", "03/10/2023")])
def test_actigraphs_counts_keep_their_clock(pattern: str, date: str, tmp_path: Path) -> None:
    first = (
        f"------ Data File Created By ActiGraph GT3X+ ActiLife v6.13.3 date format {pattern} at 30 Hz Filter Normal --"
    )
    head = [first, "Serial Number: MOS2A", "Start Time 22:00:00", f"Start Date {date}",
            "Epoch Period (hh:mm:ss) 00:01:00",
            "Download Time 10:00:00", "Download Date 10/9/2023", "Current Memory Address: 0", "-" * 50]  # fmt: skip
    for named in (True, False):
        rows = (["Axis1,Axis2,Axis3,Steps"] if named else []) + ["3,4,12,0", "0,0,0,0", "1,2,2,0"]
        (tmp_path / "a.csv").write_text("\n".join([*head, *rows]) + "\n")
        recording = read_recording(tmp_path / "a.csv")
        assert recording.start == datetime(2023, 10, 3, 22)
        assert recording["activity"].read().tolist() == [13.0, 0.0, 3.0]
        assert recording["activity"].rate == pytest.approx(1 / 60)


def test_actigraphs_raw_samples_become_activity(tmp_path: Path) -> None:
    g = _make_g(30, 2)
    first = (
        "------------ Data File Created By ActiGraph GT3X+ ActiLife v6 Firmware v1 date format M/d/yyyy at 30 Hz -----"
    )
    head = [first, "Start Time 22:00:00", "Start Date 10/23/2023", "Epoch Period (hh:mm:ss) 00:00:00", "-" * 30]
    rows = ["Accelerometer X,Accelerometer Y,Accelerometer Z", *(f"{x:.4f},{y:.4f},{z:.4f}" for x, y, z in g)]
    (tmp_path / "a.csv").write_text("\n".join([*head, *rows]) + "\n")
    np.testing.assert_allclose(read_recording(tmp_path / "a.csv")["activity"].read(), _compute_enmo(g, 30), atol=0.1)


def test_actiware_leaves_out_what_was_off_the_wrist(tmp_path: Path) -> None:
    head = ['"---- Actiware Export File ----"', '"Identity:","S1"'] + [""] * 150
    rows = ['"Line","Date","Time","Off-Wrist Status","Activity","Marker"']
    for index in range(4):
        rows.append(f'"{index + 1}","13/10/2023","22:00:{30 * (index % 2):02d}","{int(index == 2)}","{10 * index}","0"'
                    .replace("22:00", f"22:0{index // 2}"))  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join([*head, *rows]) + "\n")
    recording = read_recording(tmp_path / "a.csv")
    assert recording.start == datetime(2023, 10, 13, 22)
    np.testing.assert_equal(recording["activity"].read(), np.array([0, 10, np.nan, 30], dtype=np.float32))
    assert "1 epochs off the wrist are missing" in recording.repairs


def _make_volts(rate: float, seconds: int, channels: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 2e-5, (round(rate * seconds), channels))


def test_muse_channels_are_in_volts_without_the_offset(tmp_path: Path) -> None:
    volts = _make_volts(256, 20, 4)
    recording = read_recording(files.write_muse(tmp_path / "mindMonitor.csv", volts))
    assert recording.start == BEGIN
    assert [recording.metadata["labels"][name] for name in recording.signals] == ["TP9", "AF7", "AF8", "TP10"]
    first = next(iter(recording.signals.values()))
    assert (first.rate, first.modality.name) == (256, "eeg")
    np.testing.assert_allclose(first.read(), volts[:, 0] - np.median(volts[:, 0]), atol=1e-8)
    lines = (tmp_path / "mindMonitor.csv").read_text().splitlines()
    (tmp_path / "slow.csv").write_text("\n".join([lines[0], *lines[1::256]]) + "\n")
    with pytest.raises(SharpwaveError, match="interval 'constant'"):
        read_recording(tmp_path / "slow.csv")


def test_muse_pauses_are_gaps_and_a_rate_of_its_own_is_said(tmp_path: Path) -> None:
    volts = _make_volts(64, 30, 4)
    lines = files.write_muse(tmp_path / "whole.csv", volts, rate=64).read_text().splitlines()
    head, *rows = [line for line in lines if "/muse/" not in line]
    (tmp_path / "paused.csv").write_text("\n".join([head, *rows[: 64 * 8], *rows[64 * 20 :]]) + "\n")
    recording = read_recording(tmp_path / "paused.csv")
    first = next(iter(recording.signals.values()))
    wanted = volts[:, 0].copy()
    wanted[64 * 8 : 64 * 20] = np.nan
    assert first.rate == 64
    np.testing.assert_allclose(first.read(), wanted - np.nanmedian(wanted), atol=1e-8)
    assert {"a Muse gives 256 rows a second, this file has 64"} < set(recording.repairs)
    assert any(line.startswith("1 pauses of more than 5 s are gaps") for line in recording.repairs)


def test_a_clock_of_a_muse_that_jumps(tmp_path: Path) -> None:
    volts = _make_volts(64, 30, 4)
    lines = files.write_muse(tmp_path / "whole.csv", volts, rate=64).read_text().splitlines()
    head, *rows = [line for line in lines if "/muse/" not in line]

    def jump(**by: int) -> Path:
        moved = [
            (datetime.fromisoformat(row.split(",")[0]) + timedelta(**by), row.split(",", 1)[1]) for row in rows[512:]
        ]
        lines = [head, *rows[:512], *(f"{time:%Y-%m-%d %H:%M:%S.%f},{rest}" for time, rest in moved)]
        (tmp_path / "jump.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "jump.csv"

    with pytest.raises(SharpwaveError, match=r"pauses of at most 48 h.*got 72 h"):
        read_recording(jump(days=3))
    recording = read_recording(jump(hours=-1))  # summer time ends
    first = next(iter(recording.signals.values()))
    np.testing.assert_allclose(first.read(), volts[:, 0] - np.median(volts[:, 0]), atol=1e-8)
    assert any("the clock went back by 3600 s" in line for line in recording.repairs)


def test_openbci_channels_take_the_names_that_are_given(tmp_path: Path) -> None:
    volts = _make_volts(250, 8, 4)
    path = files.write_openbci(tmp_path / "OpenBCI-RAW.txt", volts, lost=3)
    recording = read_recording(path, overrides={"EXG 0": "C4-M1:eeg"})
    assert recording.start == BEGIN
    assert recording["C4-M1"].rate == 250
    np.testing.assert_allclose(recording["C4-M1"].read(), volts[:, 0] - np.median(volts[:, 0]), atol=1e-10)
    assert recording["EXG 3"].modality.name == "eeg"
    assert any("3 samples were lost" in said for said in recording.repairs)


def test_dreem_signals_stay_on_disk_with_the_experts_stages(tmp_path: Path) -> None:
    import h5py

    volts = _make_volts(250, 120, 1)[:, 0]
    files.write_dreem(tmp_path / "a.h5", volts)
    recording = read_recording(tmp_path / "a.h5")
    (signal,) = recording.signals.values()
    assert signal.rate == 250
    np.testing.assert_allclose(signal.read(1, 3), volts[250:750], rtol=1e-5)
    assert recording.hypnogram is not None
    assert recording.hypnogram.stages.tolist() == [-1, 0, 2, 4]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["signals"] = h5py.ExternalLink("a.h5", "/signals")
    with pytest.raises(SharpwaveError, match=r"link|elsewhere|file"):
        read_recording(tmp_path / "b.h5")
