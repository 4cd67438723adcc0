"""Image files in one folder per class, on disk or in a tar that is read without being unpacked."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np

from sharpwave.errors import MissingExtraError, SharpwaveError

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
