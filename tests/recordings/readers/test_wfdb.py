"""Records of PhysioNet: samples, units, stages and events are those that were written; other storage is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests import electrophysiology_files as lab

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import read_recording
from sharpwave.recordings.readers.wfdb import read_annotations, read_wfdb


@pytest.mark.parametrize("storage", [16, 212])
def test_samples_are_those_that_were_written(tmp_path: Path, storage: int, rng: np.random.Generator) -> None:
    counts = rng.integers(-2047, 2048, (2, 128 * 180 + 1)).astype("i2")
    path = lab.write_wfdb(tmp_path / "tr03.hea", counts, storage=storage)
    for name in ("tr03.hea", "tr03.mat" if storage == 16 else "tr03.dat"):
        recording = read_recording(tmp_path / name)
        np.testing.assert_allclose(recording["F3-M2"].read(dtype=np.float64), counts[0] * 1e-7, rtol=1e-6)
        np.testing.assert_allclose(recording["ECG"].read(dtype=np.float64), (counts[1] - 10) * 1e-5, rtol=1e-5)
    piece = read_wfdb(path)["F3-M2"].read(101 / 128, 110 / 128, dtype=np.float64)
    np.testing.assert_allclose(piece, counts[0, 101:110] * 1e-7, rtol=1e-6)


def test_stages_and_events_lie_beside(tmp_path: Path) -> None:
    recording = read_recording(lab.write_wfdb(tmp_path / "tr03.hea"))
    assert recording.hypnogram is not None
    assert recording.hypnogram.labels == ["W", "N1", "N2", "N3", "R", "W"]
    event = recording.events[recording.events["label"] == "hypopnea"].iloc[0]
    assert (event["onset"], event["duration"]) == (70, 14)
    assert recording.subject == "tr03"
    assert read_recording(lab.write_wfdb(tmp_path / "te03.hea", stages=False)).hypnogram is None


def test_stages_of_slpdb(tmp_path: Path) -> None:
    path = lab.write_wfdb(tmp_path / "slp01.hea", storage=212, stages=False)
    texts = [(0, "W"), (30, "1 HA"), (60, "2"), (90, "4 OA"), (120, "R"), (150, "MT")]
    path.with_suffix(".st").write_bytes(lab.make_wfdb_annotations(texts, rate=128))
    assert read_recording(path).hypnogram.labels == ["W", "N1", "N2", "N3", "R", "?"]  # type: ignore[union-attr]


def test_what_was_not_recorded_is_missing(tmp_path: Path) -> None:
    counts = np.ones((2, 1000), "i2")
    counts[0, 10:20] = -(2**15)
    read = read_recording(lab.write_wfdb(tmp_path / "a.hea", counts))["F3-M2"].read()
    assert np.flatnonzero(np.isnan(read)).tolist() == [*range(10, 20)]


def test_a_file_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = lab.write_wfdb(tmp_path / "a.hea")
    content = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(content[: 24 + 4 * 128 * 60])
    recording = read_recording(path)
    assert recording.duration == 60
    assert any("ends after 7680 of the 23040 samples" in said for said in recording.repairs)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("16+24", "8+24", "formats 16, 61, 32, 212"),
        ("16+24", "16x2+24", "all channels at one rate"),
        ("a 2 128", "a/3 2 128", "header of one segment"),
        ("a.mat", "../a.mat", "samples beside"),
        ("a.mat", "b.mat", "no such file"),
    ],
)
def test_other_records_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = lab.write_wfdb(tmp_path / "a.hea")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SharpwaveError, match=words):
        read_recording(path)


def test_annotations_state_their_resolution(tmp_path: Path) -> None:
    path = tmp_path / "a.st"
    path.write_bytes(lab.make_wfdb_annotations([(0, "## time resolution: 1000"), (30, "W")], rate=1000))
    assert read_annotations(path, 128) == [(30.0, "W")]


def test_a_mat_file_alone_says_what_it_needs(tmp_path: Path) -> None:
    lab.write_wfdb(tmp_path / "a.hea")
    (tmp_path / "a.hea").unlink()
    with pytest.raises(SharpwaveError, match=r"read with its \.hea beside it"):
        read_recording(tmp_path / "a.mat")
