"""Time inside an EDF+ file: gaps become missing samples, whatever the flag says; nothing is early in silence."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests import electrophysiology_files as lab

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.recordings.readers import read_recording
from sharpwave.recordings.readers.edf import read_edf
from sharpwave.recordings.readers.edf_samples import GriddedSamples
from sharpwave.recordings.readers.edf_times import place_records
from sharpwave.recordings.store import open_store, write_store

NUMBERS = np.arange(60.0)


def _later(seconds: float, *, after: int = 30) -> np.ndarray:
    return NUMBERS + seconds * (after <= NUMBERS)


@pytest.mark.parametrize("suffix", ["edf", "bdf"])
@pytest.mark.parametrize("flag", ["+C", "+D"])
@pytest.mark.parametrize("gap", [600.0, 7.25, 0.1])
def test_a_gap_is_missing_samples_at_the_true_time(gap: float, flag: str, suffix: str, tmp_path: Path) -> None:
    whole = read_edf(lab.write_timed_edf(tmp_path / f"whole.{suffix}", NUMBERS))["C4-M1"].read()
    recording = read_edf(lab.write_timed_edf(tmp_path / f"a.{suffix}", _later(gap), flag=suffix.upper() + flag))
    signal = recording["C4-M1"]
    assert signal.times is None
    assert signal.duration == pytest.approx(60 + gap, abs=0.5 / 128)
    np.testing.assert_array_equal(signal.read(0, 30), whole[: 30 * 128])
    assert np.isnan(signal.read(30, 30 + gap)).mean() > 0.9
    found = signal.read(30 + gap - 1 / 128)
    np.testing.assert_array_equal(found[np.isfinite(found)], whole[30 * 128 :])
    said = [repair for repair in recording.repairs if f"1 gap of {gap:g} s" in repair]
    assert len(said) == 1
    assert ("declares it continuous" in said[0]) == (flag == "+C")


def test_stages_and_annotations_keep_their_true_time(tmp_path: Path) -> None:
    notes = [
        (n, n + (600.0 if n >= 30 else 0), 10.0, f"Sleep stage {'N2' if n < 30 else 'R'}") for n in range(0, 60, 10)
    ]
    recording = read_recording(lab.write_timed_edf(tmp_path / "a.edf", _later(600), notes=notes))
    hypnogram = recording.hypnogram
    assert hypnogram is not None
    assert hypnogram.at(np.array([5.0, 25.0, 300.0, 635.0, 655.0])).tolist() == [2, 2, -1, 4, 4]
    assert recording.events["onset"].tolist() == [0, 10, 20, 630, 640, 650]


def test_a_stage_that_lasts_over_a_gap_is_none_in_it(tmp_path: Path) -> None:
    notes = [(0, 0.0, 630.0, "Sleep stage N2"), (30, 630.0, 30.0, "Sleep stage R")]
    recording = read_recording(lab.write_timed_edf(tmp_path / "a.edf", _later(600), notes=notes))
    assert recording.hypnogram is not None
    assert recording.hypnogram.stages.tolist() == [2] + [-1] * 20 + [4]
    assert any("20 scored epochs lie in gaps of the recording" in repair for repair in recording.repairs)


@pytest.mark.parametrize("gap", [600.0, 607.25])
@pytest.mark.parametrize("form", ["labels", "table", "stages"])
def test_a_scoring_of_the_recorded_epochs_is_laid_over_the_gap(gap: float, form: str, tmp_path: Path) -> None:
    numbers = np.arange(300.0)
    path = lab.write_timed_edf(tmp_path / "a.edf", numbers + gap * (numbers >= 120), flag="EDF+D")
    names = ["W", "N1", "N1", "N2", "N2", "N3", "N3", "R", "R", "R"]
    scoring: Path | Hypnogram = tmp_path / "stages.txt"
    if form == "labels":
        scoring.write_text("\n".join(names))
    elif form == "table":
        scoring = tmp_path / "stages.csv"
        rows = [f"{30 * k},30,{name}" for k, name in enumerate(names)]
        scoring.write_text("\n".join(["onset,duration,stage", *rows, "130,8,Arousal"]))
    else:
        scoring = Hypnogram.from_labels(names)
    recording = read_recording(path, hypnogram=scoring)
    assert recording.hypnogram is not None
    middles = np.array([15.0, 105, 130, 400, 15 + 120 + gap, 15 + 210 + gap, 15 + 240 + gap])
    assert recording.hypnogram.at(middles).tolist() == [0, 2, -1, -1, 2, 4, 4]
    assert any("10 epochs, as many as were recorded: it was laid over the 1 gap" in said for said in recording.repairs)
    if form == "table":
        assert recording.events["onset"].tolist() == [130 + gap]


def test_a_scoring_of_each_part_and_one_of_the_whole_time(tmp_path: Path) -> None:
    numbers = np.arange(180.0)  # parts of 100 and 80 s: three and two whole epochs, six of all together
    path = lab.write_timed_edf(tmp_path / "a.edf", numbers + 620.0 * (numbers >= 100), flag="EDF+D")
    parts = read_recording(path, hypnogram=Hypnogram.from_labels(["W", "W", "N1", "N2", "R"])).hypnogram
    assert parts is not None
    assert parts.at(np.array([75.0, 95, 400, 735, 765])).tolist() == [1, -1, -1, 2, 4]
    whole = read_recording(path, hypnogram=Hypnogram.from_labels(["W"] * 3 + ["N2"] * 24))
    assert whole.hypnogram is not None
    assert whole.hypnogram.at(np.array([75.0, 400, 735])).tolist() == [0, -1, 2]
    assert not any("laid over" in said for said in whole.repairs)


def test_onsets_of_the_file_begin_late(tmp_path: Path) -> None:
    recording = read_edf(lab.write_timed_edf(tmp_path / "a.edf", NUMBERS + 90.5, notes=[(3, 95.5, 1, "spindle")]))
    assert recording.start == datetime(2023, 2, 1, 22, 31, 45, 500_000)
    assert recording.events["onset"].tolist() == [5.0]
    assert recording.repairs == ()


def test_slow_channels_and_slices_of_a_gridded_signal(rng: np.random.Generator) -> None:
    grid = GriddedSamples.place(np.arange(10), [0.0, 7.25], [(0, 4), (4, 10)], rate=1.0)
    np.testing.assert_array_equal(grid[:], [0, 1, 2, 3, np.nan, np.nan, np.nan, 4, 5, 6, 7, 8, 9])
    whole = np.asarray(grid)
    for _ in range(30):
        low, high = np.sort(rng.integers(-3, 16, 2))
        np.testing.assert_array_equal(grid[low:high], whole[low:high])
    np.testing.assert_array_equal(grid[1:12:3], whole[1:12:3])
    np.testing.assert_array_equal(grid[::-1], whole[::-1])
    assert grid[-1] == 9


def test_samples_are_read_where_they_are_sliced() -> None:
    class Counted:
        read = 0

        def __getitem__(self, key: slice) -> np.ndarray:
            self.read += key.stop - key.start
            return np.zeros(key.stop - key.start)

    day = 86_400 * 256
    counted = Counted()
    grid = GriddedSamples.place(counted, [0.0, 90_000.0], [(0, day), (day, 2 * day)], rate=256.0)
    assert len(grid) == 256 * (90_000 + 86_400)
    assert np.isnan(grid[86_000 * 256 : 89_000 * 256]).mean() == pytest.approx(2600 / 3000)
    assert counted.read == 400 * 256


def test_the_gap_survives_a_store(tmp_path: Path) -> None:
    recording = read_edf(lab.write_timed_edf(tmp_path / "a.edf", _later(7.25)))
    write_store(recording, tmp_path / "a.zarr")
    again = open_store(tmp_path / "a.zarr")["C4-M1"]
    np.testing.assert_array_equal(again.read(), recording["C4-M1"].read())


def test_records_out_of_order_take_their_places(tmp_path: Path) -> None:
    order = np.r_[20:30, 0:10, 10:20, 30:60]
    ramp = np.arange(60 * 128).reshape(60, 128) % 2000 / 10 - 100
    path = lab.write_timed_edf(tmp_path / "a.edf", NUMBERS[order], records=ramp[order])
    recording = read_edf(path)
    whole = read_edf(lab.write_timed_edf(tmp_path / "b.edf", NUMBERS, records=ramp))
    np.testing.assert_array_equal(recording["C4-M1"].read(), whole["C4-M1"].read())
    assert recording.start == whole.start
    assert any("out of order" in repair for repair in recording.repairs)


def test_repeated_records_are_left_out(tmp_path: Path) -> None:
    order = np.r_[0:30, 25:60]
    ramp = np.arange(60 * 128).reshape(60, 128) % 2000 / 10 - 100
    notes = [(27, 27.5, 1, "spindle"), (32, 27.5, 1, "spindle")]
    recording = read_edf(lab.write_timed_edf(tmp_path / "a.edf", NUMBERS[order], records=ramp[order], notes=notes))
    assert recording.duration == 60
    assert recording.events["onset"].tolist() == [27.5]
    assert any("5 data records are repeated" in repair for repair in recording.repairs)


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path) -> None:
    notes = [(10, 10, 1, "before"), (40, 20, 1, "after")]
    recording = read_edf(lab.write_timed_edf(tmp_path / "a.edf", _later(-20), notes=notes))
    assert recording.duration == 60
    assert np.isfinite(recording["C4-M1"].read()).all()
    assert recording.events["onset"].tolist() == [10, 40]
    assert any("go back, once by up to 20 s" in repair for repair in recording.repairs)


def _runs(stated: np.ndarray, duration: float = 1.0) -> tuple[list[tuple[int, float]], float, str]:
    times = place_records(stated, duration)
    return [(run.first, round(run.onset, 2)) for run in times.runs], times.duration, "; ".join(times.repairs)


def test_steady_clocks_stay_one_run() -> None:
    assert _runs(NUMBERS) == ([(0, 0)], 1.0, "")
    assert _runs(NUMBERS + 0.001 * np.sin(NUMBERS)) == ([(0, 0)], 1.0, "")
    rounded = np.floor(np.arange(400) / 4)
    runs, _, said = _runs(rounded, 0.25)
    assert (runs, "to and fro" in said) == ([(0, 0)], True)
    runs, _, said = _runs(rounded + np.where(np.arange(400) >= 200, 600, 0), 0.25)
    assert ([run[0] for run in runs], "1 gap" in said) == ([0, 200], True)


def test_times_that_cannot_be_are_declared() -> None:
    odd = NUMBERS.copy()
    odd[[0, 20]] = 1e9, 1e9
    runs, _, said = _runs(odd)
    assert (runs, "2 data records state no time" in said) == ([(0, 0)], True)
    assert "2 data records state no time" in _runs(np.where(np.isin(NUMBERS, (0, 20)), np.nan, NUMBERS))[2]
    runs, _, said = _runs(_later(1e8))
    assert (runs, "no pause" in said) == ([(0, 0), (30, 30)], True)
    assert "do not advance" in _runs(0 * NUMBERS)[2]
    runs, _, said = _runs(_later(-0.4))
    assert (runs, "begins before the one before has ended" in said) == ([(0, 0), (30, 30)], True)


def test_the_length_of_a_record_by_the_times() -> None:
    runs, duration, said = _runs(NUMBERS, 30.0)
    assert (runs, duration, "lasts 30 s, but their times are 1 s apart" in said) == ([(0, 0)], 1.0, True)
    drifting = np.arange(3600) * 1.0005
    runs, duration, said = _runs(drifting)
    assert (runs, "drift by +1.8 s" in said) == ([(0, 0)], True)
    assert duration == pytest.approx(1.0005)
    assert len(_runs(60 * NUMBERS, 10.0)[0]) == 60, "10 s of every minute are gaps, not a longer record"


@pytest.mark.parametrize("duration", ["30000000", "1e-9", "864000", "1e300", "500"])
def test_an_absurd_duration_of_records_is_refused(duration: str, tmp_path: Path) -> None:
    path = lab.write_timed_edf(tmp_path / "a.edf", np.full(60, np.nan), record_duration=duration)
    with pytest.raises(SharpwaveError, match="duration of a data record"):
        read_recording(path)


@pytest.mark.parametrize("gap", [0.0, 7.25])
def test_a_part_of_a_recording_is_read_from_the_file(gap: float, tmp_path: Path) -> None:
    recording = read_edf(lab.write_timed_edf(tmp_path / "a.edf", _later(gap)))
    part = recording.restrict(20.0, 50.0)["C4-M1"]
    np.testing.assert_array_equal(part.read(25.0, 45.0), recording["C4-M1"].read(25.0, 45.0))
