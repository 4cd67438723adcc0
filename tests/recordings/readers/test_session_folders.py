"""Folders that are one session: what is in them comes on one clock, and nothing in them is run."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from tests import electrophysiology_files as lab
from tests import neo_files as files

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import matlab_files, read_recording
from sharpwave.recordings.readers.matlab_files import read_structure
from sharpwave.recordings.readers.session_folders import recognise_folder


def test_phy_units_carry_what_a_person_said_of_them(tmp_path: Path) -> None:
    recording = read_recording(files.write_phy(tmp_path))
    spikes = recording.spikes
    assert spikes is not None
    assert list(spikes.keys()) == [3, 5]
    for unit, train in zip((3, 5), files.TIMES, strict=False):
        np.testing.assert_allclose(spikes[unit].t, train)
    assert list(spikes["quality"]) == ["good", "mua"]
    assert list(spikes["area"]) == ["CA1", "CA3"]
    assert recording.repairs == ("1 clusters that are called noise were left out",)


def test_params_are_searched_and_not_run(tmp_path: Path) -> None:
    folder = files.write_phy(tmp_path, params="open('/tmp/lab-was-run', 'w')\nsample_rate = 15000.  # Hz\n")
    spikes = read_recording(folder).spikes
    assert spikes is not None
    np.testing.assert_allclose(spikes[3].t, 2 * files.TIMES[0])
    (folder / "params.py").write_text("sample_rate = 2 * 15000\n")
    with pytest.raises(SharpwaveError, match="sample_rate = NUMBER"):
        read_recording(folder)
    again = read_recording(folder, rate=30_000.0).spikes
    assert again is not None
    np.testing.assert_allclose(again[3].t, files.TIMES[0])


def test_a_pickled_array_of_phy_is_refused(tmp_path: Path) -> None:
    files.write_phy(tmp_path)
    np.save(tmp_path / "spike_times.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SharpwaveError, match="Python objects"):
        read_recording(tmp_path)


@pytest.mark.parametrize("hdf5", [False, True])
def test_a_cellexplorer_session_is_read_whole(hdf5: bool, tmp_path: Path) -> None:
    folder = files.write_cellexplorer(tmp_path, hdf5=hdf5)
    counts = files.make_counts(11250)
    files.write_neuroscope(folder, counts)
    recording = read_recording(folder)
    spikes = recording.spikes
    assert spikes is not None
    for unit, train in enumerate(files.TIMES):
        np.testing.assert_allclose(spikes[unit].t, train)
    assert list(spikes["cell_type"]) == list(files.TYPES)
    assert list(spikes["area"]) == list(files.AREAS)
    assert list(spikes["quality"]) == list(files.WORDS)
    assert recording.hypnogram is not None
    assert recording.hypnogram.stages.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 1]
    np.testing.assert_allclose(recording.events["onset"], [4.0, 5.0])
    np.testing.assert_allclose(recording.events["duration"], [0.1, 0.06])
    assert set(recording.events["label"]) == {"ripple"}
    assert recording["LFP"].rate == files.RATE
    assert recording["position"].read()[-1].tolist() == pytest.approx([1.0, 0.0])  # 100 cm


def test_the_file_of_units_alone_names_its_session(tmp_path: Path) -> None:
    files.write_cellexplorer(tmp_path)
    recording = read_recording(tmp_path / "rat.spikes.cellinfo.mat")
    assert recording.spikes is not None
    assert list(recording.spikes["area"]) == list(files.AREAS)


def test_metrics_of_other_units_are_refused(tmp_path: Path) -> None:
    from scipy.io import savemat

    files.write_cellexplorer(tmp_path)
    savemat(tmp_path / "rat.cell_metrics.cellinfo.mat", {"cell_metrics": {"UID": np.arange(1.0, 6.0)}})
    with pytest.raises(SharpwaveError, match="metrics of the 3 units"):
        read_recording(tmp_path)


def test_klusters_units_count_in_samples_of_the_wide_band(tmp_path: Path) -> None:
    files.write_neuroscope(tmp_path, files.make_counts(2000))
    spikes = read_recording(files.write_klusters(tmp_path)).spikes
    assert spikes is not None
    assert len(spikes) == 2
    np.testing.assert_allclose(spikes[0].t, files.TIMES[0])
    assert list(spikes["cluster"]) == [2, 3]
    (tmp_path / "rat.clu.1").write_text("3\n2\n3\n")
    with pytest.raises(SharpwaveError, match="a cluster of each spike"):
        read_recording(tmp_path)


def test_a_matlab_file_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zlib.compress(b"\x00" * (8 << 20))
    path = tmp_path / "bomb.spikes.cellinfo.mat"
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    monkeypatch.setattr(matlab_files, "MOST_UNPACKED", 4 << 20)
    with pytest.raises(SharpwaveError, match="unpacked"):
        read_structure(path, "spikes")


def test_objects_of_pynapple_come_back_as_they_were_saved(tmp_path: Path) -> None:
    import pynapple as nap

    support = nap.IntervalSet(0, 10)
    trains = {unit: nap.Ts(train, time_support=support) for unit, train in enumerate(files.TIMES)}
    nap.TsGroup(trains, time_support=support, area=np.array(files.AREAS)).save(str(tmp_path / "units.npz"))
    lfp = np.random.default_rng(0).normal(0, 2e-4, 10_000)
    nap.Tsd(t=np.arange(10_000) / 1000, d=lfp).save(str(tmp_path / "CA1.npz"))
    nap.IntervalSet([1, 4], [2, 6]).save(str(tmp_path / "rest.npz"))
    nap.TsdFrame(t=np.arange(100) / 10, d=np.ones((100, 2)), columns=["x", "y"]).save(str(tmp_path / "position.npz"))
    recording = read_recording(tmp_path, unit="V", overrides={"CA1": "CA1:lfp"})
    assert recording.spikes is not None
    np.testing.assert_allclose(recording.spikes[1].t, files.TIMES[1])
    assert "pickled" in recording.repairs[-1]
    (tmp_path / "units.tsv").write_text("\tarea\n" + "".join(f"{i}\t{a}\n" for i, a in enumerate(files.AREAS)))
    again = read_recording(tmp_path, unit="V", overrides={"CA1": "CA1:lfp"})
    assert again.spikes is not None
    assert list(again.spikes["area"]) == list(files.AREAS)
    np.testing.assert_allclose(recording["CA1"].read(), lfp, rtol=1e-5)
    assert recording.events["label"].tolist() == ["rest", "rest"]
    assert recording["position"].modality.name == "position"


class _Bomb:
    def __reduce__(self) -> tuple:
        return (Path("/tmp/lab-bomb").touch, ())


def test_what_is_pickled_into_an_archive_of_pynapple_stays_there(tmp_path: Path) -> None:
    times = np.arange(5.0)
    arrays = {"t": times, "index": np.zeros(5), "keys": np.array([0]), "start": np.array([0.0]), "end": np.array([9.0])}
    evil = np.array([_Bomb()], dtype=object)
    np.savez(tmp_path / "units.npz", allow_pickle=True, type=np.array(["TsGroup"]), note=evil, **arrays)
    with np.load(tmp_path / "units.npz") as file, pytest.raises(ValueError, match="allow_pickle"):
        file["note"]
    recording = read_recording(tmp_path)
    assert recording.spikes is not None
    assert len(recording.spikes) == 1
    assert not Path("/tmp/lab-bomb").exists()
    assert pickle.dumps(_Bomb())  # it would have been


def test_a_zmax_folder_is_one_recording(tmp_path: Path) -> None:
    from edfio import Edf, EdfSignal

    rng = np.random.default_rng(0)
    for name, unit in (("EEG L", "uV"), ("EEG R", "uV"), ("dX", "g"), ("BODY TEMP", "C")):
        samples = rng.normal(0, 20, 256 * 60) if unit == "uV" else rng.normal(33, 0.2, 256 * 60)
        signal = EdfSignal(samples, 256.0, label=name, physical_dimension=unit, physical_range=(-200, 200))
        Edf([signal], data_record_duration=1).write(tmp_path / f"{name}.edf")
    recording = read_recording(tmp_path)
    assert {"F7-Fpz", "F8-Fpz"} <= set(recording.signals)
    assert recording["F7-Fpz"].modality.name == "eeg"
    assert recording["temperature"].modality.name == "temperature"
    assert recording["F7-Fpz"].rate == 256
    assert np.std(recording["F7-Fpz"].read()) == pytest.approx(20e-6, rel=0.05)


def test_a_folder_of_nights_is_no_session(tmp_path: Path) -> None:
    lab.write_edf(tmp_path / "one.edf")
    assert recognise_folder(tmp_path) is None
    with pytest.raises(SharpwaveError):
        read_recording(tmp_path)
