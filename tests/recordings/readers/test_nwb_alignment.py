"""Spikes, position and tables of one session on one clock, whatever unit and origin each has in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.nwb_files import add_intervals, add_series, add_units, fire, open_nwb, run_to_and_fro

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb import read_nwb
from sharpwave.recordings.recording import Recording

TRACK = "processing/behavior/Position/track"
TRAINS = fire(6, 900.0)
TIMES, PLACES = run_to_and_fro(300.0, 600.0)


def write(path: Path, *, spikes: float = 1.0, position: float = 1.0, shift: tuple[float, float] = (0.0, 0.0), **units):
    with open_nwb(path) as file:
        add_units(file, [(train + shift[0]) * spikes for train in TRAINS], **units)
        add_series(file, TRACK, PLACES, times=(TIMES + shift[1]) * position, unit="m")
        add_intervals(file, "epochs", [(300 + shift[1], 600 + shift[1])], tags=["run"])
    return path


def check(recording: Recording, *, late: float = 0.0) -> None:
    """Spikes and position lie where they were drawn, later by some seconds."""
    for unit, train in enumerate(TRAINS):
        np.testing.assert_allclose(recording.spikes[unit].t, train + late, atol=1e-4)
    track = recording["track"]
    times = track.start + np.arange(len(track)) / track.rate if track.times is None else track.times
    np.testing.assert_allclose(times, TIMES + late, atol=1e-3)


def test_seconds_stay_as_they_are(tmp_path: Path) -> None:
    recording = read_nwb(write(tmp_path / "a.nwb"))
    check(recording)
    assert recording.repairs == ()


@pytest.mark.parametrize(
    ("factor", "word"), [(1e3, "milliseconds"), (1e4, "tenths of"), (1e6, "microseconds"), (1e9, "nanoseconds")]
)
def test_spikes_or_position_or_both_in_a_smaller_unit(tmp_path: Path, factor: float, word: str) -> None:
    for name, spikes, position in (("a", factor, 1.0), ("b", 1.0, factor), ("c", factor, factor)):
        if name == "c" and factor == 1e4:  # nothing tells them from samples of an amplifier
            continue
        recording = read_nwb(write(tmp_path / f"{name}.nwb", spikes=spikes, position=position))
        check(recording)
        assert any(word in said and f"divided by {factor:,.0f}" in said for said in recording.repairs)


def test_a_table_in_milliseconds_and_all_in_milliseconds_since_1970(tmp_path: Path) -> None:
    with open_nwb(tmp_path / "a.nwb") as file:
        add_units(file, TRAINS)
        add_intervals(file, "epochs", [(300e3, 600e3)], tags=["run"])
    recording = read_nwb(tmp_path / "a.nwb")
    assert recording.events[["onset", "duration"]].to_numpy().tolist() == [[300.0, 300.0]]
    assert any("the table 'epochs' reaches 600000" in said for said in recording.repairs)
    both = read_nwb(write(tmp_path / "b.nwb", spikes=1e3, position=1e3, shift=(1.6e9, 1.6e9)))
    check(both, late=-np.floor(min(train[0] for train in TRAINS)))


def test_spikes_in_samples_are_refused_with_the_factor_or_read_by_the_rate_that_the_file_states(tmp_path: Path) -> None:
    trains = [np.rint(train * 30_000) for train in TRAINS]
    with open_nwb(tmp_path / "a.nwb") as file:
        add_units(file, trains)
        add_series(file, TRACK, PLACES, times=TIMES, unit="m")
    with pytest.raises(SharpwaveError, match=r"probably in samples.*at 30,000 Hz they would end at 89\d"):
        read_nwb(tmp_path / "a.nwb")
    with open_nwb(tmp_path / "b.nwb") as file:
        add_units(file, trains, resolution=1 / 30_000)
        add_series(file, TRACK, PLACES, times=TIMES, unit="m")
    recording = read_nwb(tmp_path / "b.nwb")
    check(recording)
    assert any("in samples; divided by the sampling rate that the file states, 30,000" in s for s in recording.repairs)


def test_a_long_night_beside_a_short_run_is_not_taken_for_milliseconds(tmp_path: Path) -> None:
    trains = fire(5, 40_000.0, rate=0.5)
    times, places = run_to_and_fro(20.0, 300.0)
    with open_nwb(tmp_path / "a.nwb") as file:
        add_units(file, trains)
        add_series(file, TRACK, places, times=times, unit="m")
    recording = read_nwb(tmp_path / "a.nwb")
    np.testing.assert_allclose(recording.spikes[0].t, trains[0], atol=1e-6)


def test_times_since_1970_begin_at_0_and_tables_go_with_them(tmp_path: Path) -> None:
    recording = read_nwb(write(tmp_path / "a.nwb", shift=(1.6e9, 1.6e9)))
    first = min(train[0] for train in TRAINS)
    check(recording, late=-np.floor(first))
    assert recording.metadata["clock_offset_s"] == 1.6e9 + np.floor(first)
    assert recording.events["onset"].tolist() == [300 - np.floor(first)]
    assert recording.start.isoformat() == "2020-09-13T12:26:40+00:00"
    assert any("Unix time" in said for said in recording.repairs)


def test_position_since_1970_beside_spikes_from_the_start_is_joined_by_the_start_of_the_session(tmp_path: Path) -> None:
    start = 1709330400.0  # the session's start, as the file states it
    check(read_nwb(write(tmp_path / "a.nwb", shift=(0.0, start))))
    apart = read_nwb(write(tmp_path / "b.nwb", shift=(0.0, start - 86_400 * 30)))
    assert any("do not, and the start that the file states" in said for said in apart.repairs)


def test_times_below_zero_stay_and_late_ones_are_brought_back(tmp_path: Path) -> None:
    check(read_nwb(write(tmp_path / "a.nwb", shift=(-400.0, -400.0))), late=-400.0)
    recording = read_nwb(write(tmp_path / "b.nwb", shift=(5e6, 5e6)))
    check(recording, late=-np.floor(min(train[0] for train in TRAINS)))
    assert any("no part of the session begins before" in said for said in recording.repairs)


def test_spikes_that_single_precision_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"double precision.*128 s apart"):
        read_nwb(write(tmp_path / "a.nwb", shift=(1.6e9, 1.6e9), dtype="f4"))


def test_observed_intervals_go_with_the_units(tmp_path: Path) -> None:
    spans = [[(0.0, 900.0 if unit % 2 else 500.0)] for unit in range(6)]
    recording = read_nwb(write(tmp_path / "a.nwb", observed=spans))
    assert [row for row in recording.spikes.get_info("obs_intervals")] == [[[0.0, s[0][1]]] for s in spans]


@pytest.mark.parametrize(("factor", "word"), [(60.0, "minutes"), (3600.0, "hours"), (86_400.0, "days")])
def test_times_in_a_longer_unit(tmp_path: Path, factor: float, word: str) -> None:
    recording = read_nwb(write(tmp_path / "a.nwb", position=1 / factor))
    check(recording)
    assert any(word in said for said in recording.repairs)
    late = 739_000 * 86_400.0
    recording = read_nwb(write(tmp_path / "b.nwb", spikes=1 / 86_400, position=1 / 86_400, shift=(late, late)))
    np.testing.assert_allclose(np.diff(recording.spikes[0].t), np.diff(TRAINS[0]), atol=1e-4)
    assert not any("1970" in said for said in recording.repairs)  # and no start in the year 3993
    assert recording.start is not None
    assert recording.start.year == 2024


def test_a_position_in_samples_is_no_offset(tmp_path: Path) -> None:
    whole = np.round(TIMES * 30_000) / TIMES
    path = write(tmp_path / "a.nwb", position=whole)
    with pytest.raises(SharpwaveError, match=r"times of the position 'track' in seconds.*divide them by the sampling"):
        read_nwb(path)
    path.unlink()  # what could not be read is not left open
    check(read_nwb(write(path, position=whole, resolution=1 / 30_000)))


def test_stretches_of_another_clock_do_not_silence_units(tmp_path: Path) -> None:
    spans = [[(1.6e9, 1.6e9 + 900.0)]] * len(TRAINS)
    recording = read_nwb(write(tmp_path / "a.nwb", observed=spans))
    check(recording)
    assert "obs_intervals" not in recording.spikes.metadata_columns
    assert any("0 % of the spikes lie in the stretches" in said for said in recording.repairs)
