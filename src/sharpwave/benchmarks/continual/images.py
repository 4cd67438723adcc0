"""Labelled images for streams: an NPZ, IDX files, or image files in a folder per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from sharpwave.benchmarks.continual.idx import load_idx
from sharpwave.benchmarks.continual.image_files import is_image, load_image_folder, load_image_tar
from sharpwave.errors import SharpwaveError

PARTS = ("x_train", "y_train", "x_test", "y_test")
MOST_BYTES = 8 * 2**30


@dataclass(frozen=True)
class ImageSet:
    """Images with a class each.

    Attributes:
        name: What the data set is called in tables.
        x_train: Images to learn from, one byte a channel.
        y_train: Their classes, from 0.
        x_test: Images to be judged on.
        y_test: Their classes.
        note: What was done to the files so that they fit; empty if nothing.
    """

    name: str
    x_train: UInt8[np.ndarray, "train channel height width"]
    y_train: Int64[np.ndarray, " train"]
    x_test: UInt8[np.ndarray, "test channel height width"]
    y_test: Int64[np.ndarray, " test"]
    note: str = ""

    @property
    def n_classes(self) -> int:
        """Classes that occur in training."""
        return int(self.y_train.max()) + 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width


def load_images(path: str | Path) -> ImageSet:
    """Read labelled images.

    Args:
        path: An NPZ with x_train, y_train, x_test and y_test (or x and y); a tar of image files; or a folder with
            one of these, with IDX files (train-images…, train-labels…, t10k-…), or with image files in one folder per
            class, below train/ and test/ or not. Where nothing is set apart for testing, every fifth image of each
            class is.

    Raises:
        SharpwaveError: If there are no labelled images, or a file is not what it says it is.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".npz":
        return _build(path.stem, *_load_npz(path))
    if path.is_file() and path.suffix == ".tar":
        return _build(path.stem, *load_image_tar(path))
    if not path.is_dir():
        raise SharpwaveError(
            "a folder of images, an .npz or a .tar", got=str(path), fix="name a folder with IDX, NPZ or image files"
        )
    if any(path.glob("*idx3-ubyte*")):
        return _build(path.name, load_idx(path), "")
    archives = sorted(path.glob("*.npz"))
    if archives:
        return load_images(archives[0])
    if any(is_image(file.name) for file in path.rglob("*")):
        return _build(path.name, *load_image_folder(path))
    raise SharpwaveError(
        f"labelled images in {path.name}/",
        got="no IDX, NPZ or image file",
        fix="put images into one folder per class, or save x_train, y_train, x_test, y_test as .npz",
    )


def hold_out(images: ImageSet, *, rng: np.random.Generator, share: float = 0.2) -> ImageSet:
    """The training images alone, a share of each class set apart to be judged on; the test images are not touched."""
    aside = np.zeros(images.y_train.size, dtype=bool)
    for label in np.unique(images.y_train):
        where = rng.permutation(np.flatnonzero(images.y_train == label))
        aside[where[: max(1, round(share * where.size))]] = True
    return ImageSet(
        f"{images.name}, training images",
        images.x_train[~aside],
        images.y_train[~aside],
        images.x_train[aside],
        images.y_train[aside],
        images.note,
    )


def _build(name: str, parts: dict[str, np.ndarray], note: str) -> ImageSet:
    if "x_test" not in parts:
        later = _every_fifth(parts["y_train"])
        x, y = parts["x_train"], parts["y_train"]
        parts = {"x_train": x[~later], "y_train": y[~later], "x_test": x[later], "y_test": y[later]}
        note = f"{note} Every fifth image of each class is for testing.".strip()
    labels = np.unique(parts["y_train"])
    if labels.size < 2:
        raise SharpwaveError(
            "images of two classes or more", got=f"{labels.size} class", fix="use one folder (or label) per class"
        )
    unknown = np.setdiff1d(parts["y_test"], labels)
    if unknown.size:
        raise SharpwaveError(
            "test images of classes that were trained",
            got=f"class {unknown[0]} in testing alone",
            fix="give every class training images",
        )
    images = {key: _as_channels(parts[key]) for key in ("x_train", "x_test")}
    if images["x_train"].shape[1:] != images["x_test"].shape[1:]:
        raise SharpwaveError(
            "training and test images of one size",
            got=f"{images['x_train'].shape[1:]} and {images['x_test'].shape[1:]}",
            fix="resize them to one size",
        )
    for part in ("train", "test"):
        if len(parts[f"x_{part}"]) != len(parts[f"y_{part}"]):
            raise SharpwaveError(
                "one label per image",
                got=f"{len(parts[f'x_{part}'])} images and {len(parts[f'y_{part}'])} labels in {part}",
                fix="check the label file",
            )
    return ImageSet(
        name,
        images["x_train"],
        np.searchsorted(labels, parts["y_train"]).astype(np.int64),
        images["x_test"],
        np.searchsorted(labels, parts["y_test"]).astype(np.int64),
        note,
    )


def _load_npz(path: Path) -> tuple[dict[str, np.ndarray], str]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if sum(entry.file_size for entry in archive.zip.infolist()) > MOST_BYTES:
                raise SharpwaveError("at most 8 GB of images", got=path.name, fix="use fewer or smaller images")
            names = PARTS if "x_train" in archive.files else ("x", "y")
            missing = [name for name in names if name not in archive.files]
            if missing:
                raise SharpwaveError(
                    "x_train, y_train, x_test and y_test, or x and y, in the .npz",
                    got=", ".join(archive.files) or "nothing",
                    fix="save the arrays under these names",
                )
            parts = {name: archive[name] for name in names}
    except SharpwaveError:
        raise
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise SharpwaveError(
            "an .npz of plain arrays", got=f"{path.name}: {error}", fix="save it with numpy.savez and no objects"
        ) from error
    if "x" in parts:
        parts = {"x_train": parts["x"], "y_train": parts["y"]}
    return {name: part.ravel() if name.startswith("y") else part for name, part in parts.items()}, ""


def _as_channels(images: np.ndarray) -> UInt8[np.ndarray, "image channel height width"]:
    if images.dtype != np.uint8:
        raise SharpwaveError(
            "images of one byte a channel (uint8)", got=str(images.dtype), fix="scale them to 0…255 and cast to uint8"
        )
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    raise SharpwaveError(
        "images as (image, height, width), with 1 or 3 channels last or second",
        got=f"shape {images.shape}",
        fix="reshape the array",
    )


def _every_fifth(labels: np.ndarray) -> np.ndarray:
    chosen = np.zeros(labels.size, dtype=bool)
    for label in np.unique(labels):
        chosen[np.flatnonzero(labels == label)[4::5]] = True
    return chosen
