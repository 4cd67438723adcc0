from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.benchmarks.continual.blobs import make_blobs

from sharpwave.benchmarks.continual.images import hold_out, load_images, read_idx
from sharpwave.errors import SharpwaveError


def write_idx(path: Path, values: np.ndarray) -> None:
    content = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_png(folder: Path, name: str, values: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(folder / name)


def test_idx_npz_and_png_give_the_same_images(tmp_path: Path, rng: np.random.Generator) -> None:
    blobs = make_blobs(rng, n_classes=3, n_train=4, n_test=2)
    (tmp_path / "idx").mkdir()
    for part, name in (("train", "train"), ("test", "t10k")):
        write_idx(tmp_path / "idx" / f"{name}-images-idx3-ubyte.gz", getattr(blobs, f"x_{part}")[:, 0])
        write_idx(tmp_path / "idx" / f"{name}-labels-idx1-ubyte", getattr(blobs, f"y_{part}").astype(np.uint8))
        for index, image in enumerate(getattr(blobs, f"x_{part}")[:, 0]):
            label = getattr(blobs, f"y_{part}")[index]
            write_png(tmp_path / "png", f"{part}/class-{label}/{index:02d}.png", image)
    np.savez(
        tmp_path / "blobs.npz", **{f"{a}_{b}": getattr(blobs, f"{a}_{b}") for a in "xy" for b in ("train", "test")}
    )
    for found in (load_images(tmp_path / "idx"), load_images(tmp_path / "blobs.npz"), load_images(tmp_path / "png")):
        assert found.shape == (1, 4, 4)
        assert found.n_classes == 3
        assert found.note == ""
        for part in ("train", "test"):
            images, labels = getattr(found, f"x_{part}"), getattr(found, f"y_{part}")
            expected = getattr(blobs, f"x_{part}"), getattr(blobs, f"y_{part}")
            for label in range(3):
                ours = sorted(image.tobytes() for image in images[labels == label])
                assert ours == sorted(image.tobytes() for image in expected[0][expected[1] == label])


def test_a_tar_is_read_without_being_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for label in ("../../cat", "dog"):
            for index in range(5):
                content = io.BytesIO()
                Image.fromarray(np.full((8, 8, 3), 10 * index, np.uint8)).save(content, "PNG")
                member = tarfile.TarInfo(f"{label}/{index}.png")
                member.size = content.tell()
                content.seek(0)
                archive.addfile(member, content)
    images = load_images(tmp_path / "images.tar")
    assert (len(images.x_train), len(images.x_test)) == (8, 2)
    assert "Every fifth image" in images.note
    assert [path.name for path in tmp_path.iterdir()] == ["images.tar"]


def test_large_and_unequal_images_are_scaled_and_it_is_said(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for index in range(5):
            write_png(tmp_path, f"{label}/{index}.png", np.zeros((100 + index, 90), np.uint8))
    images = load_images(tmp_path)
    assert images.shape == (3, 32, 32)
    assert "scaled to 32 × 32" in images.note


def test_labels_are_numbered_from_zero(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((20, 4, 4), np.uint8), y=np.repeat([7, 40], 10))
    assert load_images(tmp_path / "x.npz").y_train.tolist() == [0] * 8 + [1] * 8


def test_what_is_held_out_is_from_training_and_apart(rng: np.random.Generator) -> None:
    blobs = make_blobs(rng)
    held = hold_out(blobs, rng=rng, share=0.25)
    train = {image.tobytes() for image in blobs.x_train}
    aside, left = ({image.tobytes() for image in part} for part in (held.x_test, held.x_train))
    assert not aside & left
    assert aside | left == train
    assert np.bincount(held.y_test).tolist() == [15] * 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG", "first bytes 89504e47"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "3 bytes or more after a header that asks for 5"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "3 bytes or more after a header that asks for 2"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "a header that asks for"),
        (b"\0\0\x08\x03\0", "IDX"),
        (b"", "first bytes missing"),
    ],
)
def test_what_is_not_idx_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x-idx3-ubyte").write_bytes(content)
    with pytest.raises(SharpwaveError, match=message):
        read_idx(tmp_path / "x-idx3-ubyte")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 2, 2)), "y": np.array([0, 0, 1, 1])}, "uint8"),
        ({"x": np.zeros((10, 2), np.uint8), "y": np.repeat([0, 1], 5)}, r"got shape"),
        ({"x": np.zeros((10, 2, 2), np.uint8), "y": np.zeros(10, int)}, "two classes or more"),
        ({"x": np.zeros((10, 2, 2), np.uint8)}, "x_train, y_train, x_test and y_test, or x and y"),
        ({"x": np.zeros((10, 2, 2), np.uint8), "y": np.array([None, 1])}, "plain arrays"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(arrays: dict, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(SharpwaveError, match=message):
        load_images(tmp_path / "x.npz")


def test_files_that_are_no_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="no IDX, NPZ or image file"):
        load_images(tmp_path)
    with pytest.raises(SharpwaveError, match="name a folder"):
        load_images(tmp_path / "nowhere")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"not a png")
    with pytest.raises(SharpwaveError, match="that can be decoded"):
        load_images(tmp_path)
    (tmp_path / "cat" / "1.png").unlink()
    write_png(tmp_path, "loose.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(SharpwaveError, match="one folder per class"):
        load_images(tmp_path)
