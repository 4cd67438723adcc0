"""Labelled images for streams: an NPZ, IDX files, or image files in a folder per class, on disk or in a tar.

IDX is the format of MNIST (http://yann.lecun.com/exdb/mnist): a big-endian header, then bytes. A tar is read without
being unpacked.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np
from jaxtyping import UInt8
from scipy.ndimage import gaussian_filter

from sharpwave.demonstrations.streams import ImageSet
from sharpwave.errors import MissingExtraError, SharpwaveError

PARTS = ("x_train", "y_train", "x_test", "y_test")
MOST_BYTES = 8 * 2**30


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


SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"))
TRAINING = frozenset(("train", "training"))
TESTING = frozenset(("test", "testing", "val", "valid", "validation"))
LARGEST_SIDE = 64
"""Images are scaled down to squares of 32 pixels where they are larger than this, or differ in size."""
SIDE = 32
MOST_PIXELS = 64_000_000
MOST_FILE_BYTES = 256 * 2**20


def is_image(name: str) -> bool:
    """Whether a file name ends like an image's."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def load_image_folder(folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """Images below a folder, labelled by the folder they lie in.

    Args:
        folder: Holds CLASS/image, or train/CLASS/image and test/CLASS/image.

    Returns:
        x_train, y_train and, if there is a test folder, x_test and y_test; and a sentence on what was scaled.

    Raises:
        SharpwaveError: If a file is no image, or images lie outside a class folder.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and is_image(path.name))
    return _collect((path.relative_to(folder).as_posix(), path.read_bytes()) for path in files)


