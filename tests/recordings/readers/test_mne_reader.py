"""What MNE reads: values in volts, lazily, typed by MNE where the label says nothing."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import mne
import numpy as np
import pytest
from tests import electrophysiology_files as lab

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import read_recording


def test_fif(tmp_path: Path) -> None:
    path = lab.write_fif(tmp_path / "night_raw.fif")
    recording = read_recording(path)
    reference = mne.io.read_raw_fif(path, preload=True, verbose="error")
    assert {name: signal.modality.name for name, signal in recording.signals.items()} == {
        "C4-M1": "eeg", "E1": "eog", "EMG chin": "emg",
    }  # fmt: skip
    np.testing.assert_allclose(recording["C4-M1"].read(dtype=np.float64), reference.get_data()[0], rtol=1e-6)
    np.testing.assert_allclose(
        recording["E1"].read(10, 12, dtype=np.float64), reference.get_data()[1, 1280:1536], rtol=1e-6
    )
    np.testing.assert_array_equal(recording["E1"].samples[10:100:7], recording["E1"].samples[10:100][::7])
    assert recording.events.to_dict("records") == [{"onset": 5.0, "duration": 0.5, "label": "spindle"}]


def test_fif_that_starts_later(tmp_path: Path) -> None:
    raw = mne.io.read_raw_fif(lab.write_fif(tmp_path / "a_raw.fif"), verbose="error").crop(tmin=2.0)
    raw.save(tmp_path / "b_raw.fif", verbose="error")
    recording = read_recording(tmp_path / "b_raw.fif")
    assert recording.events["onset"].tolist() == pytest.approx([3.0], abs=0.01)
    assert recording["C4-M1"].start == 0


@pytest.mark.parametrize(("write", "name"), [(lab.write_brainvision, "a.vhdr"), (lab.write_eeglab, "a.set")])
def test_brainvision_and_eeglab(write, name: str, tmp_path: Path) -> None:
    recording = read_recording(write(tmp_path / name))
    assert list(recording.signals) == ["C4", "Cz"]
    assert recording.duration == 60
    assert 1e-5 < recording["C4"].read().std() < 3e-5


@pytest.mark.parametrize(("write", "name"), [(lab.write_eeglab, "a.set"), (lab.write_fif, "a_raw.fif")])
def test_unit_is_that_of_the_stored_numbers(write, name: str, tmp_path: Path) -> None:
    stored = {"a.set": "uV", "a_raw.fif": "V"}[name]
    path = write(tmp_path / name)
    plain = next(iter(read_recording(path).signals.values())).read()
    stated = next(iter(read_recording(path, unit=stored).signals.values())).read()
    np.testing.assert_allclose(stated, plain, rtol=1e-5)


def test_missing_companion_is_named(tmp_path: Path) -> None:
    path = lab.write_brainvision(tmp_path / "a.vhdr")
    (tmp_path / "a.eeg").unlink()
    with pytest.raises(SharpwaveError, match=r"a\.eeg"):
        read_recording(path)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a_raw.fif"
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(SharpwaveError, match="cannot be read"):
        read_recording(path)


@pytest.mark.parametrize("name", ["../secret.eeg", "/etc/passwd", "..\\secret.eeg", "sub/secret.eeg"])
@pytest.mark.parametrize("key", ["DataFile", "MarkerFile"])
def test_a_header_that_names_files_elsewhere_is_refused(tmp_path: Path, name: str, key: str) -> None:
    path = lab.write_brainvision(tmp_path / "a.vhdr")
    path.write_text(re.sub(rf"{key}=.*", lambda _: f"{key}={name}", path.read_text()))
    with pytest.raises(SharpwaveError, match=r"the files of a\.vhdr beside it"):
        read_recording(path)


def test_hdf5_that_leads_to_other_files_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.set", "w") as file:
        file["EEG/data"] = h5py.ExternalLink("secret.h5", "/data")
    with pytest.raises(SharpwaveError, match=r"everything of a\.set inside it"):
        read_recording(tmp_path / "a.set")


def test_a_header_with_millions_of_channels_is_refused(tmp_path: Path) -> None:
    path = lab.write_brainvision(tmp_path / "a.vhdr")
    path.write_text(path.read_text().replace("NumberOfChannels=2", "NumberOfChannels=99999999"))
    with pytest.raises(SharpwaveError, match="at most 99,999 channels"):
        read_recording(path)


def test_tags_that_come_back_are_refused(tmp_path: Path) -> None:
    path = lab.write_fif(tmp_path / "a_raw.fif")
    content = bytearray(path.read_bytes())
    second = 16 + int.from_bytes(content[8:12], "big")
    content[second + 12 : second + 16] = second.to_bytes(4, "big")
    path.write_bytes(bytes(content))
    with pytest.raises(SharpwaveError, match="a loop"):
        read_recording(path)
