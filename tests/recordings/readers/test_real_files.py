"""Real files, read as they are: what came out is what the table in docs/readers.md says."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pytest

from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.readers import read_hypnogram, read_recording, read_scoring

pytestmark = pytest.mark.data


def _needed(data_root: Path, name: str) -> Path:
    path = data_root / name
    if not path.exists():
        pytest.skip(f"no {name} among the real recordings")
    return path


def test_dreams_excerpt3_whole_psg(data_root: Path) -> None:
    path = _needed(data_root, "dreams-spindles/excerpt3.edf")
    recording = read_recording(path, hypnogram=path.with_name("Hypnogram_excerpt3.txt"))
    assert len(recording.signals) == 20
    assert recording.duration == 1800
    assert recording.start == datetime(2003, 11, 17, 3, 27)
    assert pick_channels(recording) == {"eeg": "C3-A1", "eog": "EOG1-A1", "emg": "EMG1"}
    assert recording.hypnogram is not None
    assert Counter(recording.hypnogram.labels) == {"N2": 224, "N1": 88, "W": 32, "N3": 16}
    text = np.loadtxt(path.with_suffix(".txt"), skiprows=1)
    np.testing.assert_allclose(recording["C3-A1"].read(dtype=np.float64) * 1e6, text, atol=1e-4)


@pytest.mark.parametrize(("excerpt", "rate"), [(1, 100), (3, 50), (4, 200), (5, 200), (6, 200), (7, 200)])
def test_dreams_text(excerpt: int, rate: int, data_root: Path) -> None:
    path = _needed(data_root, f"dreams-spindles/excerpt{excerpt}.txt")
    recording = read_recording(path, rate=rate, hypnogram=path.with_name(f"Hypnogram_excerpt{excerpt}.txt"))
    assert recording.duration == pytest.approx(1800, abs=1)
    assert recording.hypnogram is not None
    assert (len(recording.hypnogram), recording.hypnogram.epoch_length) == (360, 5)


def test_rsleep_edf_with_89_signals(data_root: Path) -> None:
    path = _needed(data_root, "rsleep/subject1.edf")
    recording = read_recording(path)
    assert len(recording.signals) == 89
    assert recording.start == datetime(2018, 2, 6, 1, 36, 50)
    assert pick_channels(recording) == {"eeg": "C4-M1", "eog": "E1-M2", "emg": "EMG chin"}
    assert "C3 Impédance" in recording.signals
    for signal, reference in zip(recording.signals.values(), edfio.read_edf(path).signals, strict=True):
        np.testing.assert_array_equal(signal.samples[:], reference.digital)


@pytest.mark.parametrize(
    ("suffix", "start", "n_epochs", "n_rem"),
    [
        ("", datetime(2016, 1, 15, 22, 30), 1497, 249),
        ("_2", datetime(2018, 7, 25, 23, 46), 848, 146),
        ("_3", datetime(2018, 4, 27, 23, 0, 30), 1228, 195),
    ],
)
def test_noxturnal_exports(suffix: str, start: datetime, n_epochs: int, n_rem: int, data_root: Path) -> None:
    scoring = read_scoring(_needed(data_root, f"rsleep/noxturnal_events_example_unicode{suffix}.csv"))
    assert (scoring.clock, len(scoring.hypnogram), scoring.hypnogram.epoch_length) == (start, n_epochs, 30)
    assert scoring.hypnogram.labels.count("R") == n_rem


def test_dreem_json_of_every_scorer(data_root: Path) -> None:
    files = sorted(_needed(data_root, "dod-hypnograms").glob("scorers/*/*/*.json"))
    hypnograms = [read_hypnogram(path) for path in files]
    assert len(hypnograms) == 305
    assert {hypnogram.epoch_length for hypnogram in hypnograms} == {30}
    assert sum(hypnogram.labels.count("R") for hypnogram in hypnograms) == 45_753


def test_yasa_snippets(data_root: Path) -> None:
    folder = _needed(data_root, "yasa-snippets")
    recording = read_recording(folder / "data_resting_EO_200Hz_raw.fif")
    assert list(recording.signals) == ["F4-A1", "Cz-A2"]
    assert recording.duration == 360
    assert Counter(read_hypnogram(folder / "data_full_6hrs_100Hz_hypno_30s.txt").labels)["R"] == 155
    assert len(read_hypnogram(folder / "sub-02_hypno_30s.txt")) == 98