def load_image_tar(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The same from a tar; nothing is written to disk.

    Raises:
        SharpwaveError: If the tar or an image in it is broken.
    """
    try:
        return _collect(_read_members(path))
    except (tarfile.TarError, EOFError) as error:
        raise SharpwaveError(
            "a tar of image files", got=f"{path.name}: {error}", fix="pack the folder again"
        ) from error


def _read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isreg() or not is_image(member.name):
                continue
            if member.size > MOST_FILE_BYTES:
                raise SharpwaveError("images below 256 MB", got=member.name, fix="leave that file out")
            content = archive.extractfile(member)
            if content is not None:
                yield member.name, content.read()


def _collect(files: Iterable[tuple[str, bytes]]) -> tuple[dict[str, np.ndarray], str]:
    images: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    names: dict[str, list[str]] = {"train": [], "test": []}
    large = False
    for name, content in files:
        parts = [part for part in PurePosixPath(name).parts[:-1] if part != "."]
        part = "test" if any(each.lower() in TESTING for each in parts) else "train"
        classes = [each for each in parts if each.lower() not in TESTING | TRAINING]
        if not classes:
            raise SharpwaveError(
                "image files in one folder per class", got=name, fix="move it into a folder named after its class"
            )
        image = _decode(content, name)
        if max(image.shape[:2]) > LARGEST_SIDE:
            image, large = _scale(image), True
        images[part].append(image)
        names[part].append(classes[-1])
    if not images["train"]:
        raise SharpwaveError(
            "training images", got="none outside a test folder", fix="put images into train/CLASS or CLASS folders"
        )
    known = {label: index for index, label in enumerate(sorted(set(names["train"]) | set(names["test"])))}
    scale = large or len({image.shape for image in images["train"] + images["test"]}) > 1
    arrays: dict[str, np.ndarray] = {}
    for part, group in images.items():
        if group:
            arrays[f"x_{part}"] = np.stack([_scale(image) if scale else image for image in group])
            arrays[f"y_{part}"] = np.array([known[name] for name in names[part]], dtype=np.int64)
    return arrays, f"Images were scaled to {SIDE} × {SIDE} pixels." if scale else ""


def _decode(content: bytes, name: str) -> np.ndarray:
    image_module = _import_pillow()
    try:
        with image_module.open(io.BytesIO(content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise SharpwaveError("images below 64 megapixels", got=name, fix="scale it down")
            if image.mode[0] in "IF":
                raise SharpwaveError("images of 8 bits a channel", got=name, fix="convert it to 8 bits")
            return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    except SharpwaveError:
        raise
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        raise SharpwaveError(
            "image files that can be decoded", got=f"{name}: {error}", fix="remove or replace that file"
        ) from error


def _scale(image: np.ndarray) -> np.ndarray:
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return np.asarray(_import_pillow().fromarray(colour).resize((SIDE, SIDE)))


def _import_pillow() -> ModuleType:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("pillow", extra="brain") from error
    return Image


UNSIGNED_BYTE = 0x08
MOST_BYTES = 4 * 2**30
FILES = {
    "x_train": "train-images*idx3-ubyte*",
    "y_train": "train-labels*idx1-ubyte*",
    "x_test": "t10k-images*idx3-ubyte*",
    "y_test": "t10k-labels*idx1-ubyte*",
}


def load_idx(folder: Path) -> dict[str, np.ndarray]:
    """Images and labels of a folder with MNIST's four files, gzipped or not; without the t10k pair, training alone.

    Raises:
        SharpwaveError: If a training file is missing, or a file is not IDX.
    """
    found = {name: sorted(folder.glob(pattern)) for name, pattern in FILES.items()}
    missing = [FILES[name] for name in ("x_train", "y_train") if not found[name]]
    if missing:
        raise SharpwaveError(
            "train-images-idx3-ubyte and train-labels-idx1-ubyte",
            got=f"no {missing[0]} in {folder.name}/",
            fix="put the files of the data set into one folder under their usual names",
        )
    return {name: read_idx(files[0]) for name, files in found.items() if files}


def read_idx(path: Path) -> np.ndarray:
    """One IDX file of unsigned bytes; ".gz" is decompressed.

    Raises:
        SharpwaveError: If it is not IDX, not of bytes, or shorter or longer than its header says.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != UNSIGNED_BYTE or not 1 <= magic[3] <= 4:
                raise _refuse(path, f"first bytes {magic.hex() or 'missing'}")
            shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
            n_bytes = int(np.prod(shape, dtype=object))
            if n_bytes > MOST_BYTES:
                raise _refuse(path, f"a header that asks for {n_bytes} bytes")
            content = file.read(n_bytes + 1)
    except (OSError, EOFError, struct.error) as error:
        raise _refuse(path, str(error)) from error
    if len(content) != n_bytes:
        raise _refuse(path, f"{len(content)} bytes or more after a header that asks for {n_bytes}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _refuse(path: Path, got: str) -> SharpwaveError:
    return SharpwaveError(
        "an IDX file of unsigned bytes", got=f"{path.name}: {got}", fix="download the file again, or convert it"
    )


NOISE = 64.0
BLUR = 1.5


def vary_images(images: ImageSet, how: str) -> ImageSet:
    """The same images in another world, for options that must not hang on one set of pixels.

    Args:
        images: The data set.
        how: Key of `VARIANTS`: inverted, brightened (the upper half of the range), blurred (1.5 pixels) or noisy (64 of
            255).
    """
    change = VARIANTS[how]
    return replace(images, name=f"{images.name}, {how}", x_train=change(images.x_train), x_test=change(images.x_test))


def _blur(x: np.ndarray) -> np.ndarray:
    return gaussian_filter(x.astype(np.float32), (0, 0, BLUR, BLUR)).round().astype(np.uint8)


def _add_noise(x: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, NOISE, x.shape)
    return np.clip(x + noise, 0, 255).round().astype(np.uint8)


VARIANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverted": lambda x: 255 - x,
    "brightened": lambda x: (128 + x // 2).astype(np.uint8),
    "blurred": _blur,
    "noisy": _add_noise,
}
"""Functions of images in bytes, by name."""
