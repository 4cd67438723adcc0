"""UCDDB: written nights with any subject name, then the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import load_dataset, ucddb

STAGES = np.repeat(np.array([0, 1, 2, 3, 4, 5, 8], dtype=np.int8), 20)


def write_night(folder: Path, rng: np.random.Generator, *, subject: str = "777", **changes: np.ndarray) -> np.ndarray:
    epochs = np.flatnonzero(np.isin(STAGES, (0, 4, 5)))
    samples = rng.integers(-3000, 3000, size=(len(epochs), 3840)).astype(np.int16)
    entropy = rng.normal(size=(len(STAGES), 3)).astype(np.float32)
    content = {"x": samples, "scale": 1e-4, "epoch": epochs, "stage": STAGES, "entropy": entropy, "fs": 128}
    np.savez(folder / f"ucddb{subject}.npz", **{**content, **changes})
    return samples


def test_gaps_are_missing_and_never_zero(tmp_path: Path, rng: np.random.Generator) -> None:
    samples = write_night(tmp_path, rng)
    assert ucddb.subjects(tmp_path) == ["777"]
    night = ucddb.load(tmp_path, "777")
    eeg = night["EEG"].read()
    assert len(eeg) == len(STAGES) * 3840
    np.testing.assert_allclose(eeg[: 20 * 3840], samples[:20].ravel() * 1e-4, rtol=1e-5)
    assert np.isnan(night["EEG"].read(600, 2400)).all()
    assert night.metadata["gaps"] == [(600.0, 2400.0), (3600.0, 4200.0)]
    assert night.metadata["amplitude_unit"] == "unknown"
    assert "missing in 80 of 140 epochs" in night.repairs[0]


def test_stages_and_entropies(tmp_path: Path, rng: np.random.Generator) -> None:
    write_night(tmp_path, rng)
    night = ucddb.load(tmp_path, "777")
    assert night.hypnogram.stages[::20].tolist() == [0, 4, 1, 2, 3, 3, -1]
    assert night["entropy"].modality.name == "features"
    assert night["entropy"].rate == pytest.approx(1 / 30)


def test_entropies_that_tell_the_stage_are_left_out(tmp_path: Path, rng: np.random.Generator) -> None:
    entropy = rng.normal(size=(len(STAGES), 3))
    entropy[np.isin(STAGES, (1, 2, 3))] = np.nan
    write_night(tmp_path, rng, entropy=entropy)
    night = ucddb.load(tmp_path, "777")
    assert night.absent == ("entropy",)
    assert "entropy" not in night.signals
    entropy = rng.normal(size=(len(STAGES), 3))
    entropy[::3] = np.nan
    write_night(tmp_path, rng, entropy=entropy)
    assert "entropy" in ucddb.load(tmp_path, "777").signals


def test_the_original_files_are_read_too(tmp_path: Path, rng: np.random.Generator) -> None:
    from edfio import Edf, EdfSignal

    values = rng.normal(0, 20, 128 * 120)
    signal = EdfSignal(values, 128, label="C3A2", physical_dimension="uV", physical_range=(-200, 200))
    Edf([signal]).write(tmp_path / "a.edf")
    (tmp_path / "a.edf").rename(tmp_path / "ucddb888.rec")
    (tmp_path / "ucddb888_stage.txt").write_text("0\n2\n5\n8\n")
    night = ucddb.load(tmp_path, "888")
    assert ucddb.subjects(tmp_path) == ["888"]
    assert night.hypnogram.labels == ["W", "N1", "N3", "?"]
    np.testing.assert_allclose(next(iter(night.signals.values())).read(), values * 1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": np.arange(900, 960)}, "within a night of 140"),
        ({"x": np.zeros((60, 10), np.int16)}, r"60 epochs of 3840 samples.*\(60, 10\)"),
        ({"entropy": np.array([object()])}, "readable .npz"),
    ],
)
def test_damaged_nights_are_refused(
    tmp_path: Path, rng: np.random.Generator, changes: dict[str, np.ndarray], message: str
) -> None:
    write_night(tmp_path, rng, **changes)
    with pytest.raises(SharpwaveError, match=message):
        ucddb.load(tmp_path, "777")


def test_a_night_without_its_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "ucddb1.npz", x=np.zeros(3))
    with pytest.raises(SharpwaveError, match="no scale, epoch, stage, entropy, fs"):
        ucddb.load(tmp_path, "1")
    (tmp_path / "ucddb2.npz").write_bytes(b"PK damaged")
    with pytest.raises(SharpwaveError, match="copy or download it again"):
        ucddb.load(tmp_path, "2")


def test_the_whole_real_night(data_root: Path) -> None:
    night = load_dataset("ucddb/022", data_root)
    assert len(night.hypnogram) == 787
    assert np.isnan(night["EEG"].samples).mean() < 0.1
    assert load_dataset("ucddb/002", data_root).absent == ("entropy",)
