"""IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist): big-endian header, then bytes."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError

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
