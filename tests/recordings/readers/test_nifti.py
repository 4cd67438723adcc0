"""BOLD: volumes as written, parcels as their mean, repetition times in every unit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.files import BOLD_SHAPE, write_small_nifti

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nifti import read_bold


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_volumes_come_back_time_first(tmp_path: Path, name: str) -> None:
    path = write_small_nifti(tmp_path / name)
    bold = read_bold(path)["bold"]
    volumes = np.asarray(nibabel.load(path).dataobj)
    assert bold.samples.shape == (BOLD_SHAPE[3], *BOLD_SHAPE[:3])
    np.testing.assert_array_equal(bold.read(), np.moveaxis(volumes, -1, 0))
    np.testing.assert_array_equal(bold.read(4, 8), np.moveaxis(volumes, -1, 0)[2:4])
    assert not isinstance(bold.samples, np.ndarray)
    assert bold.rate == 0.5


def test_scaled_integers_are_scaled(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(500, 50, size=(3, 3, 2, 5)).astype(np.float32)
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.set_data_dtype(np.int16)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((1, 1, 1, 1.5))
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_bold(tmp_path / "a.nii")["bold"].read(), np.moveaxis(values, -1, 0), atol=0.01)


def test_parcels_are_the_mean_of_their_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_small_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "atlas.tsv").write_text("index\tname\n1\thippocampus\n2\tthalamus\n")
    volumes = np.moveaxis(np.asarray(nibabel.load(path).dataobj, dtype=float), -1, 0)
    whole = read_bold(path, atlas=tmp_path / "atlas.nii.gz")["bold"]
    assert whole.channels == ("hippocampus", "thalamus")
    np.testing.assert_allclose(whole.samples[:, 0], volumes[:, :2].mean(axis=(1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(whole.samples[:, 1], volumes[:, 2].mean(axis=(1, 2)), rtol=1e-6)
    monkeypatch.setattr("sharpwave.recordings.readers.nifti.BLOCK_BYTES", 500)
    in_pieces = read_bold(path, atlas=tmp_path / "atlas.nii.gz")["bold"]
    np.testing.assert_array_equal(in_pieces.samples, whole.samples)


@pytest.mark.parametrize(
    ("value", "unit", "seconds", "repaired"),
    [(2.0, "sec", 2.0, False), (2000.0, "msec", 2.0, False), (2000.0, "sec", 2.0, True), (0.8, "msec", 0.8, True)],
)
def test_repetition_time_in_each_unit(tmp_path: Path, value: float, unit: str, seconds: float, repaired: bool) -> None:
    recording = read_bold(write_small_nifti(tmp_path / "a.nii", repetition_time=value, time_unit=unit))
    assert 1 / recording["bold"].rate == pytest.approx(seconds)
    assert bool(recording.repairs) is repaired


def test_the_sidecar_and_the_caller_decide(tmp_path: Path) -> None:
    path = write_small_nifti(tmp_path / "sub-07_task-rest_bold.nii.gz", repetition_time=1.0)
    (tmp_path / "sub-07_task-rest_bold.json").write_text(json.dumps({"RepetitionTime": 2.5}))
    recording = read_bold(path)
    assert recording.metadata["repetition_time"] == 2.5
    assert recording.subject == "07"
    assert "contradicts the sidecar" in recording.repairs[0]
    assert read_bold(path, tr=3).metadata["repetition_time"] == 3
    with pytest.raises(SharpwaveError, match=r"repetition time of 0.05 to 20 s.*not 2000"):
        read_bold(path, tr=2000)


def test_a_repetition_time_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="pass tr= in seconds"):
        read_bold(write_small_nifti(tmp_path / "a.nii", repetition_time=0.0))


def test_an_image_without_time_is_refused(tmp_path: Path) -> None:
    write_small_nifti(tmp_path / "a.nii")
    with pytest.raises(SharpwaveError, match="three axes of space and one of time"):
        read_bold(tmp_path / "atlas.nii.gz")


def test_an_atlas_elsewhere_or_without_labels_is_refused(tmp_path: Path) -> None:
    path = write_small_nifti(tmp_path / "a.nii")
    affine = nibabel.load(path).affine
    shape = BOLD_SHAPE[:3]
    for name, labels, place in (
        ("shape", np.ones((9, 9, 9), np.int16), affine),
        ("space", np.ones(shape, np.int16), affine + np.diag([0, 0, 0, 0]) + np.eye(4) * 2),
    ):
        nibabel.save(nibabel.Nifti1Image(labels, place), tmp_path / f"{name}.nii")
        with pytest.raises(SharpwaveError, match=r"grid of the image.*resample the atlas"):
            read_bold(path, atlas=tmp_path / f"{name}.nii")
    nibabel.save(nibabel.Nifti1Image(np.full(shape, 0.5, np.float32), affine), tmp_path / "soft.nii")
    with pytest.raises(SharpwaveError, match=r"integer labels.*not a probabilistic atlas"):
        read_bold(path, atlas=tmp_path / "soft.nii")


def test_a_header_that_declares_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = write_small_nifti(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[42:50] = np.array([20_000, 20_000, 20_000, 20_000], "<i2").tobytes()
    path.write_bytes(bytes(content))
    with pytest.raises(SharpwaveError, match="incomplete or its header is damaged"):
        read_bold(path)
    with gzip.open(tmp_path / "a.nii.gz", "wb") as file:
        file.write(bytes(content))
    with pytest.raises(SharpwaveError, match="incomplete or its header is damaged"):
        read_bold(tmp_path / "a.nii.gz")


def test_a_torn_file_is_one_readable_error(tmp_path: Path) -> None:
    path = write_small_nifti(tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SharpwaveError, match=r"a.nii.gz"):
        read_bold(path)["bold"].read()


def test_real_volumes(data_root: Path) -> None:
    bold = read_bold(data_root / "nitime-bold" / "fmri1.nii.gz")["bold"]
    assert bold.samples.shape == (40, 10, 10, 18)
    assert 1 / bold.rate == pytest.approx(1.35)
    assert np.isfinite(bold.read(0, 10)).all()
