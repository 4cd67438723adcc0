"""The dispatcher: names choose readers, libraries load late, and every library error becomes one of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests import electrophysiology_files as lab
from tests.files import write_small_bids

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.readers import READERS, read_recording
from sharpwave.recordings.readers.files import guarded


@pytest.mark.parametrize("pattern", READERS)
def test_every_reader_loads(pattern: str) -> None:
    assert callable(READERS[pattern].load())


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"expected a file named .*\*\.edf"):
        read_recording(tmp_path / "night.docx")


def test_missing_empty_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="no such file"):
        read_recording(tmp_path / "a.edf")
    (tmp_path / "b.edf").touch()
    with pytest.raises(SharpwaveError, match="an empty file"):
        read_recording(tmp_path / "b.edf")
    (tmp_path / "c.edf").mkdir()
    with pytest.raises(SharpwaveError, match="a folder"):
        read_recording(tmp_path / "c.edf")


def test_option_of_another_format(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="got rate"):
        read_recording(lab.write_edf(tmp_path / "a.edf"), rate=100)


def test_bids_takes_the_same_options(tmp_path: Path) -> None:
    recording = read_recording(write_small_bids(tmp_path), overrides={"E1": "E2"}, channels=["C4-M1", "E2"])
    assert list(recording.signals) == ["C4-M1", "E2"]


def test_hypnogram_given_as_object_is_fitted(tmp_path: Path) -> None:
    given = Hypnogram.from_labels(["W", "N1", "N2"], epoch_length=30)
    recording = read_recording(lab.write_edf(tmp_path / "a.edf"), hypnogram=given)
    assert recording.hypnogram is not None
    assert recording.hypnogram.labels == ["W", "N1"]
    assert "1 epochs were cut" in recording.repairs[-1]


def test_guard_keeps_the_cause() -> None:
    with pytest.raises(SharpwaveError, match="KeyError: 'x'") as caught, guarded("a.edf", "an EDF file"):
        {}["x"]
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), OSError("no")])
def test_guard_takes_every_library_error(error: BaseException) -> None:
    with pytest.raises(SharpwaveError, match=r"an EDF file in a\.edf"), guarded("a.edf", "an EDF file"):
        raise error


def test_guard_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"sharpwave\[brain\]"), guarded("a.edf", "an EDF file"):
        import no_such_library_here  # noqa: F401


def test_guard_lets_interruptions_through() -> None:
    with pytest.raises(KeyboardInterrupt), guarded("a.edf", "an EDF file"):
        raise KeyboardInterrupt


def test_heavy_libraries_load_late() -> None:
    code = (
        "import sys, sharpwave.recordings.readers\n"
        "print([name for name in ('mne', 'h5py', 'nibabel', 'zarr') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_aliases_and_units_work_for_formats_that_name_their_signals(tmp_path: Path) -> None:
    from tests.files import write_small_store

    path = write_small_store(tmp_path / "a.zarr")
    plain = read_recording(path)
    label = next(name for name, signal in plain.signals.items() if signal.modality.unit == "V")
    given = read_recording(path, overrides={label: "C4-M1:eeg"}, unit="mV", channels=["C4-M1"])
    assert [*given.signals] == ["C4-M1"]
    assert given["C4-M1"].modality.name == "eeg"
    assert given["C4-M1"].scale == pytest.approx(1e-3)
    with pytest.raises(SharpwaveError, match="--channel-alias"):
        read_recording(path, overrides={"nothing": "C4:eeg"})
    with pytest.raises(SharpwaveError, match="--unit"):
        read_recording(path, unit="bpm")
