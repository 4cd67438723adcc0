"""NWB: what pynwb wrote comes back, by type and wherever it lies; files that lie about themselves are refused."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.files import NWB_RATE, write_small_nwb

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb import read_nwb

SERIES = "processing/ecephys/LFP/ElectricalSeries"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_nwb(tmp_path_factory.mktemp("nwb") / "session.nwb")


@pytest.fixture
def session(original: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "session.nwb"
    copy.write_bytes(original.read_bytes())
    return copy


def test_signals_agree_with_what_pynwb_reads(session: Path) -> None:
    from pynwb import NWBHDF5IO

    recording = read_nwb(session)
    with NWBHDF5IO(str(session), "r") as io:
        file = io.read()
        series = file.processing["ecephys"]["LFP"]["ElectricalSeries"]
        volts = series.data[:] * series.conversion
        spikes = [file.units["spike_times"][unit] for unit in range(3)]
        position = file.processing["behavior"]["Position"]["track"].data[:]
    lfp = recording["ElectricalSeries"]
    assert (lfp.rate, lfp.start, lfp.modality.name) == (NWB_RATE, 0.5, "lfp")
    np.testing.assert_allclose(lfp.read(dtype=np.float64), volts, rtol=1e-12)
    np.testing.assert_allclose(lfp.read(10.0, 10.1, dtype=np.float64), volts[2375:2400], rtol=1e-12)
    for unit, times in enumerate(spikes):
        np.testing.assert_allclose(recording.spikes[unit].times(), times, atol=1e-9)
    track = recording["track"]
    np.testing.assert_allclose(track.read(dtype=np.float64), position * 0.01)
    assert (track.modality.name, track.channels, track.times) == ("position", ("x", "y"), None)
    assert track.rate == pytest.approx(25)


def test_states_and_subject(session: Path) -> None:
    recording = read_nwb(session)
    assert recording.hypnogram.labels == ["W", "NREM", "R", "NREM"]
    assert recording.hypnogram.epoch_length == 10
    assert (recording.subject, recording.species) == ("M1", "mouse")
    assert recording.start.isoformat() == "2024-03-01T22:00:00+00:00"
    assert recording.metadata["sex"] == "F"


def test_samples_stay_on_disk(session: Path) -> None:
    samples = read_nwb(session)["ElectricalSeries"].samples
    assert not isinstance(samples, np.ndarray)
    assert isinstance(samples.array, h5py.Dataset)


def test_channels_of_a_scalp_come_one_by_one(session: Path) -> None:
    with h5py.File(session, "a") as file:
        table = file["general/extracellular_ephys/electrodes"]
        table.create_dataset("label", data=["C4-M1", "E1", "EMG", "EEG Fz"], dtype=h5py.string_dtype())
        file[SERIES].create_dataset("channel_conversion", data=[1.0, 2.0, 1.0, 1.0])
        raw = file[SERIES]["data"][:].astype(float) * 1.95e-7
    recording = read_nwb(session)
    assert {name: recording[name].modality.name for name in ("C4-M1", "E1", "EMG")} == {
        "C4-M1": "eeg",
        "E1": "eog",
        "EMG": "emg",
    }
    np.testing.assert_allclose(recording["E1"].read(dtype=np.float64), raw[:, 1] * 2)
    np.testing.assert_allclose(recording["C4-M1"].read(dtype=np.float64), raw[:, 0])


def test_channels_first_is_turned_round_and_said(session: Path) -> None:
    with h5py.File(session, "a") as file:
        data = file[SERIES]["data"][:]
        attributes = dict(file[SERIES]["data"].attrs)
        del file[SERIES]["data"]
        file[SERIES].create_dataset("data", data=data.T).attrs.update(attributes)
    recording = read_nwb(session)
    np.testing.assert_array_equal(recording["ElectricalSeries"].samples[5:9], data[5:9])
    assert any("time was put first" in repair for repair in recording.repairs)


def test_irregular_timestamps_are_kept_and_gaps_declared(session: Path) -> None:
    with h5py.File(session, "a") as file:
        stamps = file["processing/behavior/Position/track/timestamps"]
        times = stamps[:]
        times[500:] += 7.0
        stamps[...] = times
    recording = read_nwb(session)
    np.testing.assert_allclose(recording["track"].times, times)
    assert recording["track"].rate == pytest.approx(25)
    assert any("1 gaps between its samples, 7" in repair for repair in recording.repairs)


def test_states_under_unusual_names(session: Path) -> None:
    with h5py.File(session, "a") as file:
        states = file["processing/behavior/sleep_states"]
        states.move("label", "brain_mode")
        states["brain_mode"][...] = ["Awake", "SWS", "Paradoxical", "MA"]
        file.create_group("scratch").create_group("odd")
        file.move("processing/behavior/sleep_states", "scratch/odd/vigilance")
    recording = read_nwb(session)
    assert recording.hypnogram.labels == ["W", "NREM", "R", "?"]
    assert any("MA are no sleep stages" in repair for repair in recording.repairs)


def test_intervals_that_are_no_stages_are_events(session: Path) -> None:
    with h5py.File(session, "a") as file:
        file["processing/behavior/sleep_states/label"][...] = ["left", "right", "left", "W"]
    recording = read_nwb(session)
    assert recording.hypnogram is None
    assert recording.events["label"].tolist() == ["left", "right", "left", "W"]
    assert recording.events["onset"].tolist() == [0, 10, 20, 30]


def test_epochs_of_the_session_are_events_with_their_tags(session: Path) -> None:
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(session), "a") as io:
        file = io.read()
        file.add_epoch(2.0, 12.0, ["track1"])
        file.add_epoch(20.0, 30.0, ["track2", "novel"])
        io.write(file)
    recording = read_nwb(session)
    epochs = recording.events[recording.events["table"] == "epochs"]
    assert epochs["label"].tolist() == ["track1", "track2, novel"]
    assert epochs["onset"].tolist() == [2.0, 20.0]
    assert epochs["duration"].tolist() == [10.0, 10.0]
    assert recording.hypnogram.labels == ["W", "NREM", "R", "NREM"]


def test_a_unit_mistake_is_refused_and_can_be_overruled(session: Path) -> None:
    with h5py.File(session, "a") as file:
        file[SERIES]["data"].attrs["conversion"] = 0.195
    with pytest.raises(SharpwaveError, match="probably a unit mistake"):
        read_nwb(session)
    assert read_nwb(session, unit="uV")["ElectricalSeries"].scale == pytest.approx(1.95e-7)


def test_spike_times_in_samples_are_refused(session: Path) -> None:
    with h5py.File(session, "a") as file:
        file["units/spike_times"][...] = file["units/spike_times"][:] * 30_000 * 1000
    with pytest.raises(SharpwaveError, match=r"probably in samples.*divide them by the sampling rate"):
        read_nwb(session)


def test_an_index_that_contradicts_the_spikes_is_refused(session: Path) -> None:
    with h5py.File(session, "a") as file:
        file["units/spike_times_index"][...] = [5, 3, 9]
    with pytest.raises(SharpwaveError, match="spike times of each unit"):
        read_nwb(session)


def test_times_that_run_backwards_are_refused(session: Path) -> None:
    with h5py.File(session, "a") as file:
        stamps = file["processing/behavior/Position/track/timestamps"]
        stamps[...] = np.r_[stamps[:500], stamps[:500]][: len(stamps)]
    with pytest.raises(SharpwaveError, match=r"go forward|run backwards"):
        read_nwb(session)


def test_a_declared_giant_is_not_allocated(session: Path) -> None:
    with h5py.File(session, "a") as file:
        group = file.create_group("acquisition/giant")
        group.attrs["neurodata_type"] = "TimeSeries"
        group.create_dataset("starting_time", data=0.0).attrs["rate"] = 1000.0
        data = group.create_dataset("data", shape=(10**13,), dtype="f8", chunks=(1000,), compression="gzip")
        data[:10] = 1
    with pytest.raises(SharpwaveError, match=r"declares.*incomplete"):
        read_nwb(session)


def test_declared_without_data_is_absent(session: Path) -> None:
    with h5py.File(session, "a") as file:
        group = file.create_group("acquisition/empty")
        group.attrs["neurodata_type"] = "TimeSeries"
        group.create_dataset("starting_time", data=0.0).attrs["rate"] = 1000.0
        group.create_dataset("data", shape=(1000,), dtype="f8", chunks=(100,))
    recording = read_nwb(session)
    assert "acquisition/empty" in recording.absent
    assert "empty" not in recording.signals


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links_out_of_the_file_are_not_followed(session: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        series = file.create_group("series")
        series.attrs["neurodata_type"] = "TimeSeries"
        series.create_dataset("starting_time", data=0.0).attrs["rate"] = 1.0
        series["data"] = np.arange(10.0)
    with h5py.File(session, "a") as file:
        file["acquisition/link"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/series")
        file["acquisition/loop"] = h5py.SoftLink("/acquisition")
    recording = read_nwb(session)
    assert any("link" in name and "another file" in name for name in recording.absent)
    assert "link" not in recording.signals


def test_damaged_samples_are_one_readable_error(session: Path) -> None:
    with h5py.File(session, "a") as file:
        data, attributes = file[SERIES]["data"][:], dict(file[SERIES]["data"].attrs)
        del file[SERIES]["data"]
        new = file[SERIES].create_dataset("data", data=data, chunks=(1000, 4), compression="gzip", fletcher32=True)
        new.attrs.update(attributes)
        place = new.id.get_chunk_info(9)
    content = bytearray(session.read_bytes())
    content[place.byte_offset + 50 : place.byte_offset + 60] = bytes(10)
    session.write_bytes(bytes(content))
    with pytest.raises(SharpwaveError, match=r"session.nwb"):
        read_nwb(session)["ElectricalSeries"].read()


def test_hdf5_of_another_kind_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        file["data"] = np.arange(5)
    with pytest.raises(SharpwaveError, match="HDF5 of another kind"):
        read_nwb(tmp_path / "x.nwb")
    (tmp_path / "y.nwb").write_bytes(b"not HDF5 at all")
    with pytest.raises(SharpwaveError, match="NWB file"):
        read_nwb(tmp_path / "y.nwb")
