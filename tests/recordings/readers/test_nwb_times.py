"""Clocks of NWB series: what is mended keeps its true time, and what cannot be is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.nwb_files import add_electrodes, add_series, open_nwb

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb import read_nwb
from sharpwave.recordings.readers.nwb_times import mend_times

TRACK = "processing/behavior/Position/track"


def read_track(path: Path, times: np.ndarray, values: np.ndarray | None = None):
    with open_nwb(path) as file:
        values = np.arange(float(len(times))) / len(times) if values is None else values
        add_series(file, TRACK, values, times=times, unit="m")
    recording = read_nwb(path)
    return recording["track"], recording.repairs


def times_of(signal) -> np.ndarray:
    return signal.start + np.arange(len(signal)) / signal.rate if signal.times is None else signal.times


@pytest.mark.parametrize("stray", [-0.03, 12.0, -7.0, 1e6])
def test_a_stray_stamp_is_left_out_and_the_others_keep_their_time(tmp_path: Path, stray: float) -> None:
    times = np.arange(1000) / 40
    values = times * 0.05
    broken = times.copy()
    broken[500] += stray
    track, repairs = read_track(tmp_path / "a.nwb", broken, values)
    np.testing.assert_allclose(times_of(track), np.delete(times, 500), atol=1e-9)
    np.testing.assert_allclose(track.read(dtype=np.float64), np.delete(values, 500))
    assert any("1 of 1000 time stamps is out of order" in said for said in repairs)


def test_stretches_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    times = np.r_[np.arange(400, 800), np.arange(0, 400)] / 40
    track, repairs = read_track(tmp_path / "a.nwb", times, times * 2)
    np.testing.assert_allclose(times_of(track), np.arange(800) / 40, atol=1e-9)
    np.testing.assert_allclose(track.read(dtype=np.float64), np.arange(800) / 20)
    assert any("2 stretches out of order" in said for said in repairs)


def test_a_clock_that_was_set_back_is_refused_with_where_and_how_far(tmp_path: Path) -> None:
    times = np.r_[np.arange(400) / 40, 5 + np.arange(400) / 40]
    with pytest.raises(SharpwaveError, match=r"run backwards, 1 times by up to 4.975 s, first at sample 400"):
        read_track(tmp_path / "a.nwb", times)


def test_repeated_stamps_are_left_out_and_coarse_ones_spread(tmp_path: Path) -> None:
    times = np.arange(1000) / 40
    few = times.copy()
    few[[10, 20]] = few[[9, 19]]
    track, repairs = read_track(tmp_path / "few.nwb", few)
    assert len(track) == 998
    assert any("2 samples at the time of the one before were left out" in said for said in repairs)
    track, repairs = read_track(tmp_path / "coarse.nwb", np.floor(times * 10) / 10)
    assert len(track) == 1000
    assert np.abs(times_of(track) - times).max() < 0.1
    assert any("differ only every 0.1 s" in said for said in repairs)


def test_stamps_in_single_precision_since_1970_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"every 128 s.*single precision.*is lost"):
        read_track(tmp_path / "a.nwb", (1.6e9 + np.arange(40_000) / 40).astype("f4"))


def test_stamps_that_are_no_numbers_are_left_out_up_to_a_half(tmp_path: Path) -> None:
    times = np.arange(1000) / 40
    times[[3, 900]] = np.nan
    track, repairs = read_track(tmp_path / "a.nwb", times)
    assert len(track) == 998
    assert any("2 of 1000 samples have no time" in said for said in repairs)
    times[:510] = np.nan
    with pytest.raises(SharpwaveError, match="511 of 1000 are no numbers"):
        mend_times(times, "a.nwb")


def test_a_gap_of_field_potentials_becomes_missing_samples_on_a_regular_grid(tmp_path: Path) -> None:
    """Two channels, 1 kHz, a pause of 2.0004 s after 3 s and a stamp that strays: every sample keeps its time."""
    rate = 1000.0
    times = np.arange(6000) / rate
    times[3000:] += 2.0004
    true = times.copy()
    times[4321] -= 0.5
    values = np.random.default_rng(0).integers(-2000, 2000, (6000, 2)).astype("i2")
    with open_nwb(tmp_path / "a.nwb") as file:
        series = add_series(
            file, "processing/ecephys/LFP/lfp", values, times=times, kind="ElectricalSeries", conversion=1e-7, unit="V"
        )
        add_electrodes(file, series, location=["CA1", "PFC"])
    recording = read_nwb(tmp_path / "a.nwb")
    lfp = recording["lfp"]
    assert (lfp.times, lfp.rate, lfp.samples.shape) == (None, rate, (8000, 2))
    found = lfp.read(dtype=np.float64)
    place = np.delete(np.rint(true * rate).astype(int), 4321)
    np.testing.assert_allclose(found[place], np.delete(values, 4321, axis=0) * 1e-7, rtol=1e-6)
    assert np.isnan(np.delete(found, place, axis=0)).all()
    np.testing.assert_allclose(lfp.read(5.5, 5.6, dtype=np.float64), found[5500:5600])
    assert any("1 gap of 2" in said or "2 gaps of 2.001" in said for said in recording.repairs), recording.repairs
    assert recording.metadata["electrodes"]["lfp"]["locations"] == ["CA1", "PFC"]


def test_stamps_of_field_potentials_that_jitter_have_no_gaps(tmp_path: Path) -> None:
    times, rng = np.arange(20_000) / 1250, np.random.default_rng(0)
    stamps = np.sort(times + 1e-4 * rng.standard_normal(len(times)))
    with open_nwb(tmp_path / "a.nwb") as file:
        values = rng.integers(-2000, 2000, len(times)).astype("i2")
        add_series(
            file, "processing/ecephys/LFP/lfp", values, times=stamps, kind="ElectricalSeries", conversion=1e-7, unit="V"
        )
    recording = read_nwb(tmp_path / "a.nwb")
    lfp = recording["lfp"]
    assert len(lfp) == len(times)
    assert lfp.times is None
    assert lfp.rate == pytest.approx(1250, rel=1e-4)
    assert np.isfinite(lfp.read()).all()
    assert any("jitter by up to" in said for said in recording.repairs)
    assert not any("gap" in said for said in recording.repairs)


def test_a_conversion_that_is_no_number_is_said(tmp_path: Path) -> None:
    with open_nwb(tmp_path / "a.nwb") as file:
        add_series(file, TRACK, np.arange(100) / 50, rate=40.0, unit="m", conversion=np.nan)
    recording = read_nwb(tmp_path / "a.nwb")
    assert recording["track"].scale == 1.0
    assert any("its conversion is no number; taken as 1" in said for said in recording.repairs)


@pytest.mark.parametrize("kind", ["reversed", "shuffled", "jitter"])
def test_stamps_out_of_order_throughout_keep_their_times(tmp_path: Path, kind: str) -> None:
    rng, times = np.random.default_rng(0), np.arange(2000) / 40
    values = times / 50
    order = {"reversed": np.arange(2000)[::-1], "shuffled": rng.permutation(2000)}.get(kind, np.arange(2000))
    stamps = times[order].copy()
    if kind == "jitter":  # here and there a frame's stamp is that of a busy computer, 60 ms early
        stamps[rng.choice(2000, 80, replace=False)] -= 0.06
    track, repairs = read_track(tmp_path / "a.nwb", stamps, values[order])
    found = np.asarray(track.samples[:]).ravel()
    assert len(found) > 1850
    assert (np.diff(times_of(track)) > 0).all()
    np.testing.assert_allclose(found, times_of(track) / 50, atol=0.0013)  # a stray that stays in order is 60 ms off
    assert any("out of order" in said for said in repairs)
